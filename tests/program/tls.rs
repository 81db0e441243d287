//! HTTPS of the running program: the health check, and certificates that are renewed, or broken, meanwhile.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::harness::Bench;
use crate::serve::Service;

/// A folder with `cert.pem` and `key.pem`, whose stamps never tell that they have changed.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

/// Of both files, whatever is in them.
const LENGTH: usize = 4000;

impl Pair {
    fn new(bench: &Bench) -> Self {
        Self { certificate: bench.path("cert.pem"), key: bench.path("key.pem") }
    }

    /// Puts a new certificate for `localhost` there, and gives a client that trusts it alone.
    fn renew(&self) -> Agent {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        put(&self.certificate, &made.cert.pem());
        put(&self.key, &made.signing_key.serialize_pem());
        let trusted = Certificate::from_pem(made.cert.pem().as_bytes()).expect("a certificate");
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[trusted])).build();
        Agent::config_builder().tls_config(tls).max_idle_connections(0).build().into()
    }

    fn settings(&self) -> [(&'static str, String); 2] {
        let text = |path: &PathBuf| path.to_str().expect("UTF-8").to_owned();
        [
            ("ISOPLETH_SERVE_TLS_CERTIFICATE", text(&self.certificate)),
            ("ISOPLETH_SERVE_TLS_KEY", text(&self.key)),
        ]
    }
}

/// A file of one length and one time: only who is told reads it again. It is there at once.
fn put(path: &PathBuf, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, format!("{text:\n<LENGTH$}")).expect("a file");
    let file = fs::File::options().write(true).open(&new).expect("the file");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)).expect("a time");
    fs::rename(&new, path).expect("in place");
}

/// Repeats until it is so; the limit only ends a test that has failed.
fn until(what: &str, so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_hang_up_brings_a_new_certificate_and_a_broken_one_changes_nothing_but_the_log() {
    let bench = Bench::new();
    let pair = Pair::new(&bench);
    let first = pair.renew();
    let settings = pair.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let service = Service::with(&bench, &settings);
    let port = service.address.rsplit(':').next().expect("a port");
    let url = format!("https://localhost:{port}/healthz");
    let trusted =
        |client: &Agent| client.get(&url).call().is_ok_and(|answer| answer.status() == 200);
    let hang_up = || {
        let told = Command::new("kill").args(["-HUP", &service.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()));
    };
    assert!(trusted(&first));

    let second = pair.renew();
    assert!(!trusted(&second), "nobody has told the service");
    hang_up();
    until("the new certificate is shown", || trusted(&second));
    assert!(!trusted(&first), "the old one is not shown any more");
    assert!(service.log().contains("the certificate was read again"));

    put(&pair.certificate, "no certificate");
    hang_up();
    until("it says so", || service.log().contains("the certificate before stays"));
    assert!(service.log().contains("tls_certificate"), "{}", service.log());
    assert!(trusted(&second));
    // One that belongs to another key is as bad.
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    put(&pair.certificate, &other.cert.pem());
    hang_up();
    let told = || service.log().matches("the certificate before stays").count() == 2;
    until("it says so again", told);
    assert!(trusted(&second));
    assert_eq!(service.stop(), 0);
}

#[test]
fn the_health_check_speaks_https_where_the_service_does() {
    let bench = Bench::new();
    let pair = Pair::new(&bench);
    pair.renew();
    let settings = pair.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let service = Service::with(&bench, &settings);
    let address = service.address.clone();
    let check = ["healthcheck", "--listen", &address];
    let mut told = bench.command(&check);
    told.envs(settings.iter().copied());
    crate::harness::outcome(told.output()).succeeded();
    bench.run(&[&check[..], &["--tls"]].concat()).succeeded();
    bench.run(&check).failed(5, &["no healthy service"]);
    assert_eq!(service.stop(), 0);
    bench.run(&[&check[..], &["--tls"]].concat()).failed(5, &["no healthy service"]);
}
