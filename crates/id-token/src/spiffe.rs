//! SPIFFE IDs and trust domains, to the letter of the SPIFFE-ID standard, section 2.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The longest SPIFFE ID, in bytes (section 2.3).
const LONGEST_ID: usize = 2048;

/// The longest trust domain name, in bytes (section 2.1).
const LONGEST_TRUST_DOMAIN: usize = 255;

const SCHEME: &str = "spiffe://";

/// The name of a workload: `spiffe://trust-domain/path`.
///
/// ```
/// use id_token::{SpiffeId, TrustDomain};
///
/// let id = SpiffeId::parse("spiffe://example.org/ns/ci/sa/builder")?;
/// assert_eq!(id.trust_domain().as_str(), "example.org");
/// assert_eq!(id.path(), "/ns/ci/sa/builder");
/// assert_eq!(id.segments().last(), Some("builder"));
///
/// let made = TrustDomain::parse("example.org")?.id().join("ns/ci/sa")?.join("builder")?;
/// assert_eq!(made, id);
/// # Ok::<(), id_token::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: String,
    /// Where the path starts in `text`.
    path: usize,
}

impl SpiffeId {
    /// Reads an ID. Scheme and trust domain are case-insensitive and come out in lower case.
    ///
    /// # Errors
    /// [`Error::Spiffe`] names the rule that is broken.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|reason| invalid("SPIFFE ID", text, reason))
    }

    /// The trust domain.
    pub fn trust_domain(&self) -> TrustDomain {
        TrustDomain(self.text.get(SCHEME.len()..self.path).unwrap_or_default().to_owned())
    }

    /// The path with its leading slash, or nothing: then this is the ID of the trust domain.
    pub fn path(&self) -> &str {
        self.text.get(self.path..).unwrap_or_default()
    }

    /// The segments of the path: `ns`, `ci`, `sa`, `builder`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1)
    }

    /// Whether this is the ID of `domain` or of a workload in it. Trust domains do not nest:
    /// `a.example.org` is not in `example.org`.
    pub fn is_in(&self, domain: &TrustDomain) -> bool {
        self.text.get(SCHEME.len()..self.path) == Some(domain.as_str())
    }

    /// This ID with one or more segments behind its path: `join("sa/builder")`. The segments have
    /// no slash before or after them.
    ///
    /// # Errors
    /// [`Error::Spiffe`] names the rule that is broken.
    pub fn join(&self, segments: &str) -> Result<Self, Error> {
        Self::parse(&format!("{}/{segments}", self.text))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        if text.len() > LONGEST_ID {
            return Err("it is longer than 2048 bytes");
        }
        let (scheme, rest) =
            text.split_at_checked(SCHEME.len()).ok_or("it must start spiffe://")?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err("it must start spiffe://");
        }
        let (domain, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let TrustDomain(domain) = TrustDomain::read(domain)?;
        if let Some(segments) = path.strip_prefix('/') {
            segments.split('/').try_for_each(segment)?;
        }
        let text = format!("{SCHEME}{domain}{path}");
        Ok(Self { path: text.len().saturating_sub(path.len()), text })
    }
}

impl AsRef<str> for SpiffeId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for SpiffeId {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SpiffeId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// The name of a trust domain: `example.org`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// Reads a name, which comes out in lower case.
    ///
    /// # Errors
    /// [`Error::Spiffe`] names the rule that is broken.
    pub fn parse(name: &str) -> Result<Self, Error> {
        Self::read(name).map_err(|reason| invalid("SPIFFE trust domain", name, reason))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The ID of the trust domain itself.
    pub fn id(&self) -> SpiffeId {
        let text = format!("{SCHEME}{}", self.0);
        SpiffeId { path: text.len(), text }
    }

    fn read(name: &str) -> Result<Self, &'static str> {
        if name.is_empty() {
            return Err("the trust domain is missing");
        }
        if name.len() > LONGEST_TRUST_DOMAIN {
            return Err("the trust domain is longer than 255 bytes");
        }
        if name.contains('@') {
            return Err("user information is not allowed");
        }
        if name.starts_with(SCHEME) {
            return Err("this is a SPIFFE ID, and the name of a trust domain has no scheme");
        }
        if name.contains(':') {
            return Err("a port is not allowed");
        }
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
            return Err("a trust domain consists of letters, digits, dots, dashes and underscores");
        }
        Ok(Self(name.to_ascii_lowercase()))
    }
}

impl AsRef<str> for TrustDomain {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl TryFrom<&str> for TrustDomain {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self, Error> {
        Self::parse(name)
    }
}

impl From<SpiffeId> for TrustDomain {
    fn from(id: SpiffeId) -> Self {
        id.trust_domain()
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

/// Section 2.2. Query, fragment and percent-encoding fail by their characters.
fn segment(segment: &str) -> Result<(), &'static str> {
    match segment {
        "" => Err("a path has no empty segment and does not end with a slash"),
        "." | ".." => Err("a path has no segment . or .."),
        _ if segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) => {
            Ok(())
        }
        _ => Err("a path consists of letters, digits, dots, dashes and underscores"),
    }
}

fn invalid(expected: &'static str, text: &str, reason: &'static str) -> Error {
    Error::Spiffe { expected, found: host::escape_remote(text), reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(text: &str) -> &'static str {
        match SpiffeId::parse(text) {
            Err(Error::Spiffe { reason, .. }) => reason,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_id_has_a_trust_domain_and_maybe_a_path() {
        let id = SpiffeId::parse("spiffe://example.org/a/B_.-9").unwrap();
        assert_eq!((id.trust_domain().as_str(), id.path()), ("example.org", "/a/B_.-9"));
        let domain = SpiffeId::parse("spiffe://10.0.0.1").unwrap();
        assert_eq!((domain.trust_domain().as_str(), domain.path()), ("10.0.0.1", ""));
        assert_eq!(domain.trust_domain().id(), domain);
    }

    #[test]
    fn scheme_and_trust_domain_ignore_case_and_the_path_does_not() {
        let id = SpiffeId::parse("SPIFFE://Example.ORG/Path").unwrap();
        assert_eq!(id.as_str(), "spiffe://example.org/Path");
        assert_ne!(id, SpiffeId::parse("spiffe://example.org/path").unwrap());
    }

    #[test]
    fn what_is_not_an_id_is_refused_with_the_rule() {
        assert!(reason("").contains("start spiffe://"));
        assert!(reason("not-an-id").contains("start spiffe://"));
        assert!(reason("https://example.org/a").contains("start spiffe://"));
        assert!(reason("spiffe:/example.org/a").contains("start spiffe://"));
        assert!(reason("spiffe://").contains("missing"));
        assert!(reason("spiffe:///a").contains("missing"));
        assert!(reason("spiffe://me@example.org/a").contains("user information"));
        assert!(reason("spiffe://example.org:80/a").contains("port"));
        assert!(reason("spiffe://[::1]/a").contains("port"));
        assert!(reason("spiffe://ex%41mple.org/a").contains("consists of"));
        assert!(reason("spiffe://exämple.org/a").contains("consists of"));
        assert!(reason("spiffe://example.org/").contains("slash"));
        assert!(reason("spiffe://example.org/a/").contains("slash"));
        assert!(reason("spiffe://example.org//a").contains("slash"));
        assert!(reason("spiffe://example.org/a/../b").contains(".."));
        assert!(reason("spiffe://example.org/./b").contains(".."));
        assert!(reason("spiffe://example.org/%61").contains("consists of"));
        assert!(reason("spiffe://example.org/a?q").contains("consists of"));
        assert!(reason("spiffe://example.org/a#f").contains("consists of"));
        assert!(reason("spiffe://example.org?q").contains("consists of"));
    }

    #[test]
    fn an_id_is_joined_of_a_trust_domain_and_segments() {
        let domain = TrustDomain::parse("Example.org").unwrap();
        let id = domain.id().join("ns/ci").unwrap().join("B_.-9").unwrap();
        assert_eq!(id.as_str(), "spiffe://example.org/ns/ci/B_.-9");
        assert_eq!(id.segments().collect::<Vec<_>>(), ["ns", "ci", "B_.-9"]);
        assert_eq!(domain.id().segments().count(), 0);
        assert_eq!(TrustDomain::from(id.clone()), domain);
        assert_eq!(SpiffeId::try_from(id.as_ref()).unwrap(), id);
        for wrong in ["", "/a", "a/", "a//b", "..", "a/./b", "%61", "a b", "a?q", "é"] {
            assert!(id.join(wrong).is_err(), "{wrong:?}");
        }
        let long = "a".repeat(LONGEST_ID);
        assert!(id.join(&long).unwrap_err().to_string().contains("2048"));
    }

    #[test]
    fn an_id_is_in_its_trust_domain_and_in_no_other() {
        let id = SpiffeId::parse("spiffe://ci.example.org/a").unwrap();
        let in_domain = |name: &str| id.is_in(&TrustDomain::parse(name).unwrap());
        assert!(in_domain("ci.example.org") && in_domain("CI.example.org"));
        assert!(!in_domain("example.org") && !in_domain("ci.example.or"));
        assert!(id.trust_domain().id().is_in(&id.trust_domain()));
    }

    #[test]
    fn the_name_of_a_trust_domain_is_not_an_id() {
        let error = TrustDomain::parse("spiffe://example.org").unwrap_err().to_string();
        assert!(error.contains("this is a SPIFFE ID"), "{error}");
        for wrong in ["", "example.org/a", "example.org:80", "me@example.org", "ex ample", "é"] {
            assert!(TrustDomain::try_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_longest_names_are_2048_and_255_bytes() {
        let prefix = "spiffe://example.org/";
        let fits = format!("{prefix}{}", "a".repeat(LONGEST_ID - prefix.len()));
        assert_eq!(SpiffeId::parse(&fits).unwrap().as_str().len(), 2048);
        assert!(reason(&format!("{fits}a")).contains("2048"));
        assert!(TrustDomain::parse(&"a".repeat(255)).is_ok());
        assert!(TrustDomain::parse(&"a".repeat(256)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same_and_nothing_panics(text in ".{0,80}") {
            if let Ok(id) = SpiffeId::parse(&text) {
                prop_assert_eq!(SpiffeId::parse(id.as_str()).unwrap(), id);
            }
        }

        #[test]
        fn every_id_of_the_grammar_is_read(domain in "[a-z0-9._-]{1,60}",
                                           path in "(/[A-Za-z0-9_-]{1,20}){0,5}") {
            let text = format!("spiffe://{domain}{path}");
            let id = SpiffeId::parse(&text).unwrap();
            let trust_domain = id.trust_domain();
            prop_assert_eq!((trust_domain.as_str(), id.path()), (domain.as_str(), path.as_str()));
        }
    }
}
