//! Removing what is attached to an image.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use serde::Serialize;

use crate::attached::AttachmentKind;
use crate::blobs::Store;
use crate::client::{Call, Client};
use crate::digest::Digest;
use crate::error::{Access, Error};
use crate::fallback::{Tagged, tag_reference};
use crate::manifest::INDEX_MEDIA_TYPE;
use crate::repository::Repository;
use crate::resolved::Resolved;

/// What is to be removed of one image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Removals {
    /// Where it is.
    pub repository: Repository,
    /// The digest of the image.
    pub image: Digest,
    /// Each manifest.
    pub removals: Vec<Removal>,
}

/// A manifest that is to be removed, or is gone and still listed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Removal {
    /// What it seems to be; `None` if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<AttachmentKind>,
    /// Its digest.
    pub manifest: Digest,
    /// The predicate type that it claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicate_type: Option<String>,
    /// The tags that go with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether it is an attachment by its tag alone.
    #[serde(skip)]
    by_tag: bool,
}

impl Client {
    pub(crate) async fn removals(
        &self,
        image: &Resolved,
        kinds: &[AttachmentKind],
    ) -> Result<Removals, Error> {
        let repository = self.signatures_of(image.repository()).clone();
        let subject = image.digest();
        let store = Store::Repository(repository.clone());
        let listed = self.listed(&repository, subject, Access::Push).await?;
        let attachments = self.attachments(&store, subject).await?;
        let known: BTreeSet<&Digest> =
            attachments.iter().map(|attachment| &attachment.manifest.digest).collect();
        let own = |manifest: &Digest| -> Vec<String> {
            listed
                .own
                .iter()
                .filter(|tag| tag.is_of(manifest))
                .map(|tag| tag.name.clone())
                .collect()
        };
        let mut removals: Vec<Removal> = attachments
            .iter()
            .filter(|attachment| kinds.contains(&attachment.kind))
            .map(|attachment| Removal {
                kind: Some(attachment.kind),
                manifest: attachment.manifest.digest.clone(),
                predicate_type: attachment.predicate_type().map(str::to_owned),
                tags: match &attachment.tag {
                    Some(tag) => vec![tag.clone()],
                    None => own(&attachment.manifest.digest),
                },
                by_tag: attachment.tag.is_some(),
            })
            .collect();
        for manifest in listed.list.iter().filter(|digest| !known.contains(digest)) {
            match self.get(&store, manifest).await {
                Err(Error::NotFound { .. }) => removals.push(Removal {
                    kind: None,
                    manifest: manifest.clone(),
                    predicate_type: None,
                    tags: own(manifest),
                    by_tag: false,
                }),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Removals { repository, image: subject.clone(), removals })
    }

    /// Tags first, or another writer would list what is gone; then manifests; then the list.
    pub(crate) async fn remove(&self, removals: &Removals) -> Result<(), Error> {
        let Removals { repository, image, removals } = removals;
        for removal in removals {
            let mut untagged = true;
            for tag in &removal.tags {
                untagged &= self.delete(repository, tag).await?;
            }
            // A manifest of an earlier tag may have another tag as well.
            let stays = removal.by_tag && untagged || removal.kind.is_none();
            if !stays && !self.delete(repository, removal.manifest.as_str()).await? {
                return Err(Error::Invalid {
                    what: format!("deletion in {repository}"),
                    reason: "the registry does not delete manifests".to_owned(),
                });
            }
        }
        let gone = removals.iter().map(|removal| removal.manifest.clone()).collect();
        self.unlist(repository, image, &gone).await
    }

    /// Takes entries out of the list of signatures, and the list away when it is empty.
    pub(crate) async fn unlist(
        &self,
        repository: &Repository,
        image: &Digest,
        gone: &BTreeSet<Digest>,
    ) -> Result<(), Error> {
        let _alone = self.writers.hold(format!("{repository}@{image}")).await;
        let Tagged::Index { index, digest, .. } =
            self.tagged(repository, image, Access::Push).await?
        else {
            return Ok(());
        };
        if index.digests().is_disjoint(gone) {
            return Ok(());
        }
        let (rest, entries_left) = index.without(gone);
        let reference = tag_reference(repository, image)?;
        if !entries_left {
            let by_tag = self.delete(repository, &image.fallback_tag()).await?;
            if by_tag || self.delete(repository, digest.as_str()).await? {
                return Ok(());
            }
        }
        let path = format!("manifests/{}", image.fallback_tag());
        let call = Call::new(Method::PUT, repository, Access::Push, path)
            .header(CONTENT_TYPE, INDEX_MEDIA_TYPE)
            .body(Bytes::from(rest));
        let answer = self.call(&call).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(answer.into_error(repository, Access::Push, || reference.to_string())),
        }
    }

    /// Deletes a manifest by tag or digest, if it is there; `false` if the registry cannot.
    pub(crate) async fn delete(&self, repository: &Repository, name: &str) -> Result<bool, Error> {
        let path = format!("manifests/{name}");
        let answer = self.call(&Call::new(Method::DELETE, repository, Access::Push, path)).await?;
        match answer.status {
            status if status.is_success() => Ok(true),
            StatusCode::NOT_FOUND => Ok(true),
            // docker-registry deletes by digest alone; others not at all.
            StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => Ok(false),
            _ => Err(answer.into_error(repository, Access::Push, || name.to_owned())),
        }
    }
}
