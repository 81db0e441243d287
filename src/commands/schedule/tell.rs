//! What a service tells of its schedules, for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::table::Table;

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap_or("-")
}

/// `made 12, missing 1`.
pub(super) fn states(slots: &Value) -> String {
    let Value::Object(slots) = slots else { return "-".to_owned() };
    let each: Vec<String> = slots.iter().map(|(state, count)| format!("{state} {count}")).collect();
    if each.is_empty() { "none".to_owned() } else { each.join(", ") }
}

pub(super) fn schedules(all: &Value) -> String {
    let mut table = Table::new(&["schedule", "cron", "zone", "newest", "next", "hours"]);
    for one in all.as_array().map_or(&[][..], Vec::as_slice) {
        let document = &one["document"];
        let next = match document["paused"] == true {
            true => "paused",
            false => one["next_hours"][0].as_str().unwrap_or("-"),
        };
        table.row(vec![
            text(one, "id").to_owned(),
            text(document, "cron").to_owned(),
            document["zone"].as_str().unwrap_or("UTC").to_owned(),
            text(&one["newest"], "hour").to_owned(),
            next.to_owned(),
            states(&one["slots"]),
        ]);
    }
    table.render()
}

pub(super) fn schedule(one: &Value) -> String {
    let mut told = String::new();
    let document = &one["document"];
    let _ = writeln!(told, "{} ({})", text(one, "id"), text(one, "origin"));
    let _ = writeln!(told, "hours    {}", states(&one["slots"]));
    if let Some(hour) = one["newest"]["hour"].as_str() {
        let newest = &one["newest"];
        let map = text(newest, "map");
        let _ = writeln!(told, "newest   {hour}, revision {}, map {map}", newest["revision"]);
    }
    let next: Vec<&str> =
        one["next_hours"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let next = if document["paused"] == true { "paused".to_owned() } else { next.join(", ") };
    let _ = writeln!(told, "next     {next}");
    let _ = writeln!(told, "{document:#}");
    told
}

pub(super) fn slots(page: &Value) -> String {
    let mut table = Table::new(&["hour", "state", "revision", "stations", "next look", "message"]);
    for slot in page["slots"].as_array().map_or(&[][..], Vec::as_slice) {
        let number = |name: &str| slot[name].as_u64().map_or("-".to_owned(), |n| n.to_string());
        table.row(vec![
            text(slot, "hour").to_owned(),
            text(slot, "state").to_owned(),
            number("revision"),
            number("stations"),
            text(slot, "due").to_owned(),
            slot["message"].as_str().unwrap_or("").to_owned(),
        ]);
    }
    let mut told = table.render();
    if page["next"].is_string() {
        told += "… and older ones: --to TIME or a larger --limit shows them\n";
    }
    told
}

pub(super) fn slot(slot: &Value) -> String {
    let mut told = format!("{}: {}", text(slot, "hour"), text(slot, "state"));
    if let Some(message) = slot["message"].as_str() {
        let _ = write!(told, " ({message})");
    }
    told.push('\n');
    if let Some(due) = slot["due"].as_str() {
        let _ = writeln!(told, "looked at again {due}");
    }
    for revision in slot["revisions"].as_array().into_iter().flatten() {
        let _ = writeln!(
            told,
            "revision {} ({}), {}: map {}, {} stations of {}",
            revision["revision"],
            text(revision, "why"),
            text(revision, "made"),
            text(revision, "map"),
            revision["stations"],
            text(revision, "name"),
        );
        for delivery in revision["deliveries"].as_array().into_iter().flatten() {
            let _ = write!(told, "  {}: {}", text(delivery, "sink"), text(delivery, "state"));
            if let Some(message) = delivery["message"].as_str() {
                let _ = write!(told, " ({message})");
            }
            told.push('\n');
            for place in delivery["places"].as_array().into_iter().flatten() {
                let _ = writeln!(told, "    {}", place.as_str().unwrap_or(""));
            }
        }
    }
    told
}

pub(super) fn backfill(told: &Value) -> String {
    let hours = if told["hours"] == 1 { "hour" } else { "hours" };
    format!(
        "{} {hours} set going, {} to {}: {}\n",
        told["hours"],
        text(told, "from"),
        text(told, "to"),
        states(&told["slots"]),
    )
}
