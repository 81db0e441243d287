//! From the values of a tile to the bytes of a chunk: fill value, rounding, padding, shuffle, deflate.
//!
//! This is what HDF5's filters `shuffle` and `deflate` would make of the same values, done on the
//! caller's thread, since that library knows one thread only.

use std::cell::RefCell;

use super::zlib::Zlib;
use crate::storage::{Compression, Precision, Storage};
use bytemuck::Pod;

/// The NetCDF library's own fill value, the same in 32 and 64 bits: every reader masks it, with or
/// without the attribute, while NaN as `_FillValue` never equals itself and some readers let it by.
pub const FILL_VALUE: f32 = 9.969_21e36;

/// The bytes of whole chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkShape {
    /// Rows of a chunk.
    pub(super) rows: usize,
    /// Columns of a chunk.
    pub(super) columns: usize,
    /// How its numbers are kept.
    pub(super) storage: Storage,
}

/// Buffers and compressor of a thread.
#[derive(Default)]
struct Scratch {
    singles: Vec<u32>,
    doubles: Vec<u64>,
    shuffled: Vec<u8>,
    zlib: Zlib,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The bits of a number as a file has them: little-endian.
trait Word: Pod {
    /// Rounded by so many bits; the fill value for NaN.
    fn of(value: f64, dropped: u32) -> Self;
    /// Byte `k` in the file.
    fn byte(self, k: usize) -> u8;
}

/// Rounds to the nearest number whose last bits are 0, to the even one of two; what carries out of
/// the mantissa goes to the exponent, which is right. What would become infinite stays as it is.
macro_rules! rounded {
    ($value:expr, $dropped:expr, $float:ty) => {{
        let bits = $value.to_bits();
        let rounded = if $dropped == 0 {
            bits
        } else {
            let even = (bits >> $dropped) & 1;
            let less_than_half = (1 << ($dropped - 1)) - 1;
            (bits + less_than_half + even) >> $dropped << $dropped
        };
        (if <$float>::from_bits(rounded).is_finite() { rounded } else { bits }).to_le()
    }};
}

impl Word for u32 {
    #[expect(clippy::cast_possible_truncation, reason = "float32 was asked for")]
    fn of(value: f64, dropped: u32) -> Self {
        let value = if value.is_nan() { FILL_VALUE } else { value as f32 };
        rounded!(value, dropped, f32)
    }

    fn byte(self, k: usize) -> u8 {
        (Self::from_le(self) >> (8 * k)) as u8
    }
}

impl Word for u64 {
    fn of(value: f64, dropped: u32) -> Self {
        let value = if value.is_nan() { f64::from(FILL_VALUE) } else { value };
        rounded!(value, dropped, f64)
    }

    fn byte(self, k: usize) -> u8 {
        (Self::from_le(self) >> (8 * k)) as u8
    }
}

impl ChunkShape {
    /// Makes the chunk that holds `values` (row by row, `columns` to a row, at most the chunk's
    /// shape) in its upper left corner and gives its bytes to `write`.
    ///
    /// # Panics
    /// If `values` exceed the chunk: a bug of the caller.
    pub(super) fn pack<R>(
        self,
        values: &[f64],
        columns: usize,
        write: impl FnOnce(&[u8]) -> R,
    ) -> R {
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { singles, doubles, shuffled, zlib } = scratch;
            let plain = match self.storage.precision {
                Precision::F32 => self.words(values, columns, singles, shuffled),
                Precision::F64 => self.words(values, columns, doubles, shuffled),
            };
            match self.storage.compression {
                Compression::None => write(plain),
                compression => write(zlib.pack(compression, shuffled, self.rows * self.columns)),
            }
        })
    }

    /// The same of whole chunks of single bytes, which are not shuffled.
    pub(super) fn pack_bytes<R>(self, bytes: &[u8], write: impl FnOnce(&[u8]) -> R) -> R {
        assert_eq!(bytes.len(), self.rows * self.columns, "a whole chunk");
        match self.storage.compression {
            Compression::None => write(bytes),
            compression => SCRATCH.with_borrow_mut(|scratch| {
                write(scratch.zlib.pack(compression, bytes, bytes.len()))
            }),
        }
    }

    /// The chunk as it is, given back, and shuffled if it is to be compressed.
    fn words<'a, W: Word>(
        self,
        values: &[f64],
        columns: usize,
        words: &'a mut Vec<W>,
        shuffled: &mut Vec<u8>,
    ) -> &'a [u8] {
        assert!(columns <= self.columns && values.len() <= self.rows * columns, "values fit");
        let kept = self.storage.kept_bits();
        let dropped = kept.map_or(0, |kept| self.storage.precision.mantissa_bits() - kept);
        let fill = W::of(f64::NAN, 0);
        words.resize(self.rows * self.columns, fill);
        let mut rows = values.chunks_exact(columns);
        for out in words.chunks_exact_mut(self.columns) {
            let row = rows.next().unwrap_or_default();
            let (inside, beyond) = out.split_at_mut(row.len());
            for (out, &value) in inside.iter_mut().zip(row) {
                *out = W::of(value, dropped);
            }
            beyond.fill(fill);
        }
        if self.storage.compression != Compression::None {
            // All lowest bytes, then all second bytes, …: bytes of neighbours are alike.
            shuffled.resize(words.len() * size_of::<W>(), 0);
            for (k, plane) in shuffled.chunks_exact_mut(words.len()).enumerate() {
                for (out, word) in plane.iter_mut().zip(&*words) {
                    *out = word.byte(k);
                }
            }
        }
        bytemuck::cast_slice(words)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::storage::Digits;

    /// What a reader makes of a chunk.
    fn unpack(shape: ChunkShape, chunk: &[u8]) -> Vec<f64> {
        let (cells, bytes) = (shape.rows * shape.columns, shape.storage.precision.bytes());
        let plain = if shape.storage.compression == Compression::None {
            chunk.to_vec()
        } else {
            let mut shuffled = vec![0; cells * bytes];
            let length = libdeflater::Decompressor::new().zlib_decompress(chunk, &mut shuffled);
            assert_eq!(length, Ok(shuffled.len()));
            (0..cells * bytes).map(|at| shuffled[at % bytes * cells + at / bytes]).collect()
        };
        let numbers = plain.chunks_exact(bytes);
        match shape.storage.precision {
            Precision::F32 => numbers
                .map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four bytes"))))
                .collect(),
            Precision::F64 => {
                numbers.map(|b| f64::from_le_bytes(b.try_into().expect("eight bytes"))).collect()
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "as stored")]
    fn as_stored(value: f64, precision: Precision) -> f64 {
        match precision {
            _ if value.is_nan() => f64::from(FILL_VALUE),
            Precision::F32 => f64::from(value as f32),
            Precision::F64 => value,
        }
    }

    proptest! {
        #[test]
        fn a_chunk_holds_the_values_and_fill_around_them(
            rows in 1_usize..6,
            columns in 1_usize..9,
            more_rows in 0_usize..3,
            more_columns in 0_usize..3,
            seed in prop::collection::vec(prop_oneof![4 => -1e6..1e6, 1 => Just(f64::NAN)], 40),
        ) {
            let values: Vec<f64> = seed.into_iter().cycle().take(rows * columns).collect();
            for precision in [Precision::F32, Precision::F64] {
                for compression in Compression::ALL {
                    let (rows_, columns_) = (rows + more_rows, columns + more_columns);
                    let storage = Storage { precision, digits: Digits::Exact, compression };
                    let shape = ChunkShape { rows: rows_, columns: columns_, storage };
                    let got = shape.pack(&values, columns, |bytes| unpack(shape, bytes));
                    for (cell, &got) in got.iter().enumerate() {
                        let (row, column) = (cell / columns_, cell % columns_);
                        let inside = row < rows && column < columns;
                        let put = if inside { values[row * columns + column] } else { f64::NAN };
                        prop_assert_eq!(got.to_bits(), as_stored(put, precision).to_bits());
                    }
                }
            }
        }

        /// Half a unit of the last digit kept, whatever the first digit; and nothing beyond the bits.
        #[test]
        fn rounding_keeps_the_digits_asked_for(
            value in -9.999..9.999,
            exponent in -30..30,
            digits in 1_u8..16,
            wide in any::<bool>(),
        ) {
            let value = value * 10_f64.powi(exponent);
            let precision = if wide { Precision::F64 } else { Precision::F32 };
            let storage = Storage { precision, digits: Digits::Keep(digits), ..Storage::default() };
            let shape = ChunkShape { rows: 1, columns: 1, storage };
            let got = shape.pack(&[value], 1, |bytes| unpack(shape, bytes))[0];
            let stored = as_stored(value, precision);
            let unit = 10_f64.powf(stored.abs().log10().floor() - f64::from(digits) + 1.0);
            prop_assert!((got - stored).abs() <= 0.5 * unit, "{} {}", stored, got);
            if let Some(kept) = storage.kept_bits() {
                // A float32 in a float64 has its mantissa at the upper end.
                prop_assert!(got.to_bits().trailing_zeros() >= 52 - kept);
                let again = shape.pack(&[got], 1, |bytes| unpack(shape, bytes))[0];
                prop_assert_eq!(again.to_bits(), got.to_bits());
            } else {
                prop_assert_eq!(got.to_bits(), stored.to_bits());
            }
        }
    }

    #[test]
    fn what_has_no_room_to_be_rounded_stays_as_it_is() {
        let digits = Digits::Keep(2);
        for precision in [Precision::F32, Precision::F64] {
            let shape = ChunkShape {
                rows: 1,
                columns: 5,
                storage: Storage { precision, digits, compression: Compression::None },
            };
            let largest = match precision {
                Precision::F32 => f64::from(f32::MAX),
                Precision::F64 => f64::MAX,
            };
            let values = [0.0, -0.0, f64::NAN, largest, -largest];
            let got = shape.pack(&values, 5, |bytes| unpack(shape, bytes));
            let want = [0.0, -0.0, f64::from(FILL_VALUE), largest, -largest];
            assert_eq!(got.map_bits(), want.map_bits());
        }
    }

    trait Bits {
        fn map_bits(&self) -> Vec<u64>;
    }

    impl<T: AsRef<[f64]>> Bits for T {
        fn map_bits(&self) -> Vec<u64> {
            self.as_ref().iter().map(|v| v.to_bits()).collect()
        }
    }
}
