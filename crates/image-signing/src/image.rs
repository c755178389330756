//! Images: as they are named, and as they are in a registry.

use std::fmt;
use std::str::FromStr;

use keys::HashAlgorithm;
use oci_push::{Digest, Reference, Resolved};

/// An image as a person names it: by tag or by digest.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Image {
    text: String,
    reference: Reference,
}

impl Image {
    /// Whether `text` names an image rather than a file: `HOST/NAME:TAG` or `HOST/NAME@DIGEST`, with a
    /// dot or a port in the host.
    pub fn is_likely(text: &str) -> bool {
        let host = text.split_once('/').map(|(host, _)| host).unwrap_or_default();
        let is_host = host.trim_start_matches('.').contains(['.', ':']);
        is_host && text.parse::<Reference>().is_ok()
    }

    /// Reads a reference such as `registry.example/app:v1`.
    ///
    /// # Errors
    /// [`oci_push::Error::Reference`]: the text is not an image reference.
    pub fn parse(text: &str) -> Result<Self, oci_push::Error> {
        Ok(Self { text: text.to_owned(), reference: text.parse()? })
    }

    /// The image `digest` of the directory `directory`, which is no repository.
    pub(crate) fn in_layout(directory: &str, digest: &Digest) -> Result<Self, oci_push::Error> {
        let reference = Reference::by_digest("localhost/layout".parse()?, digest.clone());
        Ok(Self { text: directory.to_owned(), reference })
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the text refers to, with the registry's defaults filled in.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }
}

impl From<&Resolved> for Image {
    fn from(resolved: &Resolved) -> Self {
        Self { text: resolved.to_string(), reference: resolved.reference() }
    }
}

impl FromStr for Image {
    type Err = oci_push::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A manifest that is in its registry: an image, or a part of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    image: Image,
    resolved: Resolved,
    pub(crate) is_signed: bool,
}

impl Target {
    /// `resolved`, which was named as `image`.
    pub fn new(image: Image, resolved: Resolved) -> Self {
        Self { image, resolved, is_signed: false }
    }

    /// The image as it was named; a part of an image by its digest.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The text of [`image`](Self::image).
    pub fn name(&self) -> &str {
        self.image.as_str()
    }

    /// What to say of an image that was named by a tag alone: which image that is now.
    pub fn tag_notice(&self) -> Option<String> {
        let (name, digest) = (self.name(), self.resolved.digest());
        let is_tag = self.image.reference().digest().is_none();
        is_tag.then(|| format!("{name} is a tag, which can move: it is {digest} now"))
    }

    /// Repository, digest, media type and size.
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// Whether it carries already what would be signed, where this was asked for
    /// ([`ImageSigner::skip_signed`](crate::ImageSigner::skip_signed)).
    pub fn is_signed(&self) -> bool {
        self.is_signed
    }
}

/// Which manifests of an index are worked on beside the index itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Parts {
    /// All that it lists, and that those list in turn.
    All,
    /// All but BuildKit's attestation manifests: provenance and SBOMs of a platform.
    Images,
    /// None.
    #[default]
    None,
}

impl Parts {
    /// All where `recursive`, without those attestation manifests where they are `skipped`.
    pub fn chosen(recursive: bool, skipped: bool) -> Self {
        match (recursive, skipped) {
            (true, false) => Self::All,
            (true, true) => Self::Images,
            (false, _) => Self::None,
        }
    }

    /// The manifests of `target`, which come after it.
    pub(crate) async fn of(
        self,
        target: Target,
        registry: &oci_push::Registry,
    ) -> Result<Vec<Target>, oci_push::Error> {
        let mut targets = vec![target];
        let Some(Target { resolved, .. }) = targets.first().filter(|_| self != Self::None) else {
            return Ok(targets);
        };
        let mut parts = registry.parts(resolved).await?;
        parts.retain(|part| self == Self::All || !part.is_attestation);
        let parts = parts.into_iter().map(|part| part.manifest);
        targets.extend(parts.map(|part| Target::new(Image::from(&part), part)));
        Ok(targets)
    }
}

/// The image's digest as the verifier takes it; `None` for an algorithm that Sigstore does not use.
pub(crate) fn digest(image: &Resolved) -> Option<keys::Digest> {
    let digest = image.digest();
    let algorithm = HashAlgorithm::from_name(digest.algorithm())?;
    keys::Digest::from_hex(algorithm, digest.hex()).ok()
}
