//! Why series cannot be treated as asked.

/// Why series cannot be treated as asked. The fields are named in the messages.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are named in the messages")]
pub enum SeriesError {
    #[error(
        "the readings carry no time, so there is nothing to average, resample, fill or despike; \
         name the column of times, or leave these options out"
    )]
    NoTimes,
    #[error("`{text}` is no length of time; write 30min, 8h, 24h, 1d or PT8H")]
    BadSpan { text: String },
    #[error(
        "`{text}` is no average; write a running window such as 8h or 24h, or day, month, year, \
         mda8, mda8-us or mda8-cn"
    )]
    BadAverage { text: String },
    #[error("`{text}` is no share; data capture is a number from 0 to 1, such as 0.75")]
    BadShare { text: String },
    #[error("`{text}` is no detection limit; write VARIABLE=NUMBER, such as pm25=2")]
    BadLimit { text: String },
    #[error("`{text}` is no width; it is a positive number of standard deviations, such as 5")]
    BadWidth { text: String },
    #[error("unknown {what} `{text}`; known: {known}")]
    UnknownWord { what: &'static str, text: String, known: &'static str },
    #[error(
        "a detection limit is given for `{wanted}`, but there is no such variable; there are: {known}"
    )]
    UnknownVariable { wanted: String, known: String },
    #[error(
        "no station has two readings of a variable, so how far apart readings are is not known; \
         give the step"
    )]
    NoStep,
    #[error(
        "a window of {window} cannot be made of readings {step} apart; it must be a whole number \
         of steps: give another window, or a step that divides it"
    )]
    Window { window: String, step: String },
    #[error(
        "the daily maximum of 8-hour means needs hourly readings, but these are {step} apart; \
         give a step of 1h if they come more often"
    )]
    NotHourly { step: String },
    #[error("{what} of {span} is {steps} steps of {step}, more than {limit}; choose a longer step")]
    TooManySteps { what: &'static str, span: String, steps: i64, step: String, limit: i64 },
    #[error(
        "a running mean over {window} has {steps} steps but needs only {needed} of them; ask for a \
         data capture of at least 0.01"
    )]
    Thin { window: String, steps: i64, needed: i64 },
    #[error("a time lies beyond the calendar: {seconds} s since 1970; correct it")]
    Calendar { seconds: i64 },
    #[error(
        "nothing is left of {readings} readings: {too_few} windows had too few of them, {dropped} \
         were dropped; ask for less data capture, a shorter window, or read more days"
    )]
    NothingLeft { readings: u64, too_few: u64, dropped: u64 },
}
