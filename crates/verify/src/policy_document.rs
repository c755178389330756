//! A policy file as it is written: tables and keys, and what each must be.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use keys::PublicKey;
use serde::Deserialize;

use crate::accepted::AcceptedSigner;
use crate::glob::Glob;
use crate::node_policy::NodePolicy;
use crate::policy_error::PolicyError;
use crate::policy_text::unique_keys;
use crate::purpose::Formats;
use crate::rule::Rule;
use crate::string_match::StringMatch;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Document {
    pub(crate) images: Option<Vec<RuleEntry>>,
    pub(crate) files: Option<Vec<RuleEntry>>,
    pub(crate) node: Option<NodeEntry>,
}

/// A rule, and the patterns of what it is for.
pub(crate) type Patterned = (Vec<Glob>, Rule);

/// Reads the list of rules called `name`.
pub(crate) fn rules(
    name: &str,
    entries: Option<Vec<RuleEntry>>,
) -> Result<Vec<Patterned>, PolicyError> {
    if entries.as_ref().is_some_and(Vec::is_empty) {
        return Err(bad(name, "expected at least one rule"));
    }
    let entries = entries.into_iter().flatten().enumerate();
    entries.map(|(index, rule)| rule.read(&format!("{name}[{index}]"))).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct RuleEntry {
    patterns: Vec<String>,
    threshold: Option<i64>,
    formats: Option<String>,
    #[serde(default, deserialize_with = "unique_keys")]
    annotations: BTreeMap<String, String>,
    identities: Vec<IdentityEntry>,
}

/// What only the verifier at a node reads.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct NodeEntry {
    exempt: Vec<String>,
    unmatched: Option<String>,
    audit: bool,
    verdict_seconds: Option<i64>,
    timeout_seconds: Option<i64>,
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
        let patterns = globs(&self.patterns, &format!("{at}.patterns"))?;
        let signers = signers(self.identities, at)?;
        let rule = Rule::new(signers, threshold)
            .map_err(|error| bad(&format!("{at}.threshold"), error.to_string()))?;
        let annotations = self.annotations.into_iter();
        let rule = annotations.fold(rule, |rule, (key, value)| rule.annotation(key, value));
        Ok((patterns, rule.formats(formats)))
    }
}

impl NodeEntry {
    pub(crate) fn read(self) -> Result<NodePolicy, PolicyError> {
        let default = NodePolicy::default();
        let seconds = |name: &str, given: Option<i64>, most: u64| {
            let Some(given) = given else { return Ok(None) };
            let seconds = u64::try_from(given).ok().filter(|it| (1..=most).contains(it));
            seconds.map(Duration::from_secs).map(Some).ok_or_else(|| {
                let reason = format!("expected a number from 1 to {most}, found {given}");
                bad(&format!("node.{name}"), reason)
            })
        };
        let admits_unmatched = match self.unmatched.as_deref() {
            None | Some("refuse") => false,
            Some("admit") => true,
            Some(other) => {
                let reason = format!("expected refuse or admit, found {other:?}");
                return Err(bad("node.unmatched", reason));
            }
        };
        let verdict = seconds("verdict-seconds", self.verdict_seconds, MOST_VERDICT_SECONDS)?;
        let timeout = seconds("timeout-seconds", self.timeout_seconds, MOST_TIMEOUT_SECONDS)?;
        Ok(NodePolicy {
            exempt: globs(&self.exempt, "node.exempt")?,
            admits_unmatched,
            audit: self.audit,
            lifetime: verdict.unwrap_or(default.lifetime),
            timeout: timeout.unwrap_or(default.timeout),
        })
    }
}

fn globs(patterns: &[String], at: &str) -> Result<Vec<Glob>, PolicyError> {
    patterns.iter().map(|it| Glob::new(it).map_err(|reason| bad(at, reason))).collect()
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

/// The object identifier of the extension that Fulcio or cosign calls `name`.
fn extension(name: &str) -> Option<String> {
    (1..=MOST_ARCS)
        .map(|arc| format!("1.3.6.1.4.1.57264.1.{arc}"))
        .find(|oid| [x509::oid::name(oid), x509::oid::cosign_name(oid)].contains(&Some(name)))
}

pub(crate) fn bad(place: &str, reason: impl Into<String>) -> PolicyError {
    PolicyError::File { place: place.to_owned(), reason: reason.into() }
}

/// More extensions than Fulcio has.
const MOST_ARCS: usize = 64;
/// Thirty days.
const MOST_VERDICT_SECONDS: u64 = 30 * 24 * 60 * 60;
/// Ten minutes.
const MOST_TIMEOUT_SECONDS: u64 = 10 * 60;
