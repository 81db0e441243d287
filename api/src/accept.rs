//! Which form of an answer a client wants: the query's `f`, else the header `Accept` (RFC 9110,
//! 12.5.1) with quality values and wildcards.

use axum::http::{HeaderMap, header};
use isopleth_engine::export;

use crate::error::ApiError;

/// A form in which a map is answered, in the order in which we prefer them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    NetCdf,
    Json,
    Csv,
}

impl Form {
    /// The media type of the answer.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::NetCdf => "application/x-netcdf",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }

    /// What the query's `f` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NetCdf => "netcdf",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    /// Media types that mean it.
    fn known_as(self) -> &'static [&'static str] {
        match self {
            Self::NetCdf => &["application/x-netcdf", "application/netcdf"],
            Self::Json => &["application/json"],
            Self::Csv => &["text/csv"],
        }
    }
}

/// For a program, or for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Json,
    Html,
}

/// Whether `f`, else `Accept`, asks for a page to look at. Whoever accepts both alike is a browser.
///
/// # Errors
/// 406 for another `f`.
pub(crate) fn page(f: Option<&str>, headers: &HeaderMap) -> Result<Page, ApiError> {
    match f {
        Some("json") => return Ok(Page::Json),
        Some("html") => return Ok(Page::Html),
        Some(_) => {
            let text = "this answer comes as application/json, or, for a person, text/html: ask \
                        with f=json or f=html";
            return Err(ApiError::not_acceptable(text));
        }
        None => (),
    }
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<(&str, f32)> =
        lines.flat_map(|line| line.split(',')).filter_map(range).collect();
    let named = ranges.iter().any(|(range, _)| range.eq_ignore_ascii_case("text/html"));
    let html = quality_of("text/html", &ranges);
    let json = quality_of("application/json", &ranges);
    Ok(if named && html > 0.0 && html >= json { Page::Html } else { Page::Json })
}

/// What a client accepts: forms, the most wanted first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted(Vec<Form>);

impl Wanted {
    /// Reads `f` and `Accept`; `offered` in our order of preference.
    ///
    /// # Errors
    /// 406 when none of the offered is accepted.
    pub(crate) fn of(
        f: Option<&str>,
        headers: &HeaderMap,
        offered: &[Form],
    ) -> Result<Self, ApiError> {
        let forms: Vec<Form> = match f {
            Some(name) => offered.iter().copied().filter(|form| form.name() == name).collect(),
            None => by_quality(headers, offered),
        };
        if forms.is_empty() { Err(refusal(offered)) } else { Ok(Self(forms)) }
    }

    /// This one and no other.
    pub(crate) fn only(form: Form) -> Self {
        Self(vec![form])
    }

    /// The most wanted of `possible`.
    ///
    /// # Errors
    /// 406 when none of them is wanted.
    pub(crate) fn best(&self, possible: &[Form]) -> Result<Form, ApiError> {
        let best = self.0.iter().copied().find(|form| possible.contains(form));
        best.ok_or_else(|| refusal(possible))
    }
}

/// The form of a map that is kept: what `f` names (`json` is CoverageJSON), else what is accepted, NetCDF first.
///
/// # Errors
/// 406 when none of the offered is accepted.
pub(crate) fn export_form(
    f: Option<&str>,
    headers: &HeaderMap,
    offered: &[export::Form],
) -> Result<export::Form, ApiError> {
    let list = |name: fn(export::Form) -> &'static str| {
        offered.iter().map(|form| name(*form)).collect::<Vec<_>>().join(", ")
    };
    let refusal = || {
        let (kinds, names) = (list(export::Form::media_type), list(export::Form::name));
        let names = names.replace(", ", " or f=");
        ApiError::not_acceptable(format!(
            "this answer comes as {kinds}: accept one of them, or ask with f={names}"
        ))
    };
    let named = match f {
        Some("json") => Some(export::Form::CoverageJson),
        Some(name) => Some(name.parse().map_err(|_| refusal())?),
        None => None,
    };
    if let Some(form) = named {
        return if offered.contains(&form) { Ok(form) } else { Err(refusal()) };
    }
    let lines: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges: Vec<(&str, f32)> =
        lines.iter().flat_map(|line| line.split(',')).filter_map(range).collect();
    let quality = |form: &export::Form| {
        let known: &[&str] = match form {
            export::Form::NetCdf => &["application/x-netcdf", "application/netcdf"],
            export::Form::GeoTiff => &["image/tiff"],
            export::Form::Png => &["image/png"],
            export::Form::GeoJson => &["application/geo+json"],
            export::Form::CoverageJson => &["application/prs.coverage+json", "application/json"],
            export::Form::Csv => &["text/csv"],
        };
        if ranges.is_empty() {
            return 1.0;
        }
        known.iter().map(|name| quality_of(name, &ranges)).fold(0.0, f32::max)
    };
    let mut best: Option<(export::Form, f32)> = None;
    for form in offered {
        let quality = quality(form);
        // Among equals our own order counts.
        if quality > best.map_or(0.0, |(_, known)| known) {
            best = Some((*form, quality));
        }
    }
    best.map(|(form, _)| form).ok_or_else(refusal)
}

/// The form of the values at a place: none is plain JSON.
///
/// # Errors
/// 406.
pub(crate) fn values_form(
    f: Option<&str>,
    headers: &HeaderMap,
) -> Result<Option<export::Form>, ApiError> {
    let plain = Wanted::of(None, headers, &[Form::Json]).is_ok();
    match f {
        Some("json") => Ok(None),
        None if plain => Ok(None),
        _ => export_form(f, headers, &[export::Form::CoverageJson, export::Form::Csv]).map(Some),
    }
}

fn refusal(offered: &[Form]) -> ApiError {
    let list = |name: fn(&Form) -> &str| offered.iter().map(name).collect::<Vec<_>>().join(", ");
    ApiError::not_acceptable(format!(
        "this answer comes as {}: accept one of them, or ask with f={}",
        list(|form| form.media_type()),
        list(|form| form.name()).replace(", ", " or f="),
    ))
}

fn by_quality(headers: &HeaderMap, offered: &[Form]) -> Vec<Form> {
    let lines: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges: Vec<(&str, f32)> =
        lines.iter().flat_map(|line| line.split(',')).filter_map(range).collect();
    if ranges.is_empty() {
        return offered.to_vec();
    }
    let quality = |form: &Form| {
        let qualities = form.known_as().iter().map(|name| quality_of(name, &ranges));
        qualities.fold(0.0, f32::max)
    };
    let mut wanted: Vec<(Form, f32)> = offered.iter().map(|form| (*form, quality(form))).collect();
    wanted.retain(|(_, quality)| *quality > 0.0);
    // Stable: among equals our own order counts.
    wanted.sort_by(|a, b| b.1.total_cmp(&a.1));
    wanted.into_iter().map(|(form, _)| form).collect()
}

/// A media range and its quality; parameters other than `q` are ignored.
fn range(text: &str) -> Option<(&str, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| name.contains('/'))?;
    let quality = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().unwrap_or(0.0))
    });
    Some((name, quality.unwrap_or(1.0)))
}

/// The quality of a media type: that of the most specific range it matches, else 0.
fn quality_of(name: &str, ranges: &[(&str, f32)]) -> f32 {
    let kind = name.split('/').next().unwrap_or(name);
    let specificity = |range: &str| {
        if range.eq_ignore_ascii_case(name) {
            return Some(2);
        }
        match range.split_once('/') {
            Some(("*", "*")) => Some(0),
            Some((range_kind, "*")) if range_kind.eq_ignore_ascii_case(kind) => Some(1),
            _ => None,
        }
    };
    let matching = ranges.iter().filter_map(|(range, q)| Some((specificity(range)?, *q)));
    // `max_by_key` takes the last of equals; a range given twice has no better rule.
    matching.max_by_key(|(specificity, _)| *specificity).map_or(0.0, |(_, quality)| quality)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const OFFERED: [Form; 2] = [Form::NetCdf, Form::Json];

    fn chosen(f: Option<&str>, accept: Option<&'static str>) -> Result<Form, u16> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        }
        let wanted = Wanted::of(f, &headers, &OFFERED).map_err(|e| e.status().as_u16())?;
        wanted.best(&OFFERED).map_err(|e| e.status().as_u16())
    }

    #[test]
    fn the_form_follows_the_query_then_quality_then_our_own_order() {
        use Form::{Json, NetCdf};
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (f, accept, form) in [
            (None, None, Ok(NetCdf)),
            (None, Some("*/*"), Ok(NetCdf)),
            (None, Some("application/*"), Ok(NetCdf)),
            (None, Some(browser), Ok(NetCdf)),
            (None, Some("application/json"), Ok(Json)),
            (None, Some("APPLICATION/JSON"), Ok(Json)),
            (None, Some("application/netcdf"), Ok(NetCdf)),
            (None, Some("application/json;q=0.5, application/x-netcdf;q=0.9"), Ok(NetCdf)),
            (None, Some("application/json;charset=utf-8;q=0.9,*/*;q=0.1"), Ok(Json)),
            (None, Some("*/*, application/x-netcdf;q=0"), Ok(NetCdf)),
            (None, Some("application/x-netcdf;q=0,application/json"), Ok(Json)),
            (None, Some("application/json;q=nonsense"), Err(406)),
            (None, Some("application/json;q=0"), Err(406)),
            (None, Some("image/png"), Err(406)),
            (Some("json"), Some("image/png"), Ok(Json)),
            (Some("netcdf"), Some("application/json"), Ok(NetCdf)),
            (Some("png"), None, Err(406)),
        ] {
            assert_eq!(chosen(f, accept), form, "f={f:?} Accept: {accept:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_there_is() {
        let error = Wanted::of(Some("png"), &HeaderMap::new(), &OFFERED).expect_err("no png");
        let detail = error.problem().detail;
        assert!(detail.contains("application/x-netcdf, application/json"), "{detail}");
        assert!(detail.contains("f=netcdf or f=json"), "{detail}");
    }
}
