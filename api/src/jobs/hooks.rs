//! Word to somebody else's server when a job has ended: only to hosts that the configuration names, at addresses
//! that belong there, signed, without following redirects, again and again until it is taken.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Transaction, params};
use serde_json::json;
use sha2::Sha256;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::{State, now};
use crate::config::ServiceConfig;
use crate::error::ApiError;
use crate::state::AppState;

/// Header that proves who sent it: `t=<seconds>,sha256=<hex of HMAC-SHA256 of "<seconds>.<body>">`.
const SIGNATURE: &str = "x-isopleth-signature";

/// After so many attempts, within a day, it is given up.
const MOST_ATTEMPTS: u32 = 15;

/// Seconds to the second attempt; doubled each time, at most.
const FIRST_WAIT: i64 = 5;
const LONGEST_WAIT: i64 = 12 * 3600;

/// An attempt takes no longer, nor does another process make one meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
const CLAIM: i64 = 60;

/// A longer address is none.
const LONGEST_URL: usize = 2000;

/// How often is looked for what is due.
const POLL: Duration = Duration::from_secs(1);

/// A host that may be told: `name`, `name:port`, and behind `=` the network its addresses must be in
/// (`hooks.internal=10.0.0.0/8`). Without one they must be public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    host: String,
    port: Option<u16>,
    network: Option<(IpAddr, u32)>,
}

impl FromStr for Rule {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, network) = text.split_once('=').map_or((text, None), |(n, w)| (n, Some(w)));
        let (host, port) = match name.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| ())?)),
            None => (name, None),
        };
        let network = network.map(|network| {
            let (address, bits) = network.split_once('/').ok_or(())?;
            let address: IpAddr = address.parse().map_err(|_| ())?;
            let bits: u32 = bits.parse().map_err(|_| ())?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            if bits <= most { Ok((address, bits)) } else { Err(()) }
        });
        if host.is_empty() || host.contains(['/', ' ', '@']) {
            return Err(());
        }
        Ok(Self { host: host.to_ascii_lowercase(), port, network: network.transpose()? })
    }
}

impl Rule {
    fn is_of(&self, uri: &Uri) -> bool {
        let standard = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        let port = uri.port_u16().unwrap_or(standard);
        uri.host().is_some_and(|host| host.eq_ignore_ascii_case(&self.host))
            && port == self.port.unwrap_or(standard)
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match (self.network, address) {
            (None, address) => is_public(address),
            (Some((IpAddr::V4(network), bits)), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (Some((IpAddr::V6(network), bits)), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// Whether an address is one of the internet, and not of this machine or its neighbourhood.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => {
            let [first, second, ..] = a.octets();
            let shared = first == 100 && (64..128).contains(&second);
            let reserved = first == 0 || first >= 240;
            !(a.is_private()
                || a.is_loopback()
                || a.is_link_local()
                || a.is_multicast()
                || a.is_documentation()
                || shared
                || reserved)
        }
        IpAddr::V6(a) => {
            // Global unicast, less what carries an IPv4 address of anywhere (6to4, Teredo).
            let [first, second, ..] = a.segments();
            (first & 0xe000) == 0x2000 && first != 0x2002 && !(first == 0x2001 && second == 0)
        }
    }
}

fn rule_of(config: &ServiceConfig, url: &str) -> Option<(Uri, Rule)> {
    let uri: Uri = url.parse().ok().filter(|_| url.len() <= LONGEST_URL)?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    // No name and password of anybody else's.
    let plain = uri.authority().is_some_and(|a| !a.as_str().contains('@'));
    let rules = config.webhook_hosts.iter().filter_map(|text| text.parse::<Rule>().ok());
    let rule = rules.into_iter().find(|rule| rule.is_of(&uri))?;
    (known && plain).then_some((uri, rule))
}

/// Whether a setting allows word to be sent there.
pub(crate) fn is_allowed(config: &ServiceConfig, url: &str) -> bool {
    rule_of(config, url).is_some()
}

/// Seconds until something that was not taken so often is sent again; none: it is given up.
pub(crate) fn wait(attempts: u32) -> Option<i64> {
    let wait = (FIRST_WAIT << attempts.min(20)).min(LONGEST_WAIT);
    (attempts + 1 < MOST_ATTEMPTS).then_some(wait)
}

/// Whether word may be sent there.
///
/// # Errors
/// 422 with the name of the header.
pub(super) fn check(config: &ServiceConfig, url: &str) -> Result<(), ApiError> {
    if rule_of(config, url).is_some() {
        return Ok(());
    }
    Err(ApiError::meaningless(
        "Webhook-Url: this service tells nobody there; it must be an http(s) address whose host and \
         port are in the setting webhook_hosts",
    ))
}

/// Sends what is due, until the service stops.
pub(super) async fn deliver(state: AppState) {
    if state.config().webhook_hosts.is_empty() {
        return;
    }
    while !state.jobs().drain.is_cancelled() {
        let shared = state.clone();
        let sent = tokio::task::spawn_blocking(move || deliver_due(&shared)).await;
        if let Ok(Err(error)) = sent {
            tracing::error!(%error, "webhooks cannot be delivered");
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => (),
            () = state.jobs().drain.cancelled() => (),
        }
    }
}

/// A word to be sent.
struct Due {
    job: String,
    url: String,
    attempts: u32,
    state: State,
    map: String,
    finished: Option<i64>,
    message: Option<String>,
}

fn deliver_due(state: &AppState) -> rusqlite::Result<()> {
    while let Some(due) = state.store().write(claim)? {
        let outcome = send(state.config(), &due);
        state.store().write(|tx| book(tx, &due, &outcome))?;
        match outcome {
            Ok(()) => tracing::info!(job = due.job, "webhook delivered"),
            Err(error) => tracing::warn!(job = due.job, error, "webhook not taken"),
        }
        if state.jobs().drain.is_cancelled() {
            break;
        }
    }
    Ok(())
}

/// One that is due, which is nobody else's for a while.
fn claim(tx: &Transaction<'_>) -> rusqlite::Result<Option<Due>> {
    let sql = "SELECT jobs.id, url, hooks.attempts, state, map, finished, jobs.message FROM hooks \
               JOIN jobs ON jobs.id = hooks.job WHERE due <= ?1 ORDER BY due LIMIT 1";
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Due {
            job: row.get(0)?,
            url: row.get(1)?,
            attempts: row.get(2)?,
            state: row.get(3)?,
            map: row.get(4)?,
            finished: row.get(5)?,
            message: row.get(6)?,
        })
    };
    let due = rusqlite::OptionalExtension::optional(tx.query_row(sql, [now()], read))?;
    if let Some(due) = &due {
        tx.execute("UPDATE hooks SET due = ?2 WHERE job = ?1", params![due.job, now() + CLAIM])?;
    }
    Ok(due)
}

fn book(tx: &Transaction<'_>, due: &Due, outcome: &Result<(), String>) -> rusqlite::Result<()> {
    let attempts = due.attempts + 1;
    let again = wait(due.attempts).filter(|_| outcome.is_err()).map(|seconds| now() + seconds);
    let delivered = outcome.is_ok().then(now);
    let message = outcome.as_ref().err();
    let sql =
        "UPDATE hooks SET due = ?2, attempts = ?3, delivered = ?4, message = ?5 WHERE job = ?1";
    tx.execute(sql, params![due.job, again, attempts, delivered, message])?;
    Ok(())
}

fn send(config: &ServiceConfig, due: &Due) -> Result<(), String> {
    let finished = due.finished.map(crate::wire::jobs::iso);
    let body = json!({
        "jobID": due.job, "id": due.job, "status": due.state, "finished": finished,
        "message": due.message, "map": (due.state == State::Successful).then_some(&due.map),
        "job": format!("/v1/jobs/{}", due.job),
    });
    post(config, &due.url, body.to_string())
}

/// Sends a document, signed; why it was not taken.
pub(crate) fn post(config: &ServiceConfig, url: &str, body: String) -> Result<(), String> {
    // The configuration may have changed since the address was checked.
    let (uri, rule) = rule_of(config, url).ok_or("the host is no longer allowed")?;
    let path = config.webhook_secret_file.as_ref().ok_or("there is no webhook_secret_file")?;
    let secret = std::fs::read(path).map_err(|error| format!("webhook_secret_file: {error}"))?;
    let seconds = now();
    let agent = ureq::Agent::with_parts(
        ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build(),
        DefaultConnector::default(),
        Guarded { rule, inner: DefaultResolver::default() },
    );
    let signature = signature(secret.trim_ascii_end(), seconds, &body);
    let sent = agent
        .post(uri)
        .header("content-type", "application/json")
        .header(SIGNATURE, signature)
        .header("user-agent", concat!("isopleth/", env!("CARGO_PKG_VERSION")))
        .send(body);
    match sent {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("answered {}", answer.status())),
        Err(error) => Err(error.to_string()),
    }
}

fn signature(secret: &[u8], seconds: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(format!("{seconds}.{body}").as_bytes());
    let bytes = mac.finalize().into_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},sha256={hex}")
}

/// Finds addresses as usual, and keeps to those that the rule allows.
struct Guarded {
    rule: Rule,
    inner: DefaultResolver,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guarded({:?})", self.rule)
    }
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in found.iter().filter(|address| self.rule.allows(address.ip())) {
            allowed.push(*address);
        }
        if allowed.is_empty() {
            let text = format!(
                "{} is at no address that the setting webhook_hosts allows",
                uri.host().unwrap_or_default()
            );
            return Err(ureq::Error::Io(std::io::Error::other(text)));
        }
        Ok(allowed)
    }
}

/// Whether the settings of webhooks make sense; else the text that does not.
pub(crate) fn check_rules(hosts: &[String]) -> Option<&String> {
    hosts.iter().find(|text| text.parse::<Rule>().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(hosts: &[&str]) -> ServiceConfig {
        let webhook_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        ServiceConfig { webhook_hosts, ..ServiceConfig::default() }
    }

    #[test]
    fn only_hosts_and_ports_of_the_list_are_told() {
        let config = config(&["hooks.example.org", "in.house:8443=10.1.0.0/16"]);
        for (url, allowed) in [
            ("https://hooks.example.org/a?b=c", true),
            ("http://HOOKS.example.org/", true),
            ("https://hooks.example.org:8443/", false),
            ("https://in.house:8443/x", true),
            ("https://in.house/x", false),
            ("https://other.example.org/", false),
            ("https://hooks.example.org.evil.example/", false),
            ("https://user:pw@hooks.example.org/", false),
            ("ftp://hooks.example.org/", false),
            ("file:///etc/passwd", false),
            ("hooks.example.org", false),
            ("", false),
        ] {
            assert_eq!(check(&config, url).is_ok(), allowed, "{url}");
        }
        assert!(check(&ServiceConfig::default(), "https://hooks.example.org/").is_err());
    }

    #[test]
    fn a_name_that_leads_into_the_house_is_not_followed_unless_its_rule_says_so() {
        let public: Rule = "hooks.example.org".parse().expect("a rule");
        let inside: Rule = "in.house:8443=10.1.0.0/16".parse().expect("a rule");
        let local: Rule = "localhost:9000=127.0.0.0/8".parse().expect("a rule");
        for (address, by_public, by_inside, by_local) in [
            ("93.184.215.14", true, false, false),
            ("10.1.2.3", false, true, false),
            ("10.2.2.3", false, false, false),
            ("127.0.0.1", false, false, true),
            ("::ffff:127.0.0.1", false, false, true),
            ("169.254.169.254", false, false, false),
            ("192.168.1.1", false, false, false),
            ("100.64.0.1", false, false, false),
            ("0.0.0.0", false, false, false),
            ("::1", false, false, false),
            ("fe80::1", false, false, false),
            ("fd00::1", false, false, false),
            ("2002:7f00:1::1", false, false, false),
            ("2606:2800:21f::1", true, false, false),
        ] {
            let address: IpAddr = address.parse().expect("an address");
            let got = [&public, &inside, &local].map(|rule| rule.allows(address));
            assert_eq!(got, [by_public, by_inside, by_local], "{address}");
        }
        let anywhere: Rule = "x=0.0.0.0/0".parse().expect("a rule");
        assert!(anywhere.allows(IpAddr::from([127, 0, 0, 1])));
        let wrong = ["", ":80", "a=10.0.0.0", "a=10.0.0.0/33", "a:b", "a/b", "http://a"];
        assert!(wrong.iter().all(|text| text.parse::<Rule>().is_err()));
    }

    /// `hmac.new(b"Jefe", b'1700000000.{"a":1}', hashlib.sha256)` of Python.
    #[test]
    fn a_signature_is_that_of_another_implementation() {
        assert_eq!(
            signature(b"Jefe", 1_700_000_000, "{\"a\":1}"),
            "t=1700000000,sha256=fa5f6481efc59da48b19c9dc10196c9953e5651f8304b3a318b6b87d70272e0a"
        );
    }
}
