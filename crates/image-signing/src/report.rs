//! What is reported of verified signatures: facts that were verified, and claims of the signer.

use std::collections::BTreeMap;

use bundle::Statement;
use serde::Serialize;
use serde_json::{Map, Value, json};
use verify::{SimpleSigning, TimeSource, Verified};

use crate::accepted::VerifiedImage;
use crate::reserved::is_reserved;
use crate::time::rfc3339;

/// What `ambisign verify` prints of one signature: cosign's shape, and `claims` beside it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct VerificationReport {
    /// What the signature is about.
    pub critical: Critical,
    /// Verified facts, by the names of the certificate's extensions, cosign's and ours. As cosign
    /// does, the signer's annotations stand here as well, but never one that has the name of a
    /// fact.
    pub optional: Map<String, Value>,
    /// What the signer said. The signature proves that they said it, not that it is true.
    pub claims: Claims,
    /// How the image is in the index that is signed in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexReport>,
}

/// An index that is signed, and lists the image that is verified.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct IndexReport {
    /// The index as it was named.
    pub image: String,
    /// Its digest.
    pub digest: String,
    /// The digest of the image, which it lists.
    pub lists: String,
}

/// What a signature is about.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Critical {
    /// The image as it was named here or, in the earlier format, by the signer.
    pub identity: CriticalIdentity,
    /// Its digest.
    pub image: CriticalImage,
    /// What kind of signature it is: the predicate type, or cosign's name of the earlier format.
    pub r#type: String,
}

/// The image's name.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CriticalIdentity {
    /// The name.
    pub docker_reference: String,
}

/// The image's digest.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct CriticalImage {
    /// The digest that was verified, as `sha256:...`.
    pub docker_manifest_digest: String,
}

/// What the signer said about an image.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Claims {
    /// The annotations.
    pub annotations: BTreeMap<String, String>,
    /// The repository.
    pub repository: Option<String>,
}

impl VerifiedImage {
    /// A report of each acceptable signature.
    pub fn reports(&self) -> Vec<VerificationReport> {
        let index = self.index.as_ref().map(|index| IndexReport {
            image: index.name().to_owned(),
            digest: index.resolved().digest().to_string(),
            lists: self.resolved.digest().to_string(),
        });
        let report = |signature: &crate::VerifiedSignature| {
            let (verified, bundle) = (&signature.verified, signature.bundle_digest.as_ref());
            let report = report(self.image.as_str(), verified, bundle);
            VerificationReport { index: index.clone(), ..report }
        };
        self.signatures.iter().map(report).collect()
    }
}

fn report(image: &str, verified: &Verified, bundle: Option<&keys::Digest>) -> VerificationReport {
    let claims = verified.claims();
    let mut optional: Map<String, Value> = claims
        .annotations
        .iter()
        .filter(|(name, _)| !is_reserved(name))
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    optional.extend(facts(verified, bundle));
    let simple = verified.simple_signing();
    let reference = simple.and_then(SimpleSigning::docker_reference).unwrap_or(image);
    let digest = verified.digest();
    let kind = match simple {
        Some(_) => "cosign container image signature",
        None => verified.statement().map(Statement::predicate_type).unwrap_or_default(),
    };
    VerificationReport {
        critical: Critical {
            identity: CriticalIdentity { docker_reference: reference.to_owned() },
            image: CriticalImage {
                docker_manifest_digest: format!(
                    "{}:{}",
                    digest.algorithm().name(),
                    digest.to_hex()
                ),
            },
            r#type: kind.to_owned(),
        },
        optional,
        claims: Claims {
            annotations: claims.annotations.clone(),
            repository: claims.repository.map(str::to_owned),
        },
        index: None,
    }
}

/// Everything that was verified about a signature, by the names under which it is reported.
pub fn facts(verified: &Verified, bundle: Option<&keys::Digest>) -> Map<String, Value> {
    let mut facts = Map::new();
    for extension in verified.extensions() {
        facts.insert(extension.reported_name().to_owned(), json!(extension.value));
    }
    let mut say = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    match verified.subject_name() {
        Some(subject) => {
            say("Subject", json!(subject.as_str()));
            say("Issuer", json!(verified.issuer()));
        }
        None => {
            let id = keys::Digest::sha256(verified.public_key().spki()).to_hex();
            say("public_key", json!(format!("sha256:{id}")));
        }
    }
    if let Some(time) = verified.times().iter().min_by_key(|time| time.time) {
        say("signing_time", json!(rfc3339(time.time)));
        say("signing_time_source", json!(time_source(time.source)));
    }
    if let Some(entry) = verified.log_entries().first() {
        say("log_url", json!(entry.log_url));
        say("log_index", json!(entry.log_index));
    }
    if let Some(bundle) = bundle {
        say("bundle_digest", json!(format!("sha256:{}", bundle.to_hex())));
    }
    facts
}

pub(crate) fn time_source(source: TimeSource) -> &'static str {
    match source {
        TimeSource::Log => "log",
        TimeSource::Timestamp => "timestamp-authority",
        _ => "local-clock",
    }
}
