//! A signature that was made, and what a program reports of it.

use std::collections::BTreeSet;

use bundle::{Content, LargeText};
use oci_push::{Attached, BundleContent, Digest};
use serde::Serialize;
use signer::Signed;

use crate::body::{body_of, digest_of};
use crate::earlier::Layer;
use crate::image::Target;
use crate::time::rfc3339;

/// A signature of an image: made, logged and verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedImage {
    /// The manifest that was signed.
    pub target: Target,
    /// The signature, its signer and its log entries.
    pub signed: Signed,
    /// The bundle as it is stored. It may be large.
    pub(crate) text: LargeText,
    /// The digest of that.
    pub(crate) digest: Digest,
    /// Where the bundle was stored; `None` until it is attached.
    pub attached: Option<Attached>,
    /// What is stored instead of the bundle, in an earlier format.
    pub(crate) layer: Option<Layer>,
    /// The attestations that it replaces: their manifests or, in an earlier format, their layers.
    pub(crate) older: BTreeSet<Digest>,
}

impl SignedImage {
    pub(crate) fn new(target: Target, signed: Signed) -> Self {
        let text = signed.bundle.json_text();
        let digest = digest_of(&text);
        let (attached, layer, older) = (None, None, BTreeSet::new());
        Self { target, signed, text, digest, attached, layer, older }
    }

    pub(crate) fn in_earlier_format(self, layer: Layer) -> Self {
        Self { layer: Some(layer), ..self }
    }

    /// The bundle as it is stored: JSON of one line. It may be large: its parts can be written one
    /// after the other.
    pub fn bundle_json(&self) -> &LargeText {
        &self.text
    }

    /// The bundle, to be attached.
    pub(crate) fn content(&self) -> BundleContent {
        let media_type = self.signed.bundle.version().media_type();
        let statement = match self.signed.bundle.content() {
            Content::Envelope(envelope) => envelope.statement().ok(),
            Content::Message { .. } => None,
        };
        let predicate_type = statement.map(|it| it.predicate_type().to_owned());
        let digest = self.digest.clone();
        BundleContent::new(media_type, predicate_type, digest, body_of(&self.text))
    }

    /// What `ambisign sign --output json` prints.
    pub fn report(&self) -> SigningReport {
        SigningReport {
            image: self.target.name().to_owned(),
            digest: self.target.resolved().digest().to_string(),
            bundle_digest: self.digest.to_string(),
            attached: self.attached.as_ref().map(|attached| attached.how.as_str()),
            repository: self.attached.as_ref().map(|attached| attached.repository.to_string()),
            replaced: self.older.iter().map(Digest::to_string).collect(),
            signature: SignatureReport::new(&self.signed),
        }
    }
}

/// What is reported of a signed image.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SigningReport {
    /// The image as it was named.
    pub image: String,
    /// The digest of the manifest that was signed.
    pub digest: String,
    /// The digest of the bundle.
    pub bundle_digest: String,
    /// How the registry lists the signature; `None` when it was not attached.
    pub attached: Option<&'static str>,
    /// The repository that the signature was written to; `None` when it was not attached.
    pub repository: Option<String>,
    /// The digests of the attestations that were taken away: of their manifests or, in an earlier
    /// format, of their layers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
    /// What is reported of any signature.
    #[serde(flatten)]
    pub signature: SignatureReport,
}

/// What is reported of a signature, whatever was signed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SignatureReport {
    /// The identity in the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The OIDC issuer in the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The name of the source that the identity token came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Without an identity: the SHA-256 of the key's SPKI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// The first transparency log.
    pub log_url: Option<String>,
    /// The index of the entry in that log.
    pub log_index: Option<u64>,
    /// The earliest timestamp, in RFC 3339.
    pub timestamp: Option<String>,
}

impl SignatureReport {
    /// Reports of `signed`.
    pub fn new(signed: &Signed) -> Self {
        let log = signed.logs.first();
        let identity = signed.identity.as_ref();
        let key = || keys::Digest::sha256(signed.key.spki()).to_string();
        Self {
            identity: identity.map(|identity| identity.name.clone()),
            issuer: identity.map(|identity| identity.issuer.clone()),
            provider: identity.map(|identity| identity.provider.clone()),
            public_key: identity.is_none().then(key),
            log_url: log.map(|log| log.url.to_string()),
            log_index: log.map(|log| log.index),
            timestamp: signed.timestamp.map(rfc3339),
        }
    }
}
