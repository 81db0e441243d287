//! The coordinates of a NetCDF file: their names and attributes, and their values.

use netcdf::{AttributeValue, FileMut, VariableMut};

use super::hdf5::NcChar;
use super::layout::Layout;
use crate::grid::{Grid, Targets};
use crate::observations::UnixSeconds;
use crate::series::TimeCells;

/// One of the two horizontal coordinates.
pub(super) struct Coordinate {
    pub(super) name: &'static str,
    pub(super) attributes: [(&'static str, &'static str); 4],
}

impl Coordinate {
    pub(super) fn both(spherical: bool) -> [Self; 2] {
        let coordinate = |name, standard_name, long_name, units, axis| Self {
            name,
            attributes: [
                ("standard_name", standard_name),
                ("long_name", long_name),
                ("units", units),
                ("axis", axis),
            ],
        };
        if spherical {
            [
                coordinate("lon", "longitude", "longitude", "degrees_east", "X"),
                coordinate("lat", "latitude", "latitude", "degrees_north", "Y"),
            ]
        } else {
            [
                coordinate("x", "projection_x_coordinate", "x of the plane", "m", "X"),
                coordinate("y", "projection_y_coordinate", "y of the plane", "m", "Y"),
            ]
        }
    }

    /// Those of a grid's dimensions, which are its plane's where it is projected.
    pub(super) fn of_grid(layout: &Layout<'_>) -> [Self; 2] {
        match layout.crs() {
            Some(crs) if crs.is_rotated() => {
                let coordinate = |name, standard_name, long_name, axis| Self {
                    name,
                    attributes: [
                        ("standard_name", standard_name),
                        ("long_name", long_name),
                        ("units", "degrees"),
                        ("axis", axis),
                    ],
                };
                [
                    coordinate("rlon", "grid_longitude", "longitude of the rotated grid", "X"),
                    coordinate("rlat", "grid_latitude", "latitude of the rotated grid", "Y"),
                ]
            }
            crs => Self::both(layout.spherical && crs.is_none()),
        }
    }

    /// What the coordinate of a list says: the same without `axis`.
    pub(super) fn put_auxiliary(&self, variable: &mut VariableMut<'_>) -> netcdf::Result<()> {
        put_texts(variable, &self.attributes[..3])
    }

    /// What the coordinate of stations says. Beside a grid it goes without a standard name: a grid
    /// mapping wants exactly one latitude and one longitude, and readers look for one X and one Y.
    /// The unit alone says on the sphere which it is.
    pub(super) fn put_of_stations(
        &self,
        variable: &mut VariableMut<'_>,
        layout: &Layout<'_>,
    ) -> netcdf::Result<()> {
        let first = usize::from(matches!(layout.targets, Targets::Grid(_)));
        put_texts(variable, &self.attributes[first..3])
    }
}

pub(super) fn write(file: &mut FileMut, layout: &Layout<'_>) -> netcdf::Result<()> {
    if layout.has_times() {
        #[expect(clippy::cast_precision_loss, reason = "seconds, exact to 285 million years")]
        let seconds = |&time: &UnixSeconds| time.0 as f64;
        let times: Vec<f64> = layout.times.iter().flatten().map(seconds).collect();
        put(file, "time", &times)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds, exact to 285 million years")]
        let bounds = |cells: &TimeCells| -> Vec<f64> {
            cells.bounds.iter().flatten().map(|&bound| bound as f64).collect()
        };
        if let Some(bounds) = layout.time_cells.map(bounds) {
            put(file, "time_bnds", &bounds)?;
        }
    }
    let [x, y] = Coordinate::both(layout.spherical);
    match layout.targets {
        Targets::Grid(grid) => {
            let [x, y] = Coordinate::of_grid(layout);
            put(file, x.name, grid.x())?;
            put(file, y.name, grid.y())?;
            put(file, &format!("{}_bnds", x.name), &bounds(grid.x_edges()))?;
            put(file, &format!("{}_bnds", y.name), &bounds(grid.y_edges()))?;
            if grid.crs().is_some() {
                write_degrees(file, grid, layout.tiling.tile_rows)?;
            }
        }
        Targets::Points(places) => {
            put(file, x.name, &places.x)?;
            put(file, y.name, &places.y)?;
        }
    }
    let of_stations = |value: fn(&crate::observations::Station) -> f64| -> Vec<f64> {
        layout.stations.iter().map(value).collect()
    };
    put(file, &format!("station_{}", x.name), &of_stations(|s| s.x))?;
    put(file, &format!("station_{}", y.name), &of_stations(|s| s.y))?;
    let length = id_length(layout);
    let mut ids = Vec::with_capacity(length * layout.stations.len());
    for station in layout.stations {
        let padded = station.id.bytes().chain(std::iter::repeat(0)).take(length);
        ids.extend(padded.map(NcChar));
    }
    put(file, "station_id", &ids)
}

/// Longitude and latitude of every cell of a projected grid, some rows at a time.
fn write_degrees(file: &mut FileMut, grid: &Grid, at_once: usize) -> netcdf::Result<()> {
    let (rows, columns) = (grid.y().len(), grid.x().len());
    for first in (0..rows).step_by(at_once) {
        let some = first..(first + at_once).min(rows);
        let mut both = [Vec::new(), Vec::new()];
        for row in some.clone() {
            let degrees = grid.degrees(row, 0..columns).unwrap_or_default();
            both.iter_mut().zip(degrees).for_each(|(all, row)| all.extend(row));
        }
        for (name, values) in ["lon", "lat"].into_iter().zip(both) {
            let variable = file.variable_mut(name);
            let mut variable = variable.ok_or_else(|| netcdf::Error::NotFound(name.to_owned()))?;
            variable.put_values(&values, (some.clone(), 0..columns))?;
        }
    }
    Ok(())
}

/// Lower and upper edge of each cell.
fn bounds(edges: &[f64]) -> Vec<f64> {
    edges.windows(2).flatten().copied().collect()
}

/// Bytes of the longest station code.
pub(super) fn id_length(layout: &Layout<'_>) -> usize {
    layout.stations.iter().map(|s| s.id.len()).max().unwrap_or(0).max(1)
}

fn put<T: netcdf::NcTypeDescriptor>(
    file: &mut FileMut,
    name: &str,
    values: &[T],
) -> netcdf::Result<()> {
    let mut variable =
        file.variable_mut(name).ok_or_else(|| netcdf::Error::NotFound(name.to_owned()))?;
    variable.put_values(values, ..)
}

pub(super) fn put_texts(
    variable: &mut VariableMut<'_>,
    texts: &[(&str, &str)],
) -> netcdf::Result<()> {
    for &(name, text) in texts {
        variable.put_attribute(name, AttributeValue::from(text))?;
    }
    Ok(())
}
