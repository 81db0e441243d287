//! Small maps kept in memory, for an answer that is not a file.

use std::sync::{Mutex, PoisonError};

use super::{FieldId, Sink, StationValues, Tile};
use crate::error::Error;

/// All fields of a run. Memory: 8 bytes for each of variables × times × (cells + 2 × stations), so
/// it is for requests whose size was checked.
#[derive(Debug)]
pub struct MapsInMemory {
    times: usize,
    columns: usize,
    cells: usize,
    stations: usize,
    values: Mutex<Values>,
}

/// What the sink holds, each by field: `[variable * times + time]`.
#[derive(Debug)]
struct Values {
    maps: Vec<f64>,
    readings: Vec<f64>,
    residuals: Vec<f64>,
}

impl MapsInMemory {
    /// Room for `variables × times` fields of `rows × columns` cells and `stations` stations. With
    /// no rows, only what is known at stations is kept.
    #[must_use]
    pub fn new(
        variables: usize,
        times: usize,
        rows: usize,
        columns: usize,
        stations: usize,
    ) -> Self {
        let (fields, cells) = (variables * times, rows * columns);
        let values = Values {
            maps: vec![f64::NAN; fields * cells],
            readings: vec![f64::NAN; fields * stations],
            residuals: vec![f64::NAN; fields * stations],
        };
        Self { times, columns, cells, stations, values: Mutex::new(values) }
    }

    /// What came.
    #[must_use]
    pub fn into_maps(self) -> Maps {
        let Self { times, cells, stations, values, .. } = self;
        let Values { maps, readings, residuals } =
            values.into_inner().unwrap_or_else(PoisonError::into_inner);
        Maps { times, cells, stations, maps, readings, residuals }
    }

    fn field(&self, id: FieldId) -> usize {
        id.variable * self.times + id.time
    }
}

impl Sink for MapsInMemory {
    fn tile(&self, tile: Tile<'_>) -> Result<(), Error> {
        let mut held = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = tile.values.chunks_exact(tile.columns.len().max(1));
        for &id in tile.fields {
            let field = self.field(id) * self.cells;
            for (row, values) in tile.rows.clone().zip(&mut rows) {
                let start = field + row * self.columns + tile.columns.start;
                held.maps[start..start + values.len()].copy_from_slice(values);
            }
        }
        Ok(())
    }

    fn stations(&self, of: StationValues<'_>) -> Result<(), Error> {
        let n = self.stations;
        let mut held = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        for (f, &id) in of.fields.iter().enumerate() {
            let (to, from) = (self.field(id) * n, f * n);
            held.readings[to..to + n].copy_from_slice(&of.values[from..from + n]);
            held.residuals[to..to + n].copy_from_slice(&of.residuals[from..from + n]);
        }
        Ok(())
    }

    fn batch_done(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// All fields of a finished run; NaN where there is no value.
#[derive(Clone, Debug, PartialEq)]
pub struct Maps {
    times: usize,
    cells: usize,
    stations: usize,
    maps: Vec<f64>,
    readings: Vec<f64>,
    residuals: Vec<f64>,
}

impl Maps {
    /// The map of a variable at a time, row by row.
    ///
    /// # Panics
    /// As the next two: if there is no such field.
    #[must_use]
    pub fn map(&self, id: FieldId) -> &[f64] {
        self.part(&self.maps, self.cells, id)
    }

    /// The readings used, station by station.
    #[must_use]
    pub fn readings(&self, id: FieldId) -> &[f64] {
        self.part(&self.readings, self.stations, id)
    }

    /// The leave-one-out residuals, station by station.
    #[must_use]
    pub fn residuals(&self, id: FieldId) -> &[f64] {
        self.part(&self.residuals, self.stations, id)
    }

    fn part<'a>(&self, of: &'a [f64], length: usize, id: FieldId) -> &'a [f64] {
        let start = (id.variable * self.times + id.time) * length;
        &of[start..start + length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_several_fields_find_their_places() {
        let sink = MapsInMemory::new(2, 2, 3, 4, 2);
        let id = |variable, time| FieldId { time, variable };
        let fields = [id(0, 1), id(1, 0)];
        let value = |f: usize, row: usize, column: usize| (100 * f + 10 * row + column) as f64;
        for (rows, columns) in [(0..2, 0..3), (0..2, 3..4), (2..3, 0..3), (2..3, 3..4)] {
            let mut values = Vec::new();
            for f in 0..2 {
                for row in rows.clone() {
                    values.extend(columns.clone().map(|column| value(f, row, column)));
                }
            }
            let tile = Tile { fields: &fields, rows: &rows, columns: &columns, values: &values };
            sink.tile(tile).unwrap();
        }
        let [values, residuals] = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]];
        let (values, residuals) = (&values, &residuals);
        sink.stations(StationValues { fields: &fields, values, residuals, flags: &[0; 4] })
            .unwrap();
        let maps = sink.into_maps();
        for (f, &id) in fields.iter().enumerate() {
            let want: Vec<f64> = (0..12).map(|cell| value(f, cell / 4, cell % 4)).collect();
            assert_eq!(maps.map(id), want);
        }
        assert!(maps.map(id(0, 0)).iter().all(|v| v.is_nan()));
        assert_eq!(maps.readings(id(1, 0)), [3.0, 4.0]);
        assert_eq!(maps.residuals(id(0, 1)), [5.0, 6.0]);
    }
}
