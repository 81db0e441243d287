//! The footer of a Parquet file, looked at before the library reads it: a schema that says it has a thousand
//! million columns, or one in another in another, would cost memory that is not there.
//!
//! It is a structure of Thrift's compact protocol; its second field is the schema, a list of elements in the order
//! of a walk through the tree, each with the number of its children in its fifth.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Length of the footer and the letters `PAR1`, at the end.
const TAIL: u64 = 8;
const LARGEST: u64 = 16 << 20;
/// Columns are seldom more than two deep.
const DEEPEST: usize = 32;
/// Structures in structures, likewise.
const NESTED: u32 = 32;

/// Checks the footer.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(file: &mut File) -> Result<(), String> {
    let bytes = read(file).map_err(|error| error.to_string())??;
    let children = Compact(&bytes).children().ok_or("its footer is not one")?;
    check_tree(&children)
}

fn read(file: &mut File) -> io::Result<Result<Vec<u8>, String>> {
    let length = file.metadata()?.len();
    let mut tail = [0; TAIL as usize];
    let Some(at) = length.checked_sub(TAIL).filter(|at| *at >= 4) else {
        return Ok(Err(format!("it has {length} bytes")));
    };
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    if &magic == b"PARE" {
        return Ok(Err("it is encrypted".to_owned()));
    }
    if &magic != b"PAR1" {
        return Ok(Err("it does not end as it begins".to_owned()));
    }
    let footer = u64::from(u32::from_le_bytes([a, b, c, d]));
    if footer > LARGEST || footer > at - 4 {
        return Ok(Err(format!("its footer says it has {footer} bytes")));
    }
    file.seek(SeekFrom::Start(at - footer))?;
    let mut bytes = Vec::new();
    file.take(footer).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(Ok(bytes))
}

/// Whether numbers of children make one tree that is not deep.
fn check_tree(children: &[u64]) -> Result<(), String> {
    let wrong = || "its schema is no tree".to_owned();
    // Of each open branch, how many children are still to come.
    let mut open: Vec<u64> = Vec::new();
    for (k, &of_this) in children.iter().enumerate() {
        while open.last() == Some(&0) {
            open.pop();
        }
        match open.last_mut() {
            Some(left) => *left -= 1,
            None if k == 0 => (),
            None => return Err(wrong()),
        }
        if of_this > children.len() as u64 {
            return Err(wrong());
        }
        open.push(of_this);
        if open.len() > DEEPEST {
            return Err(format!("its columns are more than {DEEPEST} deep"));
        }
    }
    if children.is_empty() || open.iter().any(|left| *left > 0) { Err(wrong()) } else { Ok(()) }
}

/// What is still to be read of some bytes in the compact protocol.
struct Compact<'a>(&'a [u8]);

const LIST: u8 = 9;
const STRUCT: u8 = 12;
const I32: u8 = 5;

impl Compact<'_> {
    /// Children of every element of the schema, in their order.
    fn children(mut self) -> Option<Vec<u64>> {
        let mut found = None;
        let mut field = 0;
        while let Some(kind) = self.field(&mut field)? {
            if field == 2 && kind == LIST {
                let (count, kind) = self.list()?;
                if kind != STRUCT || count > self.0.len() as u64 {
                    return None;
                }
                found = Some((0..count).map(|_| self.element()).collect::<Option<Vec<_>>>()?);
            } else {
                self.skip(kind, 0)?;
            }
        }
        found
    }

    /// Children of one element; none where it does not say.
    fn element(&mut self) -> Option<u64> {
        let (mut field, mut children) = (0, 0);
        while let Some(kind) = self.field(&mut field)? {
            if field == 5 && kind == I32 {
                let number = self.varint()?;
                // Below zero.
                if number & 1 == 1 {
                    return None;
                }
                children = number >> 1;
            } else {
                self.skip(kind, 1)?;
            }
        }
        Some(children)
    }

    /// The next field's kind; none at the end of the structure.
    fn field(&mut self, field: &mut u64) -> Option<Option<u8>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Some(None);
        }
        match byte >> 4 {
            0 => *field = self.varint()? >> 1,
            step => *field += u64::from(step),
        }
        Some(Some(byte & 0x0f))
    }

    /// Length and kind of a list.
    fn list(&mut self) -> Option<(u64, u8)> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        Some((count, byte & 0x0f))
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        if depth > NESTED {
            return None;
        }
        match kind {
            // Truth stands in the kind, but for elements of lists.
            1 | 2 => Some(()),
            3 => self.byte().map(drop),
            4..=6 => self.varint().map(drop),
            7 => self.forward(8),
            8 => {
                let length = self.varint()?;
                self.forward(length)
            }
            LIST | 10 => {
                let (count, kind) = self.list()?;
                let bytes = matches!(kind, 1 | 2);
                (0..count).try_for_each(|_| self.skip(if bytes { 3 } else { kind }, depth + 1))
            }
            STRUCT => {
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.skip(kind, depth + 1)?;
                }
                Some(())
            }
            // Maps are nowhere in a footer.
            _ => None,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn forward(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_one_tree_and_not_deep() {
        for tree in [&[0][..], &[2, 0, 0], &[2, 1, 0, 0], &[1, 1, 1, 0]] {
            assert_eq!(check_tree(tree), Ok(()), "{tree:?}");
        }
        let mut deep = vec![1; 100_000];
        deep.push(0);
        let many = [1_000_000_000, 0, 0];
        for tree in [&[][..], &[1], &[0, 0], &[3, 0, 0], &[1, 0, 0], &many, &deep] {
            assert!(check_tree(tree).is_err(), "{} elements", tree.len());
        }
    }

    #[test]
    fn children_are_found_behind_fields_of_any_kind() {
        // Field 1 a number, then a list of two elements: one with a name and a child, one with a name.
        let footer = [0x15, 4, 0x19, 0x2c, 0x48, 1, b'r', 0x15, 2, 0, 0x48, 1, b'a', 0, 0];
        assert_eq!(Compact(&footer).children(), Some(vec![1, 0]));
        for length in 0..footer.len() {
            assert_eq!(Compact(&footer[..length]).children(), None, "{length}");
        }
        let nested = [0x1c; 10_000];
        assert_eq!(Compact(&nested).children(), None);
        assert_eq!(Compact(&[0x29, 0xfc, 0xff, 0xff, 0xff, 0xff, 7]).children(), None);
    }
}
