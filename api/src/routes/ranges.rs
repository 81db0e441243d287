//! Parts of a file by their bytes (RFC 9110, 14): one range; several are answered with the whole file.

use axum::http::{HeaderMap, header};

/// What of a file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    /// First and last byte.
    Part(u64, u64),
    /// Nothing of what there is.
    Nothing,
}

/// Reads `Range` and `If-Range` of a request for a file of so many bytes with this tag.
pub(super) fn wanted(headers: &HeaderMap, bytes: u64, tag: &str) -> Wanted {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::RANGE).and_then(|range| range.trim().strip_prefix("bytes="))
    else {
        return Wanted::All;
    };
    // A file that changed meanwhile is sent anew. Dates are too coarse to tell.
    if text(header::IF_RANGE).is_some_and(|known| known.trim_matches('"') != tag) {
        return Wanted::All;
    }
    if range.contains(',') {
        return Wanted::All;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::All };
    let number = |text: &str| text.trim().parse::<u64>();
    match (first.trim().is_empty(), number(first), number(last)) {
        (true, _, Ok(0)) => Wanted::Nothing,
        (true, _, Ok(_)) if bytes == 0 => Wanted::Nothing,
        (true, _, Ok(suffix)) => Wanted::Part(bytes.saturating_sub(suffix), bytes - 1),
        (false, Ok(first), _) if first >= bytes => Wanted::Nothing,
        (false, Ok(first), _) if last.trim().is_empty() => Wanted::Part(first, bytes - 1),
        (false, Ok(first), Ok(last)) if first <= last => Wanted::Part(first, last.min(bytes - 1)),
        _ => Wanted::All,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_has_them() {
        let of = |range: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(range));
            wanted(&headers, 1000, "tag")
        };
        for (range, expected) in [
            ("bytes=0-99", Wanted::Part(0, 99)),
            ("bytes=900-", Wanted::Part(900, 999)),
            ("bytes=900-5000", Wanted::Part(900, 999)),
            ("bytes=-100", Wanted::Part(900, 999)),
            ("bytes=-5000", Wanted::Part(0, 999)),
            ("bytes=1000-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("rows=1-2", Wanted::All),
            ("bytes=x-y", Wanted::All),
        ] {
            assert_eq!(of(range), expected, "{range}");
        }
        assert_eq!(wanted(&HeaderMap::new(), 1000, "tag"), Wanted::All);
    }

    #[test]
    fn a_file_that_changed_is_sent_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-9"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"tag\""));
        assert_eq!(wanted(&headers, 1000, "tag"), Wanted::Part(0, 9));
        assert_eq!(wanted(&headers, 1000, "other"), Wanted::All);
    }
}
