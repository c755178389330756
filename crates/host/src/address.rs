//! Addresses: which may carry secrets, and where a server may send us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

/// Whether `name` is this machine: `localhost`, a name below it, or a loopback address, with or
/// without the brackets of a URL.
pub fn is_loopback(name: &str) -> bool {
    Reach::of(name) == Reach::Loopback
}

/// Whether `name` is this machine or its cloud's metadata service. No proxy can reach either, and
/// none may see what is said to them.
pub fn is_local(name: &str) -> bool {
    matches!(Reach::of(name), Reach::Loopback | Reach::LinkLocal)
}

/// Whether a request to `url` stays between us and that service: it goes over https, or over http
/// to this machine or its cloud's metadata service, which speaks nothing else.
pub fn is_https_or_local(url: &Uri) -> bool {
    match url.scheme_str() {
        Some("https") => true,
        // Resolvers take `134744072` for the public address 8.8.8.8.
        Some("http") => url.host().is_some_and(|name| {
            is_local(name) && (bare(name).parse::<IpAddr>().is_ok() || !is_number(name))
        }),
        _ => false,
    }
}

/// Decides whether a server at `base` may send us to `target`: by a redirect, as the place of an
/// upload, as a token service.
///
/// Allowed are the same server, its https port, and https on the usual port of any public host. An
/// address of a private network, of this machine or of a cloud's metadata service is allowed only
/// where `base` is of the same kind. Names are not resolved: https proves which server answers.
///
/// # Errors
/// [`Forbidden`], with the reason.
pub fn check_target(base: &Uri, target: &Uri) -> Result<(), Forbidden> {
    let (Some(from), Some(to)) = (base.host(), target.host()) else {
        return Err(Forbidden::Url);
    };
    if target.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Forbidden::Url);
    }
    let (secure, was_secure) = match (target.scheme_str(), base.scheme_str()) {
        (Some(target @ ("http" | "https")), base) => (target == "https", base == Some("https")),
        _ => return Err(Forbidden::Url),
    };
    if was_secure && !secure {
        return Err(Forbidden::Scheme);
    }
    let same_host = bare(from).eq_ignore_ascii_case(bare(to));
    let (before, reach) = (Reach::of(from), Reach::of(to));
    if reach != Reach::Public && reach != before {
        return Err(Forbidden::Reach(reach.name()));
    }
    if !secure && !same_host && reach == Reach::Public {
        return Err(Forbidden::Scheme);
    }
    let usual = port(target) == 443 || (!secure && port(target) == 80);
    let same_port = same_host && port(target) == port(base);
    // Servers of a test or of an own network sit on any port.
    let unusual_base = before != Reach::Public || (same_host && !matches!(port(base), 80 | 443));
    if usual || same_port || unusual_base { Ok(()) } else { Err(Forbidden::Port(port(target))) }
}

/// Why a server may not send us somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Forbidden {
    /// The target is not an http or https URL of a host, or holds credentials.
    #[error("it is not an http or https URL without credentials")]
    Url,
    /// The target is plain http.
    #[error("it does not use https")]
    Scheme,
    /// The target is an address that the server itself is not near to.
    #[error("it leads to {0}")]
    Reach(&'static str),
    /// The target is on a port that web servers do not use.
    #[error("it leads to the port {0}")]
    Port(u16),
}

/// From where an address can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Public,
    Private,
    Loopback,
    /// Also the metadata services of clouds, whatever their address.
    LinkLocal,
}

impl Reach {
    fn of(name: &str) -> Self {
        let name = bare(name).trim_end_matches('.').to_ascii_lowercase();
        match name.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => Self::of_v4(address),
            Ok(IpAddr::V6(address)) => Self::of_v6(address),
            Err(_) if METADATA_NAMES.contains(&name.as_str()) => Self::LinkLocal,
            Err(_) if name == "localhost" || name.ends_with(".localhost") => Self::Loopback,
            // `127.1`, `0x7f000001` and the like, which resolvers take for addresses.
            Err(_) if is_number(&name) => Self::LinkLocal,
            Err(_) => Self::Public,
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [first, second, ..] = address.octets();
        if address.is_loopback() || address.is_unspecified() {
            return Self::Loopback;
        }
        if address.is_link_local() || METADATA_V4.contains(&address) {
            return Self::LinkLocal;
        }
        let carrier = first == 100 && (64..128).contains(&second);
        let benchmark = first == 198 && matches!(second, 18 | 19);
        let protocols = address.octets().starts_with(&[192, 0, 0]);
        let special = carrier || benchmark || protocols || first == 0 || first >= 224;
        if address.is_private() || special {
            return Self::Private;
        }
        Self::Public
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if let Some(inner) = address.to_ipv4_mapped() {
            return Self::of_v4(inner);
        }
        if address.is_loopback() || address.is_unspecified() {
            return Self::Loopback;
        }
        if address.is_unicast_link_local() || METADATA_V6.contains(&address) {
            return Self::LinkLocal;
        }
        if address.is_unique_local() || address.is_multicast() {
            return Self::Private;
        }
        let v4 = |high, low| Self::of_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
        match address.segments() {
            // NAT64 (RFC 6052), 6to4 (RFC 3056) and the oldest mapping hold an address of version 4.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low]
            | [0x2002, high, low, ..]
            | [0, 0, 0, 0, 0, 0, high, low] => v4(high, low),
            // Teredo (RFC 4380) holds one with its bits turned around.
            [0x2001, 0, .., high, low] => v4(!high, !low),
            // Of one's own: NAT64 (RFC 8215), and site-local addresses (RFC 3879).
            [0x64, 0xff9b, 1, ..] | [0xfec0..=0xfeff, ..] => Self::Private,
            _ => Self::Public,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "an address of a private network",
            Self::Loopback => "this machine",
            Self::LinkLocal => "a link-local address or a metadata service",
        }
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether the last label is a number: no public name ends so (WHATWG URL, "ends in a number").
fn is_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex =
        last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|c| c.is_ascii_hexdigit()));
    hex || (!last.is_empty() && last.bytes().all(|c| c.is_ascii_digit()))
}

fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or_else(|| if uri.scheme_str() == Some("http") { 80 } else { 443 })
}

const METADATA_NAMES: [&str; 4] =
    ["metadata", "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"];
/// Alibaba Cloud and Oracle Cloud; that of AWS, Azure and Google is link-local.
const METADATA_V4: [Ipv4Addr; 2] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
/// AWS (instances, and the agent of EKS pods) and Google Cloud.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base: &str, target: &str) -> Result<(), Forbidden> {
        check_target(&base.parse().unwrap(), &target.parse().unwrap())
    }

    #[test]
    fn requests_stay_private_over_https_on_this_machine_and_to_metadata_services() {
        for url in [
            "https://a.example/",
            "http://localhost:1/",
            "http://127.9.9.9/",
            "http://[::1]/",
            "http://169.254.169.254/",
            "http://169.254.170.23/v1/credentials",
            "http://metadata.google.internal/",
            "http://[fd00:ec2::254]/",
            "http://[fd00:ec2::23]/",
            "http://[fd20:ce::254]/",
        ] {
            assert!(is_https_or_local(&url.parse().unwrap()), "{url}");
        }
        for url in [
            "http://a.example/",
            "http://10.0.0.1/",
            "http://[fd00::1]/",
            "http://localhost.example/",
            "http://134744072/",
            "http://0x08080808/",
            "http://8.526344/",
            "/x",
        ] {
            assert!(!is_https_or_local(&url.parse().unwrap()), "{url}");
        }
    }

    #[test]
    fn a_server_may_send_us_to_itself_and_to_public_https() {
        let base = "https://registry.example/v2/";
        for target in [
            "https://registry.example/x",
            "https://REGISTRY.example:443/x",
            "https://cdn.example/x",
            "https://93.184.215.14/x",
            "https://[2606:4700::1]/x",
            "https://[2001:4860:4860::8888]/x",
        ] {
            assert_eq!(check(base, target), Ok(()), "{target}");
        }
        assert_eq!(check("http://registry.example/", "http://registry.example/x"), Ok(()));
        assert_eq!(check("http://registry.example/", "https://registry.example/x"), Ok(()));
        assert_eq!(check("https://r.example:5000/", "https://r.example:5001/x"), Ok(()));
        assert_eq!(check("https://r.example:5000/", "https://r.example/x"), Ok(()));
    }

    #[test]
    fn a_public_server_may_not_send_us_inside() {
        let base = "https://registry.example/v2/";
        for target in [
            "http://169.254.169.254/latest/",
            "https://169.254.169.254/",
            "https://metadata.google.internal/",
            "https://100.100.100.200/",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://x.localhost./",
            "https://10.0.0.1/",
            "https://192.168.1.1/",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[fe80::1]/",
            "https://[fd00:ec2::254]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[64:ff9b:1::a9fe:a9fe]/",
            "https://[2002:a9fe:a9fe::1]/",
            "https://[2001:0:4136:e378:8000:63bf:5601:5601]/",
            "https://[::10.0.0.1]/",
            "https://[::ffff:0.0.0.0]/",
            "https://[fec0::1]/",
            "https://192.0.0.170/",
            "https://198.18.0.1/",
            "https://255.255.255.255/",
            "https://127.1/",
            "https://metadata.google.internal./",
            "https://2130706433/",
            "https://0x7f.1/",
        ] {
            assert!(
                matches!(check(base, target), Err(Forbidden::Reach(_) | Forbidden::Scheme)),
                "{target}"
            );
        }
        for target in ["https://registry.example:8080/", "https://other.example:22/"] {
            assert!(matches!(check(base, target), Err(Forbidden::Port(_))), "{target}");
        }
        for target in ["http://registry.example/", "http://other.example/"] {
            assert_eq!(check(base, target), Err(Forbidden::Scheme), "{target}");
        }
        assert_eq!(
            check("http://registry.example/", "http://other.example/"),
            Err(Forbidden::Scheme)
        );
        assert_eq!(check(base, "ftp://registry.example/"), Err(Forbidden::Url));
        assert_eq!(check(base, "https://u@registry.example/"), Err(Forbidden::Url));
    }

    #[test]
    fn a_server_inside_may_send_us_to_its_like() {
        assert_eq!(check("http://localhost:5000/", "http://127.0.0.1:5001/t"), Ok(()));
        assert_eq!(check("http://10.0.0.1:5000/", "http://10.0.0.2:5001/t"), Ok(()));
        assert_eq!(check("http://localhost:5000/", "https://auth.example/t"), Ok(()));
        assert!(check("http://localhost:5000/", "http://169.254.169.254/").is_err());
        assert!(check("https://10.0.0.1/", "https://127.0.0.1/").is_err());
    }
}
