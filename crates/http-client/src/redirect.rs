//! Where a redirect may lead, and with what.

use host::Redirects;
use http::header::LOCATION;
use http::{HeaderMap, Method, StatusCode, Uri};
use url::Url;

/// How many redirects in a row are followed.
pub(crate) const MOST_HOPS: usize = 5;

/// One redirect to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) to: Uri,
    pub(crate) method: Method,
    /// False when the request becomes a GET without its body.
    pub(crate) keeps_body: bool,
    /// True when credentials must stay behind.
    pub(crate) other_origin: bool,
}

/// The redirect to follow after an answer to `method` `from`; `None` hands the answer over as it is.
pub(crate) fn next(
    rule: Redirects,
    method: &Method,
    from: &Uri,
    status: StatusCode,
    headers: &HeaderMap,
    has_body: bool,
) -> Option<Hop> {
    if rule == Redirects::Never {
        return None;
    }
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let (method, keeps_body) = match status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => (method.clone(), true),
        // What a browser makes of a redirected POST is not what a service means by it.
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if safe => (method.clone(), true),
        StatusCode::SEE_OTHER if *method == Method::HEAD => (Method::HEAD, false),
        StatusCode::SEE_OTHER => (Method::GET, false),
        _ => return None,
    };
    let base = Url::parse(&from.to_string()).ok()?;
    let mut to = base.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    to.set_fragment(None);
    if !matches!(to.scheme(), "http" | "https") || !to.username().is_empty() {
        return None;
    }
    let other_origin = base.origin() != to.origin();
    let to: Uri = to.as_str().parse().ok()?;
    match rule {
        Redirects::SameOrigin if other_origin => None,
        // The body may hold a secret, as that of a token request does.
        _ if other_origin && has_body && keeps_body => None,
        // Neither down to http nor into a private network: a server must not make us ask a
        // metadata service.
        _ if host::check_target(from, &to).is_err() => None,
        _ => Some(Hop { to, method, keeps_body, other_origin }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(rule: Redirects, method: &Method, status: u16, from: &str, to: &str) -> Option<Hop> {
        let headers = HeaderMap::from_iter([(LOCATION, to.parse().unwrap())]);
        let status = StatusCode::from_u16(status).unwrap();
        next(rule, method, &from.parse().unwrap(), status, &headers, *method == Method::POST)
    }

    #[test]
    fn never_means_never() {
        assert_eq!(hop(Redirects::Never, &Method::GET, 302, "https://a/x", "/y"), None);
    }

    #[test]
    fn the_same_origin_is_followed_and_another_is_handed_over() {
        let rule = Redirects::SameOrigin;
        let same = hop(rule, &Method::GET, 302, "https://a/x?q=1", "../y#f").unwrap();
        assert_eq!(same.to, "https://a/y");
        assert!(!same.other_origin);
        assert!(hop(rule, &Method::GET, 302, "https://a/x", "https://a:443/y").is_some());
        for to in ["https://b/y", "https://a:444/y", "http://a/y", "//b/y"] {
            assert_eq!(hop(rule, &Method::GET, 302, "https://a/x", to), None, "{to}");
        }
    }

    #[test]
    fn another_origin_is_followed_without_credentials_and_never_down_to_http() {
        let rule = Redirects::DropCredentials;
        let hop_to = |to| hop(rule, &Method::GET, 307, "https://a/x", to);
        assert!(hop_to("https://b/y").unwrap().other_origin);
        assert!(!hop_to("/y").unwrap().other_origin);
        assert_eq!(hop_to("http://a/y"), None);
        assert_eq!(hop_to("http://b/y"), None);
        assert_eq!(hop_to("ftp://b/y"), None);
        assert_eq!(hop_to("https://user@b/y"), None);
        assert!(hop(rule, &Method::GET, 307, "http://a/x", "https://b/y").unwrap().other_origin);
    }

    #[test]
    fn a_body_does_not_go_to_another_origin() {
        let rule = Redirects::DropCredentials;
        for status in [307, 308] {
            assert_eq!(hop(rule, &Method::POST, status, "https://a/x", "https://b/y"), None);
            let same = hop(rule, &Method::POST, status, "https://a/x", "/y").unwrap();
            assert!(same.keeps_body);
        }
        let left = hop(rule, &Method::POST, 303, "https://a/x", "https://b/y").unwrap();
        assert!(!left.keeps_body && left.method == Method::GET);
    }

    #[test]
    fn a_redirect_does_not_lead_inside_or_to_another_port() {
        let rule = Redirects::DropCredentials;
        for to in [
            "https://169.254.169.254/latest/meta-data/",
            "https://10.0.0.1/",
            "https://localhost/",
            "https://[::1]/",
            "https://a:8443/",
            "https://b:22/",
        ] {
            assert_eq!(hop(rule, &Method::GET, 302, "https://a/x", to), None, "{to}");
        }
        let within = hop(rule, &Method::GET, 302, "http://127.0.0.1:1/x", "http://localhost:2/y");
        assert!(within.unwrap().other_origin);
    }

    #[test]
    fn methods_follow_the_standard_but_a_post_never_turns_into_a_get_by_accident() {
        let rule = Redirects::SameOrigin;
        let kept = hop(rule, &Method::POST, 307, "https://a/x", "/y").unwrap();
        assert_eq!((kept.method, kept.keeps_body), (Method::POST, true));
        assert_eq!(hop(rule, &Method::POST, 302, "https://a/x", "/y"), None);
        let other = hop(rule, &Method::POST, 303, "https://a/x", "/y").unwrap();
        assert_eq!((other.method, other.keeps_body), (Method::GET, false));
        assert_eq!(hop(rule, &Method::GET, 304, "https://a/x", "/y"), None);
        assert_eq!(hop(rule, &Method::GET, 201, "https://a/x", "/y"), None);
    }
}
