//! An address that is asked, and where it may send us on to: the same host only.

use ureq::http::Uri;

/// An address of http or https with a host, and without a name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(Uri);

impl Address {
    /// Reads an address; the error goes on from "the address …".
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "is no address")?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("does not begin with http:// or https://");
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err("has a name or a password; write them into headers, as env:NAME");
        }
        if uri.host().is_none_or(str::is_empty) { Err("has no host") } else { Ok(Self(uri)) }
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    /// The last part of the path.
    pub(super) fn name(&self) -> &str {
        let last = self.0.path().rsplit('/').find(|part| !part.is_empty());
        last.unwrap_or("the answer")
    }

    /// Where a redirect leads.
    ///
    /// # Errors
    /// Where it leaves the host, its port, or its protection.
    pub(super) fn join(&self, to: &str) -> Result<Self, &'static str> {
        let whole = |path: &str| {
            let (scheme, authority) = (self.0.scheme_str(), self.0.authority());
            let authority = authority.map_or("", |authority| authority.as_str());
            format!("{}://{authority}{path}", scheme.unwrap_or("https"))
        };
        let to = to.split('#').next().unwrap_or(to);
        let text = if to.contains("://") {
            to.to_owned()
        } else if to.starts_with("//") {
            format!("{}:{to}", self.0.scheme_str().unwrap_or("https"))
        } else if to.starts_with('/') {
            whole(to)
        } else {
            let folder = self.0.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            whole(&format!("{folder}/{to}"))
        };
        let next = Self::parse(&text)?;
        let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
        if host(&next.0) != host(&self.0) {
            return Err("which is another host");
        }
        let plain = |uri: &Uri| uri.scheme_str() == Some("http");
        // From http to https on their standard ports is what servers do; everything else is somebody else's.
        let standard =
            |uri: &Uri| uri.port_u16().is_none_or(|port| port == if plain(uri) { 80 } else { 443 });
        let protects = plain(&self.0) && !plain(&next.0) && standard(&self.0) && standard(&next.0);
        let port = |uri: &Uri| uri.port_u16().unwrap_or(if plain(uri) { 80 } else { 443 });
        let same = plain(&self.0) == plain(&next.0) && port(&self.0) == port(&next.0);
        if same || protects { Ok(next) } else { Err("which is another port, or without TLS") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_on_its_host_and_behind_its_tls() {
        let joined = |from: &str, to: &str| {
            let next = Address::parse(from).expect(from).join(to);
            next.map(|next| next.0.to_string()).map_err(str::to_owned)
        };
        for (from, to, wanted) in [
            ("https://a.org/x/y?z", "/b", Some("https://a.org/b")),
            ("https://a.org/x/y?z", "b?c=d#e", Some("https://a.org/x/b?c=d")),
            ("https://a.org/x", "https://A.org:443/b", Some("https://A.org:443/b")),
            ("http://a.org/x", "https://a.org/x", Some("https://a.org/x")),
            ("http://a.org:8080/x", "//a.org:8080/y", Some("http://a.org:8080/y")),
            ("https://a.org/x", "http://a.org/x", None),
            ("https://a.org/x", "https://a.org:8443/x", None),
            ("http://a.org:8080/x", "https://a.org/x", None),
            ("https://a.org/x", "https://b.org/x", None),
            ("https://a.org/x", "//169.254.169.254/latest", None),
            ("https://a.org/x", "https://a.org@b.org/", None),
            ("https://a.org/x", "file:///etc/passwd", None),
        ] {
            assert_eq!(joined(from, to).ok().as_deref(), wanted, "{from} {to}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused() {
        for wrong in [
            "",
            "a.org",
            "ftp://a.org/",
            "https://",
            "https://u:p@a.org/",
            "file:///x",
            "http:///x",
        ] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Address::parse("https://a.org/b/c.csv?d").expect("an address").name(), "c.csv");
        assert_eq!(Address::parse("https://a.org/").expect("an address").name(), "the answer");
    }
}
