//! Bringing images to another repository, or to a directory and back.

use std::fmt;
use std::path::Path;

use oci_push::{
    AttachmentKind, Copied, Digest, Error as StoreError, Layout, Registry, Selection, Store,
};
use serde::Serialize;

use crate::image::Image;
use crate::moving::error::{Error, Step};

/// What is moved, and how.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MoveOptions {
    /// What refers to the image without being a signature, an attestation or a bill of materials as
    /// well, and what refers to that.
    pub all_referrers: bool,
    /// Replaces another image under the destination's tag, and sends again what seems to be there.
    pub force: bool,
    /// Only these attachments, to an image that is at the destination; none means the image and all.
    pub only: Vec<AttachmentKind>,
    /// Only this platform, `os/architecture` or `os/architecture/variant`, of an image of several.
    pub platform: Option<String>,
}

impl MoveOptions {
    fn selection(&self) -> Selection {
        let selection = Selection::new().again(self.force);
        match (&*self.only, self.all_referrers) {
            ([], false) => selection,
            ([], true) => selection.with_all_referrers(),
            (only, _) => selection.only(only.to_vec()),
        }
    }
}

/// What was moved.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct MoveReport {
    /// The image or the directory as it was named.
    pub source: String,
    /// The image or the directory as it was named.
    pub destination: String,
    /// The image's digest, there as here.
    pub digest: Digest,
    /// Whether nothing had to be done.
    pub unchanged: bool,
    /// Manifests, blobs and attachments.
    #[serde(flatten)]
    pub copied: Copied,
}

impl fmt::Display for MoveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, destination, digest, copied, .. } = self;
        let count = copied.attachments.len();
        write!(f, "{source} to {destination} ({digest}) with {count} attached")?;
        f.write_str(if self.unchanged { "; all of it was there" } else { "" })
    }
}

/// An image that is on its way.
struct Parcel<'a> {
    source: &'a str,
    from: Store,
    digest: Digest,
    step: Step,
}

/// Moves images of one registry client.
#[derive(Clone, Debug)]
pub struct ImageMover {
    registry: Registry,
}

impl ImageMover {
    /// Moves images by way of `registry`.
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }

    /// Copies an image with what is attached to it and to its parts. The destination's tag is
    /// written last: whoever finds the image under it finds its signatures.
    ///
    /// # Errors
    /// [`Error::Occupied`], before anything is written; [`Error::Platform`], [`Error::Digest`] and
    /// [`Error::Store`].
    pub async fn copy(
        &self,
        source: &Image,
        destination: &Image,
        options: &MoveOptions,
    ) -> Result<MoveReport, Error> {
        let parcel = self.pick(source, options, Step::Copy).await?;
        self.deliver(parcel, destination, options).await
    }

    /// Writes an image with what is attached to it to a directory, as an OCI layout that cosign and
    /// oras read. `index.json` is written last: without it the directory is not complete.
    ///
    /// # Errors
    /// [`Error::Occupied`], when the directory holds another image; [`Error::Platform`] and
    /// [`Error::Store`].
    pub async fn save(
        &self,
        image: &Image,
        directory: &Path,
        options: &MoveOptions,
    ) -> Result<MoveReport, Error> {
        let parcel = self.pick(image, options, Step::Save).await?;
        let destination = directory.display().to_string();
        let layout = Layout::create(directory).await;
        let layout = layout.map_err(Error::store(&destination, Step::Save))?;
        let before = layout.image(None).ok().map(|before| before.digest);
        if let Some(found) = before.filter(|before| *before != parcel.digest) {
            let (expected, found) = (parcel.digest.to_string(), found.to_string());
            return Err(Error::Occupied { destination, expected, found });
        }
        let to = Store::Layout(layout);
        let failed = || Error::store(parcel.source, Step::Save);
        let selection = options.selection();
        let copied = self.registry.copy(&parcel.from, &parcel.digest, &to, &selection).await;
        let copied = copied.map_err(failed())?;
        let name = image.reference().tag();
        self.registry.tag(&to, &parcel.digest, name).await.map_err(failed())?;
        Ok(report(&parcel, destination, copied, false))
    }

    /// Brings the image of an OCI layout, as cosign, oras or [`save`](Self::save) wrote it, to a
    /// repository. Of a layout with several images the one is taken that is called like the
    /// destination's tag.
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub async fn load(
        &self,
        directory: &Path,
        destination: &Image,
        options: &MoveOptions,
    ) -> Result<MoveReport, Error> {
        let source = directory.display().to_string();
        let failed = || Error::store(&source, Step::Load);
        let layout = Layout::open(directory).await.map_err(failed())?;
        let name = destination.reference().tag();
        let digest = layout.image(name).map_err(failed())?.digest;
        let from = Store::Layout(layout);
        let digest = self.platform(&source, &from, digest, options, Step::Load).await?;
        let parcel = Parcel { source: &source, from, digest, step: Step::Load };
        self.deliver(parcel, destination, options).await
    }

    async fn pick<'a>(
        &self,
        source: &'a Image,
        options: &MoveOptions,
        step: Step,
    ) -> Result<Parcel<'a>, Error> {
        let resolved = self.registry.resolve(source.reference()).await;
        let digest = resolved.map_err(Error::store(source.as_str(), step))?.digest().clone();
        let from = Store::Repository(source.reference().repository().clone());
        let digest = self.platform(source.as_str(), &from, digest, options, step).await?;
        Ok(Parcel { source: source.as_str(), from, digest, step })
    }

    /// The part of an image that is for the platform asked for.
    async fn platform(
        &self,
        source: &str,
        from: &Store,
        digest: Digest,
        options: &MoveOptions,
        step: Step,
    ) -> Result<Digest, Error> {
        let Some(platform) = &options.platform else { return Ok(digest) };
        let members = self.registry.members(from, &digest).await;
        let members = members.map_err(Error::store(source, step))?;
        let is_it = |name: &str| {
            // Without a variant any is meant, the first that is listed.
            let rest = name.strip_prefix(platform.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let named = |member: &oci_push::Member| member.platform.as_deref().is_some_and(is_it);
        match members.iter().find(|member| named(member)) {
            Some(member) => Ok(member.manifest.digest.clone()),
            None => Err(Error::Platform {
                image: source.to_owned(),
                platform: host::escape(platform),
                found: members.into_iter().filter_map(|member| member.platform).collect(),
            }),
        }
    }

    async fn deliver(
        &self,
        parcel: Parcel<'_>,
        destination: &Image,
        options: &MoveOptions,
    ) -> Result<MoveReport, Error> {
        let failed = || Error::store(destination.as_str(), parcel.step);
        let reference = destination.reference();
        if reference.digest().is_some_and(|digest| *digest != parcel.digest) {
            let (destination, digest) = (destination.to_string(), parcel.digest.to_string());
            return Err(Error::Digest { destination, digest });
        }
        // With a digest beside it, a tag is only a remark.
        let tag =
            reference.tag().filter(|_| reference.digest().is_none() && options.only.is_empty());
        let before = match tag {
            Some(_) => self.at(destination).await.map_err(failed())?,
            None => None,
        };
        let tagged = before.as_ref() == Some(&parcel.digest);
        if let Some(found) = before.filter(|_| !tagged && !options.force) {
            return Err(Error::Occupied {
                destination: destination.to_string(),
                expected: parcel.digest.to_string(),
                found: found.to_string(),
            });
        }
        let to = Store::Repository(reference.repository().clone());
        let selection = options.selection();
        let copied = self.registry.copy(&parcel.from, &parcel.digest, &to, &selection).await;
        let copied = copied.map_err(Error::store(parcel.source, parcel.step))?;
        if tag.is_some() && !tagged {
            self.registry.tag(&to, &parcel.digest, tag).await.map_err(failed())?;
        }
        let retagged = tag.is_some() && !tagged;
        Ok(report(&parcel, destination.to_string(), copied, retagged))
    }

    /// The digest of what the destination's tag means now.
    async fn at(&self, destination: &Image) -> Result<Option<Digest>, StoreError> {
        match self.registry.resolve(destination.reference()).await {
            Ok(there) => Ok(Some(there.digest().clone())),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn report(parcel: &Parcel<'_>, destination: String, copied: Copied, retagged: bool) -> MoveReport {
    let unchanged = !retagged && copied.manifests == 0 && copied.blobs + copied.blobs_mounted == 0;
    MoveReport {
        source: parcel.source.to_owned(),
        destination,
        digest: parcel.digest.clone(),
        unchanged,
        copied,
    }
}
