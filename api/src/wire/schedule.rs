//! Schedules: the document that is kept, and what is told of them and their hours.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::request::MapRequest;

/// Maps of every hour: where readings come from, what is made of them and when, and where it goes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "title": "Air quality, every hour",
    "variables": ["pm25", "o3"],
    "map": {"grid": {"bounds": [73, 18, 135, 54], "shape": [700, 500]}},
    "cron": "0 * * * *",
    "zone": "Asia/Shanghai",
    "delay_seconds": 900,
    "min_stations": 100
}))]
pub struct ScheduleRequest {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The registered network that readings are of. Default: readings, or their source, say where stations are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Name of the source in the configuration. Default: none, readings are posted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Variables to map, in this order. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// The request of a map without readings: grid, method, mask, uncertainty, read, units. In `read.times`
    /// `{time:%Y-%m-%dT%H}` stands for the hour in the zone of the schedule, `{time_utc:…}` in UTC.
    #[serde(default = "empty")]
    #[schema(value_type = MapRequest)]
    pub map: Value,
    /// When there is a map: minute, hour, day of the month, month, weekday.
    #[schema(example = "0 * * * *")]
    pub cron: String,
    /// The zone in which that is meant. Default UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// Seconds after the hour when readings are first looked for. Default 0.
    #[serde(default)]
    pub delay_seconds: u64,
    /// Seconds from then on after which the hour is missing. Default 6 hours.
    #[serde(default = "six_hours")]
    pub give_up_seconds: u64,
    /// Seconds from one look to the next; ten times as many once the hour is made or missing. Default 60.
    #[serde(default = "a_minute")]
    #[schema(minimum = 1)]
    pub poll_seconds: u64,
    /// Hours that passed while nothing ran, or are missing, are still made if they are not older than this.
    /// Default 48.
    #[serde(default = "two_days")]
    pub catch_up_hours: u64,
    /// For so many hours corrected readings are looked for, of which a new revision is made. Default 24.
    #[serde(default = "a_day")]
    pub revise_hours: u64,
    /// With readings of fewer stations there is no map. Default 1.
    #[serde(default = "one")]
    pub min_stations: u64,
    /// Names of the sinks in the configuration that maps are delivered to. Default: none; they are in the catalogue.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<String>,
    /// How long maps stay in the catalogue.
    #[serde(default)]
    pub keep: KeepRequest,
    /// Nothing is looked for, nothing made. Default false.
    #[serde(default)]
    pub paused: bool,
}

/// How long maps of a schedule stay in the catalogue; rows of its hours stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepRequest {
    /// Days, counted from the hour. Default: as long as other results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub days: Option<u64>,
    /// At most so many hours. Default: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub count: Option<u64>,
    /// Days for which the readings as they came stay, so that maps can be made again. Default 90.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs_days: Option<u64>,
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

const fn six_hours() -> u64 {
    6 * 3600
}

const fn a_minute() -> u64 {
    60
}

const fn two_days() -> u64 {
    48
}

const fn a_day() -> u64 {
    24
}

const fn one() -> u64 {
    1
}

/// Schedules, in the order of their ids.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SchedulesAnswer {
    /// A page of them.
    pub schedules: Vec<ScheduleEntry>,
    /// Where the next page is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A schedule, and how it is doing.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleEntry {
    /// Its name.
    pub id: String,
    /// `api`, or `config` where it stands in the configuration and cannot be changed here.
    pub origin: String,
    /// When it was made.
    pub created: String,
    /// When it was changed.
    pub updated: String,
    /// The entity tag of the document.
    pub etag: String,
    /// The document.
    pub document: ScheduleRequest,
    /// Hours by state.
    #[schema(example = json!({"made": 812, "missing": 3}))]
    pub slots: std::collections::BTreeMap<String, u64>,
    /// The newest hour that has a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<NewestAnswer>,
    /// The next hours, unless it is paused.
    pub next_hours: Vec<String>,
}

/// The newest hour that has a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct NewestAnswer {
    /// The hour.
    pub hour: String,
    /// The latest revision of it.
    pub revision: u32,
    /// The map in the catalogue.
    pub map: String,
}

/// Hours of a schedule, the newest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SlotsAnswer {
    /// A page of them.
    pub slots: Vec<SlotAnswer>,
    /// Where the next page is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An hour of a schedule.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SlotAnswer {
    /// The schedule.
    pub schedule: String,
    /// The hour in UTC.
    pub hour: String,
    /// `waiting`, `running`, `made`, `too_few`, `missing` or `failed`.
    pub state: String,
    /// The latest revision; 0: there is none.
    pub revision: u32,
    /// `cron`, `backfill` or `posted`: why there is this hour.
    pub origin: String,
    /// Stations with readings, in those that were taken last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stations: Option<u64>,
    /// When readings are looked for next; none: no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// The job that makes its map just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When that was.
    pub updated: String,
    /// Its maps, the latest first; of one hour only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revisions: Option<Vec<RevisionAnswer>>,
}

/// A map of an hour.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct RevisionAnswer {
    /// 1 is the first.
    pub revision: u32,
    /// The map in the catalogue.
    pub map: String,
    /// When it was made.
    pub made: String,
    /// `first`, `late` (the hour was missing before), `corrected` (the readings changed) or `asked`.
    pub why: String,
    /// Stations with readings.
    pub stations: u64,
    /// Name of what the source gave.
    pub name: String,
    /// BLAKE3 of its bytes.
    pub input: String,
    /// Where it went.
    pub deliveries: Vec<DeliveryAnswer>,
}

/// What became of a map at a sink.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct DeliveryAnswer {
    /// The sink.
    pub sink: String,
    /// `waiting`, `done`, `superseded` (a newer revision came first) or `failed` (the map is gone).
    pub state: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// Where the map is now.
    pub places: Vec<String>,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Which hours.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SlotsQuery {
    /// Only those of this state: waiting, running, made, too_few, missing or failed.
    pub state: Option<String>,
    /// Not before.
    #[param(example = "2026-03-01T00:00:00Z")]
    pub from: Option<String>,
    /// Not after.
    pub to: Option<String>,
    /// Most entries, 1 to 1000. Default 100.
    pub limit: Option<String>,
    /// Begin before this hour.
    pub before: Option<String>,
}

/// Which hour readings are of.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReadingsQuery {
    /// The hour of the schedule that the readings are of.
    #[serde(default)]
    #[param(required = true, value_type = String, example = "2026-03-01T08:00:00Z")]
    pub time: Vec<String>,
}

/// A range of hours to be made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}))]
pub struct BackfillRequest {
    /// First hour.
    pub from: String,
    /// Last hour.
    pub to: String,
    /// Make hours again that are made already, even of the same readings. Default `false`.
    #[serde(default)]
    pub again: bool,
}

/// Ranges of hours that were asked for, the latest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BackfillsAnswer {
    /// At most 100.
    pub backfills: Vec<BackfillAnswer>,
}

/// A range of hours that was asked for, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BackfillAnswer {
    /// Its number.
    pub id: i64,
    /// First hour.
    pub from: String,
    /// Last hour.
    pub to: String,
    /// When it was asked for.
    pub created: String,
    /// Hours that it set going.
    pub hours: u64,
    /// Hours in the range by state.
    pub slots: std::collections::BTreeMap<String, u64>,
    /// Whether none of them waits or runs.
    pub done: bool,
}
