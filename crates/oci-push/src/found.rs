//! What was found about an image's signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::digest::Digest;
use crate::error::Error;
use crate::manifest::PREDICATE_TYPE_ANNOTATION;

/// What to look for. By default image signatures are read first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Search {
    /// The predicate type that is read first where there are more referrers than can be read.
    /// Bundles of other predicate types are found as well.
    pub predicate_type: String,
    /// Attestations are read that are large: see [`Search::large`].
    pub(crate) large: bool,
}

impl Search {
    /// Reads bundles first whose annotations name `predicate_type`.
    pub fn prefer(predicate_type: impl Into<String>) -> Self {
        Self { predicate_type: predicate_type.into(), large: false }
    }

    /// Reads bundles of up to 172 MiB (rounded up), which is what an attestation of 128 MiB has, and 512 MiB for
    /// all of an image, instead of 32 and 128.
    #[must_use]
    pub fn large(self) -> Self {
        Self { large: true, ..self }
    }
}

impl Default for Search {
    fn default() -> Self {
        Self::prefer("https://sigstore.dev/cosign/sign/v1")
    }
}

/// Everything that was found about an image's signatures. If it is empty, the image has none.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Found {
    /// Sigstore bundles, signatures and attestations alike: the bundle's statement says which. A
    /// bundle that is listed several times is here once.
    pub bundles: Vec<FoundSignature>,
    /// cosign's earlier formats. Looked for only where there is no bundle;
    /// [`Registry::find_legacy`](crate::Registry::find_legacy) always looks.
    pub legacy: Vec<LegacySignature>,
    /// What was read and is not usable, with the reason.
    pub unusable: Vec<Unusable>,
    /// What could not be read. If no signature is acceptable and this is not empty, it is not known
    /// whether the image is signed.
    pub unreachable: Vec<Unreachable>,
    pub(crate) looked: Looked,
}

/// Where a search has looked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looked {
    /// Large bundles are read, too.
    pub(crate) large: bool,
    /// The registry has the referrers API.
    pub(crate) api: bool,
    /// The own tags of signatures were read.
    pub(crate) own_tags: bool,
    /// The manifests that were listed and read.
    pub(crate) manifests: BTreeSet<Digest>,
}

impl Found {
    /// Whether there is no signature of any kind.
    pub fn is_empty(&self) -> bool {
        self.bundles.is_empty()
            && self.legacy.is_empty()
            && self.unusable.is_empty()
            && self.unreachable.is_empty()
    }

    /// Where was looked, without what was found: for
    /// [`Registry::find_more`](crate::Registry::find_more).
    #[must_use]
    pub fn searched(&self) -> Self {
        Self { looked: self.looked.clone(), ..Self::default() }
    }

    pub(crate) fn extend(&mut self, other: Self) {
        self.bundles.extend(other.bundles);
        self.legacy.extend(other.legacy);
        self.unusable.extend(other.unusable);
        self.unreachable.extend(other.unreachable);
    }

    /// Sorts a failure in: what is wrong for good is unusable, what may come right is unreachable.
    pub(crate) fn failed(&mut self, what: String, error: Error) {
        match error {
            Error::Invalid { .. } | Error::NotFound { .. } | Error::Reference { .. } => {
                self.unusable.push(Unusable { what, reason: error.to_string() });
            }
            error => self.unreachable.push(Unreachable { what, error }),
        }
    }

    /// This, or the error that kept us from looking where there is no signature to judge.
    pub(crate) fn or_error(mut self) -> Result<Self, Error> {
        if self.bundles.is_empty() && self.legacy.is_empty() && !self.unreachable.is_empty() {
            return Err(self.unreachable.swap_remove(0).error);
        }
        Ok(self)
    }
}

/// A bundle that claims to be about the image. It has not been verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FoundSignature {
    /// The digest of the manifest that refers to the image.
    pub manifest: Digest,
    /// The digest of the bundle, which its bytes have.
    pub digest: Digest,
    /// The bundle's media type.
    pub media_type: String,
    /// The manifest's annotations.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// The bundle's JSON.
    pub bytes: Bytes,
}

impl FoundSignature {
    /// The predicate type that the annotations claim.
    pub fn predicate_type(&self) -> Option<&str> {
        self.annotations.get(PREDICATE_TYPE_ANNOTATION).map(String::as_str)
    }
}

/// A signature or attestation in one of cosign's earlier formats. It has not been verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LegacySignature {
    /// Which of them.
    pub kind: LegacyKind,
    /// The digest of the manifest that lists it.
    pub manifest: Digest,
    /// The digest of the payload, which its bytes have.
    pub digest: Digest,
    /// The payload's media type.
    pub media_type: String,
    /// The layer's annotations: signature, certificate, log entry, timestamp.
    pub annotations: BTreeMap<String, String>,
    /// The payload: a simple-signing document, or a DSSE envelope.
    pub bytes: Bytes,
}

/// The kinds of [`LegacySignature`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LegacyKind {
    /// A DSSE envelope, under the tag `sha256-<hex>.att`.
    Attestation,
    /// A simple-signing payload, under the tag `sha256-<hex>.sig` or as a referrer.
    Signature,
}

/// Something that refers to the image, was read, and is not usable.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unusable {
    /// The digest or tag of what it is.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// Something that may be a signature and could not be read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unreachable {
    /// The digest, tag or list.
    pub what: String,
    /// Why.
    pub error: Error,
}
