//! Gridded files that the operator named: what requests may take as background or covariate.
//!
//! A request names a grid, never a file, so no request makes the service read what its configuration does not
//! name. A file is opened anew for every map: what a model writes each hour is there at the next map.

use std::collections::BTreeMap;
use std::path::PathBuf;

use isopleth_engine::covariates::Covariate;
use isopleth_engine::model::ModelError;

use crate::error::ApiError;

/// Why a configured grid cannot be.
#[derive(Debug, thiserror::Error)]
#[error("grids: {name}: {source}")]
pub struct GridsError {
    /// Which.
    pub name: String,
    /// What is wrong.
    pub source: ModelError,
}

/// File and variable by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grids(BTreeMap<String, (PathBuf, String)>);

impl Grids {
    /// Of `name = "FILE.nc:variable"`; each is told in the log, and whether its file is there yet.
    pub(crate) fn new(told: &BTreeMap<String, String>) -> Result<Self, GridsError> {
        let mut grids = BTreeMap::new();
        for (name, source) in told {
            let wrong = |source| GridsError { name: name.clone(), source };
            let read = Covariate::parse(&format!("{name}={source}")).map_err(wrong)?;
            let form = || wrong(ModelError::Form { given: source.clone() });
            let (path, variable) = read.grid.ok_or_else(form)?;
            if read.name != *name {
                return Err(form());
            }
            match std::fs::metadata(&path) {
                Ok(_) => tracing::info!(name, file = source, "grid"),
                Err(error) => tracing::warn!(name, file = source, %error, "grid is not there yet"),
            }
            grids.insert(name.clone(), (path, variable));
        }
        Ok(Self(grids))
    }

    /// File and variable of a grid.
    ///
    /// # Errors
    /// 422 with the names that there are.
    pub(crate) fn find(&self, name: &str, pointer: &str) -> Result<(PathBuf, String), ApiError> {
        self.0.get(name).cloned().ok_or_else(|| {
            let known = self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none" } else { &known };
            let text = format!("there is no grid `{name}`; the service has: {known}");
            ApiError::meaningless(text).at_pointer(pointer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_found_by_name_and_what_is_no_file_and_variable_is_refused() {
        let told = |name: &str, source: &str| Grids::new(&[(name.into(), source.into())].into());
        let grids = told("ctm", "/data/a=b/ctm.nc:pm10").expect("one");
        let found = grids.find("ctm", "/x").expect("it is there");
        assert_eq!(found, (PathBuf::from("/data/a=b/ctm.nc"), "pm10".to_owned()));
        let text = format!("{:?}", grids.find("/etc/passwd:x", "/x").expect_err("no name"));
        assert!(text.contains("/etc/passwd:x") && text.contains("has: ctm"), "{text}");
        for (name, source) in [("a", "/data/ctm.nc"), ("a=b", "ctm.nc:z"), (" a", "ctm.nc:z")] {
            assert!(told(name, source).is_err(), "{name} {source}");
        }
    }
}
