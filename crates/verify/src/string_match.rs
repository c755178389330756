use std::fmt;
use std::sync::Arc;

use id_token::{SpiffeId, TrustDomain};
use regex_lite::Regex;
use x509::SubjectName;

use crate::policy_error::PolicyError;

/// How a string of the certificate is compared.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StringMatch {
    /// The string must be equal to this one.
    Exact(String),
    /// The regular expression must match the whole string. Of an identity that is a URI it may also
    /// match a prefix, as [`Regexp::matches_uri`] says.
    Regexp(Regexp),
    /// The string must be a SPIFFE ID of this trust domain. A certificate has it as a URI; a user
    /// name that looks like one does not count.
    Spiffe(SpiffeMatch),
}

/// The SPIFFE IDs of a trust domain, or of a part of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpiffeMatch {
    trust_domain: TrustDomain,
    /// The beginning of the path, without `/` at its end.
    path_prefix: String,
}

/// A regular expression that must match a whole string.
#[derive(Clone, Debug)]
pub struct Regexp(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    pattern: String,
    /// Every match begins with this. Comparing it first keeps long lists of patterns fast.
    prefix: String,
    anchored: Regex,
}

impl StringMatch {
    /// Equal to `value`.
    pub fn exact(value: impl Into<String>) -> Self {
        Self::Exact(value.into())
    }

    /// Matched as a whole by the regular expression `pattern`.
    ///
    /// # Errors
    ///
    /// As [`Regexp::new`].
    pub fn regexp(pattern: &str) -> Result<Self, PolicyError> {
        Regexp::new(pattern).map(Self::Regexp)
    }

    /// Any SPIFFE ID of `trust_domain` whose path begins with the whole segments of `path_prefix`:
    /// `/ns/ci` accepts `/ns/ci/sa/builder` and not `/ns/cinema`.
    ///
    /// # Errors
    ///
    /// As [`SpiffeMatch::new`].
    pub fn spiffe(trust_domain: &str, path_prefix: Option<&str>) -> Result<Self, PolicyError> {
        SpiffeMatch::new(trust_domain, path_prefix).map(Self::Spiffe)
    }

    /// Whether `value` matches.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(expected) => expected == value,
            Self::Regexp(regexp) => regexp.matches(value),
            Self::Spiffe(spiffe) => spiffe.matches(value),
        }
    }

    /// Whether `subject` matches, in its value and its kind.
    pub(crate) fn matches_subject(&self, subject: &SubjectName) -> bool {
        match (self, subject) {
            (Self::Spiffe(spiffe), SubjectName::Uri(uri)) => spiffe.matches(uri),
            (Self::Spiffe(_), _) => false,
            (Self::Regexp(regexp), SubjectName::Uri(uri)) => regexp.matches_uri(uri),
            (Self::Exact(_) | Self::Regexp(_), subject) => self.matches(subject.as_str()),
        }
    }
}

impl SpiffeMatch {
    /// A trust domain, without `spiffe://`, and a path that begins with `/`; a `/` at its end
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// When no SPIFFE ID can have them.
    pub fn new(trust_domain: &str, path_prefix: Option<&str>) -> Result<Self, PolicyError> {
        let unusable = |pattern: &str, error: &id_token::Error| PolicyError::Pattern {
            pattern: pattern.to_owned(),
            reason: host::with_causes(error),
        };
        let domain = TrustDomain::parse(trust_domain);
        let domain = domain.map_err(|error| unusable(trust_domain, &error))?;
        let Some(path) = path_prefix else {
            return Ok(Self { trust_domain: domain, path_prefix: String::new() });
        };
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        if !trimmed.starts_with('/') {
            let reason = "expected a path such as /ns/ci".to_owned();
            return Err(PolicyError::Pattern { pattern: path.to_owned(), reason });
        }
        let id = SpiffeId::parse(&format!("{}{trimmed}", domain.id()));
        let id = id.map_err(|error| unusable(path, &error))?;
        Ok(Self { trust_domain: domain, path_prefix: id.path().to_owned() })
    }

    /// Whether `id` is such a SPIFFE ID, in lower case where SPIFFE ignores the case.
    pub fn matches(&self, id: &str) -> bool {
        // A text that is not a SPIFFE ID (it has escapes, dot segments or capitals in the trust
        // domain) might be normalised to a different one by another program.
        let Some(id) = SpiffeId::parse(id).ok().filter(|parsed| parsed.as_str() == id) else {
            return false;
        };
        let rest = id.path().strip_prefix(&self.path_prefix);
        id.trust_domain() == self.trust_domain
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for SpiffeMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a SPIFFE ID in {}", self.trust_domain.as_str())?;
        match self.path_prefix.as_str() {
            "" => Ok(()),
            prefix => write!(f, " below {prefix}"),
        }
    }
}

impl Regexp {
    /// Compiles a pattern (no look-around, no back-references; classes are ASCII).
    ///
    /// # Errors
    ///
    /// When it is empty, which would match any identity, or not a regular expression.
    pub fn new(pattern: &str) -> Result<Self, PolicyError> {
        let unusable =
            |reason: String| PolicyError::Pattern { pattern: pattern.to_owned(), reason };
        if pattern.is_empty() {
            return Err(unusable("it is empty and would match any identity".to_owned()));
        }
        if pattern.len() > LONGEST_PATTERN {
            let reason = format!("it is longer than {LONGEST_PATTERN} bytes");
            return Err(PolicyError::Pattern { pattern: host::escape_remote(pattern), reason });
        }
        if pattern.starts_with(['*', '+', '?']) {
            return Err(unusable(format!(
                "nothing stands before the first {:?}; write \".*\" for any text",
                pattern.chars().next().unwrap_or_default()
            )));
        }
        // Compiled without the anchors first: `a)|(?:b` is valid only between them, and would
        // match more than the whole.
        Regex::new(pattern).map_err(|error| unusable(error.to_string()))?;
        let anchored = Regex::new(&anchor(pattern)).map_err(|error| unusable(error.to_string()))?;
        let prefix = literal_prefix(pattern);
        Ok(Self(Arc::new(Compiled { pattern: pattern.to_owned(), prefix, anchored })))
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.0.pattern
    }

    /// The pattern as it is applied.
    pub fn anchored(&self) -> &str {
        self.0.anchored.as_str()
    }

    /// Whether it matches the whole of `value`. Nothing matches a value of more than 2,048 bytes,
    /// which is longer than any identity: certificates are not verified yet when names are compared.
    pub fn matches(&self, value: &str) -> bool {
        value.len() <= LONGEST_VALUE
            && value.starts_with(&self.0.prefix)
            && self.0.anchored.is_match(value)
    }

    /// Whether it matches the whole of `uri`, or a prefix that ends just before or just after a `/`
    /// or `@` of its path: `https://github.com/acme` accepts `https://github.com/acme/app` and not
    /// `https://github.com/acme-evil`. A pattern that says where its match ends, with `$` or `\z`,
    /// must match the whole.
    pub fn matches_uri(&self, uri: &str) -> bool {
        self.matches(uri)
            || uri.len() <= LONGEST_VALUE
                && uri.starts_with(&self.0.prefix)
                && !["$", "\\z"].iter().any(|end| self.0.pattern.contains(end))
                && boundaries(uri).any(|prefix| self.0.anchored.is_match(prefix))
    }

    /// A pattern that would match `value`, if this one matches a part of it. `prefix` says that a
    /// prefix of a URI is enough.
    pub(crate) fn completed(&self, value: &str, prefix: bool) -> Option<String> {
        let pattern = Regex::new(&self.0.pattern).ok()?;
        let found = pattern.find(value.get(..LONGEST_VALUE).unwrap_or(value))?;
        let (before, rest) = (value.get(..found.start())?, value.get(found.end()..)?);
        let end = match prefix && value.contains("://") {
            true => rest.find(['/', '@']).unwrap_or(rest.len()),
            false => rest.len(),
        };
        let pattern = match self.0.pattern.contains('|') {
            true => format!("({})", self.0.pattern),
            false => self.0.pattern.clone(),
        };
        let after = rest.get(..end)?;
        Some(format!("{}{pattern}{}", regex_lite::escape(before), regex_lite::escape(after)))
    }
}

/// The prefixes of `uri` that end just before or just after a `/` or `@`, from the end of its
/// authority on: what stands before an `@` in the authority is a user name, and any host may follow.
/// Only so many, because certificates are not verified yet when names are compared.
fn boundaries(uri: &str) -> impl Iterator<Item = &str> {
    let start = uri.find("://").map_or(uri.len(), |scheme| {
        let authority = scheme + 3;
        uri.get(authority..)
            .and_then(|rest| rest.find(['/', '?', '#']))
            .map_or(uri.len(), |end| authority + end)
    });
    let ends = uri.match_indices(['/', '@']).map(|(index, _)| index);
    let ends = ends.filter(move |index| *index >= start).take(MOST_BOUNDARIES);
    ends.flat_map(|index| [index, index + 1]).filter_map(|end| uri.get(..end))
}

/// Text with which every match of `pattern` begins: its characters up to the first that means
/// something in a regular expression.
fn literal_prefix(pattern: &str) -> String {
    if pattern.contains('|') || pattern.starts_with("(?") {
        return String::new();
    }
    let mut prefix = String::new();
    let mut rest = pattern.strip_prefix('^').unwrap_or(pattern).chars();
    while let Some(character) = rest.next() {
        match character {
            '\\' => match rest.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => prefix.push(escaped),
                _ => return prefix,
            },
            // The character before may be absent.
            '*' | '?' | '{' => {
                prefix.pop();
                return prefix;
            }
            '.' | '+' | '(' | ')' | '[' | ']' | '}' | '^' | '$' => return prefix,
            other => prefix.push(other),
        }
    }
    prefix
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

const LONGEST_PATTERN: usize = 64 << 10;
/// The length of the longest SPIFFE ID.
const LONGEST_VALUE: usize = 2048;
/// More than any identity of a CI job has.
const MOST_BOUNDARIES: usize = 32;

fn anchor(pattern: &str) -> String {
    format!("^(?:{pattern})$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_must_match_the_whole() {
        let regexp = Regexp::new("https://github.com/octo-org/.*|user@example\\.com").unwrap();
        assert!(regexp.matches("https://github.com/octo-org/repo"));
        assert!(regexp.matches("user@example.com"));
        for part in [
            "https://evil/?https://github.com/octo-org/x",
            "user@example.com.evil",
            "xuser@example.com",
        ] {
            assert!(!regexp.matches(part), "{part}");
            let completed = Regexp::new(&regexp.completed(part, false).unwrap()).unwrap();
            assert!(completed.matches_uri(part), "{part}");
        }
        assert_eq!(regexp.anchored(), "^(?:https://github.com/octo-org/.*|user@example\\.com)$");
    }

    #[test]
    fn a_pattern_may_match_a_prefix_of_a_uri_that_ends_at_a_boundary() {
        let job = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
        for pattern in [
            "^https://github.com/acme/",
            "https://github.com/acme",
            "https://github.com/acme/app",
            "https://github.com/(acme|octo)/",
            "https://github.com/(octo/|acme/)",
            "https://github.com",
            "https://github.com/acme/app/.github/workflows/release.yml",
            "https://github.com/acme/app/.github/workflows/release.yml@",
            "https://github.com/acme/app/.github/workflows/.*@refs/heads/*",
            ".*/release.yml",
        ] {
            assert!(Regexp::new(pattern).unwrap().matches_uri(job), "{pattern}");
        }
        for pattern in [
            "https://github.com/acm",
            "https://github.com/acme/ap",
            "https://github.com/acme/app$",
            "^https://github.com/acme/$",
            "https://git",
            "https://",
            "https:",
            "github.com/acme/",
            "acme",
        ] {
            assert!(!Regexp::new(pattern).unwrap().matches_uri(job), "{pattern}");
        }
    }

    #[test]
    fn a_prefix_does_not_accept_a_name_that_only_begins_alike() {
        for (pattern, uri) in [
            ("https://github.com/acme", "https://github.com/acme-evil/app"),
            ("https://acme.com", "https://acme.com.evil.org/x"),
            ("https://acme.com", "https://acme.com@evil.org/x"),
            ("https://acme.com", "https://acme.com:x@evil.org/x"),
            ("https://acme.com", "https://acme.com?@evil.org"),
            ("spiffe://acme.com/ns/ci", "spiffe://acme.com/ns/cinema"),
            ("user", "user@example.com"),
            ("https", "https"),
        ] {
            let regexp = Regexp::new(pattern).unwrap();
            assert_eq!(regexp.matches_uri(uri), pattern == uri, "{pattern} {uri}");
        }
        // E-mail addresses and user names are matched as a whole.
        let user = StringMatch::regexp("user").unwrap();
        for subject in [
            SubjectName::Email("user@acme.com".into()),
            SubjectName::OtherName("user!acme.com".into()),
        ] {
            assert!(!user.matches_subject(&subject), "{subject}");
        }
    }

    #[test]
    fn a_pattern_for_a_part_is_completed() {
        let job = "https://github.com/acme/app/.github/workflows/x.yml@refs/heads/main";
        for (pattern, completed) in [
            ("acme/ap", r"https://github\.com/acme/app"),
            ("acm|octo", r"https://github\.com/(acm|octo)e"),
            ("main", r"https://github\.com/acme/app/\.github/workflows/x\.yml@refs/heads/main"),
        ] {
            let found = Regexp::new(pattern).unwrap().completed(job, true).unwrap();
            assert_eq!(found, completed);
            assert!(Regexp::new(&found).unwrap().matches_uri(job));
        }
        assert_eq!(Regexp::new("gitlab").unwrap().completed(job, true), None);
    }

    #[test]
    fn no_pattern_escapes_from_its_anchors() {
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
            "spiffe://Example.org/ns/ci",
            "SPIFFE://example.org/ns/ci",
            "spiffe://example.org/ns/ci/",
            "https://example.org/ns/ci",
        ] {
            assert!(!below.matches(id), "{id}");
        }
        let all = SpiffeMatch::new("example.org", None).unwrap();
        assert!(all.matches("spiffe://example.org") && all.matches("spiffe://example.org/a"));
        assert!(!all.matches("spiffe://example.orga"));
    }

    #[test]
    fn parts_that_no_spiffe_id_can_have_are_refused() {
        for domain in ["", "spiffe://example.org", "example org", "example.org/ns"] {
            assert!(SpiffeMatch::new(domain, None).is_err(), "{domain}");
        }
        for path in ["", "/", "ns", "/ns//ci", "/ns/../ci", "/n s"] {
            assert!(SpiffeMatch::new("example.org", Some(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn the_literal_prefix_of_a_pattern_changes_no_verdict() {
        for (pattern, prefix) in [
            ("https://github\\.com/acme/.*", "https://github.com/acme/"),
            ("https?://x", "http"),
            ("ab*c", "a"),
            ("ab+c", "ab"),
            ("ab{0,1}c", "a"),
            ("a|bc", ""),
            ("(?i)abc", ""),
            ("a(?i)bc", "a"),
            ("a(b|c)", ""),
            ("a\\d", "a"),
            ("^abc$", "abc"),
            ("^*abc", ""),
            ("abc$", "abc"),
            ("a\\.\\*b", "a.*b"),
        ] {
            let regexp = Regexp::new(pattern).unwrap();
            assert_eq!(regexp.0.prefix, prefix, "{pattern}");
            for value in ["https://github.com/acme/x", "http://x", "ac", "abbc", "bc", "aBC", "ABC"]
            {
                assert_eq!(regexp.matches(value), regexp.0.anchored.is_match(value), "{pattern}");
            }
        }
    }

    #[test]
    fn a_pattern_that_begins_with_a_star_is_refused_in_plain_words() {
        let refused = Regexp::new("*octo*").unwrap_err().to_string();
        assert_eq!(
            refused,
            "the pattern \"*octo*\" cannot be used: nothing stands before the first '*'; write \
             \".*\" for any text"
        );
    }

    #[test]
    fn an_empty_pattern_and_a_broken_one_are_refused() {
        for bad in ["", "(", "a{2,1}", "(?=x)"] {
            assert!(matches!(Regexp::new(bad), Err(PolicyError::Pattern { .. })), "{bad}");
        }
    }
}
