//! Places and areas as well-known text (OGC 06-103r4): POINT, MULTIPOINT, POLYGON, MULTIPOLYGON.
//!
//! Strict but for two things that clients are used to: a ring need not be closed, and the points of a
//! MULTIPOINT need no brackets. Positions are two numbers; what is wrong is told with its place.

use crate::polygons::{Polygons, whole};

/// Points of a text at most; an outline of a country has some thousands.
const MOST_POINTS: usize = 100_000;

/// A geometry that a map can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Wkt {
    /// One or several places.
    Places(Vec<[f64; 2]>),
    /// Polygons, each a list of rings, the first its outside.
    Areas(Vec<Vec<Vec<[f64; 2]>>>),
}

/// Why a text is none of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` at character {at}: expected {needed}")]
pub struct WktError {
    /// Number of the character, the first being 1.
    pub at: usize,
    /// What stands there, shortened.
    pub got: String,
    /// What should.
    pub needed: String,
}

impl Wkt {
    /// Reads longitudes and latitudes.
    ///
    /// # Errors
    /// The first character that does not fit, and what would.
    pub fn parse(text: &str) -> Result<Self, WktError> {
        let mut reader = Reader { text, at: 0, points: 0 };
        let begin = reader.here();
        let word = reader.word().to_ascii_uppercase();
        let read = match word.as_str() {
            "POINT" => Self::Places(vec![reader.bracketed(Reader::position)?]),
            "MULTIPOINT" => Self::Places(reader.list(|reader| {
                if reader.sees('(') {
                    reader.bracketed(Reader::position)
                } else {
                    reader.position()
                }
            })?),
            "POLYGON" => Self::Areas(vec![reader.list(Reader::ring)?]),
            "MULTIPOLYGON" => Self::Areas(reader.list(|reader| reader.list(Reader::ring))?),
            _ => {
                let needed = "POINT, MULTIPOINT, POLYGON or MULTIPOLYGON";
                return Err(reader.wrong(begin, needed));
            }
        };
        reader.skip();
        if reader.at < text.len() {
            return Err(reader.wrong(reader.at, "the end of the text"));
        }
        Ok(read)
    }
}

/// Areas in degrees as they are looked up: longitudes may jump at the date line or run beyond 180.
#[must_use]
pub fn areas_in_degrees(areas: &[Vec<Vec<[f64; 2]>>]) -> Polygons {
    let areas: Vec<_> = areas.iter().map(|rings| whole(rings)).collect();
    Polygons::new(&areas, Some(360.0))
}

struct Reader<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    points: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Where the next word begins.
    fn here(&mut self) -> usize {
        self.skip();
        self.at
    }

    fn sees(&mut self, sign: char) -> bool {
        self.skip();
        self.rest().starts_with(sign)
    }

    fn takes(&mut self, sign: char) -> bool {
        let there = self.sees(sign);
        if there {
            self.at += sign.len_utf8();
        }
        there
    }

    fn word(&mut self) -> &'a str {
        self.skip();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn wrong(&self, at: usize, needed: &str) -> WktError {
        let got: String = self.text[at..].chars().take(12).collect();
        let got = if got.is_empty() { "the end".to_owned() } else { got };
        WktError { at: self.text[..at].chars().count() + 1, got, needed: needed.to_owned() }
    }

    fn bracketed<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, WktError>,
    ) -> Result<T, WktError> {
        if !self.takes('(') {
            return Err(self.wrong(self.at, "`(` (and no Z, M or EMPTY)"));
        }
        let read = read(self)?;
        if !self.takes(')') {
            return Err(self.wrong(self.at, "`)`"));
        }
        Ok(read)
    }

    /// One or more, with commas, in brackets.
    fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, WktError>,
    ) -> Result<Vec<T>, WktError> {
        self.bracketed(|reader| {
            let mut all = vec![read(reader)?];
            while reader.takes(',') {
                all.push(read(reader)?);
            }
            Ok(all)
        })
    }

    fn ring(&mut self) -> Result<Vec<[f64; 2]>, WktError> {
        let begin = self.here();
        let points = self.list(Self::position)?;
        let steps = points.windows(2).filter(|pair| pair[0] != pair[1]).count();
        if steps + usize::from(points.first() != points.last()) < 3 {
            return Err(self.wrong(begin, "a ring of three different places at least"));
        }
        Ok(points)
    }

    fn position(&mut self) -> Result<[f64; 2], WktError> {
        let begin = self.here();
        self.points += 1;
        if self.points > MOST_POINTS {
            return Err(self.wrong(begin, &format!("{MOST_POINTS} places at most")));
        }
        let lon = self.number("a longitude within -540 and 540", 540.0)?;
        let lat = self.number("a latitude within -90 and 90 (longitude comes first)", 90.0)?;
        if !self.sees(',') && !self.sees(')') {
            return Err(self.wrong(self.at, "`,` or `)`: maps have no height"));
        }
        Ok([lon, lat])
    }

    fn number(&mut self, needed: &str, most: f64) -> Result<f64, WktError> {
        let begin = self.here();
        let rest = self.rest();
        let in_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let end = rest.find(|c: char| !in_number(c)).unwrap_or(rest.len());
        let number = rest[..end].parse::<f64>().ok().filter(|number| number.abs() <= most);
        let number = number.ok_or_else(|| self.wrong(begin, needed))?;
        self.at += end;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_read_as_they_are_meant() {
        let places =
            |text: &str| Wkt::parse(text).map(|read| read == Wkt::Places(vec![[1.5, -2.0]]));
        for text in ["POINT(1.5 -2)", " point ( 15e-1   -2.0 ) ", "MULTIPOINT((1.5 -2))"] {
            assert_eq!(places(text), Ok(true), "{text}");
        }
        let two = Wkt::Places(vec![[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(Wkt::parse("MULTIPOINT(1 2,(3 4))"), Ok(two));
        let ring = vec![[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]];
        let open = Wkt::Areas(vec![vec![ring.clone()]]);
        assert_eq!(Wkt::parse("POLYGON((0 0,4 0,4 4))"), Ok(open));
        let Ok(Wkt::Areas(areas)) =
            Wkt::parse("MULTIPOLYGON(((0 0,4 0,4 4,0 0),(1 0.5,2 0.5,2 1)),((9 9,9 8,8 8)))")
        else {
            panic!("areas")
        };
        assert_eq!(areas.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let polygons = areas_in_degrees(&areas);
        assert!(polygons.contains(3.9, 1.0) && !polygons.contains(1.9, 0.7));
        let Ok(Wkt::Areas(dateline)) = Wkt::parse("POLYGON((170 0,-170 0,-170 5,170 5))") else {
            panic!("areas")
        };
        let polygons = areas_in_degrees(&dateline);
        assert!(polygons.contains(-175.0, 1.0) && !polygons.contains(0.0, 1.0));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, at, words) in [
            ("", 1, "POINT"),
            ("LINESTRING(0 0,1 1)", 1, "MULTIPOLYGON"),
            ("SRID=4326;POINT(0 0)", 1, "POINT"),
            ("POINT Z (1 2 3)", 7, "no Z"),
            ("POINT EMPTY", 7, "EMPTY"),
            ("POINT(1 2 3)", 11, "no height"),
            ("POINT(1)", 8, "latitude"),
            ("POINT(39.9 116.4)", 12, "longitude comes first"),
            ("POINT(nan 1)", 7, "longitude"),
            ("POINT(1 1e999)", 9, "latitude"),
            ("POINT(1 2", 10, "`)`"),
            ("POINT(1 2) x", 12, "the end"),
            ("POINT(1 2,3 4)", 10, "`)`"),
            ("POLYGON(0 0,1 1,1 0)", 9, "`(`"),
            ("POLYGON((0 0,1 1,0 0))", 9, "three different"),
            ("POLYGON((0 0,1 1,\u{e9}))", 18, "longitude"),
            ("POLYGON((0 0,1 0,1 1),)", 23, "`(`"),
        ] {
            let error = Wkt::parse(text).expect_err(text);
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
        let many = vec!["1 1"; MOST_POINTS + 1].join(",");
        let error = Wkt::parse(&format!("MULTIPOINT({many})")).expect_err("too many");
        assert!(error.to_string().contains("100000 places"), "{error}");
    }

    fn position() -> impl Strategy<Value = [f64; 2]> {
        (-540.0..=540.0, -90.0..=90.0).prop_map(|(lon, lat)| [lon, lat])
    }

    fn text_of(ring: &[[f64; 2]], gap: &str) -> String {
        let each = ring.iter().map(|[lon, lat]| format!("{gap}{lon} {gap}{lat}{gap}"));
        format!("({})", each.collect::<Vec<_>>().join(","))
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_bit_by_bit(
            rings in prop::collection::vec(prop::collection::vec(position(), 3..8), 1..4),
            gap in " {0,2}",
        ) {
            let all: Vec<_> = rings.iter().map(|ring| text_of(ring, &gap)).collect();
            let polygon = format!("({})", all.join(","));
            let read = Wkt::parse(&format!("POLYGON{gap}{polygon}"));
            prop_assert_eq!(read, Ok(Wkt::Areas(vec![rings.clone()])));
            let read = Wkt::parse(&format!("multipolygon({polygon},{polygon})"));
            prop_assert_eq!(read, Ok(Wkt::Areas(vec![rings.clone(), rings.clone()])));
            let read = Wkt::parse(&format!("MULTIPOINT{}", text_of(&rings[0], &gap)));
            prop_assert_eq!(read, Ok(Wkt::Places(rings[0].clone())));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[A-Z]{0,12}[-+.eE0-9 ,()\u{e9}\t]{0,40}") {
            let _ = Wkt::parse(&text);
        }

        #[test]
        fn half_a_text_is_refused(
            ring in prop::collection::vec(position(), 3..8), cut in 0.0..1.0,
        ) {
            let text = format!("POLYGON({})", text_of(&ring, ""));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
                reason = "a place in a short text")]
            let cut = (cut * text.len() as f64) as usize;
            prop_assert!(Wkt::parse(&text[..cut]).is_err());
        }
    }
}
