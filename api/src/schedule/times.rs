//! When an hour is looked at, how often, and how long.

use super::model::{Slot, SlotState};
use crate::wire::schedule::ScheduleRequest;

/// Once an hour is made or missing it is looked at so many times less often.
const SELDOM: i64 = 10;

pub(super) fn seconds(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX / 4)
}

/// When an hour that nothing came of so far is given up.
pub(super) fn deadline(document: &ScheduleRequest, slot: &Slot) -> i64 {
    slot.since.saturating_add(seconds(document.give_up_seconds))
}

/// When a slot in this state is looked at next; none: never again.
pub(super) fn next_look(document: &ScheduleRequest, slot: &Slot, now: i64) -> Option<i64> {
    let poll = seconds(document.poll_seconds);
    let give_up = deadline(document, slot);
    let hours = |hours: u64| slot.hour.saturating_add(seconds(hours).saturating_mul(3600));
    let end = match slot.state {
        SlotState::Made => slot.since.max(hours(document.revise_hours)),
        _ => give_up.max(hours(document.catch_up_hours)),
    };
    let few = [SlotState::Waiting, SlotState::TooFew, SlotState::Failed];
    let waits = few.contains(&slot.state) && now < give_up;
    let next = now + if waits { poll } else { poll * SELDOM };
    // The deadline is kept to the second.
    let next = match slot.state {
        SlotState::Waiting if now < give_up => next.min(give_up),
        _ => next,
    };
    (next <= end).then_some(next)
}
