//! Chunks of maps: the numbers of a rectangle, little-endian, their bytes put together by rank and compressed.
//!
//! The frame is that of Blosc 1 with one block that is not split, which is what Zarr's codec `blosc` reads: numbers
//! rounded to a few digits take less than half of what Zstandard alone makes of them, and no other codec of the Zarr
//! core shuffles. Only what is written here is written; readers are other people's.

use super::super::error::Reason;

/// Format of the frame, and of Zstandard in it.
const VERSIONS: [u8; 2] = [2, 1];
/// Shuffled (1), one stream a block (16), Zstandard (4 << 5).
const FLAGS: u8 = 1 | 16 | (4 << 5);
/// Header, and where the one block begins.
const HEAD: usize = 16 + 4;

/// A field of a map, row by row.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) columns: usize,
    pub(super) values: Vec<f64>,
    /// Whether 64 bits are kept.
    pub(super) is_double: bool,
}

impl Field {
    fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// Numbers of chunks down and across.
    pub(super) fn chunks(&self, [rows, columns]: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
        let across = self.columns.div_ceil(columns);
        (0..self.rows().div_ceil(rows)).flat_map(move |i| (0..across).map(move |j| [i, j]))
    }

    /// A chunk, compressed; beyond the edges of the map there is no value.
    pub(super) fn packed(
        &self,
        [rows, columns]: [usize; 2],
        [i, j]: [usize; 2],
        level: i32,
    ) -> Result<Vec<u8>, Reason> {
        let size = if self.is_double { 8 } else { 4 };
        let mut bytes = Vec::with_capacity(rows * columns * size);
        let mut push = |value: f64| {
            if self.is_double {
                bytes.extend_from_slice(&value.to_le_bytes());
            } else {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "as wide as it was in the map"
                )]
                bytes.extend_from_slice(&(value as f32).to_le_bytes());
            }
        };
        let first = j * columns;
        let width = columns.min(self.columns - first);
        for row in i * rows..(i + 1) * rows {
            let inside = if row < self.rows() { width } else { 0 };
            let at = row * self.columns + first;
            if inside > 0 {
                self.values[at..at + inside].iter().for_each(|&value| push(value));
            }
            (inside..columns).for_each(|_| push(f64::NAN));
        }
        pack(&bytes, size, level)
    }
}

/// One frame.
pub(super) fn pack(bytes: &[u8], size: usize, level: i32) -> Result<Vec<u8>, Reason> {
    let failed = |source| Reason::Io { path: "a chunk".into(), source };
    let too_large = || failed(std::io::Error::other("it is larger than 2 GiB"));
    let shuffled = shuffle(bytes, size);
    let packed = zstd::bulk::compress(&shuffled, level).map_err(failed)?;
    // A block that is as long as its contents is taken as it is.
    let block = if packed.len() < bytes.len() { &packed } else { &shuffled };
    let word = |n: usize| i32::try_from(n).map(i32::to_le_bytes).map_err(|_| too_large());
    let mut frame = Vec::with_capacity(HEAD + 4 + block.len());
    frame.extend(VERSIONS);
    frame.extend([FLAGS, u8::try_from(size).map_err(|_| too_large())?]);
    frame.extend(word(bytes.len())?);
    frame.extend(word(bytes.len())?);
    frame.extend(word(HEAD + 4 + block.len())?);
    frame.extend(word(HEAD)?);
    frame.extend(word(block.len())?);
    frame.extend_from_slice(block);
    Ok(frame)
}

/// All first bytes of numbers, then all second ones, and so on.
fn shuffle(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut shuffled = vec![0; bytes.len()];
    let count = bytes.len() / size;
    for (rank, plane) in shuffled.chunks_exact_mut(count.max(1)).enumerate().take(size) {
        for (to, number) in plane.iter_mut().zip(bytes.chunks_exact(size)) {
            *to = number[rank];
        }
    }
    shuffled
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of a frame, as its format says.
    fn unpacked(frame: &[u8]) -> Vec<f32> {
        let word = |at: usize| {
            let bytes = frame[at..at + 4].try_into().expect("four bytes");
            usize::try_from(i32::from_le_bytes(bytes)).expect("a length")
        };
        assert_eq!((word(12), word(16)), (frame.len(), HEAD));
        let (bytes, block) = (word(4), &frame[HEAD + 4..]);
        assert_eq!(word(HEAD), block.len());
        let shuffled = if block.len() == bytes {
            block.to_vec()
        } else {
            zstd::bulk::decompress(block, bytes).expect("Zstandard")
        };
        let number = |k: usize| [0, 1, 2, 3].map(|rank| shuffled[rank * bytes / 4 + k]);
        (0..bytes / 4).map(|k| f32::from_le_bytes(number(k))).collect()
    }

    #[test]
    fn chunks_hold_their_part_of_the_map_and_nothing_beyond_its_edges() {
        let values: Vec<f64> = (0..35).map(f64::from).collect();
        let field = Field { name: "v".into(), columns: 7, values, is_double: false };
        let chunks: Vec<_> = field.chunks([3, 4]).collect();
        assert_eq!(chunks, [[0, 0], [0, 1], [1, 0], [1, 1]]);
        let last = unpacked(&field.packed([3, 4], [1, 1], 3).expect("a chunk"));
        let nan = f32::NAN;
        let wanted =
            [25.0, 26.0, 27.0, nan, 32.0, 33.0, 34.0, nan, nan, nan, nan, nan].map(f32::to_bits);
        assert_eq!(last.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn what_cannot_be_made_smaller_is_kept_as_it_is() {
        // One number: a stream of Zstandard is longer.
        let frame = pack(&1.5_f32.to_le_bytes(), 4, 3).expect("a frame");
        assert_eq!(unpacked(&frame), [1.5]);
        let long: Vec<u8> = (0..40_000_u32).flat_map(|k| (k as f32).to_le_bytes()).collect();
        let frame = pack(&long, 4, 3).expect("a frame");
        assert!(frame.len() < long.len() / 2);
        assert_eq!(unpacked(&frame)[39_999].to_bits(), 39_999_f32.to_bits());
    }
}
