//! Who may sign what, written down: a file that a team keeps in its repository.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use keys::PublicKey;
use regex_lite::Regex;
use serde::Deserialize;

use crate::check::Error;
use crate::policy::{Policy, StringMatch};

/// Rules for images: which identities are acceptable for which, and how many of them it takes.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    rules: Vec<Rule>,
}

/// What a [`PolicyFile`] says of some images.
#[derive(Clone, Debug)]
pub struct Rule {
    patterns: Vec<(String, Regex)>,
    policies: Vec<Policy>,
    threshold: NonZeroUsize,
}

impl PolicyFile {
    /// Reads a policy written in TOML.
    ///
    /// # Errors
    ///
    /// [`Error::PolicyFile`] when it is no TOML, has a key that is not known, or a rule that
    /// cannot be applied.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let document = toml::from_str(text).map_err(|error| Error::PolicyFile {
            place: error
                .span()
                .map_or_else(|| "the file".to_owned(), |span| line(text, span.start)),
            reason: error.message().to_owned(),
        })?;
        Self::new(document)
    }

    /// Reads a policy written in JSON, of the same shape.
    ///
    /// # Errors
    ///
    /// As [`PolicyFile::from_toml`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let document = serde_json::from_slice(bytes).map_err(|error| Error::PolicyFile {
            place: "the file".to_owned(),
            reason: error.to_string(),
        })?;
        Self::new(document)
    }

    /// The first rule for the image in `repository`, which is a registry's name and a path without
    /// tag or digest. Docker Hub goes by either of its names.
    pub fn rule(&self, repository: &str) -> Option<&Rule> {
        let other = match (repository.strip_prefix(HUB), repository.strip_prefix(HUB_INDEX)) {
            (Some(path), _) => Some(format!("{HUB_INDEX}{path}")),
            (None, Some(path)) => Some(format!("{HUB}{path}")),
            (None, None) => None,
        };
        self.rules.iter().find(|rule| {
            rule.fits(repository) || other.as_deref().is_some_and(|other| rule.fits(other))
        })
    }

    fn new(document: Document) -> Result<Self, Error> {
        if document.images.is_empty() {
            return Err(bad("images", "expected at least one rule"));
        }
        let rules = document.images.into_iter().enumerate();
        let rules = rules.map(|(index, rule)| rule.read(&format!("images[{index}]")));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
    }
}

impl Rule {
    /// The patterns of the images it is for.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(|(pattern, _)| pattern.as_str())
    }

    /// The acceptable signers; a signature need only satisfy one of these.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// How many different signers it takes: different subjects of the same issuer are different,
    /// several signatures of one subject are not.
    pub fn threshold(&self) -> NonZeroUsize {
        self.threshold
    }

    fn fits(&self, repository: &str) -> bool {
        self.patterns.iter().any(|(_, pattern)| pattern.is_match(repository))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Document {
    images: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RuleEntry {
    patterns: Vec<String>,
    threshold: Option<NonZeroUsize>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    identities: Vec<IdentityEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct IdentityEntry {
    identity: Option<String>,
    identity_regexp: Option<String>,
    spiffe_trust_domain: Option<String>,
    spiffe_path_prefix: Option<String>,
    issuer: Option<String>,
    issuer_regexp: Option<String>,
    key: Option<String>,
    #[serde(default)]
    extensions: BTreeMap<String, String>,
}

impl RuleEntry {
    fn read(self, at: &str) -> Result<Rule, Error> {
        if self.patterns.is_empty() || self.identities.is_empty() {
            return Err(bad(at, "expected at least one pattern and one identity"));
        }
        let threshold = self.threshold.unwrap_or(NonZeroUsize::MIN);
        let most = self.most();
        if most.is_some_and(|most| most < threshold.get()) {
            let most = most.unwrap_or_default();
            let reason = format!("{threshold} are wanted, and only {most} can ever sign");
            return Err(bad(&format!("{at}.threshold"), reason));
        }
        let patterns = self.patterns.into_iter().map(|pattern| {
            let compiled =
                glob(&pattern).map_err(|reason| bad(&format!("{at}.patterns"), reason))?;
            Ok((pattern, compiled))
        });
        let patterns = patterns.collect::<Result<_, Error>>()?;
        let identities = self.identities.into_iter().enumerate();
        let policies = identities.map(|(index, identity)| {
            let policy = identity.read(&format!("{at}.identities[{index}]"))?;
            let annotations = self.annotations.iter();
            Ok(annotations.fold(policy, |policy, (key, value)| policy.annotation(key, value)))
        });
        let policies = policies.collect::<Result<_, Error>>()?;
        Ok(Rule { patterns, policies, threshold })
    }

    /// How many different signers there can be, where all of them are named.
    fn most(&self) -> Option<usize> {
        let named = self.identities.iter().map(|entry| match entry {
            IdentityEntry { identity: Some(name), issuer: Some(issuer), .. } => {
                Some((name, Some(issuer)))
            }
            IdentityEntry { key: Some(key), .. } => Some((key, None)),
            _ => None,
        });
        named.collect::<Option<BTreeSet<_>>>().map(|named| named.len())
    }
}

impl IdentityEntry {
    fn read(self, at: &str) -> Result<Policy, Error> {
        let subject = [
            self.identity.as_ref().map(|text| Ok(StringMatch::exact(text))),
            self.identity_regexp.as_deref().map(StringMatch::regexp),
            self.spiffe_trust_domain
                .as_deref()
                .map(|domain| StringMatch::spiffe(domain, self.spiffe_path_prefix.as_deref())),
        ];
        let issuer = [
            self.issuer.as_ref().map(|text| Ok(StringMatch::exact(text))),
            self.issuer_regexp.as_deref().map(StringMatch::regexp),
        ];
        if self.spiffe_path_prefix.is_some() && self.spiffe_trust_domain.is_none() {
            return Err(bad(at, "spiffe-path-prefix needs spiffe-trust-domain"));
        }
        let subject: Vec<_> = subject
            .into_iter()
            .flatten()
            .collect::<Result<_, _>>()
            .map_err(|error: Error| bad(at, error.to_string()))?;
        let issuer: Vec<_> = issuer
            .into_iter()
            .flatten()
            .collect::<Result<_, _>>()
            .map_err(|error: Error| bad(at, error.to_string()))?;
        let expected = "expected one of identity, identity-regexp and spiffe-trust-domain with one \
                        of issuer and issuer-regexp, or a key alone";
        let mut policy = match (<[_; 1]>::try_from(subject), <[_; 1]>::try_from(issuer), self.key) {
            (Ok([subject]), Ok([issuer]), None) => Policy::new(subject, issuer),
            (Err(subject), Err(issuer), Some(pem))
                if subject.is_empty() && issuer.is_empty() && self.extensions.is_empty() =>
            {
                let key = PublicKey::from_pem(&pem);
                Policy::public_key(
                    key.map_err(|error| bad(&format!("{at}.key"), error.to_string()))?,
                )
            }
            _ => return Err(bad(at, expected)),
        };
        for (name, value) in self.extensions {
            let oid = extension(&name)
                .ok_or_else(|| bad(&format!("{at}.extensions"), format!("{name:?} is none")))?;
            policy = policy.extension(oid, StringMatch::exact(value));
        }
        Ok(policy)
    }
}

/// The object identifier of the extension that Fulcio calls `name`.
fn extension(name: &str) -> Option<String> {
    (1..=MOST_ARCS)
        .map(|arc| format!("1.3.6.1.4.1.57264.1.{arc}"))
        .find(|oid| x509::oid::name(oid) == Some(name))
}

/// `*` is anything without a slash, `**` anything at all.
fn glob(pattern: &str) -> Result<Regex, String> {
    if pattern.is_empty() || pattern.contains(['@', '?', '[', '{']) {
        return Err(format!(
            "expected a repository such as ghcr.io/acme/* without tag or digest, found {pattern:?}"
        ));
    }
    let mut regexp = String::from("^");
    let mut rest = pattern;
    while let Some(star) = rest.find('*') {
        let (literal, tail) = rest.split_at(star);
        regexp.push_str(&escape(literal));
        let deep = tail.starts_with("**");
        regexp.push_str(if deep { ".*" } else { "[^/]*" });
        rest = tail.get(if deep { 2 } else { 1 }..).unwrap_or_default();
    }
    regexp.push_str(&escape(rest));
    regexp.push('$');
    Regex::new(&regexp).map_err(|error| format!("{pattern:?} cannot be used: {error}"))
}

fn escape(literal: &str) -> String {
    literal
        .chars()
        .flat_map(|c| {
            let special = !c.is_alphanumeric() && c.is_ascii();
            special.then_some('\\').into_iter().chain([c])
        })
        .collect()
}

fn line(text: &str, offset: usize) -> String {
    let before = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    format!("line {}", before + 1)
}

fn bad(place: &str, reason: impl Into<String>) -> Error {
    Error::PolicyFile { place: place.to_owned(), reason: reason.into() }
}

const HUB: &str = "docker.io/";
const HUB_INDEX: &str = "index.docker.io/";
/// More extensions than Fulcio has.
const MOST_ARCS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [[images]]
        patterns = ["ghcr.io/acme/*"]
        threshold = 2

        [[images.identities]]
        identity = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
        issuer = "https://token.actions.githubusercontent.com"
        extensions = { SourceRepositoryURI = "https://github.com/acme/app" }

        [[images.identities]]
        spiffe-trust-domain = "example.org"
        spiffe-path-prefix = "/ns/ci"
        issuer = "https://oidc.example.org"

        [[images]]
        patterns = ["docker.io/acme/**", "quay.io/acme/app"]
        annotations = { env = "prod" }

        [[images.identities]]
        identity-regexp = ".*@acme.example"
        issuer-regexp = "https://accounts.google.com"
    "#;

    #[test]
    fn the_first_rule_that_fits_the_repository_counts() {
        let file = PolicyFile::from_toml(POLICY).unwrap();
        let rule = file.rule("ghcr.io/acme/app").unwrap();
        assert_eq!((rule.threshold().get(), rule.policies().len()), (2, 2));
        assert_eq!(file.rule("docker.io/acme/team/app").unwrap().threshold().get(), 1);
        assert_eq!(file.rule("quay.io/acme/app").unwrap().patterns().count(), 2);
        for other in
            ["ghcr.io/acme/team/app", "ghcr.io/acme", "ghcrxio/acme/app", "quay.io/acme/app2", ""]
        {
            assert!(file.rule(other).is_none(), "{other}");
        }
    }

    #[test]
    fn docker_hub_goes_by_both_of_its_names() {
        let rule = "identities = [{identity='x',issuer='y'}]";
        for pattern in ["docker.io/library/*", "index.docker.io/library/*"] {
            let file = format!("[[images]]\npatterns = ['{pattern}']\n{rule}");
            let file = PolicyFile::from_toml(&file).unwrap();
            assert!(file.rule("index.docker.io/library/nginx").is_some(), "{pattern}");
            assert!(file.rule("docker.io/library/nginx").is_some(), "{pattern}");
            assert!(file.rule("docker.io/library/nginx/x").is_none(), "{pattern}");
        }
    }

    #[test]
    fn a_threshold_that_patterns_can_reach_is_taken() {
        let text = "[[images]]\npatterns = ['a']\nthreshold = 3\nidentities = \
                    [{identity-regexp='.*@x',issuer='y'}]";
        assert_eq!(PolicyFile::from_toml(text).unwrap().rule("a").unwrap().threshold().get(), 3);
    }

    #[test]
    fn json_says_the_same() {
        let json = br#"{"images": [{"patterns": ["a.example/b"], "identities": [
            {"identity": "x", "issuer": "y"}]}]}"#;
        assert!(PolicyFile::from_json(json).unwrap().rule("a.example/b").is_some());
    }

    #[test]
    fn what_would_accept_more_than_it_says_is_refused() {
        let with = |identity: &str| {
            format!("[[images]]\npatterns = [\"a\"]\n[[images.identities]]\n{identity}\n")
        };
        for identity in [
            "identity = 'x'",
            "issuer = 'x'",
            "identity = 'x'\nidentity-regexp = 'x'\nissuer = 'y'",
            "identity-regexp = ''\nissuer = 'y'",
            "spiffe-path-prefix = '/x'\nidentity = 'x'\nissuer = 'y'",
            "identity = 'x'\nissuer = 'y'\nkey = 'z'",
            "key = 'no key'",
            "identity = 'x'\nissuer = 'y'\nextensions = { NoSuch = 'z' }",
            "identity = 'x'\nissuer = 'y'\nunknown = 1",
        ] {
            let refused = PolicyFile::from_toml(&with(identity));
            assert!(matches!(refused, Err(Error::PolicyFile { .. })), "{identity}");
        }
        for file in [
            "",
            "images = []",
            "[[images]]\npatterns = ['a']\nidentities = []",
            "[[images]]\npatterns = ['a']\nthreshold = 0\nidentities = [{identity='x',issuer='y'}]",
            "[[images]]\npatterns = ['a']\nthreshold = 2\nidentities = [{identity='x',issuer='y'}]",
            "[[images]]\npatterns = ['a']\nthreshold = 2\nidentities = [{identity='x',issuer='y'},{identity='x',issuer='y'}]",
            "[[images]]\npatterns = ['a@b']\nidentities = [{identity='x',issuer='y'}]",
        ] {
            assert!(PolicyFile::from_toml(file).is_err(), "{file}");
        }
        let twice = with("identity = 'x'\nidentity = 'z'\nissuer = 'y'");
        let refused = PolicyFile::from_toml(&twice).unwrap_err().to_string();
        assert!(refused.starts_with("line 5"), "{refused}");
    }
}
