//! Readings in bodies of other kinds than text: what they are called, that they make the map of the table, and what is
//! refused.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use axum::body::Body;
use axum::http::Request;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use isopleth_api::{AppState, ServiceConfig, router};
use serde_json::{Value, json};
use std::io::Write;
use tempfile::TempDir;
use tower::ServiceExt;

const PARQUET: &str = "application/vnd.apache.parquet";
const NETCDF: &str = "application/x-netcdf";
const GEOJSON: &str = "application/geo+json";

/// Files of all forms, by the script of the engine's tests; none where there is no Python for it.
fn files() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<TempDir>> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let Some(python) = std::env::var_os("ISOPLETH_PYTHON") else {
            eprintln!("skipped: ISOPLETH_PYTHON names no Python with the judges; `make test` does");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says"));
        let script = here.join("../engine/tests/forms/write.py");
        let status = Command::new(python).arg(script).arg(folder.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "the files could not be written");
        Some(folder)
    });
    made.as_ref().map(TempDir::path)
}

fn state(config: ServiceConfig) -> AppState {
    AppState::new(config).expect("a state")
}

async fn post(
    state: &AppState,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, Value) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).expect("a request");
    let response = router(state.clone()).oneshot(request).await.expect("the router never fails");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Everything that is not of the run itself, as text.
fn map((status, mut answer): (u16, Value)) -> String {
    assert_eq!(status, 200, "{answer}");
    let parts = ["values", "stations", "times", "grid"].map(|part| answer[part].take());
    json!(parts).to_string()
}

const MAP: &str = "/v1/maps?bounds=14,49,19,51&shape=31x17&f=json&kernel=linear";

#[tokio::test]
async fn a_body_of_any_form_makes_the_map_of_the_table_digit_for_digit() {
    let Some(folder) = files() else { return };
    let state = state(ServiceConfig::default());
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a file");
    let csv = [("content-type", "text/csv")];
    let wanted = map(post(&state, MAP, &csv, read("wide.csv")).await);
    for (name, kind) in [
        ("wide.geojson", GEOJSON),
        ("long.geojson", GEOJSON),
        ("groups.parquet", PARQUET),
        ("odd.parquet", PARQUET),
        ("orthogonal.nc", NETCDF),
        ("contiguous.nc", "application/netcdf"),
        ("classic.nc", NETCDF),
    ] {
        // Units come with some, and are not asked for here.
        let got = map(post(&state, MAP, &[("content-type", kind)], read(name)).await);
        assert_eq!(got, wanted, "{name}");
        let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
        zip.write_all(&read(name)).expect("memory");
        let headers = [("content-type", kind), ("content-encoding", "gzip")];
        let got = map(post(&state, MAP, &headers, zip.finish().expect("memory")).await);
        assert_eq!(got, wanted, "{name}, gzip");
    }
    // In a form, known by what they begin with.
    for name in ["zstd.parquet", "incomplete.nc", "ids.geojson"] {
        let mut body = b"--x\r\ncontent-disposition: form-data; name=\"request\"\r\n\r\n".to_vec();
        body.extend_from_slice(
            br#"{"grid": {"bounds": [14, 49, 19, 51], "shape": [31, 17]}, "method": {"kernel": "linear"}}"#,
        );
        body.extend_from_slice(
            b"\r\n--x\r\ncontent-disposition: form-data; name=\"readings\"; filename=\"r\"\r\n\r\n",
        );
        body.extend_from_slice(&read(name));
        body.extend_from_slice(b"\r\n--x--\r\n");
        let headers = [("content-type", "multipart/form-data; boundary=x")];
        let got = map(post(&state, "/v1/maps?f=json", &headers, body).await);
        assert_eq!(got, wanted, "{name} in a form");
    }
}

#[tokio::test]
async fn a_registered_network_takes_them_with_places_of_its_own() {
    let Some(folder) = files() else { return };
    let state = state(ServiceConfig::default());
    let stations = std::fs::read(folder.join("stations.csv")).expect("a file");
    let network = Request::put("/v1/networks/net?bounds=14,49,19,51&shape=31x17&kernel=linear");
    let network = network.header("content-type", "text/csv").body(Body::from(stations));
    let answer = router(state.clone()).oneshot(network.expect("a request")).await;
    assert_eq!(answer.expect("the router never fails").status(), 201);
    let path = "/v1/networks/net/maps?f=json";
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a file");
    let wanted = map(post(&state, path, &[("content-type", "text/csv")], read("wide.csv")).await);
    for (name, kind) in [
        ("wide.geojson", GEOJSON),
        ("pandas.parquet", PARQUET),
        ("transposed.nc", NETCDF),
        ("indexed.nc", NETCDF),
    ] {
        let got = map(post(&state, path, &[("content-type", kind)], read(name)).await);
        assert_eq!(got, wanted, "{name}");
    }
}

#[tokio::test]
async fn what_is_not_what_it_says_or_damaged_or_too_large_is_refused_with_its_place() {
    let small = ServiceConfig { max_body_bytes: 4 << 20, ..ServiceConfig::default() };
    let state = state(small);
    let told = async |kind: &str, body: &[u8]| {
        let (status, problem) = post(&state, MAP, &[("content-type", kind)], body.to_vec()).await;
        (status, problem.to_string())
    };
    for (kind, body, status, says) in [
        (PARQUET, &b"station,lon\n"[..], 400, "does not begin like it"),
        (PARQUET, b"PAR1", 400, "damaged"),
        (PARQUET, b"PAR1aaaaaaaaaaaaaaaaaaaaaaaaPAR1", 400, "its footer says"),
        (PARQUET, b"", 400, "does not begin like it"),
        (NETCDF, b"\x89HDF\r\n\x1a\n\0\0\0\0", 400, "damaged"),
        (NETCDF, b"CDF\x01\0\0\0\x05", 400, "damaged"),
        (NETCDF, b"PAR1", 400, "does not begin like it"),
        (GEOJSON, b"{\"type\": \"FeatureCollection\"}", 400, "stations"),
        (GEOJSON, b"{\"features\": [{\"type\": \"Feature\"", 400, "not a JSON document"),
        ("application/parquet", b"PAR1", 415, "vnd.apache.parquet"),
    ] {
        let (got, text) = told(kind, body).await;
        assert_eq!(got, status, "{kind}: {text}");
        assert!(text.contains(says), "{kind}: {text}");
    }
    let feature = |geometry: &str, more: &str| {
        let whole = r#"{"type": "Point", "coordinates": [14, 50]}"#;
        format!(
            r#"{{"type": "FeatureCollection"{more}, "features": [
               {{"type": "Feature", "properties": {{"pm10": 1}}, "geometry": {whole}}},
               {{"type": "Feature", "properties": {{"pm10": 2}}, "geometry": {geometry}}}]}}"#
        )
    };
    for (geometry, more, pointer) in [
        (r#"{"type": "Polygon", "coordinates": [[[1, 2]]]}"#, "", "/features/1/geometry/type"),
        (r#"{"type": "Point", "coordinates": [1]}"#, "", "/features/1/geometry/coordinates"),
        (r#"{"type": "Point", "coordinates": [500, 1]}"#, "", "/features/1/geometry/coordinates"),
        (
            r#"{"type": "Point", "coordinates": [1, 1]}"#,
            r#", "crs": {"type": "name", "properties": {"name": "EPSG:3035"}}"#,
            "/crs",
        ),
    ] {
        let (status, text) = told(GEOJSON, feature(geometry, more).as_bytes()).await;
        assert!(status == 422 && text.contains(pointer), "{status} {text}");
    }
    let Some(folder) = files() else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a file");
    for (name, kind, status) in [
        ("huge.nc", NETCDF, 413),
        ("rows.parquet", PARQUET, 413),
        ("page-gzip.parquet", PARQUET, 413),
        ("page-zstd.parquet", PARQUET, 413),
        ("field.nc", NETCDF, 422),
        ("differences.parquet", PARQUET, 400),
    ] {
        let (got, text) = told(kind, &read(name)).await;
        assert_eq!(got, status, "{name}: {text}");
    }
    for (name, kind) in [("snappy.parquet", PARQUET), ("orthogonal.nc", NETCDF)] {
        let whole = read(name);
        let (status, text) = told(kind, &whole[..whole.len() * 2 / 3]).await;
        assert!(status == 400 && text.contains("cut short"), "{name}: {text}");
    }
}
