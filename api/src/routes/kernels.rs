//! `GET /v1/kernels`: the choices of a method.

use axum::Json;

use crate::wire::answer::KernelsAnswer;

/// List the kernels, metrics, conventions and defaults.
#[utoipa::path(
    get,
    path = "/v1/kernels",
    tag = "maps",
    responses((status = 200, description = "The choices", body = KernelsAnswer))
)]
pub(crate) async fn list() -> Json<KernelsAnswer> {
    Json(KernelsAnswer::new())
}
