//! Taking away attestations whose place a newer one takes.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::attach::{Attached, How, Stored};
use crate::client::Client;
use crate::digest::Digest;
use crate::document::SignatureManifest;
use crate::error::{Access, Error, not_json};
use crate::listing::Listing;
use crate::manifest::Descriptor;
use crate::own_tags::OwnTag;
use crate::reference::Reference;
use crate::repository::Repository;
use crate::resolved::Resolved;

impl Client {
    /// Takes the manifests `older` away from `image`, in whose place `newer` was attached. The newer
    /// one is read back first, and `older` leaves the list in the same write that keeps it there, so
    /// that a reader finds one of them at any time.
    pub(crate) async fn retire(
        &self,
        image: &Resolved,
        newer: &Attached,
        older: &BTreeSet<Digest>,
    ) -> Result<(), Error> {
        let (repository, subject) = (&newer.repository, image.digest());
        let reference = Reference::by_digest(repository.clone(), newer.digest.clone());
        let (manifest, bytes) = self.manifest(&reference, Access::Push).await?;
        let older: BTreeSet<Digest> =
            older.iter().filter(|it| **it != newer.digest).cloned().collect();
        if newer.how == How::FallbackTag {
            let document = SignatureManifest::parse(&bytes).map_err(|error| Error::Invalid {
                what: format!("the manifest of {reference}"),
                reason: not_json("the JSON of a manifest", &error),
            })?;
            let annotations = document.annotations.clone().unwrap_or_default();
            let own = newer.own_tag.as_ref().map(|_| OwnTag::new(subject, &newer.digest));
            let listing = Listing {
                repository,
                subject,
                referrer: manifest.descriptor(),
                artifact_type: document.listed_type(),
                annotations: &annotations,
                own: own.as_ref(),
                older: &older,
            };
            let _alone = self.writers.hold(format!("{repository}@{subject}")).await;
            let list = self.read_list(repository, subject).await;
            self.list_under_tag(&listing, list).await.listed?;
        }
        let newer = Newer { repository, descriptor: manifest.descriptor(), bytes, how: newer.how };
        for old in &older {
            self.retire_one(subject, &newer, old).await?;
        }
        // Also the list of a registry that got the API later, and what a writer put back meanwhile.
        self.unlist(repository, subject, &older).await
    }

    async fn retire_one(
        &self,
        subject: &Digest,
        newer: &Newer<'_>,
        old: &Digest,
    ) -> Result<(), Error> {
        let (repository, own) = (newer.repository, OwnTag::new(subject, old));
        let untagged = self.delete(repository, &own.name).await?;
        if self.delete(repository, old.as_str()).await? {
            return Ok(());
        }
        if newer.how == How::FallbackTag {
            if untagged {
                return Ok(());
            }
            // Registries that delete nothing let a tag mean another manifest.
            let Newer { descriptor, bytes, .. } = newer;
            let stored = Stored { repository, descriptor, bytes: bytes.clone() };
            if self.put_manifest(&stored, &own.name).await?.status.is_success() {
                return Ok(());
            }
        }
        Err(Error::Invalid {
            what: format!("deletion of {old} in {repository}"),
            reason: "the registry does not delete manifests".to_owned(),
        })
    }
}

/// The manifest that comes instead.
struct Newer<'a> {
    repository: &'a Repository,
    descriptor: &'a Descriptor,
    bytes: Bytes,
    how: How,
}
