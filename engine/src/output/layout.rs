//! What a file of maps is to hold, known before its first value.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::background::Note;
use crate::grid::Targets;
use crate::mask::{Mask, MaskReport};
use crate::observations::{Station, UnixSeconds, Variable};
use crate::plan::Plan;
use crate::projection::Crs;
use crate::series::TimeCells;
use crate::storage::Storage;
use crate::tiles::Tiling;
use crate::uncertainty::{LayerOf, Of};

/// Everything that the head of a file of maps says.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// Where the surface is evaluated.
    pub targets: &'a Targets,
    /// Whether coordinates are degrees on the sphere; metres of a plane otherwise.
    pub spherical: bool,
    /// Variables, in the order of [`FieldId::variable`](super::FieldId).
    pub variables: &'a [Variable],
    /// Times, ascending, in the order of [`FieldId::time`](super::FieldId); a single `None` for
    /// readings without time, whose maps have no time dimension.
    pub times: &'a [Option<UnixSeconds>],
    /// What stretch of time each of them stands for, where readings were averaged.
    pub time_cells: Option<&'a TimeCells>,
    /// Stations, in the order of [`StationValues`](super::StationValues).
    pub stations: &'a [Station],
    /// Tiles; one chunk of the file each.
    pub tiling: Tiling,
    /// How numbers are kept in the file.
    pub storage: Storage,
    /// What a mask leaves out, if there is one.
    pub mask: Option<&'a MaskReport>,
    /// What was taken off readings and added back.
    pub backgrounds: &'a [Note],
    /// What values were taken to depend on, each with its source.
    pub covariates: &'a [String],
    /// Layers beside the maps.
    pub layers: &'a [LayerOf],
    /// What they are meant of.
    pub layers_of: Of,
    /// Where it comes from.
    pub provenance: &'a Provenance,
}

impl<'a> Layout<'a> {
    /// The file that a plan makes.
    #[must_use]
    pub fn of(plan: &'a Plan, provenance: &'a Provenance) -> Self {
        Self {
            targets: &plan.targets,
            spherical: plan.observations.in_degrees(),
            variables: plan.observations.variables(),
            times: plan.observations.times(),
            time_cells: plan.observations.time_cells(),
            stations: plan.network.stations(),
            tiling: plan.tiling,
            storage: plan.settings.storage,
            mask: plan.mask.as_ref().map(Mask::report),
            backgrounds: plan.backgrounds.as_ref().map_or(&[], |all| &all.notes),
            covariates: plan.covariates.as_ref().map_or(&[], |all| &all.notes),
            layers: &plan.layers,
            layers_of: plan.settings.uncertainty.of,
            provenance,
        }
    }

    /// Whether maps have a time dimension.
    #[must_use]
    pub fn has_times(&self) -> bool {
        self.times.iter().any(Option::is_some)
    }

    /// The system of coordinates of a projected grid.
    pub(super) fn crs(&self) -> Option<&'a Crs> {
        match self.targets {
            Targets::Grid(grid) => grid.crs(),
            Targets::Points(_) => None,
        }
    }

    /// Whether maps refer to the sphere that they lie on.
    pub(super) fn has_grid_mapping(&self) -> bool {
        self.spherical && matches!(self.targets, Targets::Grid(_))
    }
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// What made it, e.g. the command line.
    pub command: String,
    /// Name and version of the program.
    pub software: String,
    /// What the file calls itself; none: made from variables and stations.
    pub title: Option<String>,
    /// When it was made.
    pub created: UnixSeconds,
}

impl Provenance {
    /// Made now, by this version, by that command.
    #[must_use]
    pub fn now(command: impl Into<String>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            command: command.into(),
            software: concat!("isopleth ", env!("CARGO_PKG_VERSION")).to_owned(),
            title: None,
            created: UnixSeconds(since.as_secs().try_into().unwrap_or(i64::MAX)),
        }
    }
}
