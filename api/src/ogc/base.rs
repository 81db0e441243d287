//! Where the service is for whoever asks: links must be whole, as clients of the OGC do not complete them.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use axum::http::uri::Authority;

use crate::state::AppState;

/// What all links begin with: `public_url`, else by the host that was asked; empty where that is
/// not told, and links are paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base(String);

impl Base {
    /// The link to a path, which begins with a slash.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    fn of(parts: &Parts, state: &AppState) -> Self {
        let config = state.config();
        if let Some(url) = &config.public_url {
            return Self(url.trim_end_matches('/').to_owned());
        }
        let scheme = if config.tls_certificate.is_some() { "https" } else { "http" };
        let host = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        // What is no name of a host does not get into a link.
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        let host = parts.uri.authority().or(host.as_ref()).filter(|host| {
            !host.as_str().contains('@') && !host.as_str().contains(['<', '>', '"', '\''])
        });
        Self(host.map_or_else(String::new, |host| format!("{scheme}://{host}")))
    }
}

impl FromRequestParts<AppState> for Base {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(parts, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServiceConfig;
    use axum::http::Request;

    #[test]
    fn links_begin_with_what_is_told_else_with_the_host_that_was_asked() {
        let base = |public: Option<&str>, host: Option<&str>| {
            let config =
                ServiceConfig { public_url: public.map(str::to_owned), ..Default::default() };
            let state = AppState::new(config).expect("a state");
            let mut request = Request::get("/jobs?limit=2");
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            Base::of(&parts, &state).at("/x")
        };
        assert_eq!(base(None, Some("maps.example.org:8080")), "http://maps.example.org:8080/x");
        assert_eq!(base(None, Some("[::1]:80")), "http://[::1]:80/x");
        let public = Some("https://example.org/isopleth/");
        assert_eq!(base(public, Some("10.0.0.7")), "https://example.org/isopleth/x");
        for wrong in [None, Some("a b"), Some("me@host"), Some("host/../x"), Some("a\"b")] {
            assert_eq!(base(None, wrong), "/x", "{wrong:?}");
        }
    }
}
