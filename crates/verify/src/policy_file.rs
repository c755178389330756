//! Policy files: which identities may sign which images, written down so that a team can keep it
//! in its repository.

use std::collections::{BTreeMap, HashMap};

use keys::PublicKey;
use serde::Deserialize;

use crate::accepted::AcceptedSigner;
use crate::glob::Glob;
use crate::policy_error::PolicyError;
use crate::policy_text::{line, refuse_invisible, unique_keys};
use crate::purpose::Formats;
use crate::rule::Rule;
use crate::string_match::StringMatch;

/// Rules for images: which signers are acceptable for which images, and how many of them must have
/// signed.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    rules: Vec<(Vec<Glob>, Rule)>,
}

impl PolicyFile {
    /// Reads a policy written in TOML, or in JSON (which begins with `{`). A byte order mark is
    /// skipped.
    ///
    /// # Errors
    ///
    /// [`PolicyError::File`] when it is neither, has an unknown key, a key twice, a control
    /// character, or a rule that cannot be applied.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| bad(THE_FILE, format!("it is not UTF-8: {error}")))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match text.trim_start().starts_with('{') {
            true => Self::from_json(text.as_bytes()),
            false => Self::from_toml(text),
        }
    }

    /// Reads a policy written in TOML.
    ///
    /// # Errors
    ///
    /// As [`PolicyFile::parse`].
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        refuse_invisible(text).map_err(|(place, reason)| bad(&place, reason))?;
        let document = toml::from_str(text).map_err(|error| PolicyError::File {
            place: error.span().map_or_else(|| THE_FILE.to_owned(), |span| line(text, span.start)),
            reason: error.message().to_owned(),
        })?;
        Self::new(document)
    }

    /// Reads a policy written in JSON, of the same shape.
    ///
    /// # Errors
    ///
    /// As [`PolicyFile::parse`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, PolicyError> {
        refuse_invisible(&String::from_utf8_lossy(bytes))
            .map_err(|(place, reason)| bad(&place, reason))?;
        let document =
            serde_json::from_slice(bytes).map_err(|error| bad(THE_FILE, error.to_string()))?;
        Self::new(document)
    }

    /// The first rule for the image in `repository`, which is a registry's name and a path without
    /// tag or digest. Docker Hub has two names, which are equal.
    pub fn rule(&self, repository: &str) -> Option<&Rule> {
        let other = match (repository.strip_prefix(HUB), repository.strip_prefix(HUB_INDEX)) {
            (Some(path), _) => Some(format!("{HUB_INDEX}{path}")),
            (None, Some(path)) => Some(format!("{HUB}{path}")),
            (None, None) => None,
        };
        let matches = |pattern: &Glob| {
            pattern.matches(repository)
                || other.as_deref().is_some_and(|other| pattern.matches(other))
        };
        let found = self.rules.iter().find(|(patterns, _)| patterns.iter().any(matches));
        found.map(|(_, rule)| rule)
    }

    /// The patterns of all rules, in their order.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().flat_map(|(patterns, _)| patterns).map(Glob::pattern)
    }

    fn new(document: Document) -> Result<Self, PolicyError> {
        if document.images.is_empty() {
            return Err(bad("images", "expected at least one rule"));
        }
        let rules = document.images.into_iter().enumerate();
        let rules = rules.map(|(index, rule)| rule.read(&format!("images[{index}]")));
        Ok(Self { rules: rules.collect::<Result<_, _>>()? })
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
    threshold: Option<i64>,
    formats: Option<String>,
    #[serde(default, deserialize_with = "unique_keys")]
    annotations: BTreeMap<String, String>,
    identities: Vec<IdentityEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct IdentityEntry {
    identity: Option<String>,
    identity_regexp: Option<String>,
    spiffe_trust_domain: Option<String>,
    spiffe_path_prefix: Option<String>,
    issuer: Option<String>,
    issuer_regexp: Option<String>,
    key: Option<String>,
    #[serde(default, deserialize_with = "unique_keys")]
    extensions: BTreeMap<String, String>,
}

impl RuleEntry {
    fn read(self, at: &str) -> Result<(Vec<Glob>, Rule), PolicyError> {
        if self.patterns.is_empty() || self.identities.is_empty() {
            return Err(bad(at, "expected at least one pattern and one identity"));
        }
        let threshold = match self.threshold {
            None => 1,
            Some(threshold) => {
                usize::try_from(threshold).ok().filter(|t| *t > 0).ok_or_else(|| {
                    let reason = format!("expected a number of at least 1, found {threshold}");
                    bad(&format!("{at}.threshold"), reason)
                })?
            }
        };
        let formats = match self.formats.as_deref() {
            None => Formats::Any,
            Some(name) => Formats::from_name(name).ok_or_else(|| {
                let reason = format!("expected any, bundle or legacy, found {name:?}");
                bad(&format!("{at}.formats"), reason)
            })?,
        };
        let patterns = self.patterns.iter().map(|pattern| {
            Glob::new(pattern).map_err(|reason| bad(&format!("{at}.patterns"), reason))
        });
        let patterns = patterns.collect::<Result<_, _>>()?;
        let signers = signers(self.identities, at)?;
        let rule = Rule::new(signers, threshold)
            .map_err(|error| bad(&format!("{at}.threshold"), error.to_string()))?;
        let annotations = self.annotations.into_iter();
        let rule = annotations.fold(rule, |rule, (key, value)| rule.annotation(key, value));
        Ok((patterns, rule.formats(formats)))
    }
}

/// Reads the identities of a rule. One that is listed twice would count twice.
fn signers(identities: Vec<IdentityEntry>, at: &str) -> Result<Vec<AcceptedSigner>, PolicyError> {
    let mut listed: HashMap<String, usize> = HashMap::new();
    let mut signers = Vec::new();
    for (index, identity) in identities.into_iter().enumerate() {
        let at = format!("{at}.identities[{index}]");
        let name = format!("{identity:?}");
        let signer = identity.read(&at)?;
        let name = signer.public_key().map_or(name, PublicKey::to_pem);
        if let Some(first) = listed.insert(name, index) {
            return Err(bad(&at, format!("the same as identities[{first}]: list it once")));
        }
        signers.push(signer);
    }
    Ok(signers)
}

impl IdentityEntry {
    fn read(self, at: &str) -> Result<AcceptedSigner, PolicyError> {
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
        if [&self.identity, &self.issuer].into_iter().any(|text| text.as_deref() == Some("")) {
            return Err(bad(at, "expected an identity and an issuer that are not empty"));
        }
        let all = |matches: Vec<Result<StringMatch, PolicyError>>| {
            let matches = matches.into_iter().collect::<Result<Vec<_>, _>>();
            matches.map_err(|error| bad(at, error.to_string()))
        };
        let subject = all(subject.into_iter().flatten().collect())?;
        let issuer = all(issuer.into_iter().flatten().collect())?;
        let expected = "expected one of identity, identity-regexp and spiffe-trust-domain with one \
                        of issuer and issuer-regexp, or a key alone";
        let mut signer = match (<[_; 1]>::try_from(subject), <[_; 1]>::try_from(issuer), self.key) {
            (Ok([subject]), Ok([issuer]), None) => AcceptedSigner::identity(subject, issuer),
            (Err(subject), Err(issuer), Some(pem))
                if subject.is_empty() && issuer.is_empty() && self.extensions.is_empty() =>
            {
                let key = PublicKey::from_pem(&pem);
                AcceptedSigner::key(
                    key.map_err(|error| bad(&format!("{at}.key"), error.to_string()))?,
                )
            }
            _ => return Err(bad(at, expected)),
        };
        for (name, value) in self.extensions {
            let oid = extension(&name).ok_or_else(|| {
                let reason = format!("{name:?} is not the name of a certificate extension");
                bad(&format!("{at}.extensions"), reason)
            })?;
            signer = signer.extension(oid, StringMatch::exact(value));
        }
        Ok(signer)
    }
}

/// The object identifier of the extension that Fulcio calls `name`.
fn extension(name: &str) -> Option<String> {
    (1..=MOST_ARCS)
        .map(|arc| format!("1.3.6.1.4.1.57264.1.{arc}"))
        .find(|oid| x509::oid::name(oid) == Some(name))
}

fn bad(place: &str, reason: impl Into<String>) -> PolicyError {
    PolicyError::File { place: place.to_owned(), reason: reason.into() }
}

const THE_FILE: &str = "the file";
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
    fn the_first_rule_that_matches_the_repository_counts() {
        let file = PolicyFile::from_toml(POLICY).unwrap();
        let rule = file.rule("ghcr.io/acme/app").unwrap();
        assert_eq!((rule.threshold(), rule.signers().len()), (2, 2));
        assert_eq!(file.rule("docker.io/acme/team/app").unwrap().threshold(), 1);
        assert_eq!(file.rule("quay.io/acme/app").unwrap().annotations().len(), 1);
        assert_eq!(file.patterns().count(), 3);
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
    fn a_threshold_above_the_number_of_entries_is_refused() {
        let text = "[[images]]\npatterns = ['a']\nthreshold = 3\nidentities = \
                    [{identity-regexp='.*@x',issuer='y'}]";
        assert_eq!(
            PolicyFile::from_toml(text).unwrap_err().to_string(),
            "images[0].threshold: the threshold 3 can never be reached: 1 signer is listed, and \
             each counts once"
        );
    }

    #[test]
    fn a_threshold_of_zero_is_refused_in_plain_words() {
        for threshold in ["0", "-1"] {
            let text = format!(
                "[[images]]\npatterns = ['a']\nthreshold = {threshold}\n\
                 identities = [{{identity='x',issuer='y'}}]"
            );
            assert_eq!(
                PolicyFile::from_toml(&text).unwrap_err().to_string(),
                format!("images[0].threshold: expected a number of at least 1, found {threshold}")
            );
        }
    }

    #[test]
    fn a_signer_that_is_listed_twice_is_refused() {
        let entry = "{identity='x',issuer='y',extensions={RunnerEnvironment='a'}}";
        let file = |second: &str| {
            format!("[[images]]\npatterns = ['a']\nthreshold = 2\nidentities = [{entry}, {second}]")
        };
        assert_eq!(
            PolicyFile::from_toml(&file(entry)).unwrap_err().to_string(),
            "images[0].identities[1]: the same as identities[0]: list it once"
        );
        PolicyFile::from_toml(&file(&entry.replace("'a'", "'b'"))).unwrap();
        PolicyFile::from_toml(&file("{identity='x',issuer='y'}")).unwrap();
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_in_json_and_in_toml() {
        let json = |inside: &str| {
            format!(
                r#"{{"images": [{{"patterns": ["a"], "identities": [{{"identity": "x",
                "issuer": "y", "extensions": {{"RunnerEnvironment": "a"}}}}]{inside}}}]}}"#
            )
        };
        PolicyFile::parse(json("").as_bytes()).unwrap();
        for (inside, twice) in [
            (
                r#", "annotations": {"env": "prod", "env": "test"}"#,
                "the key \"env\" is given twice",
            ),
            (r#", "threshold": 1, "threshold": 1"#, "duplicate field `threshold`"),
        ] {
            let refused = PolicyFile::parse(json(inside).as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(twice), "{refused}");
        }
        let extension = json("").replace('}', r#", "RunnerEnvironment": "b"}"#);
        let refused = PolicyFile::parse(extension.as_bytes()).unwrap_err().to_string();
        assert!(refused.contains("\"RunnerEnvironment\" is given twice"), "{refused}");
        let toml = "[[images]]\npatterns = ['a']\nannotations = {env='a', env='b'}\n\
                    identities = [{identity='x',issuer='y'}]";
        let refused = PolicyFile::parse(toml.as_bytes()).unwrap_err().to_string();
        assert!(refused.starts_with("line 3: duplicate key"), "{refused}");
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let toml = format!("\u{feff}{POLICY}");
        let json = "\u{feff}{\"images\": [{\"patterns\": [\"a\"], \"identities\": [\
                    {\"identity\": \"x\", \"issuer\": \"y\"}]}]}";
        for text in [toml.as_str(), json] {
            PolicyFile::parse(text.as_bytes()).unwrap();
        }
        let refused = PolicyFile::parse(b"\xff\xfe[\0[\0").unwrap_err().to_string();
        assert!(refused.starts_with("the file: it is not UTF-8"), "{refused}");
    }

    #[test]
    fn characters_that_a_reviewer_cannot_see_are_refused() {
        for hidden in ['\u{202e}', '\u{200b}', '\u{85}', '\u{1b}'] {
            let text = format!(
                "[[images]]\npatterns = ['a']\nidentities = [{{identity='x{hidden}',issuer='y'}}]"
            );
            assert_eq!(
                PolicyFile::parse(text.as_bytes()).unwrap_err().to_string(),
                format!("line 3: expected visible characters, found U+{:04X}", u32::from(hidden))
            );
        }
    }

    #[test]
    fn formats_are_any_bundle_or_legacy() {
        let with = |line: &str| {
            format!(
                "[[images]]\npatterns = ['a']\n{line}\nidentities = [{{identity='x',issuer='y'}}]"
            )
        };
        for (line, formats) in [
            ("", Formats::Any),
            ("formats = 'any'", Formats::Any),
            ("formats = 'bundle'", Formats::Bundle),
            ("formats = 'legacy'", Formats::Legacy),
        ] {
            let file = PolicyFile::from_toml(&with(line)).unwrap();
            assert_eq!(file.rule("a").unwrap().accepted_formats(), formats, "{line}");
        }
        assert_eq!(
            PolicyFile::from_toml(&with("formats = 'dsse'")).unwrap_err().to_string(),
            "images[0].formats: expected any, bundle or legacy, found \"dsse\""
        );
    }

    #[test]
    fn json_says_the_same() {
        let json = br#"{"images": [{"patterns": ["a.example/b"], "identities": [
            {"identity": "x", "issuer": "y"}]}]}"#;
        assert!(PolicyFile::from_json(json).unwrap().rule("a.example/b").is_some());
    }

    #[test]
    fn an_entry_that_is_incomplete_or_contradicts_itself_is_refused() {
        let with = |identity: &str| {
            format!("[[images]]\npatterns = [\"a\"]\n[[images.identities]]\n{identity}\n")
        };
        for identity in [
            "identity = 'x'",
            "issuer = 'x'",
            "identity = ''\nissuer = 'y'",
            "identity = 'x'\nissuer = ''",
            "identity = 'x'\nidentity-regexp = 'x'\nissuer = 'y'",
            "identity-regexp = ''\nissuer = 'y'",
            "spiffe-path-prefix = '/x'\nidentity = 'x'\nissuer = 'y'",
            "identity = 'x'\nissuer = 'y'\nkey = 'z'",
            "key = 'no key'",
            "identity = 'x'\nissuer = 'y'\nextensions = { NoSuch = 'z' }",
            "identity = 'x'\nissuer = 'y'\nunknown = 1",
        ] {
            let refused = PolicyFile::from_toml(&with(identity));
            assert!(matches!(refused, Err(PolicyError::File { .. })), "{identity}");
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
