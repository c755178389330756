//! Which addresses that a server names are gone to.
//!
//! A registry names addresses in many places: its token service, redirects, upload locations, next
//! pages. A hostile one can use them to reach what only this machine can reach. One rule holds for
//! all of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use host::escape_remote;
use url::{Host, Url};

use crate::repository::is_loopback;

/// Resolves `link`, which a server at `at` named, and checks it against the rule: the host of
/// `registry`, or else a public host over https.
///
/// Plain http is followed only where the registry itself is reached by http, and between this
/// machine's own addresses. `internal` allows hosts that are not public.
pub(crate) fn resolve(link: &str, at: &Url, registry: &Url, internal: bool) -> Result<Url, String> {
    let mut url = at.join(link).map_err(|error| format!("it is not a URL: {error}"))?;
    url.set_fragment(None);
    let shown = || escape_remote(&format!("{}{}", url.origin().ascii_serialization(), url.path()));
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it is not an http or https URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it contains a user name".to_owned());
    }
    let same_host = url.host() == registry.host();
    let on_loopback = url_is_loopback(&url) && url_is_loopback(registry);
    if url.scheme() == "http" {
        // Where the registry is reached by http, on another machine, a flag has allowed that.
        let allowed = registry.scheme() == "http" && !url_is_loopback(registry);
        if registry.scheme() == "https" {
            return Err(format!("it leads from https to {}", shown()));
        }
        if !same_host && !on_loopback && !allowed {
            return Err(format!("expected https, found {}", shown()));
        }
    }
    if !same_host && !on_loopback && !internal && !is_public(&url) {
        return Err(format!(
            "{} is an internal address, and another host than the registry",
            url.host_str().map(escape_remote).unwrap_or_default()
        ));
    }
    Ok(url)
}

fn is_public(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_public_name(name),
        Some(Host::Ipv4(address)) => is_public_v4(address),
        Some(Host::Ipv6(address)) => is_public_v6(address),
        None => false,
    }
}

/// Whether everybody would find the same host under this name. A single label, and the names that
/// are reserved for local use, lead to whatever is near.
fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let Some((_, top)) = name.rsplit_once('.') else {
        return false;
    };
    !is_loopback(&name)
        && !["internal", "lan", "local", "localdomain", "localhost"].contains(&top)
        && !name.ends_with(".home.arpa")
}

fn url_is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_loopback(name.trim_end_matches('.')),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    // Shared address space of carriers, where clouds keep services, too (RFC 6598).
    let shared = first == 100 && (64..128).contains(&second);
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || shared
        || first == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    // An IPv4 address may stand inside: mapped or compatible, NAT64, 6to4.
    let inside = match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(v4(g, h)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    };
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.is_multicast()
        || inside.is_some_and(|inside| !is_public_v4(inside)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(link: &str, registry: &str) -> bool {
        let registry = Url::parse(registry).unwrap();
        resolve(link, &registry, &registry, false).is_ok()
    }

    #[test]
    fn the_registry_itself_and_public_hosts_over_https_are_gone_to() {
        assert!(allowed("https://auth.docker.io/token", "https://registry-1.docker.io"));
        assert!(allowed("/auth/token", "https://r.example"));
        assert!(allowed("https://r.example:8443/token", "https://r.example"));
        assert!(allowed("https://10.0.0.1:8443/token", "https://10.0.0.1:5000"));
        assert!(allowed("https://storage.example/x?signature=y", "http://127.0.0.1:5000"));
        assert!(allowed("https://[2600:1f18::1]/x", "https://r.example"));
        assert!(allowed("https://100.63.0.1/x", "https://r.example"));
    }

    #[test]
    fn plain_http_is_for_registries_reached_by_http_and_for_this_machine() {
        assert!(!allowed("http://auth.example/token", "https://r.example"));
        assert!(!allowed("http://r.example/token", "https://r.example"));
        assert!(allowed("http://auth.example/token", "http://r.example"));
        assert!(allowed("http://127.0.0.1:5001/token", "http://127.0.0.1:5000"));
        assert!(allowed("http://localhost:5001/token", "http://127.0.0.1:5000"));
        assert!(!allowed("http://auth.example/token", "http://127.0.0.1:5000"));
    }

    #[test]
    fn an_internal_address_is_refused_unless_the_registry_is_there_or_it_is_allowed() {
        for host in [
            "127.0.0.1",
            "localhost",
            "localhost.",
            "metadata.google.internal",
            "printer.local",
            "intranet",
            "router.home.arpa",
            "0.0.0.0",
            "10.0.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "[::]",
            "[::ffff:10.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:a00:1::1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
        ] {
            let link = format!("https://{host}:444/x");
            assert!(!allowed(&link, "https://r.example"), "{link}");
            assert!(!allowed(&link, "https://10.0.0.2"), "{link}");
            let registry = Url::parse("https://r.example").unwrap();
            assert!(resolve(&link, &registry, &registry, true).is_ok(), "{link}");
        }
    }

    #[test]
    fn what_is_not_a_web_address_is_refused() {
        for link in ["ftp://a.example/x", "https://user:pw@a.example/x", "data:x", "https://"] {
            assert!(!allowed(link, "https://r.example"), "{link}");
        }
    }
}
