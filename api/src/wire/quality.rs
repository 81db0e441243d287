//! What readings are examined for, and which of them are believed: of a document and of a query alike.

use std::collections::BTreeMap;

use isopleth_engine::{Reject, Rules};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, Place};

/// What readings are examined for; all of it may be left out. What is found is told in the report
/// and flagged in the file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QualityRequest {
    /// Which readings that cannot be right are treated as missing; all are flagged. Default `none`.
    #[serde(default)]
    pub reject: RejectName,
    /// `{variable: [low, high]}`, in the unit of the readings; null leaves an end open. Default: what
    /// is known of the variable.
    #[serde(default)]
    #[schema(example = json!({"pm25": [0, 1000]}))]
    pub valid_range: BTreeMap<String, [Option<f64>; 2]>,
    /// `{variable: change}`: the largest change in an hour. Default: what is known of the variable.
    #[serde(default)]
    #[schema(example = json!({"pm25": 200}))]
    pub rate_limit: BTreeMap<String, f64>,
    /// Flag a value that so many readings in a row repeat, or `off`. Default 8.
    pub stuck: Option<Limit>,
    /// Flag a leave-one-out residual of so many local spreads, or `off`. Default 5.
    pub buddy: Option<Limit>,
    /// Stations outside west, south, east, north cannot be right.
    #[schema(example = json!([73, 18, 135, 54]))]
    pub inside: Option<[f64; 4]>,
}

/// A number, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Limit {
    /// Examined with this limit.
    At(f64),
    /// Not examined.
    Off(OffName),
}

/// Not examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OffName {
    /// Not examined.
    Off,
}

/// Which flagged readings are treated as missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RejectName {
    /// None: flags are told, nothing else.
    #[default]
    None,
    /// Those that cannot be right.
    Bad,
    /// Those with any flag.
    Suspect,
}

impl QualityRequest {
    /// As the engine takes it.
    ///
    /// # Errors
    /// 422 with a pointer to the number that makes no sense.
    pub(crate) fn rules(&self) -> Result<Rules, ApiError> {
        let mut rules = Rules {
            reject: match self.reject {
                RejectName::None => Reject::None,
                RejectName::Bad => Reject::Bad,
                RejectName::Suspect => Reject::Suspect,
            },
            inside: self.inside,
            ..Rules::default()
        };
        match self.buddy {
            None => (),
            Some(Limit::Off(_)) => rules.buddy = None,
            Some(Limit::At(spreads)) => rules.buddy = Some(spreads),
        }
        match self.stuck {
            None => (),
            Some(Limit::Off(_)) => rules.stuck = None,
            Some(Limit::At(readings)) => rules.stuck = Some(whole("stuck", readings)?),
        }
        let end = |end: Option<f64>| end.map_or_else(String::new, |number| number.to_string());
        for (name, &[low, high]) in &self.valid_range {
            let added = rules.add_range(&format!("{name}={}..{}", end(low), end(high)));
            added.map_err(|error| wrong("valid_range", error.to_string()))?;
        }
        for (name, rate) in &self.rate_limit {
            let added = rules.add_rate(&format!("{name}={rate}"));
            added.map_err(|error| wrong("rate_limit", error.to_string()))?;
        }
        Ok(rules)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole, and within a thousand million"
)]
fn whole(field: &str, number: f64) -> Result<u32, ApiError> {
    if number.fract() == 0.0 && (0.0..=1e9).contains(&number) {
        return Ok(number as u32);
    }
    Err(wrong(field, format!("{field} {number}: expected a whole number of readings, or off")))
}

fn wrong(field: &str, reason: impl Into<String>) -> ApiError {
    ApiError::meaningless(reason).at_pointer(format!("/read/quality/{field}"))
}

/// The same as query parameters, with the names of the command line's options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QualityQuery {
    /// Which readings that cannot be right are treated as missing: `none` (default), `bad`, `suspect`.
    pub reject: Option<RejectName>,
    /// Flag values outside: `pm25=0..1000`; may be given several times.
    #[serde(default, rename = "valid-range")]
    pub valid_range: Vec<String>,
    /// Flag a larger change in an hour: `pm25=200`; may be given several times.
    #[serde(default, rename = "rate-limit")]
    pub rate_limit: Vec<String>,
    /// Flag a value that so many readings in a row repeat, or `off`. Default 8.
    pub stuck: Option<String>,
    /// Flag a leave-one-out residual of so many local spreads, or `off`. Default 5.
    pub buddy: Option<String>,
    /// Stations outside cannot be right: west,south,east,north
    pub inside: Option<String>,
}

impl QualityQuery {
    /// The same as part of a document.
    ///
    /// # Errors
    /// 422 with the name of a parameter that cannot be read.
    pub(crate) fn document(self) -> Result<QualityRequest, ApiError> {
        let mut read = Rules::default();
        for text in &self.valid_range {
            read.add_range(text).map_err(|error| of_query("valid-range", error.to_string()))?;
        }
        for text in &self.rate_limit {
            read.add_rate(text).map_err(|error| of_query("rate-limit", error.to_string()))?;
        }
        let end = |end: f64| Some(end).filter(|end| end.is_finite());
        let limit = |name: &str, text: String| match text.trim() {
            "off" => Ok(Limit::Off(OffName::Off)),
            number => number
                .parse()
                .map(Limit::At)
                .map_err(|_| of_query(name, format!("{name}={number}: expected a number, or off"))),
        };
        let inside = self.inside.map(|text| {
            let numbers: Option<Vec<f64>> =
                text.split(',').map(|part| part.trim().parse().ok()).collect();
            numbers.and_then(|all| all.try_into().ok()).ok_or_else(|| {
                of_query("inside", format!("inside={text}: expected west,south,east,north"))
            })
        });
        Ok(QualityRequest {
            reject: self.reject.unwrap_or_default(),
            valid_range: (read.ranges.into_iter())
                .map(|(name, [low, high])| (name, [end(low), end(high)]))
                .collect(),
            rate_limit: read.rates.into_iter().collect(),
            stuck: self.stuck.map(|text| limit("stuck", text)).transpose()?,
            buddy: self.buddy.map(|text| limit("buddy", text)).transpose()?,
            inside: inside.transpose()?,
        })
    }
}

fn of_query(parameter: &str, reason: String) -> ApiError {
    let place = Place { parameter: Some(parameter.to_owned()), ..Place::default() };
    ApiError::meaningless(reason).at(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::query::Query;

    #[test]
    fn a_query_says_the_same_as_a_document() {
        let text = "reject=suspect&valid-range=pm25%3D0..1000&valid-range=o3%3D..300\
                    &rate-limit=pm25%3D200&stuck=off&buddy=4.5&inside=73,18,135,54";
        let query: QualityQuery = Query::parse(Some(text)).take().expect("parameters");
        let document = r#"{"reject": "suspect", "valid_range": {"pm25": [0, 1000], "o3": [null, 300]},
            "rate_limit": {"pm25": 200}, "stuck": "off", "buddy": 4.5, "inside": [73, 18, 135, 54]}"#;
        let document: QualityRequest = serde_json::from_str(document).expect("a document");
        assert_eq!(query.document().expect("numbers"), document);
        let rules = document.rules().expect("rules");
        assert_eq!((rules.reject, rules.stuck, rules.buddy), (Reject::Suspect, None, Some(4.5)));
        let ranges = [("o3", [f64::NEG_INFINITY, 300.0]), ("pm25", [0.0, 1000.0])];
        assert_eq!(rules.ranges, ranges.map(|(name, range)| (name.to_owned(), range)));
    }

    #[test]
    fn nonsense_is_told_where_it_stands() {
        for (document, pointer) in [
            (r#"{"stuck": 2.5}"#, "/read/quality/stuck"),
            (r#"{"valid_range": {"pm25": [10, 1]}}"#, "/read/quality/valid_range"),
            (r#"{"rate_limit": {"pm25": -1}}"#, "/read/quality/rate_limit"),
        ] {
            let request: QualityRequest = serde_json::from_str(document).expect("a document");
            let error = request.rules().expect_err(document);
            assert_eq!(error.problem().errors[0].pointer.as_deref(), Some(pointer), "{document}");
        }
        for (text, name) in [
            ("valid-range=pm25", "valid-range"),
            ("buddy=many", "buddy"),
            ("inside=1,2,3", "inside"),
        ] {
            let query: QualityQuery = Query::parse(Some(text)).take().expect("parameters");
            let error = query.document().expect_err(text);
            assert_eq!(error.problem().errors[0].parameter.as_deref(), Some(name), "{text}");
        }
    }
}
