//! Parquet: columns in groups of rows, read page by page and handed on row by row, as rows of a table.
//!
//! Every value becomes the text that it would be in a CSV file, so that both are understood alike: numbers in the
//! shortest form that is exact for their type, times as ISO 8601 (with `Z` if the column is in UTC). What is
//! nested or repeated is left out, and told.

mod footer;
mod pages;
mod values;

use std::fs::File;
use std::sync::Arc;

use csv::StringRecord;
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result as Parquet};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::ColumnDescPtr;

use super::Layout;
use super::binary::{Form, go_on, reading};
use super::collect::Collector;
use super::error::ReadError;
use super::layouts::Rows;
use super::table::At;
use super::text::Bytes;
use pages::{Allowance, Pages};
use values::{Kind, Unit, bytes, kind_of, plain, whole};

/// Values of a batch: so many rows, of so many columns together.
const BATCH: usize = 1 << 20;
const MOST_ROWS: usize = 1024;

/// Reads a Parquet file.
pub(super) fn read(bytes: Bytes, collector: &mut Collector<'_>) -> Result<(), ReadError> {
    let name = bytes.name.clone();
    let mut file = bytes.into_file()?;
    reading(&name, Form::Parquet, || footer::check(&mut file))?;
    let parse = || ParquetMetaDataReader::new().parse_and_finish(&file);
    let metadata = reading(&name, Form::Parquet, parse)?;
    let allowed = collector.options.max_unpacked_bytes;
    let columns = columns_of(&metadata, collector);
    let rows =
        metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0));
    let rows = rows.fold(0, u64::saturating_add);
    let cells = rows.saturating_mul(columns.len() as u64);
    if cells > allowed / 2 {
        let (what, limit) = (format!("{cells} cells"), allowed / 2);
        return Err(ReadError::TooMuch { name, what, limit });
    }
    let header: Vec<String> = columns.iter().map(|(_, column)| column.name.clone()).collect();
    let told = collector.options.layout.filter(|layout| *layout != Layout::Json);
    let mut table = Rows::start(header, told, collector)?;
    let allowance = Allowance::new(allowed);
    let mut file =
        Groups { name: &name, file: &file, metadata: &metadata, columns, allowance, allowed };
    let any = file.each(|record, at| {
        if at.number().is_multiple_of(MOST_ROWS as u64) {
            go_on(collector)?;
        }
        table.row(record, at, collector)
    })?;
    if !any {
        return Err(ReadError::HeaderOnly { name });
    }
    table.finish(collector);
    Ok(())
}

/// A column that is read, and how its values become text.
struct Column {
    name: String,
    kind: Kind,
    descriptor: ColumnDescPtr,
}

/// The columns to read, with their numbers; the others are told.
fn columns_of(metadata: &ParquetMetaData, collector: &mut Collector<'_>) -> Vec<(usize, Column)> {
    let schema = metadata.file_metadata().schema_descr();
    let mut columns = Vec::new();
    for (k, descriptor) in schema.columns().iter().enumerate() {
        let name = descriptor.path().parts().join(".");
        let kind = if name.starts_with("__index_level_") {
            Err("it numbers the rows")
        } else {
            kind_of(descriptor)
        };
        match kind {
            Ok(kind) => {
                columns.push((k, Column { name, kind, descriptor: Arc::clone(descriptor) }))
            }
            Err(why) => collector.report.ignored.push(format!("{name}: {why}")),
        }
    }
    columns
}

/// A file's groups of rows.
struct Groups<'a> {
    name: &'a str,
    file: &'a File,
    metadata: &'a ParquetMetaData,
    columns: Vec<(usize, Column)>,
    allowance: Arc<Allowance>,
    /// Bytes of all pages.
    allowed: u64,
}

impl Groups<'_> {
    /// Hands on every row; whether there was any.
    fn each(
        &mut self,
        mut take: impl FnMut(&StringRecord, At) -> Result<(), ReadError>,
    ) -> Result<bool, ReadError> {
        let most = (BATCH / self.columns.len().max(1)).clamp(1, MOST_ROWS);
        let mut record = StringRecord::new();
        let mut cells: Vec<Cells> = self.columns.iter().map(|_| Cells::default()).collect();
        let mut row = 0;
        for group in 0..self.metadata.num_row_groups() {
            let rows = self.metadata.row_group(group).num_rows();
            let mut left = usize::try_from(rows).unwrap_or(0);
            let mut readers =
                self.check(reading(self.name, Form::Parquet, || self.readers(group)))?;
            while left > 0 {
                let count = left.min(most);
                for (cells, (reader, (_, column))) in
                    cells.iter_mut().zip(readers.iter_mut().zip(&self.columns))
                {
                    let fill = || cells.fill(reader, column, count);
                    self.check(reading(self.name, Form::Parquet, fill))?;
                }
                for k in 0..count {
                    row += 1;
                    record.clear();
                    cells.iter().for_each(|cells| record.push_field(cells.get(k)));
                    take(&record, At::Row(row))?;
                }
                left -= count;
            }
        }
        Ok(row > 0)
    }

    /// What is wrong is not damage where the file is only too large.
    fn check<T>(&self, result: Result<T, ReadError>) -> Result<T, ReadError> {
        if result.is_err() && self.allowance.is_spent() {
            return Err(ReadError::TooMuch {
                name: self.name.to_owned(),
                what: "unpacked it has more bytes".to_owned(),
                limit: self.allowed,
            });
        }
        result
    }

    fn readers(&self, group: usize) -> Parquet<Vec<ColumnReader>> {
        let group = self.metadata.row_group(group);
        let rows = usize::try_from(group.num_rows())?;
        let reader = |(number, column): &(usize, Column)| {
            let chunk = group.column(*number);
            let compression = chunk.compression();
            check_compression(compression)?;
            let pages = Arc::new(Pages::new(self.file, compression, &self.allowance)?);
            let pages = SerializedPageReader::new(pages, chunk, rows, None)?;
            let pages = Box::new(Plausible { pages, column: column.name.clone() });
            Ok(get_column_reader(Arc::clone(&column.descriptor), pages))
        };
        self.columns.iter().map(reader).collect()
    }
}

fn check_compression(compression: Compression) -> Parquet<()> {
    match compression {
        Compression::UNCOMPRESSED
        | Compression::SNAPPY
        | Compression::GZIP(_)
        | Compression::ZSTD(_)
        | Compression::LZ4_RAW => Ok(()),
        other => Err(ParquetError::General(format!(
            "it is compressed as {other}; write it with snappy, zstd, gzip or lz4_raw"
        ))),
    }
}

/// Pages whose numbers fit their bytes.
struct Plausible {
    pages: SerializedPageReader<Pages>,
    column: String,
}

impl Plausible {
    fn check(&self, page: &Page) -> Parquet<()> {
        let wrong =
            |text: &str| Err(ParquetError::General(format!("column {}: {text}", self.column)));
        match page {
            // Every value has at least a byte.
            Page::DictionaryPage { buf, num_values, .. } if *num_values as usize > buf.len() => {
                wrong("its dictionary says it has more values than bytes")
            }
            Page::DataPage { encoding, .. } | Page::DataPageV2 { encoding, .. }
                if matches!(
                    encoding,
                    Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY
                ) =>
            {
                wrong(
                    "texts are encoded as differences, which is not read; write it with a dictionary",
                )
            }
            _ => Ok(()),
        }
    }
}

impl Iterator for Plausible {
    type Item = Parquet<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Plausible {
    fn get_next_page(&mut self) -> Parquet<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.iter().try_for_each(|page| self.check(page))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Parquet<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Parquet<()> {
        self.pages.skip_next_page()
    }
}

/// Some cells of a column.
#[derive(Default)]
struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    fn get(&self, k: usize) -> &str {
        let start = k.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[k]]
    }

    fn fill(&mut self, reader: &mut ColumnReader, column: &Column, rows: usize) -> Parquet<()> {
        self.text.clear();
        self.ends.clear();
        let (kind, most) = (column.kind, column.descriptor.max_def_level());
        match reader {
            ColumnReader::BoolColumnReader(r) => self.take(r, most, rows, plain),
            ColumnReader::Int32ColumnReader(r) => self.take(r, most, rows, |v, out| {
                let unsigned = i64::from(v.cast_unsigned());
                whole(if kind == Kind::Unsigned { unsigned } else { i64::from(*v) }, kind, out)
            }),
            ColumnReader::Int64ColumnReader(r) => self.take(r, most, rows, |v, out| match kind {
                Kind::Unsigned => plain(&v.cast_unsigned(), out),
                kind => whole(*v, kind, out),
            }),
            ColumnReader::Int96ColumnReader(r) => self.take(r, most, rows, |v, out| {
                whole(v.to_seconds(), Kind::Moment(Unit(1), false), out)
            }),
            ColumnReader::FloatColumnReader(r) => self.take(r, most, rows, plain),
            ColumnReader::DoubleColumnReader(r) => self.take(r, most, rows, plain),
            ColumnReader::ByteArrayColumnReader(r) => {
                self.take(r, most, rows, |v, out| bytes(v.data(), kind, out))
            }
            ColumnReader::FixedLenByteArrayColumnReader(r) => {
                self.take(r, most, rows, |v, out| bytes(v.data(), kind, out))
            }
        }
    }

    fn take<T: DataType>(
        &mut self,
        reader: &mut ColumnReaderImpl<T>,
        most: i16,
        rows: usize,
        write: impl Fn(&T::T, &mut String) -> Parquet<()>,
    ) -> Parquet<()> {
        let (mut levels, mut values) = (Vec::new(), Vec::with_capacity(rows));
        let into = (most > 0).then_some(&mut levels);
        let (read, _, _) = reader.read_records(rows, into, None, &mut values)?;
        if read != rows {
            return Err(ParquetError::General("a column has fewer rows than others".to_owned()));
        }
        let mut values = values.iter();
        for k in 0..rows {
            let is_there = most == 0 || levels.get(k) == Some(&most);
            if let Some(value) = values.next_if_there(is_there) {
                write(value, &mut self.text)?;
            }
            self.ends.push(self.text.len());
        }
        Ok(())
    }
}

/// The next of some values, where there is one for this row.
trait NextIfThere: Iterator + Sized {
    fn next_if_there(&mut self, is_there: bool) -> Option<Self::Item> {
        if is_there { self.next() } else { None }
    }
}

impl<I: Iterator> NextIfThere for I {}
