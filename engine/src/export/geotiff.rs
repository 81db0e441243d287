//! Cloud-optimised GeoTIFF: tiles of 512 × 512, compressed, with overviews, directories first and
//! overviews before the full map, north up. Each time of a variable is a band.
//!
//! Rows come one by one; each level keeps the rows of one row of tiles. Compressed tiles wait in a
//! temporary file until the sizes of all are known.

use std::fmt::Write as _;
use std::io::{Read as _, Seek, SeekFrom, Write};

use rayon::prelude::*;

use super::chosen::{Chosen, Selection};
use super::error::ExportError;
use super::geokeys::GeoKeys;
use super::source::{Axis, Source};
use super::tiff::{Directory, Kind, Value, predict};
use super::{Form, Summary};

/// Rows and columns of a tile.
const TILE: usize = 512;
/// Bands of one file at most.
const MOST_BANDS: usize = 1000;
/// Compressed bytes kept in memory before they go to a temporary file.
const IN_MEMORY: usize = 16 << 20;
/// As much as is tried at this level takes no longer than reading the map.
const COMPRESSION: i32 = 6;
/// A classic TIFF ends at 4 GiB; what is stored may be a little more than the values.
const CLASSIC_BYTES: u64 = 4_000_000_000;

/// Writes one variable; every time chosen is a band.
///
/// # Errors
/// If more than one variable is chosen, cells are not of equal size, the crs has no `GeoTIFF` keys,
/// or the output cannot be written.
pub(super) fn write(
    source: &Source,
    selection: &Selection,
    out: &mut (impl Write + Seek),
) -> Result<Summary, ExportError> {
    let chosen = selection.find(source)?;
    let variable = chosen.one_variable(Form::GeoTiff)?;
    let bands = chosen.times.len();
    if bands > MOST_BANDS {
        return Err(ExportError::MoreTimes {
            form: Form::GeoTiff,
            count: bands,
            limit: MOST_BANDS,
        });
    }
    let place = placed(source, &chosen)?;
    let (columns, rows) = (chosen.window.columns.count, chosen.window.rows.count);
    let mut levels = levels(columns, rows);
    let mut scratch = Scratch::new(if variable.is_double { 8 } else { 4 });
    for &time in &chosen.times {
        source.rows(variable, time, &chosen.window, true, |_, values| {
            push(&mut levels, values, &mut scratch)
        })?;
    }
    let kind = kind(columns, rows, bands, scratch.bytes);
    let mut directories: Vec<Directory> =
        levels.iter().map(|level| directory(level, bands, scratch.bytes)).collect();
    directories[0].extend(place);
    directories[0].push((42112, Value::Text(metadata(source, &chosen))));
    assemble(kind, &mut directories, &levels, &mut scratch, out)?;
    let note = format!("{bands} bands, {} overviews", levels.len() - 1);
    Ok(chosen.summary(source, Some(note)))
}

/// One resolution: rows of a row of tiles as they come, and where its finished tiles are.
struct Level {
    columns: usize,
    rows: usize,
    /// Rows begun and not yet in a tile.
    strip: Vec<f64>,
    /// Rows of this band that are in tiles.
    done: usize,
    /// Place and length of each tile in the temporary file, band by band.
    tiles: Vec<(u64, u64)>,
}

/// The map and its overviews, each half as large, until one fits a tile.
fn levels(columns: usize, rows: usize) -> Vec<Level> {
    let level =
        |(columns, rows)| Level { columns, rows, strip: Vec::new(), done: 0, tiles: vec![] };
    let half = |&(columns, rows): &(usize, usize)| {
        (columns.max(rows) > TILE).then(|| (columns.div_ceil(2), rows.div_ceil(2)))
    };
    std::iter::successors(Some((columns, rows)), half).map(level).collect()
}

/// Takes a row of the finest of some levels.
fn push(levels: &mut [Level], row: &[f64], scratch: &mut Scratch) -> Result<(), ExportError> {
    let Some((level, coarser)) = levels.split_first_mut() else { return Ok(()) };
    level.strip.extend_from_slice(row);
    let rows = level.strip.len() / level.columns;
    let last = level.done + rows == level.rows;
    if rows < TILE && !last {
        return Ok(());
    }
    scratch.put(level)?;
    let strip = std::mem::take(&mut level.strip);
    level.done = if last { 0 } else { level.done + rows };
    if !coarser.is_empty() {
        for pair in strip.chunks(2 * level.columns) {
            push(coarser, &halved(pair, level.columns), scratch)?;
        }
    }
    level.strip = strip;
    level.strip.clear();
    Ok(())
}

/// Means of two by two cells, of those that have a value; of fewer at the ends.
fn halved(pair: &[f64], columns: usize) -> Vec<f64> {
    let mean = |k: usize| {
        let (mut sum, mut count) = (0.0, 0.0);
        for row in pair.chunks_exact(columns) {
            for &value in row[2 * k..].iter().take(2).filter(|v| !v.is_nan()) {
                sum += value;
                count += 1.0;
            }
        }
        if count > 0.0 { sum / count } else { f64::NAN }
    };
    (0..columns.div_ceil(2)).map(mean).collect()
}

/// Compressed tiles in the order in which they come.
struct Scratch {
    file: tempfile::SpooledTempFile,
    length: u64,
    /// Bytes of a sample.
    bytes: usize,
}

impl Scratch {
    fn new(bytes: usize) -> Self {
        Self { file: tempfile::spooled_tempfile(IN_MEMORY), length: 0, bytes }
    }

    /// Compresses the strip of a level, its tiles in parallel.
    fn put(&mut self, level: &mut Level) -> Result<(), ExportError> {
        let across = level.columns.div_ceil(TILE);
        let (columns, strip, bytes) = (level.columns, &level.strip, self.bytes);
        let packed: Vec<Vec<u8>> = (0..across)
            .into_par_iter()
            .map(|tile| {
                let begin = tile * TILE;
                let end = (begin + TILE).min(columns);
                packed(strip.chunks_exact(columns).map(|row| &row[begin..end]), bytes)
            })
            .collect();
        for tile in packed {
            self.file.write_all(&tile)?;
            level.tiles.push((self.length, tile.len() as u64));
            self.length += tile.len() as u64;
        }
        Ok(())
    }

    fn copy(&mut self, (at, length): (u64, u64), out: &mut impl Write) -> Result<(), ExportError> {
        self.file.seek(SeekFrom::Start(at))?;
        let mut part = (&mut self.file).take(length);
        std::io::copy(&mut part, out)?;
        Ok(())
    }
}

/// A tile: predicted row by row, compressed; NaN where the map has ended.
fn packed<'a>(rows: impl Iterator<Item = &'a [f64]>, bytes: usize) -> Vec<u8> {
    let mut plain = vec![0; TILE * TILE * bytes];
    let beyond = std::iter::repeat(f64::NAN);
    let mut rows = rows.map(|row| row.iter().copied());
    for place in plain.chunks_exact_mut(TILE * bytes) {
        let row = rows.next().into_iter().flatten().chain(beyond.clone()).take(TILE);
        if bytes == 8 {
            predict(row.map(f64::to_be_bytes), place);
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "they were 32 bits in the file")]
            predict(row.map(|v| (v as f32).to_be_bytes()), place);
        }
    }
    let level = libdeflater::CompressionLvl::new(COMPRESSION).unwrap_or_default();
    let mut compressor = libdeflater::Compressor::new(level);
    let mut tile = vec![0; compressor.zlib_compress_bound(plain.len())];
    let length = compressor.zlib_compress(&plain, &mut tile).expect("the bound is room enough");
    tile.truncate(length);
    tile
}

/// The tags of a level; places of tiles come later.
fn directory(level: &Level, bands: usize, bytes: usize) -> Directory {
    let each = |value: u16| Value::Shorts(vec![value; bands]);
    let one = |value: u16| Value::Shorts(vec![value]);
    let long = |value: usize| Value::Longs(vec![value as u64]);
    let mut tags = vec![
        (256, long(level.columns)),
        (257, long(level.rows)),
        (258, each(if bytes == 8 { 64 } else { 32 })),
        // Deflate, minimum is black, floating-point predictor.
        (259, one(8)),
        (262, one(1)),
        (277, Value::Shorts(vec![u16::try_from(bands).unwrap_or(u16::MAX)])),
        (284, one(if bands > 1 { 2 } else { 1 })),
        (317, one(3)),
        (322, long(TILE)),
        (323, long(TILE)),
        (324, Value::Longs(vec![0; level.tiles.len()])),
        (325, Value::Longs(level.tiles.iter().map(|tile| tile.1).collect())),
        (339, each(3)),
        (42113, Value::Text("nan".into())),
    ];
    if bands > 1 {
        tags.push((338, Value::Shorts(vec![0; bands - 1])));
    }
    tags
}

fn kind(columns: usize, rows: usize, bands: usize, bytes: usize) -> Kind {
    let padded = |n: usize| n.next_multiple_of(TILE) as u64;
    let full = padded(columns) * padded(rows) * (bands * bytes) as u64;
    // All overviews together are a third of the map.
    if full / 3 * 4 > CLASSIC_BYTES { Kind::Big } else { Kind::Classic }
}

/// Where the map lies: the size of a cell, its north-western corner, the system of coordinates.
fn placed(source: &Source, chosen: &Chosen<'_>) -> Result<Directory, ExportError> {
    let keys = GeoKeys::of(source.space())?;
    let [x, y] = chosen.axes(source);
    let (dx, dy) = (even(&x)?, even(&y)?);
    let ([west, _], [_, north]) = (x.ends(), y.ends());
    let mut tags = vec![
        (33550, Value::Doubles(vec![dx, dy, 0.0])),
        (33922, Value::Doubles(vec![0.0, 0.0, 0.0, west, north, 0.0])),
    ];
    if let Some(keys) = keys {
        tags.push((34735, Value::Shorts(keys.directory())));
        if !keys.doubles.is_empty() {
            tags.push((34736, Value::Doubles(keys.doubles)));
        }
        if !keys.text.is_empty() {
            tags.push((34737, Value::Text(keys.text)));
        }
    }
    Ok(tags)
}

/// The width of the cells of an axis, if all have the same.
fn even(axis: &Axis) -> Result<f64, ExportError> {
    let [low, high] = axis.ends();
    #[expect(clippy::cast_precision_loss, reason = "below the longest axis")]
    let width = (high - low) / axis.nodes.len() as f64;
    let is_even = |w: &[f64]| ((w[1] - w[0]).abs() - width).abs() <= 1e-6 * width;
    if width > 0.0 && axis.edges.windows(2).all(is_even) {
        Ok(width)
    } else {
        Err(ExportError::Uneven { form: Form::GeoTiff, axis: axis.name.clone() })
    }
}

/// What GDAL reads of bands: their times and units.
fn metadata(source: &Source, chosen: &Chosen<'_>) -> String {
    let mut text = String::from("<GDALMetadata>\n");
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for variable in &chosen.variables {
        for (band, &time) in chosen.times.iter().enumerate() {
            let time = source.times().get(time).map(|t| format!(" {t}")).unwrap_or_default();
            let name = escaped(&format!("{}{time}", variable.long_name));
            let mut item = |what: &str, role: &str, value: &str| {
                let _ = writeln!(
                    text,
                    "  <Item name=\"{what}\" sample=\"{band}\" role=\"{role}\">{value}</Item>"
                );
            };
            item("DESCRIPTION", "description", &name);
            if let Some(units) = &variable.units {
                item("UNITTYPE", "unittype", &escaped(units));
            }
        }
    }
    text.push_str("</GDALMetadata>\n");
    text
}

/// Directories first, then tiles from the coarsest level to the finest.
fn assemble(
    kind: Kind,
    directories: &mut [Directory],
    levels: &[Level],
    scratch: &mut Scratch,
    out: &mut (impl Write + Seek),
) -> Result<(), ExportError> {
    // A picture of reduced resolution.
    for directory in directories.iter_mut().skip(1) {
        directory.push((254, Value::Longs(vec![1])));
    }
    let header = kind.header();
    let mut starts = vec![header.len() as u64];
    for directory in directories.iter() {
        starts.push(starts[starts.len() - 1] + kind.directory_length(directory) as u64);
    }
    let mut at = starts[starts.len() - 1];
    for (level, directory) in levels.iter().zip(directories.iter_mut()).rev() {
        let mut places = Vec::with_capacity(level.tiles.len());
        for (_, length) in &level.tiles {
            places.push(at);
            at += length;
        }
        let tag = directory.iter_mut().find(|(tag, _)| *tag == 324);
        if let Some((_, value)) = tag {
            *value = Value::Longs(places);
        }
    }
    out.write_all(&header)?;
    for (k, directory) in directories.iter().enumerate() {
        let next = if k + 1 < directories.len() { starts[k + 1] } else { 0 };
        out.write_all(&kind.directory(directory, starts[k], next))?;
    }
    for level in levels.iter().rev() {
        level.tiles.iter().try_for_each(|&tile| scratch.copy(tile, out))?;
    }
    Ok(())
}
