//! Where the service listens, files that settings name, and hosts that it will talk to.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{TcpListener, ToSocketAddrs as _};

use isopleth_api::ServiceConfig;
use serde_json::Value;

use super::Finding;
use crate::commands::healthcheck;

pub(super) fn port(config: &ServiceConfig) -> Vec<Finding> {
    let listen = &config.listen;
    vec![match TcpListener::bind(listen) {
        Ok(_) => Finding::ok("port", format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            match healthcheck::alive(listen, config.tls_certificate.is_some()) {
                Ok(()) => Finding::ok("port", format!("the service answers at {listen}")),
                Err(_) => {
                    let says = format!("{listen} is taken by something that is no healthy service");
                    Finding::fail("port", says, "another address: listen, or --listen")
                }
            }
        }
        Err(error) => {
            let says = format!("cannot listen on {listen}: {error}");
            Finding::fail("port", says, "an address of this machine, and a port above 1023")
        }
    }]
}

/// Certificates, grids and whatever else settings name and the service opens at its start.
pub(super) fn files(config: &ServiceConfig) -> Vec<Finding> {
    let unusable = isopleth_api::config::unusable_files(config);
    let fail = |says| Finding::fail("files", says, "the service would not start");
    let mut found: Vec<Finding> = unusable.into_iter().map(fail).collect();
    // `FILE.nc:variable`; the service starts without it.
    let absent = config.grids.iter().filter_map(|(name, grid)| {
        let path = grid.rsplit_once(':').map_or(grid.as_str(), |(path, _)| path);
        let error = std::fs::File::open(path).err()?;
        let says = format!("the grid {name} cannot be opened: {path}: {error}");
        Some(Finding::warn("files", says, "requests that name it are answered 503"))
    });
    found.extend(absent);
    if found.is_empty() {
        found.push(Finding::ok("files", "all that the settings name can be opened"));
    }
    found
}

/// Hosts of webhooks and of every URL in the settings have addresses.
pub(super) fn hosts(config: &ServiceConfig) -> Vec<Finding> {
    let mut named = BTreeSet::new();
    for rule in &config.webhook_hosts {
        let host = rule.split('=').next().unwrap_or(rule);
        named.insert(with_port(host, "https"));
    }
    if let Ok(all) = serde_json::to_value(config) {
        collect(&all, &mut named);
    }
    let unknown: Vec<&String> =
        named.iter().filter(|host| host.to_socket_addrs().is_err()).collect();
    let list = |hosts: &mut dyn Iterator<Item = &String>| {
        hosts.map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    if named.is_empty() {
        return Vec::new();
    }
    vec![if unknown.is_empty() {
        Finding::ok("hosts", format!("known: {}", list(&mut named.iter())))
    } else {
        let says = format!("no address is known of {}", list(&mut unknown.into_iter()));
        Finding::fail("hosts", says, "is the name right, and DNS there?")
    }]
}

fn collect(value: &Value, named: &mut BTreeSet<String>) {
    match value {
        Value::Object(table) => {
            // Where clients find the service is theirs to know.
            let asked = table
                .iter()
                .filter(|(key, _)| !["public_url", "cors_origins"].contains(&key.as_str()));
            asked.for_each(|(_, value)| collect(value, named));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, named)),
        Value::String(text) => named.extend(host_of(text)),
        _ => (),
    }
}

/// `host:port` of a URL, without what else stands in it: a password, say.
fn host_of(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    if scheme.is_empty() || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+')
    {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next().filter(|host| !host.is_empty())?;
    // Placeholders are filled in later.
    (!host.contains(['{', '$', ' '])).then(|| with_port(host, scheme))
}

fn with_port(host: &str, scheme: &str) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = match scheme {
        "http" => 80,
        "postgres" | "postgresql" => 5432,
        _ => 443,
    };
    if has_port { host.to_owned() } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_taken_from_a_url_without_its_secrets() {
        assert_eq!(host_of("https://maps.example.org/a").as_deref(), Some("maps.example.org:443"));
        assert_eq!(host_of("http://[::1]:8080?x=1").as_deref(), Some("[::1]:8080"));
        let database = "postgres://me:secret@db.internal/air";
        assert_eq!(host_of(database).as_deref(), Some("db.internal:5432"));
        for none in ["maps.example.org", "://x", "a b://x", "https://{host}/x", "https:///x"] {
            assert_eq!(host_of(none), None, "{none}");
        }
    }
}
