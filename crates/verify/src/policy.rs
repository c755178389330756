use std::fmt;
use std::sync::Arc;

use keys::PublicKey;
use regex_lite::Regex;
use x509::SubjectName;

use crate::check::Error;

/// Who must have signed, and what they must have said.
///
/// There is no policy without a signer: a valid signature by anybody proves nothing.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) signer: Signer,
    pub(crate) extensions: Vec<(String, StringMatch)>,
    pub(crate) predicate_type: Option<String>,
    pub(crate) annotations: Vec<(String, String)>,
    pub(crate) timestamps: usize,
    pub(crate) logs: usize,
    pub(crate) scts: usize,
    pub(crate) ignore_tlog: bool,
    pub(crate) ignore_sct: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Signer {
    Anybody,
    Identity { subject: StringMatch, issuer: StringMatch },
    Key(PublicKey),
}

/// How a string of the certificate is compared.
#[derive(Clone, Debug)]
pub enum StringMatch {
    /// It is this one.
    Exact(String),
    /// The pattern fits it from its first to its last character.
    Regexp(Regexp),
    /// It is a SPIFFE ID of this trust domain. Certificates name it as a URI, never as a user name
    /// that looks like one.
    Spiffe(SpiffeMatch),
}

/// The SPIFFE IDs of a trust domain, or of a part of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpiffeMatch {
    trust_domain: String,
    path_prefix: Option<String>,
}

/// A regular expression that must fit the whole of a string.
#[derive(Clone, Debug)]
pub struct Regexp(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    pattern: String,
    anchored: Regex,
    unanchored: Regex,
}

impl Policy {
    /// A certificate whose subject (its one alternative name) and OIDC issuer are these.
    pub fn new(subject: StringMatch, issuer: StringMatch) -> Self {
        Self::of(Signer::Identity { subject, issuer })
    }

    /// A key that is known. The bundle must not hold a certificate then.
    pub fn public_key(key: PublicKey) -> Self {
        Self::of(Signer::Key(key))
    }

    /// The bundle must hold a statement of this predicate type.
    #[must_use]
    pub fn predicate_type(mut self, predicate_type: impl Into<String>) -> Self {
        self.predicate_type = Some(predicate_type.into());
        self
    }

    /// The statement's subject must carry this annotation. May be called several times.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.push((key.into(), value.into()));
        self
    }

    /// The certificate must have the extension `oid` (in dotted form) with such a value. May be
    /// called several times.
    #[must_use]
    pub fn extension(mut self, oid: impl Into<String>, value: StringMatch) -> Self {
        self.extensions.push((oid.into(), value));
        self
    }

    /// Demands a time by a timestamp authority; without this one by a log will do.
    #[must_use]
    pub fn use_signed_timestamps(self) -> Self {
        let authorities = self.timestamps.max(1);
        self.timestamp_threshold(authorities)
    }

    /// Demands timestamps of this many different authorities; 0 when absent, as the time of a log
    /// will do as well.
    #[must_use]
    pub fn timestamp_threshold(mut self, authorities: usize) -> Self {
        self.timestamps = authorities;
        self
    }

    /// Demands entries in this many different logs, and at least in one.
    #[must_use]
    pub fn log_threshold(mut self, logs: usize) -> Self {
        self.logs = logs.max(1);
        self
    }

    /// Demands that this many different logs published the certificate, and at least one.
    #[must_use]
    pub fn sct_threshold(mut self, logs: usize) -> Self {
        self.scts = logs.max(1);
        self
    }

    fn of(signer: Signer) -> Self {
        Self {
            signer,
            extensions: Vec::new(),
            predicate_type: None,
            annotations: Vec::new(),
            timestamps: 0,
            logs: 1,
            scts: 1,
            ignore_tlog: false,
            ignore_sct: false,
        }
    }
}

impl StringMatch {
    /// The string itself.
    pub fn exact(value: impl Into<String>) -> Self {
        Self::Exact(value.into())
    }

    /// Whatever `pattern` fits as a whole.
    ///
    /// # Errors
    ///
    /// As [`Regexp::new`].
    pub fn regexp(pattern: &str) -> Result<Self, Error> {
        Regexp::new(pattern).map(Self::Regexp)
    }

    /// Any SPIFFE ID of `trust_domain`, whose path begins with the whole segments of `path_prefix`:
    /// `/ns/ci` takes `/ns/ci/sa/builder` and not `/ns/cinema`.
    ///
    /// # Errors
    ///
    /// As [`SpiffeMatch::new`].
    pub fn spiffe(trust_domain: &str, path_prefix: Option<&str>) -> Result<Self, Error> {
        SpiffeMatch::new(trust_domain, path_prefix).map(Self::Spiffe)
    }

    /// Whether `value` is such a string.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(expected) => expected == value,
            Self::Regexp(regexp) => regexp.matches(value),
            Self::Spiffe(spiffe) => spiffe.matches(value),
        }
    }

    /// Whether `subject` is such a subject, by its kind as well.
    pub(crate) fn matches_subject(&self, subject: &SubjectName) -> bool {
        let of_the_kind = match self {
            Self::Exact(_) | Self::Regexp(_) => true,
            Self::Spiffe(_) => matches!(subject, SubjectName::Uri(_)),
        };
        of_the_kind && self.matches(subject.as_str())
    }
}

impl SpiffeMatch {
    /// A trust domain, without `spiffe://`, and a path that begins with `/` and has no empty
    /// segment; `/` at its end changes nothing.
    ///
    /// # Errors
    ///
    /// When they cannot be part of any SPIFFE ID.
    pub fn new(trust_domain: &str, path_prefix: Option<&str>) -> Result<Self, Error> {
        let unusable = |pattern: &str, reason: &str| Error::Pattern {
            pattern: pattern.to_owned(),
            reason: reason.to_owned(),
        };
        let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if trust_domain.is_empty() || !trust_domain.bytes().all(|b| name(b) || b"-._".contains(&b))
        {
            let reason = "a trust domain has lower-case letters, digits, `.`, `-` and `_`";
            return Err(unusable(trust_domain, reason));
        }
        let Some(path) = path_prefix else {
            return Ok(Self { trust_domain: trust_domain.to_owned(), path_prefix: None });
        };
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let segments: Option<Vec<&str>> =
            trimmed.strip_prefix('/').map(|inner| inner.split('/').collect());
        let of_segment = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let is_segment =
            |segment: &&str| !["", ".", ".."].contains(segment) && segment.bytes().all(of_segment);
        if !segments.is_some_and(|segments| segments.iter().all(is_segment)) {
            let reason = "expected a path such as /ns/ci: segments of letters, digits, `.`, `-` \
                          and `_`";
            return Err(unusable(path, reason));
        }
        Ok(Self { trust_domain: trust_domain.to_owned(), path_prefix: Some(trimmed.to_owned()) })
    }

    /// Whether `id` is such a SPIFFE ID.
    pub fn matches(&self, id: &str) -> bool {
        let path = id
            .strip_prefix("spiffe://")
            .and_then(|rest| rest.strip_prefix(self.trust_domain.as_str()))
            .filter(|path| path.is_empty() || path.starts_with('/'));
        let (Some(path), prefix) = (path, self.path_prefix.as_deref().unwrap_or_default()) else {
            return false;
        };
        // SPIFFE has neither escapes nor dot segments: what has them is no SPIFFE ID, and another
        // reader might normalise it to something else.
        let plain = path.split('/').skip(1).all(|segment| {
            !["", ".", ".."].contains(&segment)
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        });
        plain
            && path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for SpiffeMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a SPIFFE ID in {}", self.trust_domain)?;
        match &self.path_prefix {
            Some(prefix) => write!(f, " below {prefix}"),
            None => Ok(()),
        }
    }
}

impl Regexp {
    /// Compiles a pattern (no look-around, no back-references; classes are ASCII).
    ///
    /// # Errors
    ///
    /// When it is empty, which would fit everybody, or no regular expression.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let unusable = |reason: String| Error::Pattern { pattern: pattern.to_owned(), reason };
        if pattern.is_empty() {
            return Err(unusable("it is empty and would match anybody".to_owned()));
        }
        // On its own first: what is balanced only inside the anchors, as `a)|(?:b`, would escape
        // from them.
        let unanchored = Regex::new(pattern).map_err(|error| unusable(error.to_string()))?;
        let anchored = Regex::new(&anchor(pattern)).map_err(|error| unusable(error.to_string()))?;
        Ok(Self(Arc::new(Compiled { pattern: pattern.to_owned(), anchored, unanchored })))
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.0.pattern
    }

    /// The pattern as it is applied.
    pub fn anchored(&self) -> &str {
        self.0.anchored.as_str()
    }

    /// Whether it fits `value` from end to end.
    pub fn matches(&self, value: &str) -> bool {
        self.0.anchored.is_match(value)
    }

    /// Whether it fits somewhere inside `value` and not the whole.
    pub fn fits_a_part_of(&self, value: &str) -> bool {
        !self.matches(value) && self.0.unanchored.is_match(value)
    }
}

impl fmt::Display for StringMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(value) => write!(f, "{value:?}"),
            Self::Regexp(regexp) => write!(f, "a match of {}", regexp.anchored()),
            Self::Spiffe(spiffe) => spiffe.fmt(f),
        }
    }
}

fn anchor(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

/// What switches a check off. Every use of it deserves a warning.
pub mod danger {
    use super::{Policy, Signer};

    /// A certificate of whoever it may be: proves that somebody signed, not who.
    pub fn any_identity() -> Policy {
        Policy::of(Signer::Anybody)
    }

    /// Looks at no log entry. Without a timestamp the certificate must be valid now.
    #[must_use]
    pub fn ignore_tlog(mut policy: Policy) -> Policy {
        policy.ignore_tlog = true;
        policy
    }

    /// Does not ask whether the certificate was logged.
    #[must_use]
    pub fn ignore_sct(mut policy: Policy) -> Policy {
        policy.ignore_sct = true;
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_must_fit_the_whole() {
        let regexp = Regexp::new("https://github.com/octo-org/.*|user@example\\.com").unwrap();
        assert!(regexp.matches("https://github.com/octo-org/repo"));
        assert!(regexp.matches("user@example.com"));
        for part in [
            "https://evil/?https://github.com/octo-org/x",
            "user@example.com.evil",
            "xuser@example.com",
        ] {
            assert!(!regexp.matches(part), "{part}");
            assert!(regexp.fits_a_part_of(part), "{part}");
        }
        assert_eq!(regexp.anchored(), "^(?:https://github.com/octo-org/.*|user@example\\.com)$");
    }

    #[test]
    fn nothing_in_a_pattern_undoes_the_anchors() {
        assert!(Regexp::new("a)|(?:b").is_err());
        assert!(Regexp::new("(?x)a #").is_err());
        let multi_line = Regexp::new("(?m)a").unwrap();
        assert!(!multi_line.matches("b\na") && !multi_line.matches("a\nb"));
    }

    #[test]
    fn a_spiffe_path_prefix_ends_with_a_segment() {
        let below = SpiffeMatch::new("example.org", Some("/ns/ci/")).unwrap();
        for id in ["spiffe://example.org/ns/ci", "spiffe://example.org/ns/ci/sa/builder"] {
            assert!(below.matches(id), "{id}");
        }
        for id in [
            "spiffe://example.org/ns/cinema",
            "spiffe://example.org/ns",
            "spiffe://example.org",
            "spiffe://example.org.evil/ns/ci",
            "spiffe://example.org/ns/ci/../other",
            "spiffe://example.org/ns/ci/%2e%2e/other",
            "spiffe://example.org/ns/ci//sa",
            "spiffe://user@example.org/ns/ci",
            "https://example.org/ns/ci",
        ] {
            assert!(!below.matches(id), "{id}");
        }
        let all = SpiffeMatch::new("example.org", None).unwrap();
        assert!(all.matches("spiffe://example.org") && all.matches("spiffe://example.org/a"));
        assert!(!all.matches("spiffe://example.orga"));
    }

    #[test]
    fn what_is_part_of_no_spiffe_id_is_refused() {
        for domain in ["", "spiffe://example.org", "Example.org", "example.org/ns"] {
            assert!(SpiffeMatch::new(domain, None).is_err(), "{domain}");
        }
        for path in ["", "/", "ns", "/ns//ci", "/ns/../ci", "/n s"] {
            assert!(SpiffeMatch::new("example.org", Some(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn an_empty_pattern_and_a_broken_one_are_refused() {
        for bad in ["", "(", "a{2,1}", "(?=x)"] {
            assert!(matches!(Regexp::new(bad), Err(Error::Pattern { .. })), "{bad}");
        }
    }
}
