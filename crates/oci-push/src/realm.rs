//! Which token services are believed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::Error;
use crate::reference::is_loopback;

/// Reads the realm of a challenge of the registry at `registry`.
///
/// Credentials are about to go there, named by nobody but the registry. So it must be https unless
/// the registry itself is reached by plain http, and it may not be an address inside our own
/// network or machine unless the registry is there too.
pub(crate) fn check(realm: &str, registry: &Url) -> Result<Url, Error> {
    let refused = |reason: &str| Error::Invalid {
        what: format!(
            "the token service {} named by {}",
            host::escape_remote(realm),
            registry.host_str().unwrap_or_default()
        ),
        reason: reason.to_owned(),
    };
    let url = registry.join(realm).map_err(|_| refused("it is not a URL"))?;
    match url.scheme() {
        "https" => {}
        "http" if registry.scheme() == "http" => {}
        "http" => return Err(refused("expected https, as the registry is reached by, found http")),
        _ => return Err(refused("expected an https URL")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it contains a user name"));
    }
    let same_host = url.host() == registry.host();
    let both_loopback = [&url, registry].iter().all(|url| url_is_loopback(url));
    if is_internal(&url) && !same_host && !both_loopback {
        return Err(refused("it is an internal address and the registry is somewhere else"));
    }
    Ok(url)
}

fn is_internal(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_loopback(name.trim_end_matches('.')),
        Some(Host::Ipv4(address)) => is_internal_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_internal_address(IpAddr::V6(address)),
        None => true,
    }
}

fn url_is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_loopback(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn is_internal_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_internal_v4(v4),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_internal_v4(v4),
            None => is_internal_v6(v6),
        },
    }
}

fn is_internal_v4(address: Ipv4Addr) -> bool {
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_unspecified()
}

fn is_internal_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(realm: &str, registry: &str) -> bool {
        check(realm, &Url::parse(registry).unwrap()).is_ok()
    }

    #[test]
    fn another_public_host_over_https_is_a_token_service() {
        assert!(allowed("https://auth.docker.io/token", "https://registry-1.docker.io"));
        assert!(allowed("/auth/token", "https://r.example"));
    }

    #[test]
    fn plain_http_is_for_plain_http_registries() {
        assert!(!allowed("http://auth.example/token", "https://r.example"));
        assert!(allowed("http://127.0.0.1:5001/token", "http://127.0.0.1:5000"));
        assert!(allowed("http://localhost:5001/token", "http://127.0.0.1:5000"));
    }

    #[test]
    fn an_address_inside_is_refused_unless_the_registry_is_there() {
        for realm in [
            "https://127.0.0.1/token",
            "https://localhost/token",
            "https://localhost./token",
            "https://10.0.0.1/token",
            "https://192.168.1.1/token",
            "https://169.254.169.254/token",
            "https://[::1]/token",
            "https://[fe80::1]/token",
            "https://[::ffff:10.0.0.1]/token",
            "https://0.0.0.0/token",
        ] {
            assert!(!allowed(realm, "https://r.example"), "{realm}");
        }
        assert!(allowed("https://10.0.0.1:8443/token", "https://10.0.0.1:5000"));
        assert!(!allowed("https://10.0.0.2/token", "https://10.0.0.1:5000"));
    }

    #[test]
    fn what_is_no_web_address_is_refused() {
        for realm in ["ftp://a/token", "https://user:pw@a/token", "data:x", "https://"] {
            assert!(!allowed(realm, "https://r.example"), "{realm}");
        }
    }
}
