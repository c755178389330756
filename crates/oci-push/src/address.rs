//! Which addresses that a server names are followed.
//!
//! A registry names addresses in many answers: its token service, redirects, upload locations, next
//! pages. A hostile one can use them to reach what only this machine can reach. One rule holds for
//! all of them, that of [`host::check_target`].

use host::http::Uri;
use host::{Forbidden, check_target, escape_remote, is_loopback};
use url::Url;

/// Resolves `link`, which a server at `at` named, and checks that the registry at `registry` may
/// lead there. `internal` permits other hosts that are not public, and unusual ports.
pub(crate) fn resolve(link: &str, at: &Url, registry: &Url, internal: bool) -> Result<Url, String> {
    let mut url = at.join(link).map_err(|error| format!("it is not a URL: {error}"))?;
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Forbidden::Url.to_string());
    }
    let uri = |url: &Url| url.as_str().parse::<Uri>().map_err(|_| Forbidden::Url.to_string());
    match check_target(&uri(registry)?, &uri(&url)?) {
        Ok(()) => Ok(url),
        Err(Forbidden::Reach(_) | Forbidden::Port(_)) if internal => Ok(url),
        // An option has permitted plain http already.
        Err(Forbidden::Scheme) if by_http_elsewhere(registry) => Ok(url),
        Err(forbidden) => Err(format!(
            "{forbidden}: {}",
            escape_remote(&format!("{}{}", url.origin().ascii_serialization(), url.path()))
        )),
    }
}

/// Whether a registry on another machine is reached by plain http.
fn by_http_elsewhere(registry: &Url) -> bool {
    registry.scheme() == "http" && !registry.host_str().is_some_and(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(link: &str, registry: &str, internal: bool) -> Result<Url, String> {
        let registry = Url::parse(registry).unwrap();
        resolve(link, &registry, &registry, internal)
    }

    fn allowed(link: &str, registry: &str) -> bool {
        follow(link, registry, false).is_ok()
    }

    #[test]
    fn the_registry_itself_and_public_hosts_over_https_are_followed() {
        assert!(allowed("https://auth.docker.io/token", "https://registry-1.docker.io"));
        assert!(allowed("/auth/token#x", "https://r.example"));
        assert!(allowed("https://r.example:8443/token", "https://r.example:5000"));
        assert!(allowed("https://10.0.0.1:8443/token", "https://10.0.0.1:5000"));
        assert!(allowed("https://storage.example/x?signature=y", "http://127.0.0.1:5000"));
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
    fn an_internal_address_is_refused_unless_the_registry_is_near_it_or_it_is_permitted() {
        for host in [
            "127.0.0.1",
            "localhost.",
            "metadata.google.internal",
            "10.0.0.1",
            "169.254.169.254",
            "2130706433",
            "0x7f.1",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "[fd00:ec2::254]",
            "storage.example:22",
        ] {
            let link = format!("https://{host}/x");
            assert!(!allowed(&link, "https://r.example"), "{link}");
            assert!(follow(&link, "https://r.example", true).is_ok(), "{link}");
        }
    }

    #[test]
    fn what_is_not_a_web_address_is_refused() {
        for link in ["ftp://a.example/x", "https://user:pw@a.example/x", "data:x", "https://"] {
            assert!(!allowed(link, "https://r.example"), "{link}");
            assert!(follow(link, "https://r.example", true).is_err(), "{link}");
        }
        let error = follow("https://user:pw@a.example/x", "https://r.example", false).unwrap_err();
        assert!(!error.contains("pw"), "{error}");
    }
}
