//! Rows of the account as Parquet, compressed with zstd: written by columns, and read again.
//!
//! Every value may be missing; a text is UTF-8, times stay whole milliseconds. A digest over the values, column by column,
//! is made while they are written and again while they are read: equal digests are equal rows in the same order.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::column::writer::{ColumnWriter, ColumnWriterImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};
use rusqlite::types::{Value, ValueRef};

use super::columns::{COLUMNS, Kind};

/// Rows of a group: what is in memory at once.
pub(super) const GROUP: usize = 1 << 16;

/// The values of a column in some rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Column {
    Text(Vec<Option<ByteArray>>),
    Whole(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Flag(Vec<Option<bool>>),
}

impl Column {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(Vec::new()),
            Kind::Whole => Self::Whole(Vec::new()),
            Kind::Real => Self::Real(Vec::new()),
            Kind::Flag => Self::Flag(Vec::new()),
        }
    }

    /// Adds a value of the table.
    pub(super) fn push(&mut self, value: ValueRef<'_>) {
        match (self, value) {
            (Self::Text(all), ValueRef::Text(text)) => all.push(Some(text.to_vec().into())),
            (Self::Whole(all), ValueRef::Integer(number)) => all.push(Some(number)),
            (Self::Real(all), ValueRef::Real(number)) => all.push(Some(number)),
            (Self::Flag(all), ValueRef::Integer(number)) => all.push(Some(number != 0)),
            (Self::Text(all), _) => all.push(None),
            (Self::Whole(all), _) => all.push(None),
            (Self::Real(all), _) => all.push(None),
            (Self::Flag(all), _) => all.push(None),
        }
    }

    /// A value for the table.
    pub(super) fn get(&self, row: usize) -> Value {
        match self {
            Self::Text(all) => all[row].as_ref().map_or(Value::Null, |text| {
                Value::Text(String::from_utf8_lossy(text.data()).into_owned())
            }),
            Self::Whole(all) => all[row].into(),
            Self::Real(all) => all[row].into(),
            Self::Flag(all) => all[row].into(),
        }
    }

    fn write(&self, writer: &mut ColumnWriter<'_>) -> Result<()> {
        match (self, writer) {
            (Self::Text(all), ColumnWriter::ByteArrayColumnWriter(writer)) => put(all, writer),
            (Self::Whole(all), ColumnWriter::Int64ColumnWriter(writer)) => put(all, writer),
            (Self::Real(all), ColumnWriter::DoubleColumnWriter(writer)) => put(all, writer),
            (Self::Flag(all), ColumnWriter::BoolColumnWriter(writer)) => put(all, writer),
            _ => Err(ParquetError::General("a column is not of its kind".to_owned())),
        }
    }

    fn read(reader: ColumnReader, rows: usize) -> Result<Self> {
        match reader {
            ColumnReader::ByteArrayColumnReader(reader) => take(reader, rows).map(Self::Text),
            ColumnReader::Int64ColumnReader(reader) => take(reader, rows).map(Self::Whole),
            ColumnReader::DoubleColumnReader(reader) => take(reader, rows).map(Self::Real),
            ColumnReader::BoolColumnReader(reader) => take(reader, rows).map(Self::Flag),
            _ => Err(ParquetError::General("a column is of no kind that is known".to_owned())),
        }
    }

    fn digest(&self, hash: &mut blake3::Hasher) {
        match self {
            Self::Text(all) => all.iter().for_each(|text| match text {
                Some(text) => {
                    hash.update(&(1 + text.len() as u64).to_le_bytes()).update(text.data());
                }
                None => {
                    hash.update(&0_u64.to_le_bytes());
                }
            }),
            Self::Whole(all) => numbers(all.iter().map(|n| n.map(i64::to_le_bytes)), hash),
            Self::Real(all) => numbers(all.iter().map(|n| n.map(f64::to_le_bytes)), hash),
            Self::Flag(all) => numbers(all.iter().map(|n| n.map(|n| [u8::from(n)])), hash),
        }
    }
}

fn numbers<const N: usize>(all: impl Iterator<Item = Option<[u8; N]>>, hash: &mut blake3::Hasher) {
    for number in all {
        hash.update(&[u8::from(number.is_some())]).update(&number.unwrap_or([0; N]));
    }
}

fn put<T: DataType>(all: &[Option<T::T>], writer: &mut ColumnWriterImpl<'_, T>) -> Result<()> {
    let levels: Vec<i16> = all.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = all.iter().flatten().cloned().collect();
    writer.write_batch(&values, Some(&levels), None).map(drop)
}

fn take<T: DataType>(mut reader: ColumnReaderImpl<T>, rows: usize) -> Result<Vec<Option<T::T>>> {
    let (mut levels, mut values) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    let (read, ..) = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
    if read != rows {
        return Err(ParquetError::General(format!("a column has {read} of {rows} rows")));
    }
    let mut values = values.into_iter();
    Ok(levels.iter().map(|level| if *level == 1 { values.next() } else { None }).collect())
}

/// Rows, column by column; the first is the number of the row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rows {
    pub(super) columns: Vec<Column>,
}

impl Rows {
    pub(super) fn new() -> Self {
        let own = COLUMNS.iter().map(|(_, kind)| Column::new(*kind));
        Self { columns: std::iter::once(Column::new(Kind::Whole)).chain(own).collect() }
    }

    pub(super) fn len(&self) -> usize {
        match &self.columns[0] {
            Column::Whole(all) => all.len(),
            _ => 0,
        }
    }

    fn digest(&self, hash: &mut blake3::Hasher) {
        hash.update(&(self.len() as u64).to_le_bytes());
        self.columns.iter().for_each(|column| column.digest(hash));
    }
}

/// A file that is being written.
pub(super) struct Writer<'a> {
    to: SerializedFileWriter<&'a File>,
    hash: blake3::Hasher,
}

impl<'a> Writer<'a> {
    pub(super) fn new(file: &'a File) -> Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by(concat!("isopleth ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let to = SerializedFileWriter::new(file, schema()?, Arc::new(properties))?;
        Ok(Self { to, hash: blake3::Hasher::new() })
    }

    pub(super) fn group(&mut self, rows: &Rows) -> Result<()> {
        rows.digest(&mut self.hash);
        let mut group = self.to.next_row_group()?;
        for column in &rows.columns {
            let mut writer = group.next_column()?.ok_or_else(|| {
                ParquetError::General("the schema has fewer columns than the rows".to_owned())
            })?;
            column.write(writer.untyped())?;
            writer.close()?;
        }
        group.close().map(drop)
    }

    /// The digest of what was written.
    pub(super) fn finish(self) -> Result<blake3::Hash> {
        self.to.close()?;
        Ok(self.hash.finalize())
    }
}

fn schema() -> Result<TypePtr> {
    let column = |name: &str, kind: Kind| {
        let physical = match kind {
            Kind::Text => Physical::BYTE_ARRAY,
            Kind::Whole => Physical::INT64,
            Kind::Real => Physical::DOUBLE,
            Kind::Flag => Physical::BOOLEAN,
        };
        let built = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type((kind == Kind::Text).then_some(LogicalType::String))
            .build();
        built.map(Arc::new)
    };
    let own = COLUMNS.iter().map(|(name, kind)| column(name, *kind));
    let fields: Vec<TypePtr> =
        std::iter::once(column("number", Kind::Whole)).chain(own).collect::<Result<_>>()?;
    Type::group_type_builder("usage").with_fields(fields).build().map(Arc::new)
}

/// What is in a file as it is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) rows: usize,
    pub(super) digest: blake3::Hash,
}

/// Reads a whole file, group by group.
pub(super) fn content(path: &Path) -> Result<Content> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let (mut rows, mut hash) = (0, blake3::Hasher::new());
    let all: Vec<usize> = (0..=COLUMNS.len()).collect();
    for group in 0..reader.num_row_groups() {
        let read = group_of(&reader, group, &all)?;
        rows += read.len();
        read.digest(&mut hash);
    }
    Ok(Content { rows, digest: hash.finalize() })
}

/// Hands on some columns of a file, by name, in their order. What an older version did not write is missing in every
/// row.
pub(super) fn each(
    path: &Path,
    names: &[&str],
    mut take: impl FnMut(&[Value]) -> std::result::Result<(), rusqlite::Error>,
) -> std::result::Result<(), ReadAgain> {
    let reader = SerializedFileReader::new(File::open(path).map_err(ParquetError::from)?)?;
    let known: Vec<String> = (reader.metadata().file_metadata().schema_descr().columns().iter())
        .map(|column| column.name().to_owned())
        .collect();
    let at: Vec<Option<usize>> =
        names.iter().map(|name| known.iter().position(|known| known == name)).collect();
    let there: Vec<usize> = at.iter().flatten().copied().collect();
    let mut row = vec![Value::Null; names.len()];
    for group in 0..reader.num_row_groups() {
        let rows = usize::try_from(reader.metadata().row_group(group).num_rows()).unwrap_or(0);
        let read = group_of(&reader, group, &there)?;
        for k in 0..rows {
            let mut columns = read.columns.iter();
            for (cell, at) in row.iter_mut().zip(&at) {
                let column = at.and_then(|_| columns.next());
                *cell = column.map_or(Value::Null, |column| column.get(k));
            }
            take(&row)?;
        }
    }
    Ok(())
}

/// Why a file could not be handed on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadAgain {
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

fn group_of(reader: &SerializedFileReader<File>, group: usize, columns: &[usize]) -> Result<Rows> {
    let group = reader.get_row_group(group)?;
    let rows = usize::try_from(group.metadata().num_rows())?;
    let read = |column: &usize| Column::read(group.get_column_reader(*column)?, rows);
    Ok(Rows { columns: columns.iter().map(read).collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> Rows {
        let mut rows = Rows::new();
        for row in 0..count {
            for (k, column) in rows.columns.iter_mut().enumerate() {
                let missing = (row + k) % 5 == 3 && k > 0;
                let text = format!("text {}", row % 7);
                column.push(match (&column, missing) {
                    (_, true) => ValueRef::Null,
                    (Column::Text(_), _) => ValueRef::Text(text.as_bytes()),
                    (Column::Real(_), _) => ValueRef::Real(row as f64 * 0.1),
                    (Column::Whole(_), _) => {
                        ValueRef::Integer(i64::try_from(row).expect("small") - 3)
                    }
                    (Column::Flag(_), _) => ValueRef::Integer(i64::from(row % 2 == 0)),
                });
            }
        }
        rows
    }

    #[test]
    fn what_is_written_is_read_again_and_a_damaged_file_is_noticed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("part.parquet");
        let (one, two) = (rows(100), rows(3));
        let file = File::create(&path).expect("a file");
        let mut writer = Writer::new(&file).expect("a writer");
        writer.group(&one).expect("a group");
        writer.group(&two).expect("another");
        let digest = writer.finish().expect("a file");
        assert_eq!(content(&path).expect("the file"), Content { rows: 103, digest });
        let mut names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
        names.insert(3, "of a later version");
        let mut read = Vec::new();
        each(&path, &names, |row| {
            read.push(row.to_vec());
            Ok(())
        })
        .expect("the rows");
        let all = (0..100).map(|k| (&one, k)).chain((0..3).map(|k| (&two, k)));
        let expected: Vec<Vec<Value>> = all
            .map(|(rows, k)| {
                let mut row: Vec<Value> = rows.columns[1..].iter().map(|c| c.get(k)).collect();
                row.insert(3, Value::Null);
                row
            })
            .collect();
        assert_eq!(read, expected);
        let mut bytes = std::fs::read(&path).expect("the file");
        bytes[40] ^= 1;
        std::fs::write(&path, &bytes).expect("a damaged file");
        assert!(content(&path).is_err() || content(&path).is_ok_and(|c| c.digest != digest));
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("a short file");
        assert!(content(&path).is_err());
    }

    #[test]
    fn rows_that_differ_in_one_value_or_in_their_order_have_another_digest() {
        let digest = |rows: &[Rows]| {
            let file = tempfile::tempfile().expect("a file");
            let mut writer = Writer::new(&file).expect("a writer");
            rows.iter().for_each(|rows| writer.group(rows).expect("a group"));
            writer.finish().expect("a file")
        };
        let first = digest(&[rows(10)]);
        assert_eq!(digest(&[rows(10)]), first);
        for column in 0..rows(10).columns.len() {
            let mut other = rows(10);
            match &mut other.columns[column] {
                Column::Text(all) => all[1] = Some("another".into()),
                Column::Whole(all) => all[1] = Some(77),
                Column::Real(all) => all[1] = Some(0.5),
                Column::Flag(all) => all[1] = all[1].map_or(Some(true), |flag| Some(!flag)),
            }
            assert_ne!(digest(&[other]), first, "column {column}");
        }
        let mut turned = rows(10);
        turned.columns.iter_mut().for_each(|column| match column {
            Column::Text(all) => all.reverse(),
            Column::Whole(all) => all.reverse(),
            Column::Real(all) => all.reverse(),
            Column::Flag(all) => all.reverse(),
        });
        assert_ne!(digest(&[turned]), first);
        assert_ne!(digest(&[rows(10), rows(1)]), first);
    }
}
