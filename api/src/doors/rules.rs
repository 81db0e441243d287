//! What a request must be allowed, by method and path. What is not named here needs a key, too.

use axum::http::Method;

use super::scopes::Scope;

/// What it takes to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing, and it is not counted: whoever asks for health must not be told to wait.
    Nothing,
    /// No key, but it is counted.
    NoKey,
    /// A key that allows this.
    Key(Scope),
}

pub(super) fn need(method: &Method, path: &str, metrics_open: bool) -> Need {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    match path {
        "/healthz" | "/readyz" if reads => Need::Nothing,
        "/metrics" if reads && metrics_open => Need::Nothing,
        "/" | "/conformance" | "/processes" | "/openapi.json" | "/openapi-3.0.json" | "/docs"
            if reads =>
        {
            Need::NoKey
        }
        _ if reads && path.starts_with("/docs/") => Need::NoKey,
        _ if reads && path.starts_with("/processes/") => Need::NoKey,
        // Says what a map would take, and computes none.
        "/v1/estimates" => Need::Key(Scope::Read),
        _ if reads => Need::Key(Scope::Read),
        // What a schedule makes goes where the operator's sinks are.
        _ if path.starts_with("/v1/schedules/") && !path.ends_with("/readings") => {
            Need::Key(Scope::Admin)
        }
        _ => Need::Key(Scope::Map),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_and_the_description_are_open() {
        let ask = |method: &str, path: &str| {
            need(&Method::from_bytes(method.as_bytes()).expect("a method"), path, false)
        };
        for path in ["/healthz", "/readyz"] {
            assert_eq!(ask("GET", path), Need::Nothing);
            assert_eq!(ask("POST", path), Need::Key(Scope::Map));
        }
        for path in [
            "/",
            "/conformance",
            "/processes",
            "/processes/map",
            "/openapi.json",
            "/docs",
            "/docs/index.html",
        ] {
            assert_eq!(ask("GET", path), Need::NoKey);
        }
        for path in ["/v1/maps", "/jobs/1", "/docsx", "/healthz/", "/HEALTHZ", "//", "/metrics"] {
            assert_eq!(ask("GET", path), Need::Key(Scope::Read), "{path}");
            assert_eq!(ask("DELETE", path), Need::Key(Scope::Map), "{path}");
        }
        assert_eq!(ask("PUT", "/v1/schedules/a"), Need::Key(Scope::Admin));
        assert_eq!(ask("POST", "/v1/schedules/a/backfill"), Need::Key(Scope::Admin));
        assert_eq!(ask("POST", "/v1/schedules/a/readings"), Need::Key(Scope::Map));
        assert_eq!(ask("GET", "/v1/schedules/a/slots"), Need::Key(Scope::Read));
        assert_eq!(ask("POST", "/v1/estimates"), Need::Key(Scope::Read));
        assert_eq!(ask("POST", "/v1/maps"), Need::Key(Scope::Map));
        assert_eq!(ask("BREW", "/"), Need::Key(Scope::Map));
        assert_eq!(need(&Method::GET, "/metrics", true), Need::Nothing);
    }
}
