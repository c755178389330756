//! Finding what is attached to an image: bundles first, then what cosign left under its old tags.
//!
//! "Nothing there" is only said after everything was looked at. Whatever keeps us from looking is
//! an error; what was looked at and is unusable is listed with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host::CallPolicy;
use http::Method;

use crate::attach::PREDICATE_TYPE;
use crate::client::{Call, Client};
use crate::concurrent::all;
use crate::error::not_json;
use crate::fallback::Tagged;
use crate::manifest::{
    ARTIFACT_MEDIA_TYPE_PREFIX, BUNDLE_MEDIA_TYPE_PREFIX, DSSE_MEDIA_TYPE, EMPTY_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE, SIMPLE_SIGNING_MEDIA_TYPE, WireDescriptor, WireManifest, essence,
};
use crate::{Access, Digest, Error, Reference, Registry, Repository, Resolved};

/// Everything that was found about an image's signatures. All empty: there are none of any kind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Found {
    /// Sigstore bundles, in the registry's order. Signatures and attestations alike: the bundle's
    /// statement says which.
    pub bundles: Vec<FoundSignature>,
    /// cosign's earlier formats. Only looked for where there is no bundle;
    /// [`Registry::find_legacy`] looks always.
    pub legacy: Vec<LegacySignature>,
    /// What refers to the image and cannot be used, with the reason.
    pub unusable: Vec<Unusable>,
}

impl Found {
    /// Whether there is no signature of any kind.
    pub fn is_empty(&self) -> bool {
        self.bundles.is_empty() && self.legacy.is_empty() && self.unusable.is_empty()
    }
}

/// A bundle that claims to be about the image. Nobody has verified it.
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
    pub annotations: BTreeMap<String, String>,
    /// The bundle's JSON.
    pub bytes: Bytes,
}

impl FoundSignature {
    /// The predicate type that the annotations claim.
    pub fn predicate_type(&self) -> Option<&str> {
        self.annotations.get(PREDICATE_TYPE).map(String::as_str)
    }
}

/// A signature or attestation in one of cosign's earlier formats. Nobody has verified it.
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

/// Something that refers to the image and could not be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unusable {
    /// The digest or tag of what it is.
    pub what: String,
    /// Why.
    pub reason: String,
}

impl Registry {
    /// Finds the bundles attached to `subject`, through the referrers API or the fallback tag. If
    /// there is none, cosign's earlier formats are looked for.
    ///
    /// At most 1000 referrers are read, 32 MiB for each bundle and 256 MiB for all.
    ///
    /// # Errors
    /// Whatever keeps us from looking: a refusal, throttling, a registry that fails. Never because
    /// there is nothing.
    pub async fn find(&self, subject: &Resolved) -> Result<Found, Error> {
        self.client.find(subject).await
    }

    /// Finds what is under cosign's earlier tags, `.sig` and `.att`, with its payloads.
    ///
    /// # Errors
    /// As [`Registry::find`].
    pub async fn find_legacy(&self, subject: &Resolved) -> Result<Found, Error> {
        let mut found = Found::default();
        self.client.legacy_tags(subject, &mut found).await?;
        Ok(found)
    }
}

impl Client {
    async fn find(&self, subject: &Resolved) -> Result<Found, Error> {
        let repository = self.signatures_of(subject.repository());
        let mut found = Found::default();
        let budget = AtomicU64::new(0);
        let listed = self.referrers(repository, subject.digest()).await?;
        let native = listed.is_some();
        if let Some(listed) = listed {
            // The registry itself read these types from the manifests.
            let listed: Vec<WireDescriptor> = listed.into_iter().filter(may_be_signature).collect();
            self.candidates(repository, subject, listed, &budget, &mut found).await?;
        }
        // A registry that gained the list late may not know what was listed under the tag.
        if !native || found.bundles.is_empty() {
            match self.tagged(repository, subject.digest(), Access::Pull).await? {
                Tagged::Index { index, .. } => {
                    // The types here are often wrong, so they only decide the order.
                    let mut listed: Vec<WireDescriptor> = index.descriptors().collect();
                    listed.sort_by_key(|descriptor| !may_be_signature(descriptor));
                    self.candidates(repository, subject, listed, &budget, &mut found).await?;
                }
                Tagged::Absent => {}
                Tagged::Other { media_type } => {
                    tracing::debug!(media_type, "the fallback tag holds no index");
                }
            }
        }
        if found.bundles.is_empty() {
            self.legacy_tags(subject, &mut found).await?;
        }
        Ok(found)
    }

    /// Fetches what `listed` names and sorts it into `found`.
    async fn candidates(
        &self,
        repository: &Repository,
        subject: &Resolved,
        listed: Vec<WireDescriptor>,
        budget: &AtomicU64,
        found: &mut Found,
    ) -> Result<(), Error> {
        let mut seen: BTreeSet<String> =
            found.bundles.iter().map(|bundle| bundle.manifest.to_string()).collect();
        seen.extend(found.legacy.iter().map(|legacy| legacy.manifest.to_string()));
        seen.extend(found.unusable.iter().map(|unusable| unusable.what.clone()));
        let mut digests = Vec::new();
        let mut beyond = 0_usize;
        for descriptor in listed {
            if !may_be_manifest(&descriptor) || !seen.insert(descriptor.digest.clone()) {
                continue;
            }
            let likely = may_be_signature(&descriptor);
            match descriptor.digest() {
                Ok(_) if digests.len() >= MOST_REFERRERS => beyond += 1,
                Ok(digest) => digests.push((digest, likely)),
                Err(_) => found.unusable.push(Unusable {
                    what: host::escape_remote(&descriptor.digest),
                    reason: "it is listed under something that is no digest".to_owned(),
                }),
            }
        }
        let fetched = all(
            AT_ONCE,
            digests.iter().map(|(digest, likely)| async move {
                (digest, likely, self.candidate(repository, subject, digest, budget).await)
            }),
        );
        for (digest, likely, result) in fetched.await {
            match result
                .or_else(|error| unusable(digest.as_str(), error).map(Candidate::Unusable))?
            {
                Candidate::Unrelated => {}
                // What calls itself something else and cannot be read is not ours to complain of.
                Candidate::Unusable(_) if !likely => {}
                Candidate::Bundles(bundles) => found.bundles.extend(bundles),
                Candidate::Legacy(legacy) => found.legacy.extend(legacy),
                Candidate::Unusable(unusable) => found.unusable.push(unusable),
            }
        }
        if beyond > 0 {
            found.unusable.push(Unusable {
                what: format!("{beyond} more referrers"),
                reason: format!("they were not looked at: the limit is {MOST_REFERRERS}"),
            });
        }
        Ok(())
    }

    /// Fetches one referrer's manifest and what it holds.
    async fn candidate(
        &self,
        repository: &Repository,
        subject: &Resolved,
        digest: &Digest,
        budget: &AtomicU64,
    ) -> Result<Candidate, Error> {
        let reference = Reference::by_digest(repository.clone(), digest.clone());
        let (_, bytes) = self.manifest(&reference, Access::Pull).await?;
        let manifest: WireManifest = read_manifest(&reference, &bytes)?;
        let layers = manifest.layers.unwrap_or_default();
        let bundles: Vec<&WireDescriptor> = layers
            .iter()
            .filter(|layer| layer.media_type.starts_with(BUNDLE_MEDIA_TYPE_PREFIX))
            .collect();
        let is_legacy = |layer: &WireDescriptor| kind_of(layer).is_some();
        if bundles.is_empty() && !layers.iter().any(is_legacy) {
            return Ok(Candidate::Unrelated);
        }
        // Some registries list under the tag what is part of the image, and anyone may list
        // anything.
        match manifest.subject.map(|subject| subject.digest) {
            Some(of) if of == subject.digest().as_str() => {}
            of => {
                let of = of.as_deref().map_or_else(|| "no image".to_owned(), host::escape_remote);
                return Ok(Candidate::Unusable(Unusable {
                    what: digest.to_string(),
                    reason: format!("it refers to {of} and not to {}", subject.digest()),
                }));
            }
        }
        if bundles.is_empty() {
            let mut found = Found::default();
            self.legacy_layers(repository, digest, &layers, budget, &mut found).await?;
            return Ok(Candidate::Legacy(found.legacy));
        }
        let annotations = manifest.annotations.unwrap_or_default();
        let mut signatures = Vec::new();
        for layer in bundles.into_iter().take(MOST_LAYERS) {
            let bytes = self.layer(repository, layer, BUNDLE_CAP, budget).await?;
            signatures.push(FoundSignature {
                manifest: digest.clone(),
                digest: layer.digest()?,
                media_type: layer.media_type.clone(),
                annotations: annotations.clone(),
                bytes,
            });
        }
        Ok(Candidate::Bundles(signatures))
    }

    /// Looks under both of cosign's earlier tags.
    async fn legacy_tags(&self, subject: &Resolved, found: &mut Found) -> Result<(), Error> {
        let repository = self.signatures_of(subject.repository());
        let budget = AtomicU64::new(0);
        let budget = &budget;
        let tags = ["sig", "att"].map(|suffix| async move {
            let tag = subject.digest().legacy_tag(suffix);
            let reference: Reference = format!("{repository}:{tag}").parse()?;
            let mut found = Found::default();
            let (resolved, bytes) = match self.manifest(&reference, Access::Pull).await {
                Ok(manifest) => manifest,
                Err(Error::NotFound { .. }) => return Ok(found),
                Err(error) => {
                    found.unusable.push(unusable(&reference.to_string(), error)?);
                    return Ok(found);
                }
            };
            let layers = match read_manifest(&reference, &bytes) {
                Ok(manifest) => manifest.layers.unwrap_or_default(),
                Err(error) => {
                    found.unusable.push(unusable(&reference.to_string(), error)?);
                    return Ok(found);
                }
            };
            self.legacy_layers(repository, resolved.digest(), &layers, budget, &mut found).await?;
            Ok(found)
        });
        for tag in all(2, tags).await {
            let tag: Found = tag?;
            found.legacy.extend(tag.legacy);
            found.unusable.extend(tag.unusable);
        }
        Ok(())
    }

    async fn legacy_layers(
        &self,
        repository: &Repository,
        manifest: &Digest,
        layers: &[WireDescriptor],
        budget: &AtomicU64,
        found: &mut Found,
    ) -> Result<(), Error> {
        let known = layers.iter().filter_map(|layer| Some((kind_of(layer)?, layer)));
        let fetched = all(
            AT_ONCE,
            known.take(MOST_LAYERS).map(|(kind, layer)| async move {
                (kind, layer, self.layer(repository, layer, LEGACY_CAP, budget).await)
            }),
        );
        for (kind, layer, bytes) in fetched.await {
            match bytes {
                Ok(bytes) => found.legacy.push(LegacySignature {
                    kind,
                    manifest: manifest.clone(),
                    digest: layer.digest()?,
                    media_type: layer.media_type.clone(),
                    annotations: layer.annotations.clone().unwrap_or_default(),
                    bytes,
                }),
                Err(error) => {
                    found.unusable.push(unusable(&host::escape_remote(&layer.digest), error)?);
                }
            }
        }
        if layers.len() > MOST_LAYERS {
            found.unusable.push(Unusable {
                what: format!("{} more layers of {manifest}", layers.len() - MOST_LAYERS),
                reason: format!("they were not looked at: the limit is {MOST_LAYERS}"),
            });
        }
        Ok(())
    }

    /// Fetches a layer of exactly the size and digest that its descriptor states.
    async fn layer(
        &self,
        repository: &Repository,
        layer: &WireDescriptor,
        cap: u64,
        budget: &AtomicU64,
    ) -> Result<Bytes, Error> {
        let what = || format!("the blob {} in {repository}", host::escape_remote(&layer.digest));
        let invalid = |reason: String| Error::Invalid { what: what(), reason };
        let digest =
            layer.digest().map_err(|_| invalid("it is listed under no digest".to_owned()))?;
        if layer.size > cap {
            return Err(invalid(format!("it has {} bytes, more than {cap}", layer.size)));
        }
        let before = budget.fetch_add(layer.size, Ordering::Relaxed);
        if before.saturating_add(layer.size) > TOTAL_CAP {
            return Err(invalid(format!("all together are larger than {TOTAL_CAP} bytes")));
        }
        let call = Call::new(Method::GET, repository, Access::Pull, format!("blobs/{digest}"))
            .policy(
                CallPolicy::new()
                    .with_attempt(Duration::from_secs(60))
                    .with_total(Duration::from_secs(120))
                    // A refusal has a body too, larger than a small blob.
                    .with_body_cap(usize::try_from(layer.size).unwrap_or(usize::MAX).max(64 << 10)),
            );
        let answer = self.call(&call).await?;
        if !answer.status.is_success() {
            return Err(answer.into_error(repository, Access::Pull, what));
        }
        if answer.body.len() as u64 != layer.size {
            let found = answer.body.len();
            return Err(invalid(format!("expected {} bytes, found {found}", layer.size)));
        }
        if !digest.matches(&answer.body) {
            let found = Digest::sha256(&answer.body);
            return Err(invalid(format!("its content has the digest {found}")));
        }
        Ok(answer.body)
    }
}

enum Candidate {
    Bundles(Vec<FoundSignature>),
    Legacy(Vec<LegacySignature>),
    /// No signature of any kind.
    Unrelated,
    Unusable(Unusable),
}

/// What is wrong with one candidate for good is told; what kept us from looking is an error.
fn unusable(what: &str, error: Error) -> Result<Unusable, Error> {
    match error {
        Error::Invalid { .. } | Error::NotFound { .. } | Error::Reference { .. } => {
            Ok(Unusable { what: what.to_owned(), reason: error.to_string() })
        }
        error => Err(error),
    }
}

fn read_manifest(reference: &Reference, bytes: &[u8]) -> Result<WireManifest, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Invalid {
        what: format!("the manifest of {reference}"),
        reason: not_json("the JSON of a manifest", &error),
    })
}

/// Whether the stated type leaves it open that this is a signature. The type of the empty
/// configuration is what cosign wrote by mistake.
fn may_be_signature(descriptor: &WireDescriptor) -> bool {
    let stated = descriptor.artifact_type.as_deref().unwrap_or_default();
    stated.is_empty()
        || stated == EMPTY_MEDIA_TYPE
        || stated.starts_with(BUNDLE_MEDIA_TYPE_PREFIX)
        || stated.starts_with(ARTIFACT_MEDIA_TYPE_PREFIX)
}

/// An index or a manifest of another kind holds no signature.
fn may_be_manifest(descriptor: &WireDescriptor) -> bool {
    matches!(
        essence(&descriptor.media_type),
        "" | MANIFEST_MEDIA_TYPE | "application/vnd.docker.distribution.manifest.v2+json"
    )
}

fn kind_of(layer: &WireDescriptor) -> Option<LegacyKind> {
    match essence(&layer.media_type) {
        SIMPLE_SIGNING_MEDIA_TYPE => Some(LegacyKind::Signature),
        DSSE_MEDIA_TYPE => Some(LegacyKind::Attestation),
        _ => None,
    }
}

/// How many requests run at the same time.
const AT_ONCE: usize = 8;
const BUNDLE_CAP: u64 = 32 << 20;
/// cosign's own limits for its earlier formats.
const LEGACY_CAP: u64 = 128 << 20;
const MOST_LAYERS: usize = 1000;
const MOST_REFERRERS: usize = 1000;
const TOTAL_CAP: u64 = 256 << 20;
