//! The HTTP client of object stores: the one that webhooks have, so that no second client and no second TLS
//! comes into the program.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use ureq::http::{Method, Request};
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use super::error::Reason;
use super::settings::Bucket;

/// Largest answer: documents of the store, and small chunks.
const MOST_BYTES: u64 = 256 << 20;

/// Sends requests on threads that may block.
#[derive(Clone, Debug)]
pub(super) struct Transport(ureq::Agent);

impl Transport {
    pub(super) fn new(bucket: &Bucket) -> Result<Self, Reason> {
        let config = ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(bucket.request_seconds)))
            .timeout_connect(Some(Duration::from_secs(bucket.request_seconds.min(10))))
            .user_agent(concat!("isopleth/", env!("CARGO_PKG_VERSION")));
        let config = match &bucket.ca_file {
            None => config,
            Some(path) => {
                let text = std::fs::read(path).map_err(Reason::io(path))?;
                let certificates = ureq::tls::parse_pem(&text).filter_map(Result::ok).filter_map(
                    |item| match item {
                        PemItem::Certificate(one) => Some(one),
                        _ => None,
                    },
                );
                let certificates: Vec<_> = certificates.collect();
                if certificates.is_empty() {
                    let (setting, got) = ("bucket.ca_file", path.display().to_string());
                    let needed = "a file with certificates in PEM".to_owned();
                    return Err(Reason::Setting { setting, got, needed });
                }
                let roots = RootCerts::new_with_certs(&certificates);
                config.tls_config(TlsConfig::builder().root_certs(roots).build())
            }
        };
        Ok(Self(config.build().into()))
    }
}

impl HttpConnector for Transport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let agent = self.0.clone();
        let sent =
            tokio::task::spawn_blocking(move || send(&agent, Request::from_parts(head, body)));
        let answer = sent.await.map_err(|panic| HttpError::new(HttpErrorKind::Unknown, panic))?;
        answer.map_err(|error| HttpError::new(kind(&error), error))
    }
}

fn send(agent: &ureq::Agent, request: Request<Bytes>) -> Result<HttpResponse, ureq::Error> {
    let (head, body) = request.into_parts();
    let answer = if matches!(head.method, Method::PUT | Method::POST) {
        agent.run(Request::from_parts(head, &body[..]))?
    } else {
        agent.run(Request::from_parts(head, ()))?
    };
    let (head, body) = answer.into_parts();
    let body = body.into_with_config().limit(MOST_BYTES).read_to_vec()?;
    Ok(HttpResponse::from_parts(head, body.into()))
}

/// What may be tried again.
fn kind(error: &ureq::Error) -> HttpErrorKind {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => HttpErrorKind::Connect,
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            HttpErrorKind::Connect
        }
        ureq::Error::Io(_) | ureq::Error::Protocol(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    }
}
