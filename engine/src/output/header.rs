//! The head of a NetCDF file: dimensions, coordinates, variables and their attributes.
//!
//! ```text
//! (time, lat, lon)  maps                     (time, y, x) on a plane; (point, time) for places
//! (station, time)   readings used, their flags, leave-one-out residuals
//! (station)         station_id, station_lon, station_lat
//! ```
//!
//! The classic model has no groups, so stations are variables of their own dimension. CF wants
//! dimensions other than T, Z, Y, X on the left, so time is last in their variables. Without times
//! there is no time dimension.

use netcdf::{AttributeValue, Endianness, FileMut};

use super::attributes::{self, Attributes};
use super::cf::{self, Naming};
use super::chunk::FILL_VALUE;
use super::coordinates::{self, Coordinate, id_length, put_texts};
use super::layers;
use super::layout::Layout;
use super::zlib::level;
use crate::grid::{Grid, Places, Targets};
use crate::kernels::metric::EARTH_RADIUS_KM;
use crate::projection::{Crs, MappingValue};
use crate::quality::{Flag, NO_READING};
use crate::storage::{Compression, Precision};
use crate::uncertainty::Layer;

/// Names that are not the variables'.
const RESERVED: [&str; 25] = [
    "rlon",
    "rlat",
    "rlon_bnds",
    "rlat_bnds",
    "time",
    "time_bnds",
    "lat",
    "lon",
    "x",
    "y",
    "point",
    "station",
    "crs",
    "quantization",
    "bnds",
    "lat_bnds",
    "lon_bnds",
    "x_bnds",
    "y_bnds",
    "station_id",
    "station_lon",
    "station_lat",
    "station_x",
    "station_y",
    "id_length",
];

/// How a map with a background was made.
const BACKGROUND: &str = "readings less background interpolated, background added back; the \
     background is bilinear between its nodes";

/// Writes the head and the coordinates; returns how the variables and the layers are called.
pub(super) fn write(
    file: &mut FileMut,
    layout: &Layout<'_>,
) -> netcdf::Result<(Vec<Naming>, Vec<String>)> {
    let names = cf::names(layout.variables, &RESERVED);
    let layers = layers::names(layout.layers, &names, &RESERVED);
    for (name, value) in attributes::of_layout(layout) {
        file.add_attribute(&name, value)?;
    }
    define_time(file, layout)?;
    match layout.targets {
        Targets::Grid(grid) => define_grid(file, grid, layout)?,
        Targets::Points(places) => define_places(file, places, layout.spherical)?,
    }
    match layout.crs() {
        Some(crs) => define_projection(file, crs)?,
        None if layout.has_grid_mapping() => define_sphere(file)?,
        None => {}
    }
    if layout.storage.kept_bits().is_some() {
        define_quantization(file, layout)?;
    }
    define_stations(file, layout)?;
    for (variable, name) in names.iter().enumerate() {
        let of_variable = layout.layers.iter().zip(&layers).filter(|((v, _), _)| *v == variable);
        let beside: Vec<_> =
            of_variable.map(|((_, layer), name)| (*layer, name.as_str())).collect();
        define_fields(file, layout, name, &beside)?;
    }
    // In the classic model values may be written only when everything is defined.
    file.enddef()?;
    coordinates::write(file, layout)?;
    Ok((names, layers))
}

fn define_time(file: &mut FileMut, layout: &Layout<'_>) -> netcdf::Result<()> {
    if !layout.has_times() {
        return Ok(());
    }
    file.add_dimension("time", layout.times.len())?;
    let mut time = file.add_variable::<f64>("time", &["time"])?;
    put_texts(
        &mut time,
        &[
            ("standard_name", "time"),
            ("long_name", "time"),
            ("units", "seconds since 1970-01-01 00:00:00"),
            ("calendar", "standard"),
            ("units_metadata", "leap_seconds: utc"),
            ("axis", "T"),
        ],
    )?;
    if layout.time_cells.is_some() {
        time.put_attribute("bounds", "time_bnds")?;
        file.add_dimension("bnds", 2)?;
        file.add_variable::<f64>("time_bnds", &["time", "bnds"])?;
    }
    Ok(())
}

fn define_grid(file: &mut FileMut, grid: &Grid, layout: &Layout<'_>) -> netcdf::Result<()> {
    let [x, y] = Coordinate::of_grid(layout);
    let names = [y.name, x.name];
    file.add_dimension(y.name, grid.y().len())?;
    file.add_dimension(x.name, grid.x().len())?;
    // Averages over time have bounds of their own.
    if file.dimension("bnds").is_none() {
        file.add_dimension("bnds", 2)?;
    }
    for coordinate in [y, x] {
        let bounds = format!("{}_bnds", coordinate.name);
        let mut variable = file.add_variable::<f64>(coordinate.name, &[coordinate.name])?;
        put_texts(&mut variable, &coordinate.attributes)?;
        variable.put_attribute("bounds", bounds.as_str())?;
        file.add_variable::<f64>(&bounds, &[coordinate.name, "bnds"])?;
    }
    if grid.crs().is_some() {
        for coordinate in Coordinate::both(true) {
            let mut variable = file.add_variable::<f64>(coordinate.name, &names)?;
            variable.set_chunking(&[layout.tiling.tile_rows, layout.tiling.tile_columns])?;
            if layout.storage.compression != Compression::None {
                variable.set_compression(level(layout.storage.compression), true)?;
            }
            coordinate.put_auxiliary(&mut variable)?;
        }
    }
    Ok(())
}

fn define_places(file: &mut FileMut, places: &Places, spherical: bool) -> netcdf::Result<()> {
    file.add_dimension("point", places.x.len())?;
    for coordinate in Coordinate::both(spherical) {
        let mut variable = file.add_variable::<f64>(coordinate.name, &["point"])?;
        coordinate.put_auxiliary(&mut variable)?;
    }
    Ok(())
}

/// The sphere on which distances were taken. A scalar whose value means nothing, as CF wants it.
fn define_sphere(file: &mut FileMut) -> netcdf::Result<()> {
    let mut crs = file.add_variable::<i32>("crs", &[])?;
    crs.put_attribute("grid_mapping_name", "latitude_longitude")?;
    crs.put_attribute("long_name", "sphere of the Earth's mean radius")?;
    crs.put_attribute("earth_radius", EARTH_RADIUS_KM * 1000.0)?;
    crs.put_attribute("longitude_of_prime_meridian", 0.0)?;
    Ok(())
}

/// The plane that a grid lies in, for programs and, as PROJ writes it, for people.
fn define_projection(file: &mut FileMut, crs: &Crs) -> netcdf::Result<()> {
    let mut variable = file.add_variable::<i32>("crs", &[])?;
    variable.put_attribute("long_name", crs.text())?;
    for (name, value) in crs.grid_mapping() {
        match value {
            MappingValue::Text(text) => variable.put_attribute(name, text)?,
            MappingValue::Numbers(numbers) => variable.put_attribute(name, numbers)?,
        };
    }
    Ok(())
}

/// As CF 1.12, section 8.4, has it; older readers pass over it.
fn define_quantization(file: &mut FileMut, layout: &Layout<'_>) -> netcdf::Result<()> {
    let mut quantization = file.add_variable::<i32>("quantization", &[])?;
    quantization.put_attribute("long_name", "rounding of the maps")?;
    quantization.put_attribute("algorithm", "bitround")?;
    quantization.put_attribute("implementation", layout.provenance.software.as_str())?;
    Ok(())
}

fn define_stations(file: &mut FileMut, layout: &Layout<'_>) -> netcdf::Result<()> {
    file.add_dimension("station", layout.stations.len())?;
    file.add_dimension("id_length", id_length(layout))?;
    let kind = netcdf::types::NcVariableType::Char;
    let mut id = file.add_variable_with_type("station_id", &["station", "id_length"], &kind)?;
    put_texts(&mut id, &[("long_name", "station code"), ("_Encoding", "utf-8")])?;
    for coordinate in Coordinate::both(layout.spherical) {
        let name = format!("station_{}", coordinate.name);
        let mut variable = file.add_variable::<f64>(&name, &["station"])?;
        coordinate.put_of_stations(&mut variable, layout)?;
    }
    Ok(())
}

/// The map of a variable with the layers beside it, its readings used and its residuals.
fn define_fields(
    file: &mut FileMut,
    layout: &Layout<'_>,
    name: &Naming,
    beside: &[(Layer, &str)],
) -> netcdf::Result<()> {
    let [x, y] = Coordinate::both(layout.spherical);
    let mut map = of_variable(name, &name.long_name, "modelResult");
    if let Some(standard_name) = name.standard_name {
        map.put("standard_name", standard_name);
    }
    let all: Vec<&str> = beside.iter().map(|(_, name)| *name).collect();
    map.put("ancillary_variables", all.join(" "));
    if let Some(mask) = layout.mask {
        let text = mask.text();
        map.put("comment", format!("cells outside the mask hold the fill value: {text}"))
            .put("isopleth_mask", text);
    }
    for note in layout.backgrounds.iter().filter(|note| note.variable == name.long_name) {
        map.put("isopleth_background", note.name.as_str())
            .put("isopleth_background_digest", note.digest.clone().unwrap_or_default())
            .put("isopleth_background_method", BACKGROUND);
    }
    map.put("isopleth_covariates", layout.covariates.join("; "));
    define_map(file, layout, &name.map, map)?;
    for &(layer, of_layer) in beside {
        define_map(file, layout, of_layer, layers::attributes(layer, layout.layers_of, name))?;
    }
    let (time, step) = steps(layout);
    let places = format!("station_{} station_{} station_id", y.name, x.name);
    let (dimensions, chunk) =
        ([&["station"], time].concat(), [&[layout.stations.len()], step].concat());
    let mut readings =
        of_variable(name, &format!("{}: reading used", name.long_name), "physicalMeasurement");
    if let Some(standard_name) = name.standard_name {
        readings.put("standard_name", standard_name);
    }
    readings
        .put("coordinates", places.as_str())
        .put("cell_methods", cell_methods(layout, ""))
        .put("ancillary_variables", name.flag.as_str());
    define_field(file, layout, &name.reading, &dimensions, &chunk, readings)?;
    define_flags(file, layout, name, &dimensions, &chunk, &places)?;
    let text = "reading minus the value predicted from all other stations";
    let mut residuals =
        of_variable(name, &format!("{}: {text}", name.long_name), "qualityInformation");
    residuals.put("coordinates", places);
    define_field(file, layout, &name.residual, &dimensions, &chunk, residuals)
}

/// What was done within cells: over time, where readings were averaged, before in space.
fn cell_methods(layout: &Layout<'_>, space: &str) -> String {
    let time = layout.time_cells.map_or("", |cells| cells.method.as_str());
    format!("{time} {space}").trim().to_owned()
}

/// The dimension of time, where there is one, and how much of it is in a chunk.
fn steps(layout: &Layout<'_>) -> (&'static [&'static str], &'static [usize]) {
    if layout.has_times() { (&["time"], &[1]) } else { (&[], &[]) }
}

/// A map, or a layer beside it.
fn define_map(
    file: &mut FileMut,
    layout: &Layout<'_>,
    name: &str,
    mut map: Attributes,
) -> netcdf::Result<()> {
    let tiling = &layout.tiling;
    let [x, y] = match layout.targets {
        Targets::Grid(_) => Coordinate::of_grid(layout),
        Targets::Points(_) => Coordinate::both(layout.spherical),
    };
    let (time, step) = steps(layout);
    if layout.has_grid_mapping() {
        map.put("grid_mapping", "crs");
    }
    if let Some(bits) = layout.storage.kept_bits() {
        map.put("quantization", "quantization").put("quantization_nsb", bits.cast_signed());
    }
    match layout.targets {
        Targets::Grid(_) => {
            map.put("cell_methods", cell_methods(layout, "area: point"));
            if layout.crs().is_some() {
                map.put("coordinates", "lat lon");
            }
            let dimensions = [time, &[y.name, x.name]].concat();
            let chunk = [step, &[tiling.tile_rows, tiling.tile_columns]].concat();
            define_field(file, layout, name, &dimensions, &chunk, map)
        }
        Targets::Points(_) => {
            map.put("coordinates", format!("{} {}", y.name, x.name));
            map.put("cell_methods", cell_methods(layout, ""));
            let chunk = [&[tiling.tile_columns], step].concat();
            define_field(file, layout, name, &[&["point"], time].concat(), &chunk, map)
        }
    }
}

/// The flags of the readings of a variable: a byte each, compressed without shuffle.
fn define_flags(
    file: &mut FileMut,
    layout: &Layout<'_>,
    name: &Naming,
    dimensions: &[&str],
    chunk: &[usize],
    places: &str,
) -> netcdf::Result<()> {
    let mut variable = file.add_variable::<i8>(&name.flag, dimensions)?;
    variable.set_chunking(chunk)?;
    if layout.storage.compression != Compression::None {
        variable.set_compression(level(layout.storage.compression), false)?;
    }
    variable.set_fill_value(NO_READING.cast_signed())?;
    let meanings = Flag::ALL.map(Flag::name).join(" ");
    let masks = Flag::ALL.map(|flag| flag.mask().cast_signed()).to_vec();
    put_texts(
        &mut variable,
        &[
            ("long_name", &format!("{}: why the reading may be wrong", name.long_name)),
            ("standard_name", "quality_flag"),
            ("flag_meanings", &meanings),
            ("coverage_content_type", "qualityInformation"),
            ("coordinates", places),
            ("comment", "a flagged reading that is missing among the readings used was rejected"),
        ],
    )?;
    variable.put_attribute("flag_masks", AttributeValue::Schars(masks)).map(|_| ())
}

/// What maps, readings and residuals of a variable say alike; `content` is a term of ISO 19115.
fn of_variable(name: &Naming, long_name: &str, content: &str) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.put("long_name", long_name).put("coverage_content_type", content);
    if let Some(units) = &name.units {
        attributes.put("units", units.as_str());
    }
    attributes
}

/// A variable in chunks of one time step, with the filters that `chunk.rs` applies.
fn define_field(
    file: &mut FileMut,
    layout: &Layout<'_>,
    name: &str,
    dimensions: &[&str],
    chunk: &[usize],
    attributes: Attributes,
) -> netcdf::Result<()> {
    let mut variable = match layout.storage.precision {
        Precision::F32 => file.add_variable::<f32>(name, dimensions)?,
        Precision::F64 => file.add_variable::<f64>(name, dimensions)?,
    };
    variable.set_chunking(chunk)?;
    if layout.storage.compression != Compression::None {
        variable.set_compression(level(layout.storage.compression), true)?;
    }
    variable.set_endianness(Endianness::Little)?;
    match layout.storage.precision {
        Precision::F32 => variable.set_fill_value(FILL_VALUE)?,
        Precision::F64 => variable.set_fill_value(f64::from(FILL_VALUE))?,
    }
    for (name, value) in attributes.0 {
        variable.put_attribute(&name, value)?;
    }
    Ok(())
}
