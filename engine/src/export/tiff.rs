//! The container of a GeoTIFF: directories of tags, classic (below 4 GB) or `BigTIFF`, little-endian.
//! No TIFF library in Rust writes tiles and overviews; what is needed of TIFF 6.0 is little.

/// What a tag holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Shorts(Vec<u16>),
    /// 32 bits, or 64 in a `BigTIFF`.
    Longs(Vec<u64>),
    Doubles(Vec<f64>),
    Text(String),
}

/// Which of the two kinds of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Classic,
    Big,
}

/// Tags and their values.
pub(super) type Directory = Vec<(u16, Value)>;

impl Kind {
    /// Bytes of an offset.
    fn offset(self) -> usize {
        match self {
            Self::Classic => 4,
            Self::Big => 8,
        }
    }

    /// The first bytes of a file: its kind, and where the first directory is (right behind).
    pub(super) fn header(self) -> Vec<u8> {
        match self {
            Self::Classic => [&b"II*\0"[..], &8_u32.to_le_bytes()].concat(),
            Self::Big => [&b"II+\0\x08\0\0\0"[..], &16_u64.to_le_bytes()].concat(),
        }
    }

    fn number(self, value: u64, out: &mut Vec<u8>) {
        out.extend(&value.to_le_bytes()[..self.offset()]);
    }

    /// A number of entries: 16 bits, or 64.
    fn count(self, value: usize, out: &mut Vec<u8>) {
        let bytes = if self == Self::Big { 8 } else { 2 };
        out.extend(&(value as u64).to_le_bytes()[..bytes]);
    }

    /// Bytes of a directory with what does not fit into its entries.
    pub(super) fn directory_length(self, directory: &Directory) -> usize {
        let (entry, head) = match self {
            Self::Classic => (12, 2),
            Self::Big => (20, 8),
        };
        let outside: usize =
            directory.iter().map(|(_, value)| self.bytes(value)).map(|n| self.outside(n)).sum();
        head + entry * directory.len() + self.offset() + outside
    }

    /// A directory to stand at `at`, with its values; `next` is where the next one is, or 0.
    pub(super) fn directory(self, directory: &Directory, at: u64, next: u64) -> Vec<u8> {
        let mut sorted = directory.clone();
        sorted.sort_by_key(|(tag, _)| *tag);
        let total = self.directory_length(directory);
        let outside: usize =
            sorted.iter().map(|(_, value)| self.bytes(value)).map(|n| self.outside(n)).sum();
        let mut beyond = at + (total - outside) as u64;
        let (mut entries, mut values) = (Vec::new(), Vec::new());
        self.count(sorted.len(), &mut entries);
        for (tag, value) in &sorted {
            let (kind, count) = self.kind_and_count(value);
            entries.extend(tag.to_le_bytes());
            entries.extend(kind.to_le_bytes());
            self.number(count as u64, &mut entries);
            let mut bytes = self.encode(value);
            if bytes.len() <= self.offset() {
                bytes.resize(self.offset(), 0);
                entries.extend(bytes);
            } else {
                self.number(beyond, &mut entries);
                bytes.resize(self.outside(bytes.len()), 0);
                beyond += bytes.len() as u64;
                values.extend(bytes);
            }
        }
        self.number(next, &mut entries);
        entries.extend(values);
        entries
    }

    /// Bytes that a value takes outside of its entry: none if it fits, else an even number.
    fn outside(self, bytes: usize) -> usize {
        if bytes <= self.offset() { 0 } else { bytes.next_multiple_of(2) }
    }

    fn bytes(self, value: &Value) -> usize {
        match value {
            Value::Shorts(values) => 2 * values.len(),
            Value::Longs(values) => self.offset() * values.len(),
            Value::Doubles(values) => 8 * values.len(),
            Value::Text(text) => text.len() + 1,
        }
    }

    fn kind_and_count(self, value: &Value) -> (u16, usize) {
        match value {
            Value::Text(text) => (2, text.len() + 1),
            Value::Shorts(values) => (3, values.len()),
            Value::Longs(values) => (if self == Self::Big { 16 } else { 4 }, values.len()),
            Value::Doubles(values) => (12, values.len()),
        }
    }

    fn encode(self, value: &Value) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes(value));
        match value {
            Value::Text(text) => {
                out.extend(text.bytes());
                out.push(0);
            }
            Value::Shorts(values) => values.iter().for_each(|v| out.extend(v.to_le_bytes())),
            Value::Longs(values) => values.iter().for_each(|&v| self.number(v, &mut out)),
            Value::Doubles(values) => values.iter().for_each(|v| out.extend(v.to_le_bytes())),
        }
        out
    }
}

/// A row of samples as predictor 3 has it (Adobe, TIFF Technical Note 3): bytes of equal weight
/// together, the heaviest first, each less the one before. `samples` are big-endian.
pub(super) fn predict<const N: usize>(samples: impl Iterator<Item = [u8; N]>, row: &mut [u8]) {
    let count = row.len() / N;
    for (i, sample) in samples.enumerate() {
        for (weight, byte) in sample.into_iter().enumerate() {
            row[weight * count + i] = byte;
        }
    }
    for k in (1..row.len()).rev() {
        row[k] = row[k].wrapping_sub(row[k - 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_as_long_as_foreseen_and_its_values_are_where_it_says() {
        let directory: Directory = vec![
            (42113, Value::Text("nan".into())),
            (324, Value::Longs(vec![1, 2, 3])),
            (256, Value::Shorts(vec![7])),
            (33550, Value::Doubles(vec![0.5, 0.25, 0.0])),
            (270, Value::Text("four and odd".into())),
        ];
        for kind in [Kind::Classic, Kind::Big] {
            let bytes = kind.directory(&directory, 100, 0);
            assert_eq!(bytes.len(), kind.directory_length(&directory));
            let doubles: Vec<u8> =
                [0.5_f64, 0.25, 0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
            let at = bytes.windows(24).position(|w| w == doubles).expect("the doubles");
            let place = u32::try_from(at + 100).expect("small").to_le_bytes();
            assert!(bytes.windows(4).any(|w| w == place), "{kind:?}");
        }
    }

    #[test]
    fn the_predictor_can_be_undone() {
        let values = [1.5_f32, f32::NAN, -3.25, 1e30, 0.0];
        let mut row = [0_u8; 20];
        predict(values.iter().map(|v| v.to_be_bytes()), &mut row);
        for k in 1..row.len() {
            row[k] = row[k].wrapping_add(row[k - 1]);
        }
        for (i, value) in values.iter().enumerate() {
            let bytes = [row[i], row[5 + i], row[10 + i], row[15 + i]];
            assert_eq!(f32::from_be_bytes(bytes).to_bits(), value.to_bits());
        }
    }
}
