//! zlib streams (RFC 1950) of shuffled numbers.
//!
//! The lowest bytes of numbers are all the same where numbers are rounded, and noise where they are not. To look for
//! repetitions in them takes a good part of the time of deflating, and there is nothing to find. So they go before
//! the others as blocks of their own (RFC 1951): by a library that is quick where all is the same, or stored as they are.
//! For a reader it is a stream like any other.
//!
//! The demo's maps in chunks of 125×128, one core (AMD EPYC, Zen 5), rounding and shuffling included (`cargo bench -p isopleth-engine`); MB/s, and
//! in brackets what libdeflate makes of all bytes:
//!
//! | | fast | size left |
//! |---|---|---|
//! | float32, four digits | 322 (273) | 22.6 % (22.6 %) |
//! | float32, all digits | 506 (232) | 53.5 % (53.3 %) |
//! | float64, all digits | 406 (155) | 74.3 % (72.4 %) |

use flate2::{Compress, Compression, FlushCompress};
use libdeflater::{CompressionLvl, Compressor, adler32};

use crate::storage::Compression as Wanted;

/// Deflate's level for each way to compress. Level 2 takes an eighth longer than 1, and leaves 7 % less
/// of numbers that are rounded and no less of others.
pub(super) fn level(wanted: Wanted) -> i32 {
    match wanted {
        Wanted::None => 0,
        Wanted::Fast => 1,
        Wanted::Small => 9,
    }
}

/// Makes streams. Compressors are far dearer to make than to use.
#[derive(Default)]
pub(super) struct Zlib {
    packed: Vec<u8>,
    /// With the level it was made for.
    compressor: Option<(i32, Compressor)>,
    of_same: Option<Compress>,
}

impl Zlib {
    /// The stream of some bytes, of which each `plane` in turn holds one byte of every number, the lowest first.
    pub(super) fn pack(&mut self, wanted: Wanted, bytes: &[u8], plane: usize) -> &[u8] {
        self.packed.clear();
        // Deflate with a window of 32 KiB; the level is for people to look at.
        let is_fast = wanted == Wanted::Fast;
        self.packed.extend_from_slice(if is_fast { &[0x78, 0x01] } else { &[0x78, 0xda] });
        let mut rest = bytes;
        while plane >= ENOUGH && rest.len() >= plane {
            let (first, others) = rest.split_at(plane);
            if first.iter().all(|byte| *byte == first[0]) {
                self.put_same(first);
            } else if is_fast && is_noise(first) {
                self.put_as_it_is(first);
            } else {
                break;
            }
            rest = others;
        }
        self.put_last(level(wanted), rest);
        self.packed.extend_from_slice(&adler32(bytes).to_be_bytes());
        &self.packed
    }

    fn put_same(&mut self, bytes: &[u8]) {
        let compress =
            self.of_same.get_or_insert_with(|| Compress::new(Compression::new(2), false));
        compress.reset();
        let start = self.packed.len();
        // A block of one byte again and again, and what brings the next to the border of a byte: less than half of this room.
        self.packed.reserve(bytes.len() / 50 + 1000);
        let done = compress.compress_vec(bytes, &mut self.packed, FlushCompress::Sync);
        // Without room left some of it may be held back.
        let has_room = self.packed.len() < self.packed.capacity();
        if done.is_err() || !has_room || compress.total_in() != bytes.len() as u64 {
            self.packed.truncate(start);
            self.put_as_it_is(bytes);
        }
    }

    fn put_as_it_is(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(usize::from(u16::MAX)) {
            let length = u16::try_from(block.len()).expect("no longer than a block");
            // Not the last block, and stored.
            self.packed.push(0);
            self.packed.extend_from_slice(&length.to_le_bytes());
            self.packed.extend_from_slice(&(!length).to_le_bytes());
            self.packed.extend_from_slice(block);
        }
    }

    fn put_last(&mut self, level: i32, bytes: &[u8]) {
        if self.compressor.as_ref().is_none_or(|(of, _)| *of != level) {
            let made = Compressor::new(CompressionLvl::new(level).expect("a level that exists"));
            self.compressor = Some((level, made));
        }
        let (_, compressor) = self.compressor.as_mut().expect("it was made above");
        let start = self.packed.len();
        self.packed.resize(start + compressor.deflate_compress_bound(bytes.len()), 0);
        let length = compressor
            .deflate_compress(bytes, &mut self.packed[start..])
            .expect("the bound is what the worst case takes");
        self.packed.truncate(start + length);
    }
}

/// Bytes of a plane that pay for a block of its own, and that tell noise.
const ENOUGH: usize = NOISE[0] * NOISE[1];

/// Pieces of a plane that are looked at for noise, and bytes of each: beyond, the answer is the same.
const NOISE: [usize; 2] = [16, 256];

/// Whether a byte tells nothing of another: two of them are alike hardly more often than by chance. A 64th
/// more is nearly three standard deviations of that.
fn is_noise(plane: &[u8]) -> bool {
    let [pieces, length] = NOISE;
    let mut counts = [0_u64; 256];
    for piece in plane.chunks(plane.len() / pieces).take(pieces) {
        piece[..length].iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    }
    let total = (pieces * length) as u64;
    let alike: u64 = counts.iter().map(|&n| n * n.saturating_sub(1)).sum();
    alike * 256 * 64 <= total * (total - 1) * 65
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn unpacked(stream: &[u8], length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let got = libdeflater::Decompressor::new().zlib_decompress(stream, &mut bytes);
        assert_eq!(got, Ok(length));
        bytes
    }

    /// Bytes without order.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut output = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut output);
        output
    }

    fn ramp(length: usize) -> Vec<u8> {
        (0..length).map(|k| (k / 7 % 16) as u8).collect()
    }

    fn planes(kinds: &[u8], plane: usize) -> Vec<u8> {
        let made = kinds.iter().zip(0..).map(|(kind, k)| match kind {
            0 => vec![3; plane],
            1 => noise(plane, k),
            _ => ramp(plane),
        });
        made.collect::<Vec<_>>().concat()
    }

    proptest! {
        /// Whatever becomes of each plane, also of one that is longer than a block of 65535 bytes.
        #[test]
        fn a_reader_finds_the_same_bytes(
            kinds in prop::collection::vec(0_u8..3, 0..6),
            plane in prop_oneof![0_usize..9000, 60_000_usize..140_000],
            wanted in prop_oneof![Just(Wanted::Fast), Just(Wanted::Small)],
        ) {
            let (bytes, mut zlib) = (planes(&kinds, plane), Zlib::default());
            prop_assert!(unpacked(zlib.pack(wanted, &bytes, plane), bytes.len()) == bytes);
            // Nothing is left over from before.
            let again = zlib.pack(wanted, &bytes, plane).to_vec();
            prop_assert!(again == Zlib::default().pack(wanted, &bytes, plane));
        }
    }

    /// To one that reads piece by piece, as HDF5 does.
    #[test]
    fn a_stream_is_one_to_other_libraries_and_as_short_as_can_be() {
        let length = 150_000;
        let bytes = planes(&[0, 1, 1, 0, 2], length);
        let mut zlib = Zlib::default();
        let stream = zlib.pack(Wanted::Fast, &bytes, length);
        let mut got = Vec::new();
        flate2::read::ZlibDecoder::new(stream).read_to_end(&mut got).expect("a stream");
        assert!(got == bytes);
        let beside_noise = stream.len() - 2 * length;
        assert!(beside_noise < 5000, "{beside_noise}");
    }

    #[test]
    fn noise_is_told_from_what_has_order() {
        let found = (0..1000).filter(|&seed| is_noise(&noise(16_000, seed))).count();
        assert!(found > 980, "{found}");
        let of =
            |byte: fn(usize) -> usize| -> Vec<u8> { (0..16_000).map(|k| byte(k) as u8).collect() };
        // One half of the cells outside of a mask; seven bits of noise.
        let half: Vec<u8> =
            noise(16_000, 1).iter().zip(0..).map(|(&b, k)| if k < 8000 { 0 } else { b }).collect();
        let seven: Vec<u8> = noise(16_000, 2).iter().map(|b| b & 127).collect();
        for plane in [half, seven, of(|_| 9), of(|k| k / 400)] {
            assert!(!is_noise(&plane));
        }
    }
}
