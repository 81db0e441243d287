//! `isopleth estimate`: what a map will take, without making it.

use isopleth_engine::Plan;

use super::{inputs, print, summary, write_json};
use crate::cli::EstimateArguments;
use crate::failure::Failure;
use crate::table::{Table, bytes, number};

pub(crate) fn run(arguments: &EstimateArguments) -> Result<(), Failure> {
    let metric = inputs::metric(&arguments.method)?;
    let storage = inputs::storage(&arguments.storage);
    let mut settings =
        inputs::settings(&arguments.method, &arguments.readings.duplicates, storage)?;
    settings.masks = inputs::masks(&arguments.mask, metric)?;
    let targets = inputs::targets(&arguments.grid, metric)?;
    let observations = inputs::observations(&arguments.readings, !metric.is_spherical())?;
    let plan = Plan::new(observations, targets, settings, &summary::LIMITS)?;
    let estimate = plan.estimate;
    if arguments.json {
        return write_json("-".as_ref(), &estimate);
    }
    let mut table = Table::new(&["what", "number"]);
    for (what, value) in [
        ("stations", estimate.stations.to_string()),
        ("fields", estimate.fields.to_string()),
        ("cells of a field", estimate.cells.to_string()),
        ("seconds", number(Some(estimate.seconds))),
        ("peak memory", bytes(estimate.peak_memory_bytes)),
        ("values in the file, before compression", bytes(estimate.output_bytes)),
    ] {
        table.row(vec![what.to_owned(), value]);
    }
    print(&table.render())
}
