//! `isopleth schedule`: maps of every hour, of a running service; and documents looked at without one.

mod document;
mod service;
mod tell;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use serde_json::{Value, json};

use super::print;
use crate::failure::{Failure, io};
use service::Service;

#[derive(Debug, Args)]
#[command(after_help = "\
A schedule says where readings of every hour come from, what is made of them, and where it goes
(docs/schedule.md). Those of the service's configuration, [schedules.NAME], are shown and backfilled here,
and changed there. Changing one needs a key with scope admin.

Examples:
  isopleth schedule check hourly.json
  isopleth schedule put air hourly.json
  isopleth schedule list
  isopleth schedule slots air --state missing
  isopleth schedule backfill air 2026-03-01 2026-03-08 --wait
  isopleth schedule run air 2026-03-01T08:00:00Z")]
pub(crate) struct ScheduleArguments {
    #[command(subcommand)]
    action: Action,
    /// Where the service is
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "ISOPLETH_URL",
        default_value = "http://127.0.0.1:8080"
    )]
    url: String,
    /// A key, where the service asks for one
    #[arg(long, global = true, value_name = "KEY", env = "ISOPLETH_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Print what the service answers, as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the schedules: newest hour, next hour, hours by state
    List,
    /// Show a schedule: its document, and how it is doing
    Show {
        /// Its name
        id: String,
    },
    /// Say what is wrong with a document, without a service: JSON, or TOML with tables [schedules.NAME]
    Check {
        /// The document, or the configuration of a service
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Make a schedule of a document, or change it
    Put {
        /// Its name
        id: String,
        /// The document, JSON
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Forget a schedule and its hours; its maps stay for a while
    Delete {
        /// Its name
        id: String,
    },
    /// List the hours of a schedule, the newest first; with --hour everything of one
    Slots {
        /// Its name
        id: String,
        /// Only those of this state
        #[arg(long, value_enum)]
        state: Option<StateName>,
        /// Not before
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Not after
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 48,
              value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Revisions and deliveries of this hour
        #[arg(long, value_name = "TIME", conflicts_with_all = ["state", "from", "to"])]
        hour: Option<String>,
    },
    /// Make the hours of a range, both ends included: those without a map
    Backfill {
        /// Its name
        id: String,
        /// First hour: a time, or a day (its start, in UTC)
        from: String,
        /// Last hour
        to: String,
        /// Also those that have a map, as new revisions
        #[arg(long)]
        again: bool,
        /// Wait until all are made, missing or failed, and say how far it is
        #[arg(long)]
        wait: bool,
    },
    /// Make one hour, once more if it is made
    Run {
        /// Its name
        id: String,
        /// The hour
        hour: String,
        /// Wait until it is made, missing or failed
        #[arg(long)]
        wait: bool,
    },
    /// Look for nothing and make nothing, until it is resumed
    Pause {
        /// Its name
        id: String,
    },
    /// Go on; what passed meanwhile is caught up
    Resume {
        /// Its name
        id: String,
    },
    /// The next hours of a schedule
    Next {
        /// Its name, or a file with its document
        id: String,
        /// So many
        #[arg(long, value_name = "N", default_value_t = 5,
              value_parser = clap::value_parser!(u32).range(1..=1000))]
        count: u32,
        /// After this time [default: now]
        #[arg(long, value_name = "TIME")]
        after: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum StateName {
    Waiting,
    Running,
    Made,
    TooFew,
    Missing,
    Failed,
}

pub(crate) fn run(arguments: &ScheduleArguments) -> Result<(), Failure> {
    let service = Service::new(&arguments.url, arguments.key.as_deref());
    let show = |answer: &Value, tell: &dyn Fn(&Value) -> String| match arguments.json {
        true => print(&format!("{answer:#}\n")),
        false => print(&tell(answer)),
    };
    match &arguments.action {
        Action::List => show(&service.all("/v1/schedules", "schedules")?, &tell::schedules),
        Action::Show { id } => show(&service.get(&at(id, ""))?, &tell::schedule),
        Action::Check { file } => document::check(file),
        Action::Put { id, file } => {
            let document = document::read_one(file)?;
            show(&service.send("PUT", &at(id, ""), Some(&document))?, &tell::schedule)
        }
        Action::Delete { id } => {
            service.send("DELETE", &at(id, ""), None)?;
            print(&format!("{id} is forgotten\n"))
        }
        Action::Slots { id, hour: Some(hour), .. } => {
            let hour = document::instant(hour)?;
            show(&service.get(&at(id, &format!("/slots/{hour}")))?, &tell::slot)
        }
        Action::Slots { id, state, from, to, limit, hour: None } => {
            let mut query = format!("?limit={limit}");
            if let Some(state) = state.and_then(|state| state.to_possible_value()) {
                query += &format!("&state={}", state.get_name());
            }
            for (name, time) in [("from", from), ("to", to)] {
                if let Some(time) = time {
                    query += &format!("&{name}={}", document::instant(time)?);
                }
            }
            show(&service.get(&at(id, &format!("/slots{query}")))?, &tell::slots)
        }
        Action::Backfill { id, from, to, again, wait } => {
            let range = [document::instant(from)?, document::instant(to)?];
            backfill(&service, id, (range, *again, *wait), &show)
        }
        Action::Run { id, hour, wait } => {
            let hour = document::instant(hour)?;
            backfill(&service, id, ([hour.clone(), hour], true, *wait), &show)
        }
        Action::Pause { id } => {
            show(&service.send("POST", &at(id, "/pause"), None)?, &tell::schedule)
        }
        Action::Resume { id } => {
            show(&service.send("POST", &at(id, "/resume"), None)?, &tell::schedule)
        }
        Action::Next { id, count, after } => {
            let file = std::path::Path::new(id);
            let document = match file.is_file() {
                true => document::read_one(file)?,
                false => service.get(&at(id, ""))?["document"].clone(),
            };
            print(&document::next(&document, after.as_deref(), *count)?)
        }
    }
}

/// Where a schedule is.
fn at(id: &str, below: &str) -> String {
    format!("/v1/schedules/{}{below}", service::escaped(id))
}

type Show<'a> = dyn Fn(&Value, &dyn Fn(&Value) -> String) -> Result<(), Failure> + 'a;

/// Sets hours going; waits where that is asked for.
fn backfill(
    service: &Service,
    id: &str,
    ([from, to], again, wait): ([String; 2], bool, bool),
    show: &Show<'_>,
) -> Result<(), Failure> {
    let body = json!({"from": from, "to": to, "again": again});
    let path = at(id, "/backfill");
    let mut told = service.send("POST", &path, Some(&body))?;
    let number = told["id"].clone();
    let mut last = String::new();
    while wait && told["done"] != true {
        let now = tell::states(&told["slots"]);
        if now != last {
            eprintln!("{now}");
            last = now;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
        let all = service.get(&path)?;
        let all = all["backfills"].as_array().map_or(&[][..], Vec::as_slice);
        told = all.iter().find(|one| one["id"] == number).cloned().ok_or_else(|| {
            io(anyhow::anyhow!("the service no longer knows of the backfill {number}"))
        })?;
    }
    show(&told, &tell::backfill)
}
