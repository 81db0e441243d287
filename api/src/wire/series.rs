//! What is made of the readings of each station over time: of a document and of a query alike.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use isopleth_engine::Treatment;
use isopleth_engine::series::{
    BelowLimit, DetectionLimit, Length, SeriesError, Share, Stamp, Width,
};

use crate::error::{ApiError, Place};

/// Averages and what comes before them, in this order: detection limits, spikes, steps, gaps,
/// averages. All of it may be left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeriesRequest {
    /// A running mean such as `8h` or `24h`; `day`, `month` or `year`; or the daily maximum of 8-hour
    /// means by the rules of the EU (`mda8`), the US (`mda8-us`) or China (`mda8-cn`).
    #[schema(example = "24h")]
    pub average: Option<String>,
    /// Least share of the expected readings that an average needs. Default 0.75; for daily maxima
    /// what the rule says.
    #[schema(minimum = 0, maximum = 1)]
    pub capture: Option<f64>,
    /// What the time of a reading is: the start or the end of its hour. Running means bear the same
    /// part of their window; days, months and years always their start. Default `start`.
    pub stamp: Option<StampName>,
    /// Zone in which days, months and years begin, and steps count. Default: that of the readings.
    #[schema(example = "+08:00")]
    pub day_zone: Option<String>,
    /// Average irregular readings over steps of this length first.
    #[schema(example = "1h")]
    pub step: Option<String>,
    /// Fill gaps without readings for up to this long in a straight line.
    #[schema(example = "3h")]
    pub fill_gaps: Option<String>,
    /// Drop readings further than so many robust standard deviations from the median of the seven
    /// readings about them.
    #[schema(exclusive_minimum = 0, example = 5)]
    pub despike: Option<f64>,
    /// `{variable: limit}`: readings below become half of it, those below minus it are dropped.
    #[serde(default)]
    pub detection_limits: BTreeMap<String, f64>,
    /// What readings below the detection limit become. Default `half`.
    pub below_limit: Option<BelowLimitName>,
}

/// What part of its hour a reading's time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StampName {
    /// Its start.
    Start,
    /// Its end.
    End,
}

/// What readings below the detection limit become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BelowLimitName {
    /// Half of the limit.
    Half,
    /// The limit divided by √2.
    Root2,
    /// Missing.
    Drop,
}

impl SeriesRequest {
    /// As the engine takes it.
    ///
    /// # Errors
    /// 422 with a pointer to the word that makes no sense.
    pub(crate) fn treatment(&self) -> Result<Treatment, ApiError> {
        let limits = self.detection_limits.iter().map(|(name, &limit)| {
            DetectionLimit::new(name, limit).map_err(|error| wrong("detection_limits", &error))
        });
        Ok(Treatment {
            detection_limits: limits.collect::<Result<_, _>>()?,
            below_limit: match self.below_limit {
                None | Some(BelowLimitName::Half) => BelowLimit::Half,
                Some(BelowLimitName::Root2) => BelowLimit::Root2,
                Some(BelowLimitName::Drop) => BelowLimit::Drop,
            },
            despike: self.despike.map(Width::new).transpose().map_err(|e| wrong("despike", &e))?,
            step: length("step", self.step.as_deref())?,
            fill_gaps: length("fill_gaps", self.fill_gaps.as_deref())?,
            average: word("average", self.average.as_deref())?,
            capture: self.capture.map(Share::new).transpose().map_err(|e| wrong("capture", &e))?,
            stamp: match self.stamp {
                None | Some(StampName::Start) => Stamp::Start,
                Some(StampName::End) => Stamp::End,
            },
            day_zone: self.day_zone.clone(),
        })
    }
}

fn length(field: &str, text: Option<&str>) -> Result<Option<Length>, ApiError> {
    word(field, text)
}

fn word<T: FromStr<Err = SeriesError>>(
    field: &str,
    text: Option<&str>,
) -> Result<Option<T>, ApiError> {
    text.map(str::parse).transpose().map_err(|error| wrong(field, &error))
}

fn wrong(field: &str, error: &SeriesError) -> ApiError {
    ApiError::meaningless(error.to_string()).at_pointer(format!("/read/series/{field}"))
}

/// The same as query parameters, with the names of the command line's options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SeriesQuery {
    /// A running mean such as `8h` or `24h`; `day`, `month` or `year`; or the daily maximum of 8-hour
    /// means: `mda8`, `mda8-us`, `mda8-cn`.
    #[param(example = "24h")]
    pub average: Option<String>,
    /// Least share of the expected readings that an average needs, 0 to 1. Default 0.75.
    pub capture: Option<String>,
    /// What the time of a reading is: the start or the end of its hour. Default `start`.
    pub stamp: Option<StampName>,
    /// Zone in which days, months and years begin. Default: that of the readings.
    #[serde(rename = "day-zone")]
    pub day_zone: Option<String>,
    /// Average irregular readings over steps of this length first.
    pub step: Option<String>,
    /// Fill gaps without readings for up to this long in a straight line.
    #[serde(rename = "fill-gaps")]
    pub fill_gaps: Option<String>,
    /// Drop readings further than so many robust standard deviations from the median about them.
    pub despike: Option<String>,
    /// What the instruments can tell at least: `pm25=2`; may be given several times.
    #[serde(default, rename = "detection-limit")]
    pub detection_limit: Vec<String>,
    /// What readings below the detection limit become. Default `half`.
    #[serde(rename = "below-limit")]
    pub below_limit: Option<BelowLimitName>,
}

impl SeriesQuery {
    /// The same as part of a document.
    ///
    /// # Errors
    /// 422 with the name of a parameter whose text is no number.
    pub(crate) fn document(self) -> Result<SeriesRequest, ApiError> {
        let number = |name: &str, text: &str| {
            let text = text.trim();
            text.parse::<f64>().map_err(|_| {
                ApiError::meaningless(format!("{name}={text}: expected a number"))
                    .at(Place { parameter: Some(name.to_owned()), ..Place::default() })
            })
        };
        let mut detection_limits = BTreeMap::new();
        for pair in &self.detection_limit {
            let (name, limit) = pair.rsplit_once('=').unwrap_or((pair, ""));
            detection_limits.insert(name.to_owned(), number("detection-limit", limit)?);
        }
        Ok(SeriesRequest {
            average: self.average,
            capture: self.capture.map(|text| number("capture", &text)).transpose()?,
            stamp: self.stamp,
            day_zone: self.day_zone,
            step: self.step,
            fill_gaps: self.fill_gaps,
            despike: self.despike.map(|text| number("despike", &text)).transpose()?,
            detection_limits,
            below_limit: self.below_limit,
        })
    }
}
