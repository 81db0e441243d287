//! A bucket: a server of S3 that checks signatures and sums, also one that dies in the middle.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

pub(super) const KEY: &str = "AKIDEXAMPLE";
pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// What the server does and has done.
#[derive(Debug, Default)]
struct Doings {
    /// Requests that write.
    writes: AtomicUsize,
    /// Of these, parts of larger objects.
    parts: AtomicUsize,
    /// Sums that came with them.
    sums: Mutex<BTreeSet<String>>,
    /// Whether connections are closed without a word once two parts have come.
    dies: AtomicBool,
    dead: AtomicBool,
}

/// A server with a bucket `maps`, gone when dropped.
pub(super) struct Server {
    folder: TempDir,
    port: u16,
    doings: Arc<Doings>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::with(None)
    }

    /// With a certificate and its key in PEM, over HTTPS.
    fn with(tls: Option<[String; 2]>) -> Self {
        let folder = TempDir::new().expect("a folder");
        std::fs::create_dir(folder.path().join("maps")).expect("a bucket");
        let doings = Arc::new(Doings::default());
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let files = s3s_fs::FileSystem::new(folder.path()).expect("a folder of buckets");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let (service, counts) = (builder.build(), doings.clone());
        let acceptor = tls.map(|pair| acceptor(&folder, &pair));
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, counts) = (service.clone(), counts.clone());
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(socket, service, counts).await,
                        Some(acceptor) => {
                            if let Ok(socket) = acceptor.accept(socket).await {
                                serve(socket, service, counts).await;
                            }
                        }
                    }
                });
            }
        });
        Self { folder, port, doings, runtime: Some(runtime) }
    }

    /// The table `bucket`, with keys in a file.
    pub(super) fn bucket(&self, secret: &str, more: &Value) -> Value {
        let path = self.folder.path().join(format!("keys-{}", secret.len()));
        let mut file = std::fs::File::create(&path).expect("a file");
        writeln!(file, "[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {secret}")
            .expect("two lines");
        let mut bucket = json!({
            "name": "maps", "prefix": "air/quality", "endpoint": format!("http://127.0.0.1:{}", self.port),
            "credentials_file": path, "part_bytes": 5 << 20, "retry_seconds": 1, "request_seconds": 20,
        });
        if let (Some(all), Some(more)) = (bucket.as_object_mut(), more.as_object()) {
            all.extend(more.clone());
        }
        bucket
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().join("maps/air/quality")
    }

    /// Objects by name below the prefix.
    fn there(&self) -> Vec<String> {
        let mut all = Vec::new();
        if self.folder().exists() {
            collect(&self.folder(), &self.folder(), &mut all);
        }
        all.sort();
        all
    }

    fn writes(&self) -> usize {
        self.doings.writes.load(Ordering::Relaxed)
    }
}

/// Answers what comes in over one connection.
async fn serve<S>(socket: S, service: s3s::service::S3Service, doings: Arc<Doings>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handler = hyper::service::service_fn(move |request| {
        let (service, doings) = (service.clone(), doings.clone());
        async move {
            if !doings.lets_in(&request) {
                return Err("it died".to_owned());
            }
            let answered = hyper::service::Service::call(&service, request).await;
            answered.map_err(|error| format!("{error:?}"))
        }
    });
    let http = hyper::server::conn::http1::Builder::new();
    let _ = http.serve_connection(TokioIo::new(socket), handler).await;
}

fn acceptor(folder: &TempDir, pair: &[String; 2]) -> TlsAcceptor {
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&certificate, &pair[0]).expect("a file");
    std::fs::write(&key, &pair[1]).expect("a file");
    let chain = CertificateDer::pem_file_iter(&certificate).expect("a file");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(&key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("a pair")))
}

impl Doings {
    fn lets_in<T>(&self, request: &hyper::Request<T>) -> bool {
        if request.method() == "PUT" || request.method() == "POST" {
            self.writes.fetch_add(1, Ordering::Relaxed);
            let names = request.headers().keys().map(|name| name.as_str().to_owned());
            let sums = names.filter(|name| name.starts_with("x-amz-checksum-"));
            self.sums.lock().expect("nobody panicked").extend(sums);
        }
        let is_part = request.uri().query().is_some_and(|query| query.contains("partNumber"));
        if is_part
            && self.parts.fetch_add(1, Ordering::Relaxed) >= 2
            && self.dies.load(Ordering::Relaxed)
        {
            self.dead.store(true, Ordering::Relaxed);
        }
        !self.dead.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn bucket(server: &Server, more: &Value) -> Bench {
    Bench::new(
        &json!({"kind": "object_store", "bucket": server.bucket(SECRET, more), "keep": {"count": 2}}),
    )
}

/// A file of more than two parts; which numbers are in it does not matter here.
fn large(bench: &Bench) -> PathBuf {
    let path = bench.folder.path().join("large.nc");
    let bytes: Vec<u8> =
        (0..13_000_000_u32).map(|k| (k.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&path, bytes).expect("a file");
    path
}

#[test]
fn a_map_arrives_signed_and_summed_latest_follows_and_the_same_again_sends_nothing() {
    for checksum in ["sha256", "crc64nvme", "none"] {
        let server = Server::start();
        let bench = bucket(&server, &json!({"checksum": checksum}));
        let (one, two) = (bench.small(1, 1), bench.small(2, 2));
        let told = bench.deliver(&two, 2, 1, true).expect("delivered");
        assert_eq!(told, ["s3://maps/air/quality/north/2026/01/01/20260101T0200Z.nc"]);
        bench.deliver(&one, 1, 1, false).expect("delivered");
        let names = [
            "north/2026/01/01/20260101T0100Z.nc",
            "north/2026/01/01/20260101T0200Z.nc",
            "north/latest.nc",
        ];
        assert_eq!(server.there(), names);
        for (name, map) in [(names[0], &one), (names[1], &two), (names[2], &two)] {
            let held = std::fs::read(server.folder().join(name)).expect("an object");
            assert_eq!(held, std::fs::read(map).expect("a file"), "{name}");
        }
        let before = server.writes();
        bench.deliver(&two, 2, 1, true).expect("again");
        assert_eq!(server.writes(), before, "{checksum}: nothing is sent twice");
        let sums = server.doings.sums.lock().expect("nobody panicked").clone();
        let wanted = (checksum != "none").then(|| format!("x-amz-checksum-{checksum}"));
        assert_eq!(sums.iter().cloned().collect::<Vec<_>>(), Vec::from_iter(wanted));
        for hour in [3, 4] {
            bench.deliver(&one, hour, 1, true).expect("delivered");
        }
        assert_eq!(bench.retain(9), 2);
        let left: Vec<String> = server
            .there()
            .iter()
            .map(|name| name.rsplit('/').next().expect("a name").to_owned())
            .collect();
        assert_eq!(left, ["20260101T0300Z.nc", "20260101T0400Z.nc", "latest.nc"]);
    }
}

#[test]
fn a_wrong_secret_is_told_without_what_requests_are_signed_with() {
    let server = Server::start();
    let wrong = "a-secret-that-nobody-may-ever-read-in-a-log";
    let bench =
        Bench::new(&json!({"kind": "object_store", "bucket": server.bucket(wrong, &json!({}))}));
    let error =
        bench.deliver(&bench.small(1, 1), 1, 1, true).expect_err("not signed as it should be");
    // Keys are renewed without anybody telling the schedule.
    assert!(error.is_passing(), "{error}");
    let told = format!("{error} {error:?} {:?}", bench.state.config());
    assert!(error.to_string().contains("SignatureDoesNotMatch"), "{error}");
    for secret in [wrong, "Signature=", "AWS4-HMAC", "StringToSign"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    assert!(server.there().is_empty());
    // The file of the keys is read anew for every map.
    let keys = server.folder.path().join(format!("keys-{}", wrong.len()));
    let text = std::fs::read_to_string(&keys).expect("a file").replace(wrong, SECRET);
    std::fs::write(&keys, text).expect("a file");
    bench.deliver(&bench.small(1, 1), 1, 1, true).expect("the operator mended it");
}

#[test]
fn a_large_file_goes_in_parts_and_is_there_as_a_whole_or_not_at_all() {
    let server = Server::start();
    let bench = bucket(&server, &json!({}));
    let large = large(&bench);
    server.doings.dies.store(true, Ordering::Relaxed);
    let error = bench.deliver(&large, 1, 1, true).expect_err("the server dies in the middle");
    assert!(error.is_passing(), "{error}");
    assert_eq!(server.doings.parts.load(Ordering::Relaxed).min(3), 3, "it was in the middle");
    assert!(server.there().is_empty(), "{:?}", server.there());
    server.doings.dies.store(false, Ordering::Relaxed);
    server.doings.dead.store(false, Ordering::Relaxed);
    bench.deliver(&large, 1, 1, true).expect("it is there again");
    let name = server.folder().join("north/2026/01/01/20260101T0100Z.nc");
    let [held, sent] = [&name, &large].map(|path| std::fs::read(path).expect("a file"));
    assert!(held == sent, "{} bytes of {}", held.len(), sent.len());
    let latest = std::fs::read(server.folder().join("north/latest.nc")).expect("an object");
    assert!(latest == sent, "latest has {} bytes of {}", latest.len(), sent.len());
}

#[test]
fn a_server_that_is_not_there_is_waited_for_no_longer_than_told() {
    let server = Server::start();
    let bench = bucket(&server, &json!({}));
    let map = bench.small(1, 1);
    drop(server);
    let error = bench.deliver(&map, 1, 1, true).expect_err("nobody listens");
    assert!(error.is_passing(), "{error}");
}

#[test]
fn every_form_arrives_with_its_media_type() {
    let server = Server::start();
    let bench = Bench::new(&json!({
        "kind": "object_store", "bucket": server.bucket(SECRET, &json!({})), "files": {"form": "png", "bare": true},
    }));
    bench.deliver(&bench.small(1, 1), 1, 1, true).expect("delivered");
    let names: Vec<String> =
        server.there().into_iter().filter(|name| name.contains("latest")).collect();
    assert_eq!(names, ["north/latest_no2.png", "north/latest_pm25.png"]);
    let bytes = std::fs::read(server.folder().join(&names[0])).expect("an object");
    assert!(bytes.starts_with(b"\x89PNG"));
}

#[test]
fn a_server_of_ones_own_authority_is_trusted_where_its_certificate_is_told_and_no_other() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let server = Server::with(Some([made.cert.pem(), made.signing_key.serialize_pem()]));
    let endpoint = format!("https://localhost:{}", server.port);
    let bench = bucket(&server, &json!({"endpoint": endpoint}));
    let map = bench.small(1, 1);
    assert!(bench.deliver(&map, 1, 1, true).is_err(), "nobody vouches for it");
    let told =
        json!({"endpoint": endpoint, "ca_file": server.folder.path().join("certificate.pem")});
    let bench = bucket(&server, &told);
    let map = bench.small(1, 1);
    bench.deliver(&map, 1, 1, true).expect("delivered");
    assert_eq!(server.there().len(), 2);
}
