//! The part of the command line on readings in time: what is averaged, filled and left out before
//! anything is mapped.

use clap::Args;
use isopleth_engine::Treatment;
use isopleth_engine::series::{
    Average, BelowLimit, DetectionLimit, Length, SeriesError, Share, Stamp, Width,
};

/// What is done to the series of each station. The order is fixed: detection limits, spikes, steps,
/// gaps, averages.
#[derive(Debug, Args)]
#[command(next_help_heading = "Readings in time")]
pub(crate) struct SeriesArguments {
    /// Map averages: a running mean such as 8h or 24h; day, month or year; or the daily maximum
    /// of 8-hour means by the rules of the EU (mda8), the US (mda8-us) or China (mda8-cn). With
    /// this, --time selects averages, not readings
    #[arg(long, value_name = "WINDOW", value_parser = parse::<Average>)]
    pub(crate) average: Option<Average>,
    /// Least share of the expected readings that an average needs, 0 to 1 [default: 0.75; for
    /// daily maxima what the rule says]
    #[arg(long, value_name = "SHARE", requires = "average", value_parser = parse::<Share>)]
    pub(crate) capture: Option<Share>,
    /// What the time of a reading is: the start or the end of its hour. Running means bear the same
    /// part of their window; days, months and years always their start
    #[arg(long, value_name = "PART", default_value = "start", value_parser = parse::<Stamp>)]
    pub(crate) stamp: Stamp,
    /// Time zone in which days, months and years begin, and --step counts [default: that of --zone]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    pub(crate) day_zone: Option<String>,
    /// Average irregular readings over steps of this length first, such as 1h
    #[arg(long, value_name = "LENGTH", value_parser = parse::<Length>)]
    pub(crate) step: Option<Length>,
    /// Fill gaps without readings for up to this long in a straight line, such as 3h
    #[arg(long, value_name = "LENGTH", value_parser = parse::<Length>)]
    pub(crate) fill_gaps: Option<Length>,
    /// Drop readings further than so many robust standard deviations from the median of the seven
    /// readings about them [default with --despike alone: 5]
    #[arg(long, value_name = "K", num_args = 0..=1, require_equals = true,
          default_missing_value = "5", value_parser = parse::<Width>)]
    pub(crate) despike: Option<Width>,
    /// What the instruments can tell at least, such as pm25=2: readings below become half of it,
    /// those below minus it are dropped; may be given several times
    #[arg(long, value_name = "VARIABLE=NUMBER", value_parser = parse::<DetectionLimit>)]
    pub(crate) detection_limit: Vec<DetectionLimit>,
    /// What readings below the detection limit become: half of it, root2 (the limit divided by √2),
    /// or drop
    #[arg(long, value_name = "RULE", default_value = "half", value_parser = parse::<BelowLimit>)]
    pub(crate) below_limit: BelowLimit,
}

impl SeriesArguments {
    /// As the engine takes it.
    pub(crate) fn treatment(&self) -> Treatment {
        Treatment {
            detection_limits: self.detection_limit.clone(),
            below_limit: self.below_limit,
            despike: self.despike,
            step: self.step,
            fill_gaps: self.fill_gaps,
            average: self.average,
            capture: self.capture,
            stamp: self.stamp,
            day_zone: self.day_zone.clone(),
        }
    }
}

fn parse<T: std::str::FromStr<Err = SeriesError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: SeriesError| error.to_string())
}
