//! `isopleth usage`: what the service made, for whom, and what it took; from its database and its Parquet files.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueHint};
use isopleth_api::account::{
    BY, Failure as End, Group, Question, Ratio, Reconciled, Summary, reconciled, summary,
};
use isopleth_api::store::Store;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::print;
use crate::cli::ServeArguments;
use crate::config;
use crate::failure::{Failure, io};
use crate::table::{Table, bytes};

#[derive(Debug, Args)]
#[command(after_help = "\
Reads the database and the Parquet files of data_dir, while the service runs or not. Days are UTC, both ends
included. --reconcile compares, day by day, what jobs, processes and the account have counted, and each file
with its digest; it ends with 5 where something differs. docs/account.md has the same questions for DuckDB.

Examples:
  isopleth usage
  isopleth usage --from 2026-11-01 --to 2026-11-30 --by client
  isopleth usage --json | jq .predicted_seconds
  isopleth usage --reconcile")]
pub(crate) struct UsageArguments {
    /// First day [default: 29 days before the last]
    #[arg(long, value_name = "DAY")]
    from: Option<Date>,
    /// Last day [default: today]
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
    /// One table, by this
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(BY))]
    by: Option<String>,
    /// Rows of a table at most; that of --by has all
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    /// Compare what was counted by jobs, processes and the account
    #[arg(long)]
    reconcile: bool,
    /// JSON, all of it
    #[arg(long)]
    json: bool,
    /// The service's settings, which say where its data are
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Folder of the service's data [default: that of the settings]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    data_dir: Option<PathBuf>,
}

pub(crate) fn run(arguments: &UsageArguments) -> Result<(), Failure> {
    let store = open(arguments)?;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let to = arguments.to.unwrap_or(today);
    let from = match arguments.from {
        Some(from) => from,
        None => to.checked_sub(Span::new().days(29)).map_err(io)?,
    };
    if from > to {
        return Err(Failure::Usage(format!("--from {from} is after --to {to}")));
    }
    if arguments.reconcile {
        return reconcile(&reconciled(&store, [from, to], today).map_err(io)?, arguments.json);
    }
    let by = arguments.by.as_deref();
    let question = Question { days: [from, to], by, top: usize::from(arguments.top) };
    let found = summary(&store, &question).map_err(io)?;
    if arguments.json {
        return json(&found);
    }
    print(&match &found.by {
        Some(groups) => table(by.unwrap_or_default(), groups).render(),
        None => told(&found),
    })
}

fn open(arguments: &UsageArguments) -> Result<Store, Failure> {
    let settings =
        ServeArguments { config: arguments.config.clone(), listen: None, print_config: false };
    let folder = match &arguments.data_dir {
        Some(folder) => Some(folder.clone()),
        None => config::load(&settings)?.data_dir,
    };
    let folder = folder.ok_or_else(|| {
        Failure::Usage("there is no folder of the service's data; name it: --data-dir DIR".into())
    })?;
    if !folder.join("isopleth.sqlite3").is_file() {
        let text = format!(
            "there is no database of a service in {}; name its folder: --data-dir DIR",
            folder.display()
        );
        return Err(Failure::Usage(text));
    }
    Store::open(Some(&folder)).map_err(io)
}

fn json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(io)?;
    print(&format!("{text}\n"))
}

fn told(found: &Summary) -> String {
    let Group { runs, successful, values, seconds, cpu_seconds, .. } = &found.all;
    let mut text = format!(
        "{} to {} (UTC): {} ends, {} of them good; {} values in {seconds:.1} s, {cpu_seconds:.1} s of processors\n",
        found.from, found.to, runs, successful, values,
    );
    let mut add = |table: Table| {
        text.push('\n');
        text.push_str(&table.render());
    };
    for (name, groups) in [
        ("kernel", &found.kernels),
        ("client", &found.clients),
        ("values of a run", &found.sizes),
        ("hour", &found.hours),
    ] {
        if !groups.is_empty() {
            add(table(name, groups));
        }
    }
    if !found.failures.is_empty() {
        let mut ends = Table::new(&["end", "why", "runs"]);
        for End { exit, problem, runs } in &found.failures {
            let why = problem.clone().unwrap_or_else(|| "-".to_owned());
            ends.row(vec![exit.clone(), why, runs.to_string()]);
        }
        add(ends);
    }
    let mut ratios = Table::new(&["predicted / actual", "runs", "10 %", "50 %", "90 %", "99 %"]);
    let known = [("seconds", found.predicted_seconds), ("peak memory", found.predicted_bytes)];
    for (name, ratio) in known {
        if let Some(Ratio { runs, q10, q50, q90, q99 }) = ratio {
            let quantiles = [q10, q50, q90, q99].map(|q| format!("{q:.2}"));
            let cells = [name.to_owned(), runs.to_string()].into_iter().chain(quantiles);
            ratios.row(cells.collect());
        }
    }
    if let Some(peak) = found.peak_bytes.and_then(|peak| u64::try_from(peak).ok()) {
        ratios.row(vec![format!("most memory of a process: {}", bytes(peak))]);
    }
    add(ratios);
    let mut features = Table::new(&["feature", "runs"]);
    for (name, runs) in found.features.iter().filter(|(_, runs)| *runs > 0) {
        features.row(vec![(*name).to_owned(), runs.to_string()]);
    }
    add(features);
    if !found.together.is_empty() {
        let mut together = Table::new(&["used together", "runs", "correlation"]);
        for pair in &found.together {
            let names = format!("{} and {}", pair.one, pair.other);
            let correlation =
                pair.correlation.map_or_else(|| "-".to_owned(), |r| format!("{r:.2}"));
            together.row(vec![names, pair.both.to_string(), correlation]);
        }
        add(together);
    }
    text
}

fn table(name: &str, groups: &[Group]) -> Table {
    let mut table = Table::new(&[name, "runs", "good", "values", "seconds", "cpu s"]);
    for group in groups {
        table.row(vec![
            group.name.clone(),
            group.runs.to_string(),
            group.successful.to_string(),
            group.values.to_string(),
            format!("{:.2}", group.seconds),
            format!("{:.2}", group.cpu_seconds),
        ]);
    }
    table
}

fn reconcile(days: &[Reconciled], as_json: bool) -> Result<(), Failure> {
    if as_json {
        json(&days)?;
    } else {
        let header = [
            "day",
            "jobs",
            "seen",
            "booked",
            "requests seen",
            "booked",
            "lost",
            "files",
            "damaged",
            "difference",
        ];
        let mut table = Table::new(&header);
        for day in days {
            let jobs = day.jobs.map_or_else(|| "-".to_owned(), |jobs| jobs.to_string());
            let counts =
                [day.jobs_seen, day.jobs_booked, day.requests_seen, day.requests_booked, day.lost];
            let files = [day.files.to_string(), day.damaged.len().to_string()];
            let cells = [day.date.clone(), jobs].into_iter().chain(counts.map(|n| n.to_string()));
            let cells = cells.chain(files).chain([day.difference.to_string()]);
            table.row(cells.collect());
        }
        print(&table.render())?;
    }
    let differ: Vec<&str> =
        days.iter().filter(|day| day.difference != 0).map(|day| day.date.as_str()).collect();
    if differ.is_empty() {
        return Ok(());
    }
    Err(io(anyhow::anyhow!("the counts of {} differ", differ.join(", "))))
}
