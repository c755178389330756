//! What a caller can do with a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join;
use host::{Body, Host};

use crate::attach::Attached;
use crate::attached::{Attachment, AttachmentKind};
use crate::blobs::Store;
use crate::bundle_content::BundleContent;
use crate::client::Client;
use crate::contents::{Content, Contents, Member};
use crate::copy::image_entry;
use crate::digest::Digest;
use crate::error::{Access, Error};
use crate::found::{Found, LegacyKind, Search};
use crate::layout::Layout;
use crate::manifest::Descriptor;
use crate::options::Options;
use crate::parts::Part;
use crate::reference::Reference;
use crate::remove::Removals;
use crate::repository::Repository;
use crate::resolved::Resolved;
use crate::selection::{Copied, Selection};

/// Access to any number of registries.
///
/// Clones share tokens, credentials and the locks that keep two signatures of one image from
/// overwriting each other. A process should therefore use one value and clone it.
#[derive(Clone, Debug)]
pub struct Registry {
    client: Arc<Client>,
}

impl Registry {
    /// Sends nothing yet. Credentials are looked up only when a registry asks for them.
    ///
    /// # Errors
    /// `AMBISIGN_REPOSITORY` or `COSIGN_REPOSITORY` is set and is not a repository.
    pub fn new(host: Host, options: Options) -> Result<Self, Error> {
        Ok(Self { client: Arc::new(Client::new(host, options)?) })
    }

    /// The repository in which signatures of images in `repository` are stored: the same one,
    /// unless a repository for signatures was configured.
    pub fn signatures_of<'a>(&'a self, repository: &'a Repository) -> &'a Repository {
        self.client.signatures_of(repository)
    }

    /// Finds the manifest that `reference` means. It is fetched and hashed, so that the digest is
    /// that of bytes that exist, whatever the registry's headers say.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the registry says that there is no such image; every other refusal
    /// or failure is told apart from that.
    pub async fn resolve(&self, reference: &Reference) -> Result<Resolved, Error> {
        self.manifest(reference).await.map(|(resolved, _)| resolved)
    }

    /// Looks whether the image exists, for whoever only reads what is attached to it. A reference by
    /// digest costs a `HEAD`: the digest is the caller's, and nothing else of the answer is relied on.
    /// A tag is resolved as [`Registry::resolve`] does. What is to be signed is resolved.
    ///
    /// # Errors
    /// As [`Registry::resolve`].
    pub async fn look_up(&self, reference: &Reference) -> Result<Resolved, Error> {
        match self.client.existing(reference).await? {
            Some(resolved) => Ok(resolved),
            None => self.resolve(reference).await,
        }
    }

    /// Fetches the manifest that `reference` means, at most 4 MiB, and checks its digest.
    ///
    /// # Errors
    /// As [`Registry::resolve`]; [`Error::Invalid`] when digest, media type and content disagree.
    pub async fn manifest(&self, reference: &Reference) -> Result<(Resolved, Bytes), Error> {
        self.client.manifest(reference, Access::Pull).await
    }

    /// Every manifest that `image` lists, and that those list in turn: the platforms of an index,
    /// and whatever else it holds. Each is in the registry, and each is named once. Empty for an
    /// image of one platform.
    ///
    /// # Errors
    /// As [`Registry::manifest`]; [`Error::NotFound`] when a manifest that is listed is not there,
    /// and [`Error::Invalid`] for more than 1000 of them.
    pub async fn parts(&self, image: &Resolved) -> Result<Vec<Part>, Error> {
        self.client.parts(image).await
    }

    /// Whether `index`, or an index that it lists, lists the manifest `digest`. What is listed is
    /// not fetched unless it is an index.
    ///
    /// # Errors
    /// As [`Registry::manifest`], and [`Error::Invalid`] for too many indexes.
    pub async fn lists(&self, index: &Resolved, digest: &Digest) -> Result<bool, Error> {
        self.client.lists(index, digest).await
    }

    /// Proves that signatures of `reference` may be stored, by opening an upload and cancelling
    /// it. Nothing is left behind. For use before anything is signed: an entry in a public log
    /// cannot be taken back.
    ///
    /// # Errors
    /// [`Error::Unauthorized`], [`Error::Denied`] (also for read-only registries) and
    /// [`Error::NotFound`] for a repository that must be created first, with the registry's words.
    pub async fn prove_push(&self, reference: &Reference) -> Result<(), Error> {
        self.client.prove_push(self.client.signatures_of(reference.repository())).await
    }

    /// Finds the manifest that `reference` means, as [`Registry::resolve`] does, and proves the right
    /// to push, as [`Registry::prove_push`] does, at the same time. The upload that proves it is
    /// kept for the bundle that is attached next.
    ///
    /// # Errors
    /// As those two; that there is no such image comes first.
    pub async fn prepare(&self, reference: &Reference) -> Result<Resolved, Error> {
        self.client.prepare(reference).await
    }

    /// Attaches the Sigstore bundle `bundle_json` to `subject`, as a manifest that refers to it.
    ///
    /// The manifest's annotations say when it was made and what kind of bundle it holds, as
    /// cosign's do; `annotations` are added and win over those.
    ///
    /// It is safe to call this for one image from many tasks and processes at once. Where there is
    /// no referrers API, the manifest gets a tag of its own, and an entry in the list that is an
    /// index of those tags; a failure to change the list is then told as
    /// [`Event::NotListed`](crate::Event::NotListed). The crate's documentation says what that
    /// promises.
    ///
    /// # Errors
    /// [`Error::Overwritten`] when other writers kept replacing the list and own tags cannot be
    /// used; whatever the registry refuses; [`Error::Invalid`] when `bundle_json` is not a bundle.
    pub async fn attach(
        &self,
        subject: &Resolved,
        bundle_json: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Attached, Error> {
        let bundle = BundleContent::parse(&Bytes::copy_from_slice(bundle_json))?;
        self.attach_content(subject, &bundle, annotations).await
    }

    /// As [`Registry::attach`], of a bundle that may be large and need not be in memory.
    ///
    /// # Errors
    /// As [`Registry::attach`].
    pub async fn attach_content(
        &self,
        subject: &Resolved,
        bundle: &BundleContent,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Attached, Error> {
        self.client.attach(subject, bundle, annotations).await
    }

    /// Takes the manifests `older` away from `image`: [`Registry::attach`] put `newer` in their place.
    /// Their entries leave the list under the rules that keep the newer one there, and so do their
    /// own tags. A registry that deletes nothing has the own tag of an older one mean the newer one.
    ///
    /// # Errors
    /// The registry does not delete manifests that its referrers API lists; as of
    /// [`Registry::attach`]. What was not taken away is still found.
    pub async fn retire(
        &self,
        image: &Resolved,
        newer: &Attached,
        older: &BTreeSet<Digest>,
    ) -> Result<(), Error> {
        self.client.retire(image, newer, older).await
    }

    /// Attaches a signature in one of cosign's earlier formats: `payload` becomes a layer of the
    /// manifest under `sha256-<hex>.sig` or `.att`, with `annotations`. It is read back until it
    /// stays; another writer that is slow may still erase it later.
    ///
    /// # Errors
    /// As [`Registry::attach`]; [`Error::Invalid`] when the tag holds something else.
    pub async fn attach_legacy(
        &self,
        subject: &Resolved,
        kind: LegacyKind,
        payload: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<Attached, Error> {
        let digest = Digest::sha256(payload);
        let payload = (&digest, Bytes::copy_from_slice(payload).into());
        self.replace_legacy(subject, kind, payload, annotations, &BTreeSet::new()).await
    }

    /// As [`Registry::attach_legacy`], in place of the layers with the digests `older`. The payload has
    /// the SHA-256 digest that stands beside it.
    ///
    /// # Errors
    /// As [`Registry::attach_legacy`].
    pub async fn replace_legacy(
        &self,
        subject: &Resolved,
        kind: LegacyKind,
        payload: (&Digest, Body),
        annotations: &BTreeMap<String, String>,
        older: &BTreeSet<Digest>,
    ) -> Result<Attached, Error> {
        self.client.attach_legacy(subject, kind, payload, annotations, older).await
    }

    /// Finds the bundles attached to `subject`, through the referrers API and the fallback tag.
    /// Where there is none, cosign's earlier formats are looked for.
    ///
    /// At most 1000 referrers are read, image signatures and newer ones first, 32 MiB for each
    /// bundle and 128 MiB for all. [`Found::unreachable`] says what was left out.
    ///
    /// # Errors
    /// Whatever keeps us from looking (a refusal, throttling, a failing registry) where no
    /// signature could be read; never because there is none. Where at least one could be read, the
    /// others are in [`Found::unreachable`].
    pub async fn find(&self, subject: &Resolved) -> Result<Found, Error> {
        self.find_with(subject, &Search::default()).await
    }

    /// As [`Registry::find`], with another order of reading.
    ///
    /// # Errors
    /// As [`Registry::find`].
    pub async fn find_with(&self, subject: &Resolved, search: &Search) -> Result<Found, Error> {
        self.client.find(subject, search).await
    }

    /// Looks whether the image exists and finds what is attached to it. By digest, both are asked for
    /// at the same time; a tag is resolved first.
    ///
    /// # Errors
    /// As [`Registry::look_up`] and [`Registry::find`], in this order.
    pub async fn look_up_and_find(
        &self,
        reference: &Reference,
        search: &Search,
    ) -> Result<(Resolved, Found), Error> {
        let Some(digest) = reference.digest() else {
            let image = self.resolve(reference).await?;
            let found = self.find_with(&image, search).await?;
            return Ok((image, found));
        };
        let repository = reference.repository().clone();
        let descriptor = Descriptor { media_type: String::new(), size: 0, digest: digest.clone() };
        let image = Resolved::new(repository, descriptor);
        let find = async { Ok(self.find_with(&image, search).await) };
        let (image, found) = try_join(self.look_up(reference), find).await?;
        Ok((image, found?))
    }

    /// Finds what `found` lacks: signatures that have a tag of their own and are in no list, because
    /// a slow writer erased them from it. For use when what was found is not enough for a verdict;
    /// [`Registry::find`] does it by itself where it finds no signature at all. What cannot be read
    /// is in [`Found::unreachable`].
    pub async fn find_more(&self, subject: &Resolved, found: &Found) -> Found {
        self.client.find_more(subject, found).await
    }

    /// Finds what is under cosign's earlier tags, `.sig` and `.att`, with its payloads.
    ///
    /// # Errors
    /// As [`Registry::find`].
    pub async fn find_legacy(&self, subject: &Resolved) -> Result<Found, Error> {
        self.client.find_legacy(subject).await
    }

    /// Copies the image `image` of `from` to `to`, with what is attached to it and to its parts.
    ///
    /// What is there is not sent again, so that a second run does nothing; blobs that the registry
    /// has in another repository are taken from there. Lists of signatures at the destination are
    /// kept as [`Registry::attach`] keeps them, and nothing that is there is lost. The image is
    /// stored under its digest: [`Registry::tag`] comes after it.
    ///
    /// # Errors
    /// Whatever either side refuses. What was copied until then stays, and refers to nothing that is
    /// not there.
    pub async fn copy(
        &self,
        from: &Store,
        image: &Digest,
        to: &Store,
        selection: &Selection,
    ) -> Result<Copied, Error> {
        self.client.copy(from, image, to, selection).await
    }

    /// Lets the tag `tag` mean the manifest `image`, which is in `store`. In a layout it is a name,
    /// and the layout is complete from then on.
    ///
    /// # Errors
    /// The manifest is not there, or the tag is refused.
    pub async fn tag(&self, store: &Store, image: &Digest, tag: Option<&str>) -> Result<(), Error> {
        let (descriptor, bytes) = self.client.get(store, image).await?;
        match (store, tag) {
            (Store::Layout(layout), tag) => {
                layout.list(image_entry(&descriptor, tag), None);
                layout.finish().await
            }
            (_, Some(tag)) => self.client.put_as(store, &descriptor, bytes, tag).await,
            (_, None) => Ok(()),
        }
    }

    /// Everything that is attached to the manifest `image` in `store`, of whatever kind.
    ///
    /// # Errors
    /// Whatever keeps us from looking. There is no attachment only after everything was looked at.
    pub async fn attachments(
        &self,
        store: &Store,
        image: &Digest,
    ) -> Result<Vec<Attachment>, Error> {
        self.client.attachments(&self.client.signature_store(store), image).await
    }

    /// The manifests that the index `image` in `store` lists; none for an image of one platform.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    pub async fn members(&self, store: &Store, image: &Digest) -> Result<Vec<Member>, Error> {
        let (_, bytes) = self.client.get(store, image).await?;
        let contents = Contents::parse(image.as_str(), &bytes)?;
        contents.members().map(Content::member).collect()
    }

    /// Finds the bundles and earlier signatures of the manifest `image` in a layout.
    ///
    /// # Errors
    /// The layout cannot be read.
    pub async fn find_in_layout(&self, layout: &Layout, image: &Digest) -> Result<Found, Error> {
        self.client.find_in_layout(layout, image).await
    }

    /// What [`Registry::remove`] would remove of `image`: attachments of `kinds`, and, whatever the
    /// kinds are, entries of the list of signatures whose manifests are gone.
    ///
    /// # Errors
    /// Whatever keeps us from looking.
    pub async fn removals(
        &self,
        image: &Resolved,
        kinds: &[AttachmentKind],
    ) -> Result<Removals, Error> {
        self.client.removals(image, kinds).await
    }

    /// Removes attachments: their own tags, their manifests, and their entries in the list.
    ///
    /// # Errors
    /// The registry does not delete, or not this. Whoever comes again removes what is left.
    pub async fn remove(&self, removals: &Removals) -> Result<(), Error> {
        self.client.remove(removals).await
    }
}
