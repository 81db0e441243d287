//! Somebody's server: the hour's readings at an address by a template.
//!
//! What has not changed is not sent again (`ETag`, `Last-Modified`). Nothing is followed to another host, nothing
//! larger than a body may be is received, packed or unpacked, and no secret is in a message.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use ureq::http::{HeaderName, HeaderValue, Response, Uri, header};

use super::address::Address;
use super::spool::Sink;
use super::{Fetched, Hour, Known, Limits, SourceError, secrets};
use crate::template::Template;
use crate::wire::request::ReadRequest;

/// Readings of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSource {
    /// Their address, such as `https://air.example.org/hourly/{time_utc:%Y%m%d%H}.csv`. Names of `secrets` may be
    /// placeholders, too, behind the host.
    pub url: String,
    /// Seconds that a fetch may take, all attempts together. Default 60.
    #[serde(default = "default_seconds")]
    pub timeout_seconds: u64,
    /// Attempts before the schedule is told that it did not work. Default 4.
    #[serde(default = "default_attempts")]
    pub attempts: u32,
    /// Certificates (PEM) that the server's must go back to, instead of the public ones. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Table of stations, for readings without places. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stations: Option<PathBuf>,
    /// Headers of the request: `authorization = "Bearer env:TOKEN"`; `env:NAME` and `file:PATH` say where a value is.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Parts of the address that nobody is to see: `{key}` with `key = "env:AIR_KEY"`.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// `{variable: unit}`, carried through.
    #[serde(default)]
    pub units: BTreeMap<String, String>,
    /// How readings are to be understood.
    #[serde(default)]
    pub read: ReadRequest,
}

fn default_seconds() -> u64 {
    60
}

fn default_attempts() -> u32 {
    4
}

/// Longest time until a connection stands, and of silence on it.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(20);

/// Wait before the second attempt; doubled each time, and by chance half as long again.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// How often one that waits looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Addresses of one server that are gone through for one answer.
const MOST_REDIRECTS: usize = 5;

/// Headers that carry secrets, and so stand elsewhere.
const SECRET: [&str; 5] = ["authorization", "cookie", "x-api-key", "api-key", "x-auth-token"];

/// Headers that are ours.
const OURS: [HeaderName; 8] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::ACCEPT_ENCODING,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::RANGE,
];

/// What is remembered of an answer.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    digest: String,
}

/// An attempt that did not work.
struct Failed {
    error: SourceError,
    /// What the server asked to be waited.
    wait: Option<Duration>,
}

impl From<SourceError> for Failed {
    fn from(error: SourceError) -> Self {
        Self { error, wait: None }
    }
}

/// A request, with all that is to be kept from sight.
struct Request<'a> {
    agent: ureq::Agent,
    address: Address,
    headers: Vec<(HeaderName, HeaderValue)>,
    hidden: Vec<String>,
    known: Option<Mark>,
    limits: &'a Limits<'a>,
    deadline: Instant,
}

impl HttpSource {
    pub(super) fn check(&self, name: &str) -> Result<(), SourceError> {
        let setting = |what: String| SourceError::setting(name, what);
        if self.timeout_seconds == 0 || self.attempts == 0 {
            return Err(setting("timeout_seconds and attempts must be at least 1".to_owned()));
        }
        let template = self.template(name)?;
        let start = template.start();
        let behind = start.split_once("://").map(|(_, rest)| rest);
        if !behind.is_some_and(|rest| rest.contains(['/', '?'])) && start != self.url {
            let what = "the host must be written out: https://HOST/ before the first placeholder";
            return Err(setting(format!("url: {what}")));
        }
        let filled = template.fill(jiff::Timestamp::UNIX_EPOCH, &jiff::tz::TimeZone::UTC, &[]);
        Address::parse(&filled).map_err(|why| setting(format!("url: it {why}")))?;
        for (key, told) in &self.secrets {
            if !secrets::is_elsewhere(told) {
                let what =
                    format!("secrets.{key}: write env:NAME or file:PATH, not the secret itself");
                return Err(setting(what));
            }
            if !template.has(key) {
                return Err(setting(format!("secrets.{key}: the url has no {{{key}}}")));
            }
            secrets::reveal(told).map_err(|why| setting(format!("secrets.{key}: {why}")))?;
        }
        self.headers(name)?;
        if let Some(path) = &self.ca_file {
            secrets::certificates(path).map_err(setting)?;
        }
        tracing::info!(name, url = self.url, "source");
        Ok(())
    }

    fn template(&self, name: &str) -> Result<Template, SourceError> {
        let names: Vec<&str> = self.secrets.keys().map(String::as_str).collect();
        Template::parse(&self.url, &names).map_err(|source| {
            let name = name.to_owned();
            SourceError::Template { name, setting: "url", source }
        })
    }

    fn headers(&self, name: &str) -> Result<Vec<(HeaderName, HeaderValue)>, SourceError> {
        let one = |(key, told): (&String, &String)| {
            let wrong = |why: &str| SourceError::setting(name, format!("headers.{key}: {why}"));
            let header: HeaderName = key.parse().map_err(|_| wrong("is no name of a header"))?;
            if OURS.contains(&header) {
                return Err(wrong("this header is set by the service"));
            }
            if SECRET.contains(&header.as_str()) && !secrets::is_elsewhere(told) {
                return Err(wrong("write env:NAME or file:PATH, as in \"Bearer env:TOKEN\""));
            }
            let value = secrets::reveal(told).map_err(|why| wrong(&why))?;
            let mut value =
                HeaderValue::from_str(&value).map_err(|_| wrong("is no value of a header"))?;
            value.set_sensitive(true);
            Ok((header, value))
        };
        self.headers.iter().map(one).collect()
    }

    pub(super) fn fetch(
        &self,
        hour: &Hour,
        known: Known<'_>,
        limits: &Limits<'_>,
    ) -> Result<Fetched, SourceError> {
        let request = self.request(hour, known, limits)?;
        let (mut wait, mut attempt) = (FIRST_WAIT, 1);
        loop {
            let Failed { error, wait: asked } = match request.fetch() {
                Ok(fetched) => return Ok(fetched),
                Err(failed) => failed,
            };
            let pause = asked.unwrap_or(wait.mul_f64(1.0 + chance() / 2.0));
            let left = request.deadline.saturating_duration_since(Instant::now());
            if !error.is_passing() || attempt >= self.attempts || pause >= left {
                return Err(error);
            }
            tracing::debug!(%error, attempt, "asking again");
            request.sleep(pause)?;
            wait *= 2;
            attempt += 1;
        }
    }

    fn request<'a>(
        &self,
        hour: &Hour,
        known: Known<'_>,
        limits: &'a Limits<'a>,
    ) -> Result<Request<'a>, SourceError> {
        let missing = |why: String| SourceError::lasting(limits.name, why);
        let headers = self.headers(limits.name)?;
        let reveal = |(key, told): (&String, &String)| {
            secrets::reveal(told).map(|value| (key.clone(), value))
        };
        let revealed =
            self.secrets.iter().map(reveal).collect::<Result<Vec<_>, _>>().map_err(missing)?;
        let named: Vec<(&str, &str)> =
            revealed.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let url = self.template(limits.name)?.fill_with(hour.start, &hour.zone, &named, escaped);
        let address = Address::parse(&url).map_err(|why| missing(format!("the address {why}")))?;
        let told = self.headers.values().filter(|told| secrets::is_elsewhere(told));
        let words = told.filter_map(|told| secrets::hidden(told).ok());
        let hidden = revealed.iter().flat_map(|(_, value)| [value.clone(), escaped(value)]);
        // A short word would make riddles of messages, and is no secret.
        let hidden = words.chain(hidden).filter(|word| word.len() > 3).collect();
        let known = known.mark.and_then(|mark| serde_json::from_str(mark).ok());
        let deadline = Instant::now() + Duration::from_secs(self.timeout_seconds);
        let agent = self.agent().map_err(missing)?;
        Ok(Request { agent, address, headers, hidden, known, limits, deadline })
    }

    fn agent(&self) -> Result<ureq::Agent, String> {
        let mut tls = ureq::tls::TlsConfig::builder();
        if let Some(path) = &self.ca_file {
            let read = secrets::certificates(path)?;
            let of_der = |der: &tokio_rustls::rustls::pki_types::CertificateDer<'_>| {
                ureq::tls::Certificate::from_der(der).to_owned()
            };
            let all: Vec<_> = read.iter().map(of_der).collect();
            tls = tls.root_certs(ureq::tls::RootCerts::new_with_certs(&all));
        }
        let config = ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .proxy(None)
            .tls_config(tls.build());
        Ok(config.build().into())
    }
}

impl Request<'_> {
    fn fetch(&self) -> Result<Fetched, Failed> {
        let mut answer = self.answer()?;
        let status = answer.status();
        match status.as_u16() {
            200 => Ok(self.receive(&mut answer)?),
            304 if self.known.is_some() => Ok(Fetched::Unchanged),
            204 | 404 | 410 => {
                Ok(Fetched::NotYet(format!("{} answers {status}", self.shown(&self.address))))
            }
            408 | 425 | 429 | 500..=599 => {
                let error = self.passing(&format!("answers {status}"));
                let wait = answer.headers().get(header::RETRY_AFTER);
                let wait = wait.and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
                Err(Failed { error, wait: wait.map(Duration::from_secs) })
            }
            401 | 403 => {
                Err(self.lasting(&format!("answers {status}; are its headers and secrets right?")))
            }
            _ => Err(self.lasting(&format!("answers {status}"))),
        }
    }

    /// The answer at the end of all redirects, which do not leave the host.
    fn answer(&self) -> Result<Response<ureq::Body>, Failed> {
        let mut address = self.address.clone();
        for _ in 0..=MOST_REDIRECTS {
            let answer = self.ask(address.uri())?;
            let redirects = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(to) = answer.headers().get(header::LOCATION).filter(|_| redirects) else {
                return Ok(answer);
            };
            let to = to.to_str().unwrap_or_default();
            address = address.join(to).map_err(|why| {
                self.lasting(&format!("sends us on to `{}`, {why}", self.without_secrets(to)))
            })?;
        }
        Err(self.lasting("sends us from one address to the next"))
    }

    fn ask(&self, uri: &Uri) -> Result<Response<ureq::Body>, Failed> {
        if self.limits.cancel.is_cancelled() {
            return Err(SourceError::Cancelled { name: self.limits.name.to_owned() }.into());
        }
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.passing("takes longer than timeout_seconds").into());
        }
        let mut request = self.agent.get(uri).config().timeout_global(Some(left)).build();
        request = request
            .header(header::USER_AGENT, concat!("isopleth/", env!("CARGO_PKG_VERSION")))
            .header(header::ACCEPT_ENCODING, "gzip");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(Mark { etag, modified, .. }) = &self.known {
            if let Some(etag) = etag {
                request = request.header(header::IF_NONE_MATCH, etag);
            }
            if let Some(modified) = modified {
                request = request.header(header::IF_MODIFIED_SINCE, modified);
            }
        }
        request.call().map_err(|error| self.passing(&format!("cannot be reached: {error}")).into())
    }

    fn receive(&self, answer: &mut Response<ureq::Body>) -> Result<Fetched, Failed> {
        let text =
            |name| answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let (etag, modified) = (text(header::ETAG), text(header::LAST_MODIFIED));
        let (etag, modified) = (etag.map(str::to_owned), modified.map(str::to_owned));
        let packed = match text(header::CONTENT_ENCODING).map(str::trim) {
            None | Some("" | "identity") => false,
            Some("gzip" | "x-gzip") => true,
            Some(other) => {
                let other = self.without_secrets(other);
                return Err(
                    self.lasting(&format!("sends Content-Encoding {other}, and we know gzip only"))
                );
            }
        };
        let mut sink = Sink::new(self.limits);
        // As sent no more than unpacked.
        let raw = answer.body_mut().as_reader().take(self.limits.bytes + 1);
        let mut raw = BufReader::with_capacity(1 << 16, raw);
        let broken = |error| self.passing(&format!("broke off: {error}"));
        if packed {
            sink.take(&mut MultiGzDecoder::new(&mut raw), broken)?;
        } else {
            sink.take(&mut raw, broken)?;
        }
        let received = sink.finish()?;
        if received.length == 0 {
            return Ok(Fetched::NotYet(format!("{} is empty", self.shown(&self.address))));
        }
        if self.known.as_ref().is_some_and(|known| known.digest == received.digest) {
            return Ok(Fetched::Unchanged);
        }
        let mark = Mark { etag, modified, digest: received.digest };
        let mark = serde_json::to_string(&mark).ok();
        let name = self.without_secrets(self.address.name());
        Ok(Fetched::Readings { name, body: received.body, gzip: false, mark })
    }

    fn sleep(&self, pause: Duration) -> Result<(), SourceError> {
        let end = Instant::now() + pause;
        while !self.limits.cancel.is_cancelled() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
        Err(SourceError::Cancelled { name: self.limits.name.to_owned() })
    }

    fn shown(&self, address: &Address) -> String {
        self.without_secrets(&address.uri().to_string())
    }

    fn without_secrets(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    fn passing(&self, what: &str) -> SourceError {
        let what = self.without_secrets(what);
        SourceError::passing(self.limits.name, format!("{} {what}", self.shown(&self.address)))
    }

    fn lasting(&self, what: &str) -> Failed {
        let what = self.without_secrets(what);
        SourceError::lasting(self.limits.name, format!("{} {what}", self.shown(&self.address)))
            .into()
    }
}

/// Written so that it means itself in a path and in a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte);
    let written = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(written).collect()
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let mut byte = [0_u8; 1];
    // Without chance it is tried at the same moments as by others, and nothing worse.
    let _ = getrandom::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

#[cfg(test)]
mod tests;
