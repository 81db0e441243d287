//! Maps that are kept as collections of OGC API – Environmental Data Retrieval 1.1 (19-086r6).
//!
//! A collection is what is kept of one registered network, all its hours together; maps of no network
//! are one collection more. A map in a plane that nobody named has no place on the Earth, and is in
//! none. `asked` is the query, `described` a collection, `stations` its named locations, `answered` the
//! values, over HTTP in `routes/collections.rs`.
//!
//! Where two maps have the same time on the same grid (or at the same place) the newer one counts. Maps
//! with different grids, or another unit of the same variable, become coverages of their own.

pub(crate) mod answered;
pub(crate) mod asked;
pub(crate) mod described;
pub(crate) mod stations;
