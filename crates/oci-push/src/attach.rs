//! Attaching a bundle to an image, so that it is found from the image.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::{join, try_join};
use http::header::CONTENT_TYPE;
use http::{HeaderName, Method, StatusCode};
use jiff::Timestamp;

use crate::answer::Answer;
use crate::bundle_content::BundleContent;
use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::error::{Access, Error};
use crate::event::Event;
use crate::habits::RegistryHabit;
use crate::listing::{Listing, NOTHING, Outcome};
use crate::locks::jittered;
use crate::manifest::{CREATED_ANNOTATION, Descriptor, MANIFEST_MEDIA_TYPE, bundle_manifest};
use crate::own_tags::OwnTag;
use crate::repository::Repository;
use crate::resolved::Resolved;

/// A bundle that is in the registry and can be found from its image.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attached {
    /// The digest of the manifest that refers to the image.
    pub digest: Digest,
    /// The digest of the bundle itself.
    pub bundle_digest: Digest,
    /// The repository that holds both.
    pub repository: Repository,
    /// How the image's referrers are listed there.
    pub how: How,
    /// The tag of its own by which every later search finds it, where there is no referrers API.
    /// `None` there means that only the list holds it.
    pub own_tag: Option<String>,
}

/// How a registry lists the referrers of an image.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum How {
    /// A layer of the manifest under `sha256-<hex>.sig` or `.att`, kept by the clients: cosign's
    /// earlier formats.
    EarlierTag,
    /// An index under the tag `sha256-<hex>`, kept by the clients.
    FallbackTag,
    /// The referrers API of OCI 1.1, kept by the registry.
    Referrers,
}

impl How {
    /// `referrers`, `fallback-tag` or `earlier-tag`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EarlierTag => "earlier-tag",
            Self::FallbackTag => "fallback-tag",
            Self::Referrers => "referrers",
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Client {
    pub(crate) async fn attach(
        &self,
        subject: &Resolved,
        bundle: &BundleContent,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Attached, Error> {
        let repository = self.signatures_of(subject.repository());
        let mut all_annotations = bundle.annotations();
        let created = whole_seconds(self.host.clock.now());
        all_annotations.insert(CREATED_ANNOTATION.to_owned(), created);
        all_annotations.extend(annotations.clone());
        let layer = Descriptor {
            media_type: bundle.media_type.clone(),
            size: bundle.content.size(),
            digest: bundle.digest.clone(),
        };

        let store_bundle = self.put_blob(repository, &layer.digest, bundle.content.clone());
        try_join(store_bundle, self.put_empty_blob(repository)).await?;

        let invalid = |error: serde_json::Error| Error::Invalid {
            what: "the manifest of the signature".to_owned(),
            reason: error.to_string(),
        };
        let manifest =
            bundle_manifest(subject.descriptor(), &layer, &all_annotations).map_err(invalid)?;
        let referrer = Descriptor {
            media_type: MANIFEST_MEDIA_TYPE.to_owned(),
            size: manifest.len() as u64,
            digest: Digest::sha256(&manifest),
        };
        let manifest = Stored { repository, descriptor: &referrer, bytes: Bytes::from(manifest) };
        let (how, own_tag) = self
            .attach_manifest(&manifest, subject.digest(), &layer.media_type, &all_annotations)
            .await?;
        Ok(Attached {
            digest: referrer.digest.clone(),
            bundle_digest: layer.digest.clone(),
            repository: repository.clone(),
            how,
            own_tag,
        })
    }

    /// Stores a manifest that refers to `subject`, whose blobs are there, so that it is found from
    /// it: how, and by which tag of its own.
    pub(crate) async fn attach_manifest(
        &self,
        manifest: &Stored<'_>,
        subject: &Digest,
        artifact_type: &str,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(How, Option<String>), Error> {
        let Stored { repository, descriptor: referrer, .. } = *manifest;
        let own = self.options.signature_tags.then(|| OwnTag::new(subject, &referrer.digest));
        // Where there is no API, the manifest goes straight to its own tag.
        let by_digest = own.is_none()
            || !self.habits.lacks_api(repository)
            || self.habits.with(repository, |habit| habit.no_own_tags);
        if by_digest && self.put_by_digest(manifest, subject).await? {
            return Ok((How::Referrers, None));
        }
        let _alone = self.writers.hold(format!("{repository}@{subject}")).await;
        let (tagged, list) = join(
            self.put_own_tag(manifest, subject, own.as_ref()),
            self.read_list(repository, subject),
        )
        .await;
        let tagged = tagged?;
        if !by_digest && !tagged {
            self.put_by_digest(manifest, subject).await?;
        }
        let own = own.filter(|_| tagged);
        let listing = Listing {
            repository,
            subject,
            referrer,
            artifact_type,
            annotations,
            own: own.as_ref(),
            older: &NOTHING,
        };
        let outcome = self.list_under_tag(&listing, list).await;
        let own = self.conclude(&listing, outcome).await?.then_some(own).flatten();
        Ok((How::FallbackTag, own.map(|own| own.name)))
    }

    /// Whether the signature can be found by its own tag; an error if it can be found by nothing.
    async fn conclude(&self, listing: &Listing<'_>, outcome: Outcome) -> Result<bool, Error> {
        let Listing { repository, subject, .. } = *listing;
        let Some(own) = listing.own else { return outcome.listed.map(|()| false) };
        let listener = &self.options.listener;
        if outcome.own_tag_seen || self.is_listed_tag(repository, subject, own).await {
            if let Err(error) = outcome.listed {
                let (tag, reason) = (subject.fallback_tag(), host::with_causes(&error));
                let tag = format!("{repository}:{tag}");
                listener.tell(&Event::NotListed { tag: &tag, reason: &reason });
            }
            return Ok(true);
        }
        self.no_own_tags(repository, "the registry does not list it among its tags");
        outcome.listed.map(|()| false)
    }

    /// Stores a manifest under its digest, and says whether the registry lists it as a referrer.
    async fn put_by_digest(&self, manifest: &Stored<'_>, subject: &Digest) -> Result<bool, Error> {
        let Stored { repository, descriptor, .. } = *manifest;
        let answer = self.put_manifest(manifest, descriptor.digest.as_str()).await?;
        if !answer.status.is_success() {
            return Err(answer
                .into_error(repository, Access::Push, || format!("the repository {repository}")));
        }
        match answer.content_digest() {
            Some(stored) if stored != descriptor.digest.as_str() => Err(Error::Invalid {
                what: format!("the answer to {}", answer.request()),
                reason: format!(
                    "expected the manifest to be stored as {}, found {}",
                    descriptor.digest,
                    host::escape_remote(stored)
                ),
            }),
            _ => Ok(self.lists_referrer(subject, manifest, &answer).await),
        }
    }

    /// Stores a manifest under the tag `own`, and says whether the registry took it.
    async fn put_own_tag(
        &self,
        manifest: &Stored<'_>,
        subject: &Digest,
        own: Option<&OwnTag>,
    ) -> Result<bool, Error> {
        let repository = manifest.repository;
        let usable = self.habits.with(repository, |habit| !habit.no_own_tags);
        let Some(own) = own.filter(|_| usable) else { return Ok(false) };
        let answer = self.put_manifest(manifest, &own.name).await?;
        if answer.status.is_success() {
            return Ok(true);
        }
        let for_now = answer.is_transient() || answer.status == StatusCode::UNAUTHORIZED;
        let error = answer.into_error(repository, Access::Push, || own.name.clone());
        if for_now {
            return Err(error);
        }
        // Sent twice, because an answer was lost, it may be refused for being there.
        if self.is_listed_tag(repository, subject, own).await {
            return Ok(true);
        }
        self.no_own_tags(repository, &host::with_causes(&error));
        Ok(false)
    }

    /// Whether the registry lists the tag, now or in a moment.
    async fn is_listed_tag(&self, repository: &Repository, subject: &Digest, own: &OwnTag) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.own_tags(repository, subject, Access::Push).await {
                Ok(tags) if tags.contains(own) => return true,
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, "the tags could not be listed");
                    return false;
                }
            }
            if pause > LONGEST_PAUSE {
                return false;
            }
            self.host.clock.sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2);
        }
    }

    fn no_own_tags(&self, repository: &Repository, reason: &str) {
        let known =
            self.habits.with(repository, |habit| std::mem::replace(&mut habit.no_own_tags, true));
        if !known {
            self.options.listener.tell(&Event::OwnTagsUnusable { repository, reason });
        }
    }

    /// Stores a manifest under `name`: its digest or a tag. Any status is an answer.
    pub(crate) async fn put_manifest(
        &self,
        manifest: &Stored<'_>,
        name: &str,
    ) -> Result<Answer, Error> {
        let call =
            Call::new(Method::PUT, manifest.repository, Access::Push, format!("manifests/{name}"))
                .header(CONTENT_TYPE, &manifest.descriptor.media_type)
                .body(manifest.bytes.clone());
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.call(&call).await?;
            // A blob that several writers store at once may be hidden for a moment: Docker's
            // registry empties the file that says where it is before writing it again.
            let blob_hidden = answer.has_code("MANIFEST_BLOB_UNKNOWN");
            if !blob_hidden || pause > LONGEST_PAUSE {
                return Ok(answer);
            }
            tracing::debug!(request = answer.request(), "a blob just stored is not found");
            self.host.clock.sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2);
        }
    }

    /// Whether the registry itself lists the referrer that it just stored. Some say so and do not
    /// have the API, and some answer every path; so it is looked for, until one was found in this
    /// registry. Every later one must be acknowledged, too.
    async fn lists_referrer(
        &self,
        subject: &Digest,
        manifest: &Stored<'_>,
        stored: &Answer,
    ) -> bool {
        let Stored { repository, descriptor, .. } = *manifest;
        if stored.header(&OCI_SUBJECT) != Some(subject.as_str()) {
            self.habits.with(repository, |habit| habit.no_api = true);
            return false;
        }
        let known = || {
            let read = |habit: &mut RegistryHabit| (habit.has_api, habit.has_acknowledged_falsely);
            self.habits.with_registry(repository, read)
        };
        // Of several that are stored at once, the first answers for all.
        let _first = match known() {
            (false, false) => {
                Some(self.writers.hold(format!("{} referrers", repository.registry())).await)
            }
            _ => None,
        };
        if known().0 {
            return true;
        }
        let mut pause = FIRST_PAUSE;
        for _ in 0..MOST_LOOKS {
            let mut found = false;
            let listed = self
                .referrers(repository, subject, Access::Push, |entry| {
                    found |= entry.is_some_and(|entry| entry.digest == descriptor.digest.as_str());
                })
                .await;
            match listed {
                _ if found => {
                    self.habits.with_registry(repository, |habit| habit.has_api = true);
                    return true;
                }
                Ok(true) => {}
                Ok(false) => {
                    self.habits.with(repository, |habit| habit.no_api = true);
                    return false;
                }
                // Then the list under the tag is kept, too: it is harmless where the API exists.
                Err(error) => {
                    tracing::debug!(%error, "the referrers could not be listed");
                    return false;
                }
            }
            self.host.clock.sleep(jittered(pause)).await;
            pause = pause.saturating_mul(2);
        }
        self.habits.with_registry(repository, |habit| habit.has_acknowledged_falsely = true);
        false
    }
}

/// A manifest to store.
pub(crate) struct Stored<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) bytes: Bytes,
}

/// `time` as RFC 3339 in UTC with whole seconds: `2026-11-22T11:11:19Z`.
fn whole_seconds(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = i64::try_from(seconds).unwrap_or_default();
    // A clock beyond the calendar is as wrong as one at its beginning.
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
const MOST_LOOKS: u32 = 3;
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn created_is_in_whole_seconds() {
        let time = UNIX_EPOCH + Duration::from_millis(1_795_345_879_999);
        assert_eq!(whole_seconds(time), "2026-11-22T11:11:19Z");
        assert_eq!(whole_seconds(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
    }
}
