//! `isopleth healthcheck`: is a service alive? A container image then needs no curl.

use std::time::Duration;

use anyhow::{Context, bail};
use ureq::Agent;
use ureq::tls::TlsConfig;

use crate::cli::HealthcheckArguments;
use crate::failure::{Failure, io};

const PATIENCE: Duration = Duration::from_secs(3);
/// Where it is set the service speaks HTTPS.
const CERTIFICATE: &str = "ISOPLETH_SERVE_TLS_CERTIFICATE";

pub(crate) fn run(arguments: &HealthcheckArguments) -> Result<(), Failure> {
    let tls = arguments.tls || std::env::var_os(CERTIFICATE).is_some_and(|path| !path.is_empty());
    alive(&arguments.listen, tls).map_err(io)
}

/// Asks the service that listens there.
pub(super) fn alive(listen: &str, tls: bool) -> anyhow::Result<()> {
    // A service that listens everywhere is asked at home.
    let address = listen.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
    let url = format!("{}://{address}/healthz", if tls { "https" } else { "http" });
    ask(&url).with_context(|| format!("no healthy service at {address}"))
}

fn ask(url: &str) -> anyhow::Result<()> {
    // The certificate is one for the name that clients use, not for this machine's own address; nothing secret is
    // sent, and what is asked is whether somebody answers.
    let tls = TlsConfig::builder().disable_verification(true).build();
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .tls_config(tls)
        .build()
        .into();
    let status = agent.get(url).call()?.status();
    if status != 200 {
        bail!("it answered `{status}`");
    }
    Ok(())
}
