//! Images: as they are named, and as they are in a registry.

use std::fmt;
use std::str::FromStr;

use keys::HashAlgorithm;
use oci_push::{Digest, Reference, Resolved};

/// An image as a person names it: by tag or by digest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    text: String,
    reference: Reference,
}

impl Image {
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
    name: String,
    resolved: Resolved,
}

impl Target {
    /// `resolved`, which people know as `name`.
    pub fn new(name: impl Into<String>, resolved: Resolved) -> Self {
        Self { name: name.into(), resolved }
    }

    /// The image as it was named; a part of an image by its digest.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Repository, digest, media type and size.
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }
}

/// The image's digest as the verifier takes it; `None` for an algorithm that Sigstore does not use.
pub(crate) fn digest(image: &Resolved) -> Option<keys::Digest> {
    let digest = image.digest();
    let algorithm = HashAlgorithm::from_name(digest.algorithm())?;
    keys::Digest::from_hex(algorithm, digest.hex()).ok()
}
