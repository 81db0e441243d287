//! `isopleth healthcheck`: is a service alive? A container image then needs no curl.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cli::HealthcheckArguments;
use crate::failure::{Failure, io};

const PATIENCE: Duration = Duration::from_secs(3);

pub(crate) fn run(arguments: &HealthcheckArguments) -> Result<(), Failure> {
    // A service that listens everywhere is asked at home.
    let address = arguments.listen.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
    ask(&address).with_context(|| format!("no healthy service at {address}")).map_err(io)
}

fn ask(address: &str) -> anyhow::Result<()> {
    let place = address.to_socket_addrs()?.next().context("the name has no address")?;
    let mut stream = TcpStream::connect_timeout(&place, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    if &answer != b"HTTP/1.1 200" {
        bail!("it answered `{}`", String::from_utf8_lossy(&answer));
    }
    Ok(())
}
