//! Backgrounds and covariates of a request, by the names of the operator's grids.

use isopleth_engine::Background;
use isopleth_engine::background::From;
use isopleth_engine::covariates::{Covariate, Wanted};

use super::request::MethodRequest;
use crate::error::ApiError;
use crate::grids::Grids;

/// The variable that stands for the only one.
const ONLY: &str = "*";

pub(super) fn backgrounds(
    method: &MethodRequest,
    grids: &Grids,
) -> Result<Vec<Background>, ApiError> {
    let of = |(variable, name): (&String, &String)| {
        let (path, of_file) = grids.find(name, "/method/background")?;
        let variable = (variable != ONLY).then(|| variable.clone());
        Ok(Background { variable, from: From::File { path, variable: of_file } })
    };
    method.background.iter().map(of).collect()
}

pub(super) fn covariates(method: &MethodRequest, grids: &Grids) -> Result<Wanted, ApiError> {
    let of = |name: &String| {
        let grid = grids.find(name, "/method/covariates")?;
        Ok(Covariate { name: name.clone(), grid: Some(grid) })
    };
    let all = method.covariates.iter().map(of).collect::<Result<_, ApiError>>()?;
    Ok(Wanted { all, clamp: method.covariate_clamp })
}
