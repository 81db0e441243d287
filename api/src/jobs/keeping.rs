//! A map's file becomes a map of the catalogue: its row, made of the file and its run; all of it or nothing.

use std::fs::{self, File};

use isopleth_engine::{Plan, Report, export};
use serde_json::json;

use super::results::{self, MapRow};
use super::{Form, keeper, new_id, now};
use crate::error::ApiError;
use crate::state::AppState;

/// A longer report goes without its list of fields, as in the file.
const LONGEST_REPORT: usize = 1 << 20;

/// A map whose file is in its place.
pub(super) struct Finished<'a> {
    pub(super) id: &'a str,
    pub(super) job: Option<&'a str>,
    /// The registered network it is of.
    pub(super) network: Option<String>,
    pub(super) owner: &'a str,
    /// Name of its file in the folder of maps.
    pub(super) path: String,
    /// As [`Form::name`](super::Form::name).
    pub(super) form: &'a str,
    /// West, south, east, north of what it is of.
    pub(super) bounds: [f64; 4],
}

impl Finished<'_> {
    /// Its row: what was mapped, and size and digest of the file as it is now.
    pub(super) fn row(
        self,
        state: &AppState,
        plan: &Plan,
        report: &Report,
    ) -> Result<MapRow, ApiError> {
        let failed = |error| ApiError::internal("the map cannot be read again", error);
        let file = state.jobs().map_file(&self.path);
        let mut hash = blake3::Hasher::new();
        hash.update_reader(File::open(&file).map_err(failed)?).map_err(failed)?;
        let times: Vec<i64> = plan.observations.times().iter().flatten().map(|t| t.0).collect();
        let variables = plan.observations.variables().iter();
        let variables: Vec<_> =
            variables.map(|v| json!({"name": v.name, "units": v.units})).collect();
        let keep = i64::try_from(state.config().results_keep_seconds).unwrap_or(i64::MAX);
        let mut text = serde_json::to_string(report).unwrap_or_default();
        if text.len() > LONGEST_REPORT {
            let shorter = Report { fields: Vec::new(), ..report.clone() };
            text = serde_json::to_string(&shorter).unwrap_or_default();
        }
        Ok(MapRow {
            id: self.id.to_owned(),
            job: self.job.map(str::to_owned),
            network: self.network,
            owner: self.owner.to_owned(),
            created: now(),
            expires: now().saturating_add(keep),
            removed: None,
            bytes: fs::metadata(&file).map_err(failed)?.len(),
            path: self.path,
            digest: hash.finalize().to_hex().to_string(),
            form: self.form.to_owned(),
            variables: serde_json::Value::from(variables).to_string(),
            times: times.first().copied().zip(times.last().copied()).map(|(a, b)| [a, b]),
            bounds: self.bounds,
            report: text,
        })
    }
}

/// The name of a map that is about to be made, to be kept.
#[derive(Debug)]
pub(crate) struct NewMap {
    pub(crate) id: String,
}

impl NewMap {
    pub(crate) fn new() -> Result<Self, ApiError> {
        Ok(Self { id: new_id()? })
    }

    /// Name of its file in the folder of maps.
    pub(crate) fn path(&self) -> String {
        format!("{}.nc", self.id)
    }

    /// Puts a map into the catalogue whose file is in its place; where that fails the file goes as well. The
    /// oldest make room.
    ///
    /// # Errors
    /// 507 where there is no room for it, even alone.
    pub(crate) fn keep(
        self,
        state: &AppState,
        (owner, network): (&str, Option<String>),
        plan: &Plan,
        report: &Report,
    ) -> Result<MapRow, ApiError> {
        let path = self.path();
        let (form, bounds) = (Form::Map(export::Form::NetCdf).name(), plan.targets.bounds());
        let of =
            Finished { id: &self.id, job: None, network, owner, path: path.clone(), form, bounds };
        let entered = of.row(state, plan, report).and_then(|row| {
            let most = state.config().results_max_bytes;
            if row.bytes > most {
                return Err(ApiError::no_room(format!(
                    "the map has {} bytes, and all that are kept may have {most}: ask for it without \
                     keep=true, or for a coarser grid",
                    row.bytes
                )));
            }
            state.store().write(|tx| results::insert(tx, &row)).map_err(ApiError::of_keeping)?;
            Ok(row)
        });
        match entered {
            Ok(row) => {
                // Should this fail, the keeper does it within a minute.
                if let Err(error) = keeper::remove_old_results(state) {
                    tracing::warn!(problem = ?error, "old results could not be removed");
                }
                Ok(row)
            }
            Err(error) => {
                keeper::remove_file(state, &path);
                Err(error)
            }
        }
    }
}
