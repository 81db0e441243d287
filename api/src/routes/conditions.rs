//! Conditional requests (RFC 9110, 13): the client says what it believes the resource to be.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::error::ApiError;

/// `If-Match` and `If-None-Match` of a request that changes something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    matching: Option<Tags>,
    not_matching: Option<Tags>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    Any,
    These(Vec<String>),
}

impl Tags {
    fn of(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let lines: Vec<&str> =
            headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        if lines.is_empty() {
            return None;
        }
        let tags = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
        let tags: Vec<String> = tags
            .map(|tag| tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_owned())
            .collect();
        Some(if tags.iter().any(|tag| tag == "*") { Self::Any } else { Self::These(tags) })
    }

    fn hold(&self, tag: Option<&str>) -> bool {
        match self {
            Self::Any => tag.is_some(),
            Self::These(tags) => tag.is_some_and(|tag| tags.iter().any(|other| other == tag)),
        }
    }
}

impl Conditions {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            matching: Tags::of(headers, header::IF_MATCH),
            not_matching: Tags::of(headers, header::IF_NONE_MATCH),
        }
    }

    /// Whether they hold for a resource with this tag, if there is one.
    ///
    /// # Errors
    /// 412.
    pub(crate) fn check(&self, tag: Option<&str>) -> Result<(), ApiError> {
        let now = tag.map_or("there is none".to_owned(), |tag| format!("it has \"{tag}\" now"));
        if self.matching.as_ref().is_some_and(|tags| !tags.hold(tag)) {
            let text = format!("If-Match does not hold: {now}; read it again, then change it");
            return Err(ApiError::precondition(text));
        }
        if self.not_matching.as_ref().is_some_and(|tags| tags.hold(tag)) {
            let text =
                format!("If-None-Match does not hold: {now}; leave the header out to replace it");
            return Err(ApiError::precondition(text));
        }
        Ok(())
    }
}

/// Whether the client has this already: the answer is 304 without a body.
pub(crate) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    Tags::of(headers, header::IF_NONE_MATCH).is_some_and(|tags| tags.hold(Some(tag)))
}

/// The header `ETag`.
pub(crate) fn entity_tag(tag: &str) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::try_from(format!("\"{tag}\""));
    (header::ETAG, value.unwrap_or(HeaderValue::from_static("\"\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_for_what_they_name_and_stars_for_whatever_there_is() {
        let of = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
            headers
        };
        let check = |name, value, tag| Conditions::of(&of(name, value)).check(tag).is_ok();
        assert!(check("if-match", "\"a\", \"b\"", Some("b")));
        assert!(!check("if-match", "\"a\"", Some("b")));
        assert!(!check("if-match", "*", None));
        assert!(check("if-match", "*", Some("x")));
        assert!(!check("if-none-match", "*", Some("x")));
        assert!(check("if-none-match", "*", None));
        assert!(Conditions::of(&HeaderMap::new()).check(None).is_ok());
        assert!(is_known(&of("if-none-match", "W/\"a\""), "a"));
        assert!(!is_known(&HeaderMap::new(), "a"));
    }
}
