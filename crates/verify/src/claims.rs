//! What a signer says. The signature proves who said it, not that it is true.

use std::collections::BTreeMap;

/// A simple-signing document: it names the image that it is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SimpleSigning {
    pub(crate) docker_reference: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl SimpleSigning {
    /// The repository that the signer named. It is not compared with where the image is: a copied
    /// image keeps its signature.
    pub fn docker_reference(&self) -> Option<&str> {
        self.docker_reference.as_deref()
    }

    /// The signer's annotations whose values are strings. Others are left out: no policy can ask
    /// for them.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }
}

/// What the signer said about the artifact, as opposed to what was verified. A signer can write
/// anything here, also the names of verified facts such as `SourceRepositoryURI`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Claims<'a> {
    /// The repository that the signer named.
    pub repository: Option<&'a str>,
    /// The annotations, of the subject that is this artifact.
    pub annotations: &'a BTreeMap<String, String>,
}

pub(crate) static NO_ANNOTATIONS: BTreeMap<String, String> = BTreeMap::new();
