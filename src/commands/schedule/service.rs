//! Asks a running service over HTTP; one that says no is told in its own words.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use ureq::http::{Method, Request};

use crate::failure::{Failure, io};

const PATIENCE: Duration = Duration::from_secs(60);

/// Pages of a list that are asked for, at most.
const PAGES: usize = 100;

pub(super) struct Service {
    url: String,
    key: Option<String>,
    agent: ureq::Agent,
}

impl Service {
    pub(super) fn new(url: &str, key: Option<&str>) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .into();
        Self { url: url.trim_end_matches('/').to_owned(), key: key.map(str::to_owned), agent }
    }

    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send("GET", path, None)
    }

    /// All pages of a list, as one.
    pub(super) fn all(&self, path: &str, name: &str) -> Result<Value, Failure> {
        let mut all = Vec::new();
        let mut next = Some(path.to_owned());
        for _ in 0..PAGES {
            let Some(path) = next else { break };
            let mut page = self.get(&path)?;
            if let Value::Array(some) = page[name].take() {
                all.extend(some);
            }
            next = page["next"].as_str().map(str::to_owned);
        }
        Ok(Value::Array(all))
    }

    /// # Errors
    /// Exit code 3 where the service finds the request wrong, 5 where it does not answer.
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let url = format!("{}{path}", self.url);
        let method: Method = method.parse().map_err(io)?;
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let sent = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).map_err(io)?)
            }
            None => self.agent.run(request.body(()).map_err(io)?),
        };
        let mut answer = sent.with_context(|| format!("no answer from {url}")).map_err(io)?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().map_err(io)?;
        if (200..300).contains(&status) {
            return match text.is_empty() {
                true => Ok(Value::Null),
                false => serde_json::from_str(&text)
                    .with_context(|| format!("{url} is no such service"))
                    .map_err(io),
            };
        }
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("").to_owned();
        let place = problem["errors"][0]["pointer"].as_str().unwrap_or("").to_owned();
        let place = if place.is_empty() { place } else { format!(" (at {place})") };
        Err(match status {
            400..=499 => Failure::Input(format!("{detail}{place}")),
            _ => io(anyhow::anyhow!("{url} answered {status} {detail}")),
        })
    }
}

/// A name as part of a path.
pub(super) fn escaped(name: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let byte = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    name.bytes().map(byte).collect()
}
