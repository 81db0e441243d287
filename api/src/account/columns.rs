//! The columns of the account, once for all: the row in memory, the table, and the Parquet files have the same.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, Transaction};

/// What a column holds; each of its values may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Real,
    /// Yes or no.
    Flag,
}

type Text = Option<Cow<'static, str>>;
type Whole = Option<i64>;
type Real = Option<f64>;
type Flag = Option<bool>;

/// A value of a row.
enum Cell<'a> {
    Text(&'a Text),
    Whole(Whole),
    Real(Real),
    Flag(Flag),
}

impl<'a> From<&'a Text> for Cell<'a> {
    fn from(value: &'a Text) -> Self {
        Self::Text(value)
    }
}

impl From<&Whole> for Cell<'_> {
    fn from(value: &Whole) -> Self {
        Self::Whole(*value)
    }
}

impl From<&Real> for Cell<'_> {
    fn from(value: &Real) -> Self {
        Self::Real(*value)
    }
}

impl From<&Flag> for Cell<'_> {
    fn from(value: &Flag) -> Self {
        Self::Flag(*value)
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Whole(Some(number)) => ValueRef::Integer(*number),
            Self::Real(Some(number)) if number.is_finite() => ValueRef::Real(*number),
            Self::Flag(Some(flag)) => ValueRef::Integer(i64::from(*flag)),
            _ => ValueRef::Null,
        }))
    }
}

macro_rules! columns {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ident,)+) => {
        /// A row of the account. What is none was not known, or did not matter.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct Usage {
            $($(#[doc = $doc])+ pub(crate) $name: $kind,)+
        }

        /// Name and kind of each column after `number`, in their order.
        pub(super) const COLUMNS: &[(&str, Kind)] = &[$((stringify!($name), Kind::$kind),)+];

        /// What each holds, as the documentation tells it.
        #[cfg(test)]
        pub(super) const MEANINGS: &[&str] = &[$(concat!($($doc,)+),)+];

        impl Usage {
            fn cells(&self) -> [Cell<'_>; COLUMNS.len()] {
                [$(Cell::from(&self.$name),)+]
            }
        }
    };
}

columns! {
    /// When it came, in milliseconds since 1970 (UTC); of a job when it was accepted.
    began_ms: Whole,
    /// When it ended, likewise; the day it is booked on.
    ended_ms: Whole,
    /// `once`: answered at once; `job`.
    way: Text,
    /// `map`, `points` or `crossvalidation`.
    process: Text,
    /// Name of the request, or of the job.
    name: Text,
    /// `key:ID`, `anonymous`, `schedule:ID`; `address:…` where the configuration allows it.
    client: Text,
    /// The registered network.
    network: Text,
    /// `successful`, `refused` (4xx, or busy), `failed` (5xx), `cancelled` (the client hung up), `dismissed`.
    exit: Text,
    /// HTTP status; of a job that failed that of its problem.
    status: Whole,
    /// Name of the problem: `meaningless`, `too-large`, `busy` and so on.
    problem: Text,
    /// Distinct stations.
    stations: Whole,
    /// Fields: variables × times.
    fields: Whole,
    /// Cells (places, stations left out) of one field.
    cells: Whole,
    /// Variables.
    variables: Whole,
    /// Radial function; several with commas.
    kernel: Text,
    /// How distance is measured.
    metric: Text,
    /// `told`, `readings` or `kept`: who chose the method.
    chosen_by: Text,
    /// `exact`, or the tolerance that was allowed.
    tolerance: Text,
    /// `exact` or `fast`: how it was evaluated.
    evaluation: Text,
    /// `f32` or `f64`: width of the numbers in the file.
    precision: Text,
    /// Form of the answer: `netcdf`, `json`, `csv` and so on.
    format: Text,
    /// `computed`, `memory` or `disk`: where the (first) factorisation came from.
    factor: Text,
    /// Threads of the run.
    threads: Whole,
    /// Layers that say how sure the map is.
    uncertainty: Flag,
    /// A transform of a variable was asked for.
    transform: Flag,
    /// A mask.
    mask: Flag,
    /// A background.
    background: Flag,
    /// Covariates.
    covariates: Flag,
    /// Another range along one direction.
    anisotropy: Flag,
    /// Rules for readings that cannot be right, other than the usual ones.
    quality: Flag,
    /// Stations merged in blocks.
    thin: Flag,
    /// Least or greatest values.
    bounds: Flag,
    /// A grid in a plane of projection.
    projected: Flag,
    /// Series cleaned, put on steps or averaged.
    series: Flag,
    /// The map was kept (`keep=true`); those of jobs always are.
    kept: Flag,
    /// Seconds from `began_ms` to `ended_ms`; of a job whole ones.
    seconds: Real,
    /// Of these before any work: the body's way here, the queue.
    waited_seconds: Real,
    /// Seconds that the run took, all stages.
    run_seconds: Real,
    /// Seconds of processors that the run took, all threads together.
    cpu_seconds: Real,
    /// Seconds of reading.
    read_seconds: Real,
    /// Processor seconds of reading.
    read_cpu_seconds: Real,
    /// Seconds of choosing the method.
    choose_seconds: Real,
    /// Processor seconds of choosing the method.
    choose_cpu_seconds: Real,
    /// Seconds of factorising the network.
    factorise_seconds: Real,
    /// Processor seconds of factorising the network.
    factorise_cpu_seconds: Real,
    /// Seconds of solving.
    solve_seconds: Real,
    /// Processor seconds of solving.
    solve_cpu_seconds: Real,
    /// Seconds of evaluating and compressing.
    evaluate_seconds: Real,
    /// Processor seconds of evaluating and compressing.
    evaluate_cpu_seconds: Real,
    /// Seconds of putting the file together.
    finish_seconds: Real,
    /// Processor seconds of putting the file together.
    finish_cpu_seconds: Real,
    /// Seconds that the plan foresaw, reading apart.
    predicted_seconds: Real,
    /// Peak memory of the process that the plan foresaw.
    predicted_bytes: Whole,
    /// Peak memory of the process (`VmHWM`) when the run began.
    peak_before_bytes: Whole,
    /// The same when it ended: what the run itself needed only where it is more.
    peak_bytes: Whole,
    /// Proportional memory of the process (PSS), as it was 10 s before the row was written at most.
    pss_bytes: Whole,
    /// Most memory of the control group so far.
    group_peak_bytes: Whole,
    /// Attempts of a job since it last completed a block.
    attempts: Whole,
    /// Blocks of a job.
    blocks: Whole,
}

impl Usage {
    /// Adds rows to the table.
    pub(super) fn insert(rows: &[Self], tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut statement = tx.prepare(insertion())?;
        rows.iter().try_for_each(|row| {
            statement.execute(rusqlite::params_from_iter(row.cells())).map(drop)
        })
    }
}

/// `name, name, …`
pub(super) fn names() -> String {
    COLUMNS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn insertion() -> &'static str {
    static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let places = vec!["?"; COLUMNS.len()].join(", ");
        format!("INSERT INTO usage ({}) VALUES ({places})", names())
    });
    &SQL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn the_table_has_these_columns_and_no_others() {
        let store = Store::open(None).expect("a database");
        let found: Result<Vec<(String, String)>, rusqlite::Error> = store.read(|c| {
            let mut statement = c.prepare("SELECT name, type FROM pragma_table_info('usage')")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        });
        let kind = |kind| match kind {
            Kind::Text => "TEXT",
            Kind::Whole | Kind::Flag => "INTEGER",
            Kind::Real => "REAL",
        };
        let own = COLUMNS.iter().map(|(name, of)| ((*name).to_owned(), kind(*of).to_owned()));
        let number = ("number".to_owned(), "INTEGER".to_owned());
        let expected: Vec<_> = std::iter::once(number).chain(own).collect();
        assert_eq!(found.expect("columns"), expected);
    }

    #[test]
    fn the_page_of_the_account_tells_every_column_as_the_code_does() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/account.md");
        let page = std::fs::read_to_string(page).expect("the page");
        for ((name, kind), meaning) in COLUMNS.iter().zip(MEANINGS) {
            let kind = format!("{kind:?}").to_lowercase();
            let line = format!("| `{name}` | {kind} | {} |", meaning.trim());
            assert!(page.contains(&line), "docs/account.md lacks: {line}");
        }
    }
}
