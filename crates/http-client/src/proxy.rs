//! Whether a request goes through a proxy, and through which.

use std::fmt;

use host::Env;
use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::no_proxy::NoProxy;

/// The proxies of an environment.
#[derive(Clone, Default)]
pub(crate) struct Proxies {
    http: Option<Result<Intercept, String>>,
    https: Option<Result<Intercept, String>>,
    bypass: NoProxy,
}

/// The way to a host.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    Direct,
    Via(Intercept),
    /// It should go through a proxy, and that proxy cannot be used.
    Blocked(String),
}

impl Proxies {
    pub(crate) fn from_env(env: &dyn Env) -> Self {
        let get = |upper: &'static str, lower: &'static str| {
            [upper, lower].into_iter().find_map(|name| Some((name, env.var(name)?)))
        };
        let all = get("ALL_PROXY", "all_proxy");
        // Under CGI, HTTP_PROXY is the request header `Proxy`: anybody's to set.
        let cgi = env.var("REQUEST_METHOD").is_some();
        let http = if cgi {
            env.var("http_proxy").map(|value| ("http_proxy", value))
        } else {
            get("HTTP_PROXY", "http_proxy")
        };
        let https = get("HTTPS_PROXY", "https_proxy");
        let no = get("NO_PROXY", "no_proxy").map(|(_, value)| value).unwrap_or_default();
        Self {
            http: http.or_else(|| all.clone()).map(parse),
            https: https.or(all).map(parse),
            bypass: NoProxy::parse(&no),
        }
    }

    /// The way to `target`. Depends on nothing but its arguments, so that one host is always
    /// reached the same way and its connections can be kept.
    pub(crate) fn route(&self, target: &Uri) -> Route {
        let proxy = match target.scheme_str() {
            Some("https") => &self.https,
            _ => &self.http,
        };
        let Some(proxy) = proxy else { return Route::Direct };
        let host = bare_host(target.host().unwrap_or_default());
        let default = if target.scheme_str() == Some("https") { 443 } else { 80 };
        let port = target.port_u16().unwrap_or(default);
        if host::is_local(host) || self.bypass.covers(host, port) {
            return Route::Direct;
        }
        match proxy {
            Ok(intercept) => Route::Via(intercept.clone()),
            Err(reason) => Route::Blocked(reason.clone()),
        }
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An `Intercept` shows its address and not its credentials.
        f.debug_struct("Proxies")
            .field("http", &self.http)
            .field("https", &self.https)
            .finish_non_exhaustive()
    }
}

/// A host of a URI without the brackets of an IPv6 address.
pub(crate) fn bare_host(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn parse((name, value): (&'static str, String)) -> Result<Intercept, String> {
    let matcher = Matcher::builder().all(value).build();
    let probe = Uri::from_static(PLACEHOLDER);
    // The value may hold a password, so the reason names the variable alone.
    matcher
        .intercept(&probe)
        .ok_or_else(|| format!("the variable {name} does not hold the URL of a proxy"))
}

/// Any URL, to ask the matcher for the proxy; nothing is ever sent there.
const PLACEHOLDER: &str = "http://proxy.invalid";

#[cfg(test)]
mod tests {
    use super::*;

    fn way(env: &dyn Env, target: &str) -> String {
        match Proxies::from_env(env).route(&target.parse().unwrap()) {
            Route::Direct => "direct".to_owned(),
            Route::Via(proxy) => proxy.uri().to_string(),
            Route::Blocked(reason) => reason,
        }
    }

    #[test]
    fn each_scheme_has_its_proxy_and_all_proxy_serves_the_rest() {
        let env = [("HTTPS_PROXY", "http://secure:1"), ("all_proxy", "http://rest:2")];
        assert_eq!(way(&env, "https://example.com/"), "http://secure:1/");
        assert_eq!(way(&env, "http://example.com/"), "http://rest:2/");
        assert_eq!(way(&[("http_proxy", "plain:3")], "http://example.com/"), "http://plain:3/");
        assert_eq!(way(&[("http_proxy", "plain:3")], "https://example.com/"), "direct");
        assert_eq!(way(&[("CI", "true")], "https://example.com/"), "direct");
    }

    #[test]
    fn this_machine_and_metadata_services_are_never_proxied() {
        let env = [("ALL_PROXY", "http://p:1")];
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "registry.localhost",
            "127.0.0.1",
            "127.8.9.1:5000",
            "[::1]:80",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "metadata.google.internal",
            "metadata.google.internal.",
            "metadata",
            "0.0.0.0",
        ] {
            assert_eq!(way(&env, &format!("http://{host}/")), "direct", "{host}");
        }
        for host in ["example.com", "10.0.0.1", "notlocalhost", "[2001:db8::1]"] {
            assert_eq!(way(&env, &format!("http://{host}/")), "http://p:1/", "{host}");
        }
    }

    #[test]
    fn no_proxy_takes_names_domains_addresses_networks_and_ports() {
        let no = "a.example, .b.example,10.1.0.0/16,192.0.2.7,port.example:8443";
        let env = [("ALL_PROXY", "http://p:1"), ("NO_PROXY", no)];
        for target in [
            "http://a.example/",
            "http://sub.a.example:99/",
            "http://x.b.example/",
            "http://10.1.2.3/",
            "http://192.0.2.7/",
            "https://port.example:8443/",
            "https://x.port.example:8443/",
        ] {
            assert_eq!(way(&env, target), "direct", "{target}");
        }
        for target in [
            "http://nota.example/",
            "http://10.2.0.1/",
            "https://port.example/",
            "https://port.example:8444/",
        ] {
            assert_eq!(way(&env, target), "http://p:1/", "{target}");
        }
        assert_eq!(way(&[("ALL_PROXY", "http://p:1"), ("no_proxy", "*")], "http://x/"), "direct");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_blocks_and_does_not_show_its_password() {
        let env = [("HTTPS_PROXY", "ftp://user:hunter2@p")];
        let reason = way(&env, "https://example.com/");
        assert_eq!(reason, "the variable HTTPS_PROXY does not hold the URL of a proxy");
        assert_eq!(way(&env, "https://localhost/"), "direct");
        let env = [("HTTPS_PROXY", "http://user:hunter2@p:1")];
        assert!(!format!("{:?}", Proxies::from_env(&env)).contains("hunter2"));
    }

    #[test]
    fn a_request_header_cannot_become_a_proxy_under_cgi() {
        let env = [("HTTP_PROXY", "http://evil:1"), ("REQUEST_METHOD", "GET")];
        assert_eq!(way(&env, "http://example.com/"), "direct");
    }
}
