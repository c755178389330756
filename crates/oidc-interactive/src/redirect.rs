//! Where the browser comes back to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::Error;

/// A loopback URL of this machine (RFC 8252 7.3).
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    /// As it stands in the URL.
    host: String,
    pub(crate) path: String,
    pub(crate) addresses: Vec<IpAddr>,
    /// 0 is any free one.
    pub(crate) port: u16,
}

impl Default for Redirect {
    /// `http://localhost:0/auth/callback`, which most clients of Sigstore use and issuers know.
    fn default() -> Self {
        let path = "/auth/callback".to_owned();
        Self { host: "localhost".to_owned(), path, addresses: localhost(), port: 0 }
    }
}

impl Redirect {
    /// # Errors
    /// The URL is not one that a listener on loopback can serve.
    pub(crate) fn new(url: &Url) -> Result<Self, Error> {
        let refuse = |reason: &str| {
            Error::setup(format!("the redirect URL {url} cannot be served here"))(reason.into())
        };
        if url.scheme() != "http" {
            return Err(refuse("its scheme is not http"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it holds credentials"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it has a query or a fragment"));
        }
        let addresses = match url.host() {
            Some(Host::Domain("localhost")) => localhost(),
            Some(Host::Ipv4(address)) if address.is_loopback() => vec![address.into()],
            Some(Host::Ipv6(address)) if address.is_loopback() => vec![address.into()],
            _ => return Err(refuse("its host is neither localhost nor a loopback address")),
        };
        Ok(Self {
            host: url.host_str().unwrap_or_default().to_owned(),
            path: url.path().to_owned(),
            addresses,
            port: url.port_or_known_default().unwrap_or_default(),
        })
    }

    /// The URL to send to the issuer, given the port that is listened on.
    pub(crate) fn url(&self, port: u16) -> String {
        format!("http://{}:{port}{}", self.host, self.path)
    }
}

/// Where a browser looks for `localhost`: one of both, whichever answers.
fn localhost() -> Vec<IpAddr> {
    vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_redirect_is_on_both_loopback_addresses() {
        let redirect = Redirect::default();
        assert_eq!(redirect.url(4321), "http://localhost:4321/auth/callback");
        assert_eq!(redirect.addresses.len(), 2);
        let same = Redirect::new(&Url::parse("http://localhost:0/auth/callback").unwrap()).unwrap();
        assert_eq!(same.url(4321), redirect.url(4321));
    }

    #[test]
    fn an_address_is_taken_by_its_letter() {
        for (url, host) in
            [("http://127.0.0.1:8888/cb", "127.0.0.1"), ("http://[::1]:8888", "[::1]")]
        {
            let redirect = Redirect::new(&Url::parse(url).unwrap()).unwrap();
            assert_eq!(redirect.addresses.len(), 1);
            assert!(redirect.url(redirect.port).starts_with(&format!("http://{host}:8888/")));
        }
    }

    #[test]
    fn nothing_but_loopback_over_http_is_served() {
        for url in [
            "https://localhost/cb",
            "http://0.0.0.0:80/cb",
            "http://example.com/cb",
            "http://localhost.example.com/cb",
            "http://user@localhost/cb",
            "http://localhost/cb?x=1",
            "http://localhost/cb#x",
            "urn:ietf:wg:oauth:2.0:oob",
        ] {
            let error = Redirect::new(&Url::parse(url).unwrap()).unwrap_err();
            assert!(matches!(error, Error::Setup { .. }), "{url}");
        }
    }
}
