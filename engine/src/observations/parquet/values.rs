//! What a column of a Parquet file holds, and its values as text.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::errors::{ParquetError, Result as Parquet};
use parquet::schema::types::ColumnDescriptor;

/// A cell has no more: nothing that counts is as long.
const LONGEST_CELL: usize = 256;

/// How values become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number as it is.
    Plain,
    Unsigned,
    /// With so many decimals.
    Decimal(i32),
    Date,
    TimeOfDay(Unit),
    /// And whether it is in UTC.
    Moment(Unit, bool),
    Text,
}

/// How many of a unit are in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit(pub(super) i64);

/// What a column holds, or why it is left out.
pub(super) fn kind_of(column: &ColumnDescriptor) -> Result<Kind, &'static str> {
    if column.max_rep_level() > 0 {
        return Err("it has several values a row");
    }
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => Unit(1_000),
        TimeUnit::MICROS => Unit(1_000_000),
        TimeUnit::NANOS => Unit(1_000_000_000),
    };
    let scale = column.type_scale();
    let kind = match column.logical_type_ref() {
        Some(LogicalType::Decimal(_)) => Kind::Decimal(scale),
        Some(LogicalType::Date) => Kind::Date,
        Some(LogicalType::Time(of)) => Kind::TimeOfDay(unit(&of.unit)),
        Some(LogicalType::Timestamp(of)) => Kind::Moment(unit(&of.unit), of.is_adjusted_to_u_t_c),
        Some(LogicalType::Integer(of)) if !of.is_signed => Kind::Unsigned,
        Some(LogicalType::String | LogicalType::Enum | LogicalType::Json) => Kind::Text,
        Some(LogicalType::Integer(_)) => Kind::Plain,
        None => match column.converted_type() {
            ConvertedType::DECIMAL => Kind::Decimal(scale),
            ConvertedType::DATE => Kind::Date,
            ConvertedType::TIME_MILLIS => Kind::TimeOfDay(Unit(1_000)),
            ConvertedType::TIME_MICROS => Kind::TimeOfDay(Unit(1_000_000)),
            ConvertedType::TIMESTAMP_MILLIS => Kind::Moment(Unit(1_000), true),
            ConvertedType::TIMESTAMP_MICROS => Kind::Moment(Unit(1_000_000), true),
            ConvertedType::UINT_8
            | ConvertedType::UINT_16
            | ConvertedType::UINT_32
            | ConvertedType::UINT_64 => Kind::Unsigned,
            _ => Kind::Plain,
        },
        Some(_) => return Err("a type that holds no reading"),
    };
    match (column.physical_type(), kind) {
        (Type::INT96, _) => Ok(Kind::Moment(Unit(1_000_000_000), false)),
        // Text that does not say so is written by old programs; what is none is told later.
        (Type::BYTE_ARRAY, Kind::Plain | Kind::Text) => Ok(Kind::Text),
        (Type::FIXED_LEN_BYTE_ARRAY, Kind::Plain) => Err("a type that holds no reading"),
        (_, kind) => Ok(kind),
    }
}

/// A number or a truth value.
pub(super) fn plain(value: &impl std::fmt::Display, out: &mut String) -> Parquet<()> {
    let _ = write!(out, "{value}");
    Ok(())
}

/// A whole number of whatever kind.
pub(super) fn whole(value: i64, kind: Kind, out: &mut String) -> Parquet<()> {
    let moment = |seconds: i64| {
        let stamp = Timestamp::from_second(seconds);
        stamp.map_err(|_| ParquetError::General(format!("{seconds} is no time")))
    };
    match kind {
        Kind::Decimal(scale) => decimal(i128::from(value), scale, out),
        Kind::Date => {
            let day = moment(value.saturating_mul(86_400))?;
            let _ = write!(out, "{}", Offset::UTC.to_datetime(day).date());
        }
        Kind::TimeOfDay(Unit(unit)) => {
            let time = Offset::UTC.to_datetime(moment(value.div_euclid(unit))?).time();
            let _ = write!(out, "{time}");
        }
        // Fractions of a second are cut, as those of texts are.
        Kind::Moment(Unit(unit), utc) => {
            let time: DateTime = Offset::UTC.to_datetime(moment(value.div_euclid(unit))?);
            let _ = write!(out, "{time}{}", if utc { "Z" } else { "" });
        }
        Kind::Plain | Kind::Unsigned | Kind::Text => plain(&value, out)?,
    }
    Ok(())
}

fn decimal(value: i128, scale: i32, out: &mut String) {
    let digits = usize::try_from(scale).unwrap_or(0);
    let sign = if value < 0 { "-" } else { "" };
    let text = format!("{:0>width$}", value.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = text.split_at(text.len() - digits);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let _ = write!(out, "{sign}{whole}{point}{fraction}");
}

/// Text, or a decimal in bytes, the highest first.
pub(super) fn bytes(data: &[u8], kind: Kind, out: &mut String) -> Parquet<()> {
    let Kind::Decimal(scale) = kind else {
        // What is no text is no reading either: it becomes a text that is no number.
        let text = String::from_utf8_lossy(data.get(..LONGEST_CELL).unwrap_or(data));
        out.push_str(&text);
        return Ok(());
    };
    if data.len() > 16 {
        return Err(ParquetError::General("a decimal of more than 16 bytes".to_owned()));
    }
    let fill = if data.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut all = [fill; 16];
    all[16 - data.len()..].copy_from_slice(data);
    decimal(i128::from_be_bytes(all), scale, out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut String) -> Parquet<()>) -> String {
        let mut out = String::new();
        write(&mut out).expect("text");
        out
    }

    #[test]
    fn values_are_written_as_they_are_in_a_table() {
        assert_eq!(text(|out| plain(&12.3_f32, out)), "12.3");
        assert_eq!(text(|out| plain(&0.1_f64, out)), "0.1");
        assert!(text(|out| plain(&f64::NAN, out)).parse::<f64>().expect("a number").is_nan());
        let moment =
            |value, unit, utc| text(|out| whole(value, Kind::Moment(Unit(unit), utc), out));
        assert_eq!(moment(1_499_443_200_000, 1_000, true), "2017-07-07T16:00:00Z");
        assert_eq!(moment(1_499_443_200_999_999, 1_000_000, false), "2017-07-07T16:00:00");
        assert_eq!(moment(-1, 1_000, true), "1969-12-31T23:59:59Z");
        assert_eq!(text(|out| whole(17_354, Kind::Date, out)), "2017-07-07");
        assert_eq!(text(|out| whole(57_600_000, Kind::TimeOfDay(Unit(1_000)), out)), "16:00:00");
        assert!(whole(i64::MAX, Kind::Date, &mut String::new()).is_err());
    }

    #[test]
    fn decimals_keep_their_digits() {
        let of = |value: i128, scale| {
            let bytes_ = value.to_be_bytes();
            text(|out| bytes(&bytes_, Kind::Decimal(scale), out))
        };
        assert_eq!(of(12_500_000_000_000_000_000, 18), "12.5");
        assert_eq!(of(-5, 2), "-0.05");
        assert_eq!(of(1200, 2), "12");
        assert_eq!(of(7, 0), "7");
        assert_eq!(text(|out| bytes(&[0xff, 0x85], Kind::Decimal(1), out)), "-12.3");
    }

    #[test]
    fn a_long_text_is_cut_where_it_is_of_no_use() {
        let long = "ä".repeat(LONGEST_CELL);
        let cut = text(|out| bytes(long.as_bytes(), Kind::Text, out));
        assert!(cut.len() <= LONGEST_CELL + 2 && cut.starts_with("ää"), "{}", cut.len());
    }
}
