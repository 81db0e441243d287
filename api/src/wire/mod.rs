//! What travels over HTTP, and how it becomes the engine's types: checked once, here.
//!
//! `request` is the JSON document, `query` the same choices as parameters, `series` both of them for
//! averages, `quality` for what is examined, `order` what they become; `answer` is what goes back.

pub mod answer;
mod beside;
pub mod catalogue;
pub mod given;
pub(crate) mod jobs;
pub mod network;
pub(crate) mod order;
pub(crate) mod points;
pub mod quality;
pub mod query;
pub mod request;
pub mod schedule;
pub mod series;
pub mod uncertainty;
