//! Finding what is attached to an image: bundles first, then cosign's earlier formats.
//!
//! That there is nothing is only said after everything was looked at. One candidate that is broken
//! or cannot be fetched does not hide another.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::StreamExt as _;
use futures_util::future::join;
use futures_util::stream::iter;

use crate::client::Client;
use crate::digest::Digest;
use crate::document::{Layer, SignatureManifest};
use crate::download::Downloads;
use crate::error::{Access, Error, not_json};
use crate::fallback::Tagged;
use crate::found::{
    Found, FoundSignature, LegacyKind, LegacySignature, Search, Unreachable, Unusable,
};
use crate::manifest::{
    BUNDLE_MEDIA_TYPE_PREFIX, DSSE_MEDIA_TYPE, SIMPLE_SIGNING_MEDIA_TYPE, essence,
};
use crate::own_tags::OwnTag;
use crate::reference::Reference;
use crate::repository::Repository;
use crate::resolved::Resolved;
use crate::shortlist::{Shortlist, TypedBy};

/// Where one search looks, and its bounds.
struct Scope<'a> {
    repository: &'a Repository,
    subject: &'a Resolved,
    downloads: &'a Downloads,
    /// The largest bundle, in bytes.
    bundle_cap: u64,
    /// How many candidates could not be fetched.
    failures: AtomicU32,
}

impl<'a> Scope<'a> {
    fn new(
        repository: &'a Repository,
        subject: &'a Resolved,
        downloads: &'a Downloads,
        large: bool,
    ) -> Self {
        let bundle_cap = if large { LARGE_BUNDLE_CAP } else { BUNDLE_CAP };
        Self { repository, subject, downloads, bundle_cap, failures: AtomicU32::new(0) }
    }

    /// Says in `found` that not everything was read, if so.
    fn note_limits(&self, found: &mut Found) {
        if self.downloads.exceeded() {
            found.unreachable.push(not_read(
                format!("more signatures in {}", self.repository),
                format!(
                    "not read: the limits are {MOST_SIGNATURES} and {} bytes",
                    self.downloads.most_bytes()
                ),
            ));
        }
    }
}

impl Client {
    /// Looks through the referrers API and the fallback tag, and under cosign's earlier tags where
    /// both have no bundle.
    pub(crate) async fn find(&self, subject: &Resolved, search: &Search) -> Result<Found, Error> {
        let repository = self.signatures_of(subject.repository());
        let downloads = Downloads::new(total_cap(search.large), MOST_SIGNATURES);
        let scope = Scope::new(repository, subject, &downloads, search.large);
        let mut found = Found::default();
        found.looked.large = search.large;
        let now = self.host.clock.now();
        let mut list = Shortlist::new(&search.predicate_type, now, MOST_REFERRERS);
        // A registry that got the API later may not know what was listed under the tag.
        let (listed, tagged) = join(
            self.referrers(repository, subject.digest(), Access::Pull, |entry| {
                list.add(entry, TypedBy::Registry);
            }),
            self.tagged(repository, subject.digest(), Access::Pull),
        )
        .await;
        match listed {
            Ok(api) => found.looked.api = api,
            Err(error) => {
                let what = format!("the referrers of {} in {repository}", subject.digest());
                found.unreachable.push(Unreachable { what, error });
            }
        }
        match tagged {
            Ok(Tagged::Index { index, .. }) => {
                index.for_each(|entry| list.add(entry.as_ref(), TypedBy::Client));
            }
            Ok(Tagged::Absent | Tagged::Subject) => {}
            Ok(Tagged::Other { media_type }) => {
                tracing::debug!(media_type, "the fallback tag does not hold an index");
            }
            Err(error) => {
                let what = format!("{repository}:{}", subject.digest().fallback_tag());
                found.unreachable.push(Unreachable { what, error });
            }
        }
        self.candidates(&scope, list, &mut found).await;
        if found.bundles.is_empty() {
            found.extend(self.legacy_tags(&scope).await);
        }
        // Only after all tags it is said that there is nothing.
        if found.bundles.is_empty() && found.legacy.is_empty() {
            self.own_tagged(&scope, &mut found).await;
        }
        scope.note_limits(&mut found);
        found.or_error()
    }

    /// What is only under a tag of its own, beyond `first`.
    pub(crate) async fn find_more(&self, subject: &Resolved, first: &Found) -> Found {
        let mut found = first.searched();
        if first.looked.own_tags {
            return found;
        }
        let repository = self.signatures_of(subject.repository());
        let large = first.looked.large;
        let downloads = Downloads::new(total_cap(large), MOST_SIGNATURES);
        let scope = Scope::new(repository, subject, &downloads, large);
        self.own_tagged(&scope, &mut found).await;
        scope.note_limits(&mut found);
        found
    }

    /// Adds to `found` what the own tags of signatures hold and no list named.
    async fn own_tagged(&self, scope: &Scope<'_>, found: &mut Found) {
        found.looked.own_tags = true;
        let (repository, subject) = (scope.repository, scope.subject.digest());
        let tags = match self.own_tags(repository, subject, Access::Pull).await {
            Ok(tags) => tags,
            // Own tags are for registries without the API.
            Err(error) if found.looked.api && !matches!(error, Error::RateLimited { .. }) => {
                tracing::debug!(%error, "the tags could not be listed");
                return;
            }
            Err(error) => {
                let what = format!("the tags of {repository}");
                return found.unreachable.push(Unreachable { what, error });
            }
        };
        let mut tags: Vec<OwnTag> =
            tags.into_iter().filter(|tag| !tag.is_of_any(&found.looked.manifests)).collect();
        let left_out = tags.len().saturating_sub(MOST_REFERRERS);
        tags.truncate(MOST_REFERRERS);
        let mut fetched = iter(tags)
            .map(|tag| async move {
                let reference = format!("{repository}:{}", tag.name).parse();
                match reference {
                    Ok(reference) => self.candidate(scope, &reference).await,
                    Err(_) => Some(Found::default()),
                }
            })
            .buffered(AT_ONCE);
        let mut skipped = 0_usize;
        while let Some(holds) = fetched.next().await {
            let Some(mut holds) = holds else {
                skipped += 1;
                continue;
            };
            // The tag of an attestation that was replaced may mean the one that came instead.
            let known = &mut found.looked.manifests;
            holds.bundles.retain(|one| !known.contains(&one.manifest));
            known.extend(holds.bundles.iter().map(|one| one.manifest.clone()));
            found.extend(holds);
        }
        note_skipped(repository, skipped, left_out, found);
    }

    /// Looks only under cosign's earlier tags.
    pub(crate) async fn find_legacy(&self, subject: &Resolved) -> Result<Found, Error> {
        let repository = self.signatures_of(subject.repository());
        let downloads = Downloads::new(TOTAL_CAP, MOST_SIGNATURES);
        let scope = Scope::new(repository, subject, &downloads, false);
        let mut found = self.legacy_tags(&scope).await;
        scope.note_limits(&mut found);
        found.or_error()
    }

    /// Fetches the candidates of `list` and sorts what they hold into `found`.
    async fn candidates(&self, scope: &Scope<'_>, list: Shortlist, found: &mut Found) {
        let (candidates, left_out) = list.finish(found);
        let mut fetched = iter(candidates)
            .map(|candidate| async move {
                let digest = candidate.digest.clone();
                let reference = Reference::by_digest(scope.repository.clone(), digest);
                let holds = self.candidate(scope, &reference).await;
                (candidate, holds)
            })
            .buffered(AT_ONCE);
        let mut known = HashSet::new();
        let mut skipped = 0_usize;
        while let Some((candidate, holds)) = fetched.next().await {
            let Some(mut holds) = holds else {
                skipped += 1;
                continue;
            };
            found.looked.manifests.insert(candidate.digest.clone());
            // What says that it is something else and is not readable is not a broken signature.
            if candidate.claims_otherwise() {
                holds.unusable.clear();
            }
            holds.bundles.retain(|one| known.insert((one.digest.clone(), one.media_type.clone())));
            found.extend(holds);
        }
        note_skipped(scope.repository, skipped, left_out, found);
    }

    /// Fetches one referrer and what it holds; `None` if too many before it could not be fetched.
    async fn candidate(&self, scope: &Scope<'_>, reference: &Reference) -> Option<Found> {
        if scope.failures.load(Ordering::Relaxed) >= MOST_FAILURES {
            return None;
        }
        let mut found = Found::default();
        if let Err(error) = self.referrer(scope, reference, &mut found).await {
            found.failed(reference.manifest_name().to_owned(), error);
        }
        let failures = u32::try_from(found.unreachable.len()).unwrap_or(u32::MAX);
        scope.failures.fetch_add(failures, Ordering::Relaxed);
        Some(found)
    }

    async fn referrer(
        &self,
        scope: &Scope<'_>,
        reference: &Reference,
        found: &mut Found,
    ) -> Result<(), Error> {
        let (digest, manifest) = self.signature_manifest(reference, scope.downloads).await?;
        let digest = &digest;
        let layers = manifest.layers.unwrap_or_default();
        let bundles: Vec<&Layer> = layers
            .iter()
            .filter(|layer| layer.media_type.starts_with(BUNDLE_MEDIA_TYPE_PREFIX))
            .collect();
        if bundles.is_empty() && !layers.iter().any(|layer| kind_of(layer).is_some()) {
            return Ok(());
        }
        // Some registries list under the tag what is part of the image, and anyone may list
        // anything.
        let subject = scope.subject.digest();
        match manifest.subject.map(|subject| subject.digest) {
            Some(of) if of == subject.as_str() => {}
            of => {
                let of = of.as_deref().map_or_else(|| "no image".to_owned(), host::escape_remote);
                let reason = format!("it refers to {of} and not to {subject}");
                found.unusable.push(Unusable { what: digest.to_string(), reason });
                return Ok(());
            }
        }
        if bundles.is_empty() {
            self.legacy_layers(scope, digest, layers, MOST_LAYERS_OF_REFERRER, found).await;
            return Ok(());
        }
        let annotations = Arc::new(manifest.annotations.unwrap_or_default());
        for layer in bundles.iter().take(MOST_LAYERS_OF_REFERRER) {
            if !scope.downloads.count_signature() {
                break;
            }
            let bytes =
                self.layer(scope.repository, layer, scope.bundle_cap, scope.downloads).await;
            match bytes.and_then(|bytes| Ok((layer.digest()?, bytes))) {
                Ok((own, bytes)) => found.bundles.push(FoundSignature {
                    manifest: digest.clone(),
                    digest: own,
                    media_type: layer.media_type.clone(),
                    annotations: Arc::clone(&annotations),
                    bytes,
                }),
                Err(error) => found.failed(digest.to_string(), error),
            }
        }
        left_out(digest, bundles.len(), MOST_LAYERS_OF_REFERRER, found);
        Ok(())
    }

    /// Looks under both of cosign's earlier tags.
    async fn legacy_tags(&self, scope: &Scope<'_>) -> Found {
        let tag = |suffix| async move {
            let mut found = Found::default();
            // Longer than a tag may be for SHA-512: there can be none.
            let Some(tag) = scope.subject.digest().legacy_tag(suffix) else { return found };
            let name = format!("{}:{tag}", scope.repository);
            match self.legacy_tag(scope, &name, &mut found).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => found.failed(name, error),
            }
            found
        };
        let (mut found, attestations) = join(tag("sig"), tag("att")).await;
        found.extend(attestations);
        found
    }

    async fn legacy_tag(
        &self,
        scope: &Scope<'_>,
        name: &str,
        found: &mut Found,
    ) -> Result<(), Error> {
        let (digest, manifest) = self.signature_manifest(&name.parse()?, scope.downloads).await?;
        let layers = manifest.layers.unwrap_or_default();
        self.legacy_layers(scope, &digest, layers, MOST_LAYERS_OF_TAG, found).await;
        Ok(())
    }

    async fn legacy_layers(
        &self,
        scope: &Scope<'_>,
        manifest: &Digest,
        layers: Vec<Layer>,
        most: usize,
        found: &mut Found,
    ) {
        let mut known = HashSet::new();
        let mut layers: Vec<(LegacyKind, Layer)> = layers
            .into_iter()
            .filter_map(|layer| Some((kind_of(&layer)?, layer)))
            .filter(|(kind, layer)| {
                known.insert((*kind, layer.digest.clone(), layer.annotations.clone()))
            })
            .collect();
        drop(known);
        left_out(manifest, layers.len(), most, found);
        layers.truncate(most);
        let mut fetched = iter(layers)
            .map(|(kind, layer)| async move {
                if !scope.downloads.count_signature() {
                    return None;
                }
                let bytes = self.layer(scope.repository, &layer, LEGACY_CAP, scope.downloads).await;
                Some((kind, layer, bytes))
            })
            .buffered(AT_ONCE);
        while let Some(fetched) = fetched.next().await {
            let Some((kind, layer, bytes)) = fetched else { break };
            match bytes.and_then(|bytes| Ok((layer.digest()?, bytes))) {
                Ok((digest, bytes)) => found.legacy.push(LegacySignature {
                    kind,
                    manifest: manifest.clone(),
                    digest,
                    media_type: layer.media_type,
                    annotations: layer.annotations.unwrap_or_default(),
                    bytes,
                }),
                Err(error) => found.failed(host::escape_remote(&layer.digest), error),
            }
        }
    }

    /// The manifest that `reference` means, read as one that holds signatures.
    async fn signature_manifest(
        &self,
        reference: &Reference,
        downloads: &Downloads,
    ) -> Result<(Digest, SignatureManifest), Error> {
        let what = || format!("the manifest of {reference}");
        let (resolved, bytes) = self.manifest(reference, Access::Pull).await?;
        downloads.count(bytes.len() as u64, what)?;
        let manifest = SignatureManifest::parse(&bytes).map_err(|error| Error::Invalid {
            what: what(),
            reason: not_json("the JSON of a manifest", &error),
        })?;
        Ok((resolved.digest().clone(), manifest))
    }
}

/// How many bytes one search fetches.
fn total_cap(large: bool) -> u64 {
    if large { LARGE_TOTAL_CAP } else { TOTAL_CAP }
}

/// Says that referrers were not read.
fn note_skipped(repository: &Repository, skipped: usize, left_out: usize, found: &mut Found) {
    if skipped > 0 {
        found.unreachable.push(not_read(
            format!("{skipped} more referrers in {repository}"),
            format!("not read after {MOST_FAILURES} others could not be fetched"),
        ));
    }
    if left_out > 0 {
        found.unreachable.push(not_read(
            format!("{left_out} more referrers in {repository}"),
            format!("not read: the limit is {MOST_REFERRERS}"),
        ));
    }
}

/// Says that layers beyond `most` were not read.
fn left_out(manifest: &Digest, layers: usize, most: usize, found: &mut Found) {
    if layers > most {
        found.unreachable.push(not_read(
            format!("{} more layers of {manifest}", layers - most),
            format!("not read: the limit is {most}"),
        ));
    }
}

fn not_read(what: String, reason: String) -> Unreachable {
    Unreachable { error: Error::Invalid { what: what.clone(), reason }, what }
}

fn kind_of(layer: &Layer) -> Option<LegacyKind> {
    match essence(&layer.media_type) {
        SIMPLE_SIGNING_MEDIA_TYPE => Some(LegacyKind::Signature),
        DSSE_MEDIA_TYPE => Some(LegacyKind::Attestation),
        _ => None,
    }
}

/// How many requests run at the same time.
const AT_ONCE: usize = 8;
const BUNDLE_CAP: u64 = 32 << 20;
/// A predicate of 128 MiB in base64, and 1 MiB.
const LARGE_BUNDLE_CAP: u64 = (128 << 20) / 3 * 4 + (1 << 20);
const LARGE_TOTAL_CAP: u64 = 512 << 20;
/// cosign's own limit for its earlier formats.
const LEGACY_CAP: u64 = 128 << 20;
/// After so many candidates that could not be fetched the others are not asked for.
const MOST_FAILURES: u32 = 16;
/// So that one manifest does not use up what all may hold together.
const MOST_LAYERS_OF_REFERRER: usize = 100;
const MOST_LAYERS_OF_TAG: usize = 1000;
const MOST_REFERRERS: usize = 1000;
const MOST_SIGNATURES: u64 = 2000;
/// Manifests and blobs together.
const TOTAL_CAP: u64 = 128 << 20;
