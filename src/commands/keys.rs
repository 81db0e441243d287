//! `isopleth keys`: who may use the service. Works on its database while it runs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use isopleth_api::ServiceConfig;
use isopleth_api::doors::keys::{self, Key, KeyError, NewKey};
use isopleth_api::doors::{KeyId, KeyLimits, Scopes, audit};
use isopleth_api::store::Store;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use serde_json::{Map, Value};

use super::print;
use crate::cli::ServeArguments;
use crate::config;
use crate::failure::{Failure, io};
use crate::table::Table;

const BY: &str = "command line";
const ACTS: u32 = 50;

#[derive(Debug, Args)]
#[command(after_help = "\
A key is sent as `Authorization: Bearer iso_…` or `X-API-Key: iso_…`. Scopes: read (what there is, and
estimates), map (maps, cross-validations, jobs, networks), admin (keys, and what belongs to others).

Examples:
  isopleth keys create --name 'the web page' --scope read,map --expires 90d
  isopleth keys list
  isopleth keys revoke 3f2a9c017b44")]
pub(crate) struct KeysArguments {
    #[command(subcommand)]
    action: KeysAction,
    /// The service's settings, which say where its data are
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Folder of the service's data [default: that of the settings]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum KeysAction {
    /// Make a key and print it, this once
    Create(CreateArguments),
    /// List keys, without their secrets
    List,
    /// Make a key worthless; a running service notices within seconds
    Revoke {
        /// The part of the key between the underscores
        id: String,
    },
    /// The last acts that are on record: keys made and revoked, starts of the service
    Audit,
}

#[derive(Debug, Args)]
struct CreateArguments {
    /// Whose it is
    #[arg(long, value_name = "NAME")]
    name: String,
    /// What it allows: some of read, map, admin
    #[arg(long, value_name = "SCOPES", default_value = "read,map")]
    scope: Scopes,
    /// When it ends: after a time (90d, 12h, 1y) or on a day (2027-01-31, UTC) [default: never]
    #[arg(long, value_name = "WHEN", value_parser = parse_end)]
    expires: Option<i64>,
    /// Requests a minute [default: requests_per_minute of the settings]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_minute: Option<u32>,
    /// Requests at the same time [default: requests_at_once of the settings]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    requests_at_once: Option<u32>,
    /// Cells a day, all fields together [default: cells_per_day of the settings]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    cells_per_day: Option<u64>,
    /// What it makes leaves no rows in the service's account
    #[arg(long)]
    no_usage: bool,
}

pub(crate) fn run(arguments: &KeysArguments) -> Result<(), Failure> {
    let store = open(arguments)?;
    match &arguments.action {
        KeysAction::Create(wanted) => create(&store, wanted),
        KeysAction::List => list(&store),
        KeysAction::Revoke { id } => {
            // The whole key is understood, too.
            let id = id.strip_prefix("iso_").unwrap_or(id).split('_').next().unwrap_or(id);
            keys::revoke(&store, &KeyId::from(id), BY).map_err(refused)?;
            print(&format!("revoked {id}\n"))
        }
        KeysAction::Audit => {
            let mut table = Table::new(&["time", "who", "act", "about"]);
            for act in audit::last(&store, ACTS).map_err(io)? {
                let about = shortened(&act.about).unwrap_or(act.about);
                table.row(vec![day_and_time(act.time), act.who, act.act, about]);
            }
            print(&table.render_words())
        }
    }
}

/// Of a start, which has all settings on record: those that are not the default. None for other acts.
fn shortened(about: &str) -> Option<String> {
    let (address, settings) = about.split_once(' ')?;
    let settings: Map<String, Value> = serde_json::from_str(settings).ok()?;
    let usual = serde_json::to_value(ServiceConfig::default()).ok()?;
    let told = settings.iter().filter(|(name, value)| usual.get(name) != Some(value)).map(
        |(name, value)| match value {
            // Networks, schedules and the like are long, and have names.
            Value::Object(parts) => {
                let names: Vec<&str> = parts.keys().map(String::as_str).collect();
                format!("{name}={}", names.join(","))
            }
            Value::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        },
    );
    Some(std::iter::once(address.to_owned()).chain(told).collect::<Vec<_>>().join(" "))
}

fn open(arguments: &KeysArguments) -> Result<Store, Failure> {
    let settings = ServeArguments::of(arguments.config.clone());
    let folder = match &arguments.data_dir {
        Some(folder) => Some(folder.clone()),
        None => config::load(&settings)?.data_dir,
    };
    let folder = folder.ok_or_else(|| {
        Failure::Usage("there is no folder of the service's data; name it: --data-dir DIR".into())
    })?;
    Store::open(Some(&folder)).map_err(io)
}

fn create(store: &Store, wanted: &CreateArguments) -> Result<(), Failure> {
    let new = NewKey {
        name: wanted.name.clone(),
        scopes: wanted.scope,
        expires: wanted.expires,
        limits: KeyLimits {
            requests_per_minute: wanted.requests_per_minute,
            requests_at_once: wanted.requests_at_once,
            cells_per_day: wanted.cells_per_day,
        },
        is_counted: !wanted.no_usage,
    };
    let made = keys::create(store, &new, BY).map_err(refused)?;
    eprintln!(
        "Key {} for {} (scopes {}); it is not shown again. A service that began without keys asks for them after a \
         restart.",
        made.id, wanted.name, wanted.scope
    );
    print(&format!("{}\n", made.token))
}

fn list(store: &Store) -> Result<(), Failure> {
    let columns = ["key", "name", "scopes", "made", "ends", "limits", "cells today"];
    let mut table = Table::new(&columns);
    let now = Timestamp::now().as_second();
    for (key, cells) in keys::list(store).map_err(io)? {
        let ends = ends(&key, now);
        let limits = limits(&key.limits);
        let made = day(key.created);
        let id = key.id.to_string();
        table.row(vec![
            id,
            key.name,
            key.scopes.to_string(),
            made,
            ends,
            limits,
            cells.to_string(),
        ]);
    }
    print(&table.render())
}

fn ends(key: &Key, now: i64) -> String {
    match (key.revoked, key.expires) {
        (Some(when), _) => format!("revoked {}", day(when)),
        (None, Some(when)) if when <= now => format!("ended {}", day(when)),
        (None, Some(when)) => day(when),
        (None, None) => "never".to_owned(),
    }
}

fn limits(limits: &KeyLimits) -> String {
    let told = [
        limits.requests_per_minute.map(|n| format!("{n}/min")),
        limits.requests_at_once.map(|n| format!("{n} at once")),
        limits.cells_per_day.map(|n| format!("{n} cells/day")),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

fn day(seconds: i64) -> String {
    formatted(seconds, "%F")
}

fn day_and_time(seconds: i64) -> String {
    formatted(seconds, "%F %T UTC")
}

fn formatted(seconds: i64, form: &str) -> String {
    Timestamp::from_second(seconds)
        .map_or_else(|_| seconds.to_string(), |time| time.strftime(form).to_string())
}

fn refused(error: KeyError) -> Failure {
    match error {
        KeyError::Sqlite(_) | KeyError::Random(_) => io(error),
        other => Failure::Usage(other.to_string()),
    }
}

/// `90d`, `1y 6mo`, `2027-01-31`: Unix seconds in the future.
fn parse_end(text: &str) -> Result<i64, String> {
    let now = Zoned::now().with_time_zone(TimeZone::UTC);
    let end = match text.parse::<Date>() {
        Ok(date) => date.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?,
        Err(_) => {
            let span: Span = text.parse().map_err(|_| {
                format!(
                    "`{text}` is neither a time such as 90d, 12h or 1y nor a day such as 2027-01-31"
                )
            })?;
            now.checked_add(span).map_err(|error| error.to_string())?
        }
    };
    if end <= now {
        return Err(format!("`{text}` is not in the future"));
    }
    Ok(end.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_start_only_what_is_not_the_default_is_told() {
        let listen = "0.0.0.0:80".to_owned();
        let mut config = ServiceConfig { listen, max_cells: 7, ..ServiceConfig::default() };
        config.data_dir = Some("/data".into());
        let recorded = serde_json::to_string(&config).expect("JSON");
        let told = shortened(&format!("0.0.0.0:80 {recorded}")).expect("a start");
        let mut words: Vec<&str> = told.split(' ').collect();
        words.sort_unstable();
        assert_eq!(words, ["0.0.0.0:80", "data_dir=/data", "listen=0.0.0.0:80", "max_cells=7"]);
        assert_eq!(shortened("3f2a9c017b44 (the web page)"), None);
    }

    #[test]
    fn an_end_is_a_time_from_now_or_a_day() {
        let now = Timestamp::now().as_second();
        let in_90_days = parse_end("90d").expect("a time") - now;
        assert!((90 * 86_400 - 5..=90 * 86_400 + 5).contains(&in_90_days), "{in_90_days}");
        assert_eq!(parse_end("2999-01-01"), Ok(32_472_144_000));
        for wrong in ["", "90", "soon", "-3d", "2001-01-01", "0s"] {
            assert!(parse_end(wrong).is_err(), "{wrong}");
        }
    }
}
