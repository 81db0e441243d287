//! A query of a PostgreSQL database (so of TimescaleDB, too): the hour's rows, as a table of text.
//!
//! The query runs in a transaction that may only read, for a limited time, and its rows are taken in portions, up
//! to a limit. The server writes every value as text itself, so that no type is one that we do not know.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, Statement, Transaction};

use super::spool::{Received, Sink};
use super::tls::Tls;
use super::{Fetched, Hour, Known, Limits, SourceError, secrets};
use crate::wire::request::ReadRequest;

/// Readings of a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSource {
    /// Where the database is, in the words of libpq: `host=db.example.org port=5432 dbname=air user=isopleth`; a host
    /// that begins with `/` is the folder of a socket.
    pub connection: String,
    /// What is asked: one SELECT; `$1` is the start of the hour, `$2` its end. Its columns are those of a table.
    pub query: String,
    /// Where the password is: `env:NAME` or `file:PATH`. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Whether connections that are no sockets are encrypted: `require` or `off`. Default `require`.
    #[serde(default)]
    pub tls: TlsName,
    /// Certificates (PEM) that the server's must go back to, instead of the public ones. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Seconds that a fetch may take. Default 60.
    #[serde(default = "default_seconds")]
    pub timeout_seconds: u64,
    /// Most rows of an hour. Default 5 million.
    #[serde(default = "default_rows")]
    pub max_rows: u64,
    /// Table of stations, for readings without places. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stations: Option<PathBuf>,
    /// `{variable: unit}`, carried through.
    #[serde(default)]
    pub units: BTreeMap<String, String>,
    /// How readings are to be understood.
    #[serde(default)]
    pub read: ReadRequest,
}

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsName {
    /// It is, or there is none.
    #[default]
    Require,
    /// It is not.
    Off,
}

fn default_seconds() -> u64 {
    60
}

fn default_rows() -> u64 {
    5_000_000
}

const CONNECT: Duration = Duration::from_secs(10);

/// Rows that are asked for at once.
const PORTION: i32 = 1000;

/// How often one that waits looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Start and end of an hour.
const HOUR: [Type; 2] = [Type::TIMESTAMPTZ, Type::TIMESTAMPTZ];

impl PostgresSource {
    pub(super) fn check(&self, name: &str) -> Result<(), SourceError> {
        let setting = |what: String| SourceError::setting(name, what);
        if self.timeout_seconds == 0 || self.max_rows == 0 {
            return Err(setting("timeout_seconds and max_rows must be at least 1".to_owned()));
        }
        let config = self.config().map_err(setting)?;
        if config.get_dbname().is_none() || config.get_user().is_none() {
            return Err(setting("connection: it must say dbname and user".to_owned()));
        }
        if !self.query.contains("$1") {
            let what = "query: it must say which hour, by $1 (its start) and $2 (its end)";
            return Err(setting(what.to_owned()));
        }
        Tls::new(self.ca_file.as_deref()).map_err(setting)?;
        tracing::info!(name, hosts = ?config.get_hosts(), database = config.get_dbname(), "source");
        Ok(())
    }

    /// The connection, with the password.
    fn config(&self) -> Result<Config, String> {
        // What the parser says may hold a password.
        let parsed: Result<Config, _> = self.connection.parse();
        let mut config = parsed.map_err(|_| {
            "connection: expected host=… port=… dbname=… user=…, each once".to_owned()
        })?;
        if config.get_password().is_some() {
            return Err(
                "connection: the password belongs into `password`, as env:NAME or file:PATH"
                    .to_owned(),
            );
        }
        if config.get_hosts().is_empty() {
            return Err("connection: it must say host".to_owned());
        }
        if let Some(told) = &self.password {
            if !secrets::is_elsewhere(told) {
                return Err(
                    "password: write env:NAME or file:PATH, not the password itself".to_owned()
                );
            }
            config.password(secrets::reveal(told).map_err(|why| format!("password: {why}"))?);
        }
        let sockets = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let encrypted = self.tls == TlsName::Require && !sockets;
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        config.application_name("isopleth").connect_timeout(CONNECT);
        Ok(config)
    }

    pub(super) fn fetch(
        &self,
        hour: &Hour,
        known: Known<'_>,
        limits: &Limits<'_>,
    ) -> Result<Fetched, SourceError> {
        let passing = |what: String| SourceError::passing(limits.name, what);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| passing(format!("there is no runtime: {error}")))?;
        let patience = Duration::from_secs(self.timeout_seconds);
        let late = || passing(format!("the query takes longer than {} s", self.timeout_seconds));
        let (rows, received) = runtime.block_on(async {
            tokio::select! {
                asked = tokio::time::timeout(patience, self.ask(hour, limits)) => {
                    asked.map_err(|_| late())?
                }
                () = cancelled(limits) => Err(SourceError::Cancelled { name: limits.name.to_owned() }),
            }
        })?;
        if rows == 0 {
            return Ok(Fetched::NotYet(format!("the query has no rows of {}", hour.start)));
        }
        if known.mark == Some(received.digest.as_str()) {
            return Ok(Fetched::Unchanged);
        }
        let (name, mark) = ("the query".to_owned(), Some(received.digest));
        Ok(Fetched::Readings { name, body: received.body, gzip: false, mark })
    }

    async fn ask(&self, hour: &Hour, limits: &Limits<'_>) -> Result<(u64, Received), SourceError> {
        let lasting = |what: String| SourceError::lasting(limits.name, what);
        let failed = |error: tokio_postgres::Error| told(limits.name, &error);
        let tls = Tls::new(self.ca_file.as_deref()).map_err(lasting)?;
        let (mut client, connection) =
            self.config().map_err(lasting)?.connect(tls).await.map_err(failed)?;
        let connection = tokio::spawn(connection);
        let asked = async {
            let transaction = client.build_transaction().read_only(true).start().await;
            let transaction = transaction.map_err(failed)?;
            let settings = format!(
                "SET LOCAL statement_timeout = {}; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'",
                self.timeout_seconds.saturating_mul(1000).min(i32::MAX as u64)
            );
            transaction.batch_execute(&settings).await.map_err(failed)?;
            let (columns, statement) = self.statement(&transaction, limits).await?;
            self.take(&transaction, &columns, &statement, hour, limits).await
        }
        .await;
        connection.abort();
        asked
    }

    /// The query with every column as text, and its columns.
    async fn statement(
        &self,
        transaction: &Transaction<'_>,
        limits: &Limits<'_>,
    ) -> Result<(Vec<String>, Statement), SourceError> {
        let failed = |error| told(limits.name, &error);
        let query = self.query.trim().trim_end_matches(';');
        let asked = transaction.prepare_typed(query, &HOUR).await.map_err(failed)?;
        let columns: Vec<String> = asked.columns().iter().map(|c| c.name().to_owned()).collect();
        let twice = columns.iter().enumerate().find(|(i, name)| columns[..*i].contains(name));
        if let Some((_, twice)) = twice {
            let what = format!("the query has two columns `{twice}`; name them apart with AS");
            return Err(SourceError::lasting(limits.name, what));
        }
        if columns.is_empty() {
            return Err(SourceError::lasting(limits.name, "the query has no columns"));
        }
        let quoted = |name: &String| format!("q.\"{}\"::text", name.replace('"', "\"\""));
        let list: Vec<String> = columns.iter().map(quoted).collect();
        // The query may end in a comment.
        let text = format!("SELECT {} FROM ({query}\n) AS q", list.join(", "));
        let statement = transaction.prepare_typed(&text, &HOUR).await.map_err(failed)?;
        Ok((columns, statement))
    }

    async fn take(
        &self,
        transaction: &Transaction<'_>,
        columns: &[String],
        statement: &Statement,
        hour: &Hour,
        limits: &Limits<'_>,
    ) -> Result<(u64, Received), SourceError> {
        let failed = |error| told(limits.name, &error);
        let lasting = |what: String| SourceError::lasting(limits.name, what);
        let end = hour.start.checked_add(SignedDuration::from_hours(1));
        let end = end.map_err(|error| lasting(error.to_string()))?;
        let (start, end) = (SystemTime::from(hour.start), SystemTime::from(end));
        let parameters: [&(dyn ToSql + Sync); 2] = [&start, &end];
        let parameters = &parameters[..statement.params().len().min(2)];
        let portal = transaction.bind(statement, parameters).await.map_err(failed)?;
        let mut sink = Sink::new(limits);
        sink.push(&line(columns.iter().map(String::as_str)).map_err(lasting)?)?;
        let mut count = 0_u64;
        loop {
            let rows = transaction.query_portal(&portal, PORTION).await.map_err(failed)?;
            count += rows.len() as u64;
            if count > self.max_rows {
                let what = format!("the query has more than {} rows (max_rows)", self.max_rows);
                return Err(lasting(what));
            }
            for row in &rows {
                let cells = (0..columns.len()).map(|at| row.try_get::<_, Option<&str>>(at));
                let cells = cells.collect::<Result<Vec<_>, _>>().map_err(failed)?;
                let cells = cells.into_iter().map(Option::unwrap_or_default);
                sink.push(&line(cells).map_err(lasting)?)?;
            }
            if rows.is_empty() {
                return Ok((count, sink.finish()?));
            }
        }
    }
}

/// A row of a table; what is NULL is an empty cell, which is a missing reading.
fn line<'a>(cells: impl Iterator<Item = &'a str>) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).map_err(|error| error.to_string())?;
    writer.into_inner().map_err(|error| error.to_string())
}

async fn cancelled(limits: &Limits<'_>) {
    while !limits.cancel.is_cancelled() {
        tokio::time::sleep(LOOK).await;
    }
}

/// What the database says, and whether it may say something else the next time.
fn told(name: &str, error: &tokio_postgres::Error) -> SourceError {
    let Some(said) = error.as_db_error() else {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        return SourceError::passing(name, format!("the database: {text}"));
    };
    let code = said.code().code();
    let what = format!("the database says: {} ({code})", said.message());
    // Connections, resources, conflicts, operators; also a server that is starting.
    let passing = ["08", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class));
    if passing { SourceError::passing(name, what) } else { SourceError::lasting(name, what) }
}

#[cfg(test)]
mod tests;
