//! Bringing an image elsewhere with everything that is attached to it.
//!
//! What is referred to comes first: blobs before their manifest, the manifests of an index before the
//! index, the image before its signatures, and all of it before the tag. Whoever is killed on the
//! way leaves nothing that refers to something that is not there, and a tag that means what it meant
//! before.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};

use crate::attach::Stored;
use crate::attached::{Attachment, AttachmentKind, Listed};
use crate::blobs::Store;
use crate::client::Client;
use crate::contents::Contents;
use crate::digest::Digest;
use crate::error::{Access, Error};
use crate::joined::union;
use crate::layout::is_index;
use crate::layout_index::{Entry, Kind};
use crate::manifest::Descriptor;
use crate::reference::Reference;
use crate::selection::{Copied, CopiedAttachment, Selection};

/// From where to where.
#[derive(Clone, Copy)]
struct Route<'a> {
    from: &'a Store,
    to: &'a Store,
    selection: &'a Selection,
    image: &'a Digest,
}

/// A manifest of the image.
struct Node {
    descriptor: Descriptor,
    bytes: Bytes,
    contents: Contents,
}

impl Client {
    /// Copies the manifest `image` of `from`, and what belongs to it, to `to`. A tag is the caller's
    /// to set.
    pub(crate) async fn copy(
        &self,
        from: &Store,
        image: &Digest,
        to: &Store,
        selection: &Selection,
    ) -> Result<Copied, Error> {
        let nodes = self.nodes(from, image).await?;
        let mut copied = Copied::default();
        if selection.image {
            let descriptors = nodes.iter().map(|node| &node.descriptor);
            let asked: Vec<_> =
                descriptors.map(|manifest| self.is_there(to, manifest, selection)).collect();
            let there: Vec<bool> = iter(asked).buffered(AT_ONCE).try_collect().await?;
            let missing: Vec<&Node> =
                nodes.iter().zip(there).filter(|(_, there)| !there).map(|(node, _)| node).collect();
            copied.manifests_present = (nodes.len() - missing.len()) as u64;
            let contents = missing.iter().map(|node| &node.contents);
            self.bring_blobs(from, to, contents, &mut copied).await?;
            // A manifest comes after those that it lists.
            for node in missing {
                self.put(to, &node.descriptor, node.bytes.clone()).await?;
                copied.manifests += 1;
            }
        } else if !self.is_there(to, &nodes[nodes.len() - 1].descriptor, selection).await? {
            return Err(Error::NotFound {
                what: format!("the image {image} in {}", place(to)),
                detail: String::new(),
            });
        }
        let (from, to) = (self.signature_store(from), self.signature_store(to));
        let route = Route { from: &from, to: &to, selection, image };
        let bring = |node| self.copy_attachments(route, node, 0);
        let brought: Vec<_> = nodes.iter().map(|node| bring(&node.descriptor.digest)).collect();
        let mut attached = iter(brought).buffered(SUBJECTS_AT_ONCE);
        while let Some(of_one) = attached.next().await {
            copied.add(of_one?);
        }
        Ok(copied)
    }

    /// Where the signatures of images in `store` are.
    pub(crate) fn signature_store(&self, store: &Store) -> Store {
        match store {
            Store::Repository(repository) => {
                Store::Repository(self.signatures_of(repository).clone())
            }
            layout => layout.clone(),
        }
    }

    /// The manifests of `image`, each after those that it lists.
    async fn nodes(&self, from: &Store, image: &Digest) -> Result<Vec<Node>, Error> {
        let mut known: HashMap<Digest, Node> = HashMap::new();
        let mut fetch = vec![image.clone()];
        let mut held = 0;
        while !fetch.is_empty() {
            let fetched = iter(std::mem::take(&mut fetch)).map(async |digest| {
                let is_part = digest != *image;
                let node = self.node(from, digest).await;
                node.map_err(|error| if is_part { error.of_part(image.as_str()) } else { error })
            });
            let fetched: Vec<Node> = fetched.buffered(AT_ONCE).try_collect().await?;
            let mut listed = HashSet::new();
            for node in fetched {
                held += node.bytes.len();
                for member in node.contents.members() {
                    listed.insert(member.descriptor()?.digest);
                }
                known.insert(node.descriptor.digest.clone(), node);
            }
            fetch = listed.into_iter().filter(|digest| !known.contains_key(digest)).collect();
            if known.len() + fetch.len() > MOST_MANIFESTS || held > MOST_HELD {
                let reason = format!(
                    "it consists of more than {MOST_MANIFESTS} manifests, or of more than {MOST_HELD} \
                     bytes of them"
                );
                return Err(Error::Invalid { what: format!("the image {image}"), reason });
            }
        }
        in_order(known, image)
    }

    async fn node(&self, from: &Store, digest: Digest) -> Result<Node, Error> {
        let (descriptor, bytes) = self.get(from, &digest).await?;
        let contents = Contents::parse(digest.as_str(), &bytes)?;
        Ok(Node { descriptor, bytes, contents })
    }

    /// Fetches a manifest by its digest.
    pub(crate) async fn get(
        &self,
        from: &Store,
        digest: &Digest,
    ) -> Result<(Descriptor, Bytes), Error> {
        match from {
            Store::Layout(layout) => layout.manifest(digest).await,
            Store::Repository(repository) => {
                let reference = Reference::by_digest(repository.clone(), digest.clone());
                let (resolved, bytes) = self.manifest(&reference, Access::Pull).await?;
                Ok((resolved.descriptor().clone(), bytes))
            }
        }
    }

    async fn is_there(
        &self,
        to: &Store,
        manifest: &Descriptor,
        selection: &Selection,
    ) -> Result<bool, Error> {
        if selection.image && selection.again {
            return Ok(false);
        }
        match to {
            Store::Layout(layout) => layout.has_blob(&manifest.digest, manifest.size).await,
            Store::Repository(repository) => {
                let reference = Reference::by_digest(repository.clone(), manifest.digest.clone());
                Ok(self.existing(&reference).await?.is_some())
            }
        }
    }

    /// Stores a manifest under its digest.
    async fn put(&self, to: &Store, descriptor: &Descriptor, bytes: Bytes) -> Result<(), Error> {
        self.put_as(to, descriptor, bytes, descriptor.digest.as_str()).await
    }

    /// Stores a manifest under `name`, a tag or its digest. A layout keeps it by its digest alone.
    pub(crate) async fn put_as(
        &self,
        to: &Store,
        descriptor: &Descriptor,
        bytes: Bytes,
        name: &str,
    ) -> Result<(), Error> {
        let repository = match to {
            Store::Repository(repository) => repository,
            Store::Layout(layout) => return layout.put_manifest(&descriptor.digest, bytes).await,
        };
        let answer = self.put_manifest(&Stored { repository, descriptor, bytes }, name).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(answer
                .into_error(repository, Access::Push, || format!("the repository {repository}"))),
        }
    }

    async fn bring_blobs<'a>(
        &self,
        from: &Store,
        to: &Store,
        contents: impl Iterator<Item = &'a Contents>,
        copied: &mut Copied,
    ) -> Result<(), Error> {
        let mut blobs: HashMap<Digest, Descriptor> = HashMap::new();
        for contents in contents {
            for blob in contents.blobs()? {
                blobs.insert(blob.digest.clone(), blob);
            }
        }
        let mut brought = iter(blobs.into_values())
            .map(|blob| async move {
                self.bring_blob(from, to, &blob).await.map(|arrival| (arrival, blob.size))
            })
            .buffer_unordered(BLOBS_AT_ONCE);
        while let Some(brought) = brought.next().await {
            let (arrival, size) = brought?;
            copied.count(arrival, size);
        }
        Ok(())
    }

    /// Copies what is attached to `subject`.
    fn copy_attachments<'a>(
        &'a self,
        route: Route<'a>,
        subject: &'a Digest,
        depth: usize,
    ) -> BoxFuture<'a, Result<Copied, Error>> {
        let Route { from, to, selection, .. } = route;
        Box::pin(async move {
            let mut copied = Copied::default();
            let mut attachments = self.attachments(from, subject).await?;
            attachments.retain(|attachment| selection.kinds.contains(&attachment.kind));
            if attachments.is_empty() {
                return Ok(copied);
            }
            let there = match to {
                Store::Repository(to) => self.listed(to, subject, Access::Push).await?,
                Store::Layout(to) => {
                    Listed { api: Some(to.listed_referrers(subject)), ..Listed::default() }
                }
            };
            for attachment in &attachments {
                let own_tags = self.options.signature_tags;
                let present = match &attachment.tag {
                    Some(tag) => {
                        self.copy_tagged(route, attachment, subject, tag, &mut copied).await?
                    }
                    None if there.has(&attachment.manifest.digest, own_tags) => {
                        Some(attachment.manifest.digest.clone())
                    }
                    None => {
                        self.copy_referrer(route, attachment, subject, &mut copied).await?;
                        None
                    }
                };
                copied.manifests_present += u64::from(present.is_some());
                copied.manifests += u64::from(present.is_none());
                copied.attachments.push(CopiedAttachment {
                    kind: attachment.kind,
                    subject: subject.clone(),
                    predicate_type: attachment.predicate_type().map(str::to_owned),
                    tag: attachment.tag.clone(),
                    present: present.is_some(),
                    manifest: present.unwrap_or_else(|| attachment.manifest.digest.clone()),
                });
                // A signature of a bill of materials, say.
                let all = selection.kinds.contains(&AttachmentKind::Other);
                if all && attachment.tag.is_none() && depth < DEEPEST {
                    let digest = &attachment.manifest.digest;
                    let more = self.copy_attachments(route, digest, depth + 1);
                    copied.add(more.await?);
                }
            }
            Ok(copied)
        })
    }

    /// Copies a manifest that refers to `subject`, so that it is found from it.
    async fn copy_referrer(
        &self,
        Route { from, to, .. }: Route<'_>,
        attachment: &Attachment,
        subject: &Digest,
        copied: &mut Copied,
    ) -> Result<(), Error> {
        let Attachment { manifest, contents, bytes, artifact_type, annotations, .. } = attachment;
        if is_index(&manifest.media_type) {
            for node in self.nodes(from, &manifest.digest).await? {
                self.bring_blobs(from, to, [&node.contents].into_iter(), copied).await?;
                if node.descriptor.digest != manifest.digest {
                    self.put(to, &node.descriptor, node.bytes).await?;
                }
            }
        }
        self.bring_blobs(from, to, [&**contents].into_iter(), copied).await?;
        match to {
            Store::Repository(repository) => {
                let stored = Stored { repository, descriptor: manifest, bytes: bytes.clone() };
                self.attach_manifest(&stored, subject, artifact_type, annotations).await.map(drop)
            }
            Store::Layout(layout) => {
                layout.put_manifest(&manifest.digest, bytes.clone()).await?;
                let mut entry = Entry::new(manifest);
                entry.artifact_type = Some(artifact_type.clone());
                entry.annotations.clone_from(annotations);
                layout.list(entry, Some(subject));
                Ok(())
            }
        }
    }

    /// Copies what is under one of cosign's earlier tags; its digest if it was there. What is under
    /// the tag at the destination stays.
    async fn copy_tagged(
        &self,
        Route { from, to, image, .. }: Route<'_>,
        attachment: &Attachment,
        subject: &Digest,
        tag: &str,
        copied: &mut Copied,
    ) -> Result<Option<Digest>, Error> {
        let theirs = match to {
            Store::Layout(layout) => match layout.tagged(tag, subject) {
                Some(digest) => Some(layout.manifest(&digest).await?),
                None => None,
            },
            Store::Repository(repository) => {
                let reference: Reference = format!("{repository}:{tag}").parse()?;
                match self.manifest(&reference, Access::Push).await {
                    Ok((theirs, bytes)) => Some((theirs.descriptor().clone(), bytes)),
                    Err(Error::NotFound { .. }) => None,
                    Err(error) => return Err(error),
                }
            }
        };
        let ours = (attachment.manifest.clone(), attachment.bytes.clone());
        let (descriptor, bytes) = match theirs {
            None => ours,
            Some((theirs, _)) if theirs.digest == ours.0.digest => return Ok(Some(theirs.digest)),
            Some((theirs, bytes)) => match union(&bytes, &ours.1)? {
                Some(both) => {
                    let digest = Digest::sha256(&both);
                    let size = both.len() as u64;
                    (Descriptor { digest, size, ..theirs }, Bytes::from(both))
                }
                None => return Ok(Some(theirs.digest)),
            },
        };
        self.bring_blobs(from, to, [&*attachment.contents].into_iter(), copied).await?;
        match to {
            Store::Repository(_) => self.put_as(to, &descriptor, bytes, tag).await?,
            Store::Layout(layout) => {
                layout.put_manifest(&descriptor.digest, bytes).await?;
                let entry = Entry::new(&descriptor).called(tag);
                layout.list(if subject == image { entry.beside_image(tag) } else { entry }, None);
            }
        }
        Ok(None)
    }
}

/// The manifests of `image`, each after those that it lists.
fn in_order(mut known: HashMap<Digest, Node>, image: &Digest) -> Result<Vec<Node>, Error> {
    let mut order = Vec::new();
    let mut open = vec![(image.clone(), false)];
    let mut seen = HashSet::new();
    while let Some((digest, listed_are_done)) = open.pop() {
        if listed_are_done {
            order.extend(known.remove(&digest));
            continue;
        }
        if !seen.insert(digest.clone()) {
            continue;
        }
        let Some(node) = known.get(&digest) else { continue };
        let mut members = Vec::new();
        for member in node.contents.members() {
            members.push((member.descriptor()?.digest, false));
        }
        open.push((digest, true));
        open.extend(members);
    }
    Ok(order)
}

/// The kind by which cosign finds the image in a layout.
pub(crate) fn image_entry(image: &Descriptor, name: Option<&str>) -> Entry {
    let kind = if is_index(&image.media_type) { Kind::Index } else { Kind::Image };
    let entry = Entry::new(image).of_kind(kind);
    match name {
        Some(name) => entry.called(name),
        None => entry,
    }
}

fn place(store: &Store) -> String {
    match store {
        Store::Repository(repository) => repository.to_string(),
        Store::Layout(layout) => layout.directory().display().to_string(),
    }
}

const AT_ONCE: usize = 8;
const BLOBS_AT_ONCE: usize = 4;
/// Signatures of attachments of attachments.
const DEEPEST: usize = 4;
/// The manifests of one image together.
const MOST_HELD: usize = 64 << 20;
const MOST_MANIFESTS: usize = 1000;
const SUBJECTS_AT_ONCE: usize = 4;
