//! `/v1/maps/{id}/data` and `/v1/maps/{id}/values`: the numbers of a map that is kept, in many forms.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::PathBuf;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use isopleth_engine::export::{self, Form, Options, PlaceValues, Selection, Source, place_values};
use isopleth_engine::report::iso_8601;
use tokio_util::io::ReaderStream;

use super::catalogue::{find, headers_of};
use super::conditions::is_known;
use super::ranges::{self, Wanted};
use super::{of_engine, to_json};
use crate::accept;
use crate::doors::Caller;
use crate::error::ApiError;
use crate::jobs::results::MapRow;
use crate::state::AppState;
use crate::wire::catalogue::{CellsQuery, PartQuery, PlaceQuery, SeriesAnswer, ValuesAnswer};
use crate::wire::query::{FormQuery, Query};

/// What of a map, and how.
struct Part {
    form: Form,
    selection: Selection,
    options: Options,
}

impl Part {
    /// Whether it is the file as it is.
    fn is_all(&self) -> bool {
        self.form == Form::NetCdf && self.selection == Selection::default()
    }

    /// Identifies the bytes: the same part of the same file is the same.
    fn tag(&self, map: &MapRow) -> String {
        if self.is_all() {
            return map.digest.clone();
        }
        let words =
            format!("{} {:?} {:?} {:?}", map.digest, self.form, self.selection, self.options);
        blake3::hash(words.as_bytes()).to_hex()[..32].to_owned()
    }
}

/// A map's file, part of it, or another form of it.
///
/// `f` or `Accept`: NetCDF (the file, with byte ranges where it is asked for whole), GeoTIFF (cloud optimised), PNG,
/// GeoJSON (isolines, or bands), CoverageJSON (also as `application/json`), CSV. A part by `variable`, `datetime`,
/// `bbox` and `step`.
#[utoipa::path(
    get,
    path = "/v1/maps/{id}/data",
    tag = "maps",
    params(("id" = String, Path, description = "The map's name"), FormQuery, PartQuery, CellsQuery),
    responses(
        (status = 200, description = "The map", content(
            (Vec<u8> = "application/x-netcdf"),
            (Vec<u8> = "image/tiff; application=geotiff; profile=cloud-optimized"),
            (Vec<u8> = "image/png"),
            (Value = "application/geo+json"),
            (Value = "application/prs.coverage+json"),
            (String = "text/csv"),
        )),
        (status = 206, description = "Some bytes of the file"),
        (status = 304, description = "As the client knows it (`If-None-Match`)"),
        (status = 404, description = "There is no such map"),
        (status = 406, description = "No form that is accepted"),
        (status = 410, description = "It was removed: when and why"),
        (status = 413, description = "More than the form can hold"),
        (status = 416, description = "No such bytes"),
        (status = 422, description = "The part makes no sense"),
        (status = 503, description = "Busy or stopping; see Retry-After"),
    )
)]
pub(crate) async fn data(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let FormQuery { f } = query.take()?;
    let part: PartQuery = query.take()?;
    let cells: CellsQuery = query.take()?;
    query.nothing_left("/openapi.json lists those that there are")?;
    let form = accept::export_form(f.as_deref(), request.headers(), &Form::ALL)?;
    let (selection, options) = cells.complete(part.selection())?;
    let part = Part { form, selection, options };
    let map = find(&state, &Caller::of(&request), id).await?;
    let tag = part.tag(&map);
    let headers = headers_of(&map, &tag);
    if is_known(request.headers(), &tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let path = state.jobs().map_file(&map.path);
    if part.is_all() {
        return whole(&map, path, headers, request.headers()).await;
    }
    let (seat, folder) = (state.seat()?, state.config().spill_dir.clone());
    let name = format!("map_{}.{}", map.id, form.extension());
    let job = move |_: &crate::limits::Turn| {
        let source = opened(&path)?;
        let dir = tempfile::tempdir_in(folder).map_err(no_room)?;
        let made = dir.path().join("part");
        export::write(part.form, &source, &part.selection, &part.options, &made)
            .map_err(of_engine)?;
        // Its name goes with the folder, its bytes with the handle.
        File::open(made).and_then(|file| Ok((file.metadata()?.len(), file))).map_err(no_room)
    };
    let (bytes, file) = state.compute(seat, job).await?;
    Ok(answer(StatusCode::OK, headers, form, &name, bytes, file))
}

/// The maps at one place, for all times, with the layers that say how sure they are.
#[utoipa::path(
    get,
    path = "/v1/maps/{id}/values",
    tag = "maps",
    params(("id" = String, Path, description = "The map's name"), PlaceQuery, PartQuery, FormQuery),
    responses(
        (status = 200, description = "The values, between the centres of cells", content(
            (ValuesAnswer = "application/json"),
            (Value = "application/prs.coverage+json"),
            (String = "text/csv"),
        )),
        (status = 304, description = "As the client knows it (`If-None-Match`)"),
        (status = 404, description = "There is no such map"),
        (status = 406, description = "No form that is accepted"),
        (status = 410, description = "It was removed: when and why"),
        (status = 422, description = "The place is not on the map"),
    )
)]
pub(crate) async fn values(
    State(state): State<AppState>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut query = Query::parse(request.uri().query());
    let FormQuery { f } = query.take()?;
    let part: PartQuery = query.take()?;
    let place: PlaceQuery = query.take()?;
    query.nothing_left("lon, lat, variable, datetime and f")?;
    let (place, selection) = (place.place()?, part.selection());
    let form = match f.as_deref() {
        Some("json") => None,
        _ => accept::values_form(f.as_deref(), request.headers())?,
    };
    let map = find(&state, &Caller::of(&request), id).await?;
    let words = format!("{} {place:?} {selection:?} {form:?}", map.digest);
    let tag = blake3::hash(words.as_bytes()).to_hex()[..32].to_owned();
    let headers = headers_of(&map, &tag);
    if is_known(request.headers(), &tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let path = state.jobs().map_file(&map.path);
    let (seat, folder) = (state.seat()?, state.config().spill_dir.clone());
    let job = move |_: &crate::limits::Turn| {
        let source = opened(&path)?;
        let found = place_values(&source, place, &selection).map_err(of_engine)?;
        let Some(form) = form else { return to_json(&told(&found)) };
        let dir = tempfile::tempdir_in(folder).map_err(no_room)?;
        let made = dir.path().join("values");
        export::write_values(form, &source, &found, &made).map_err(of_engine)?;
        std::fs::read(made).map_err(no_room)
    };
    let body = state.compute(seat, job).await?;
    let media_type = form.map_or("application/json", Form::media_type);
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(media_type))];
    Ok((headers, kind, body).into_response())
}

fn told(found: &PlaceValues) -> ValuesAnswer {
    let [lon, lat] = found.place;
    let series = found.series.iter().map(|series| SeriesAnswer {
        variable: series.variable.name.clone(),
        long_name: series.variable.long_name.clone(),
        units: series.variable.units.clone(),
        is_layer: series.variable.is_layer,
        values: series.values.iter().map(|v| Some(*v).filter(|v| !v.is_nan())).collect(),
    });
    let times = found.times.iter().map(|time| iso_8601(*time)).collect();
    ValuesAnswer { lon, lat, times, values: series.collect() }
}

/// The file as it is, or some of its bytes.
async fn whole(
    map: &MapRow,
    path: PathBuf,
    mut headers: HeaderMap,
    asked: &HeaderMap,
) -> Result<Response, ApiError> {
    let name = format!("map_{}.nc", map.id);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let wanted = ranges::wanted(asked, map.bytes, &map.digest);
    let (status, first, bytes) = match wanted {
        Wanted::All => (StatusCode::OK, 0, map.bytes),
        Wanted::Part(first, last) => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Nothing => {
            let range = HeaderValue::try_from(format!("bytes */{}", map.bytes));
            let mut answer = ApiError::no_such_bytes(map.bytes).into_response();
            answer.headers_mut().extend(range.ok().map(|range| (header::CONTENT_RANGE, range)));
            return Ok(answer);
        }
    };
    if let Wanted::Part(first, last) = wanted {
        let range = HeaderValue::try_from(format!("bytes {first}-{last}/{}", map.bytes));
        headers.extend(range.ok().map(|range| (header::CONTENT_RANGE, range)));
    }
    let open = move || {
        let mut file = File::open(path).map_err(no_room)?;
        file.seek(SeekFrom::Start(first)).map_err(no_room)?;
        Ok(file)
    };
    let file = crate::store::blocking(open).await?;
    Ok(answer(status, headers, Form::NetCdf, &name, bytes, file))
}

/// So many bytes of a file from where it stands.
pub(super) fn answer(
    status: StatusCode,
    headers: HeaderMap,
    form: Form,
    name: &str,
    bytes: u64,
    file: File,
) -> Response {
    use tokio::io::AsyncReadExt;
    let file = tokio::fs::File::from_std(file).take(bytes);
    let body = Body::from_stream(ReaderStream::with_capacity(file, 1 << 17));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    let more = [
        (header::CONTENT_TYPE, HeaderValue::from_static(form.media_type())),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
        (
            header::CONTENT_DISPOSITION,
            disposition.unwrap_or(HeaderValue::from_static("attachment")),
        ),
    ];
    (status, headers, more, body).into_response()
}

fn opened(path: &std::path::Path) -> Result<Source, ApiError> {
    Source::open(path).map_err(|error| ApiError::internal("the map could not be read", error))
}

fn no_room(error: std::io::Error) -> ApiError {
    ApiError::internal("a file of the service failed", error)
}
