//! Why an image was not signed, verified or inspected.

use std::fmt;

use crate::identity_error::IdentityError;
use crate::signed::SignedImage;
use crate::verdict::{NoSignature, NotAcceptable};

/// Why an image was not signed, verified or inspected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The image's digest has an algorithm that signatures do not use.
    #[error("the digest {digest} of {image} cannot be used: expected sha256, sha384 or sha512")]
    Digest {
        /// The image as it was named.
        image: String,
        /// Its digest.
        digest: String,
    },
    /// There is no identity to sign with.
    #[error("there is no identity to sign with")]
    Identity(#[source] Box<IdentityError>),
    /// The image does not exist.
    #[error("{image} {action}")]
    ImageNotFound {
        /// The image as it was named.
        image: String,
        /// What was being done.
        action: Action,
        /// The registry's answer.
        source: Box<oci_push::Error>,
    },
    /// No rule of the policy file matches the image's repository.
    #[error(
        "no rule of the policy file matches {repository}, the repository of {image}{}",
        nearest_pattern(nearest.as_deref())
    )]
    NoRule {
        /// The image as it was named.
        image: String,
        /// Its repository.
        repository: String,
        /// The pattern that it misses by the least.
        nearest: Option<String>,
    },
    /// Nothing of the kind that is looked for is attached to the image.
    #[error("{_0}")]
    NoSignature(Box<NoSignature>),
    /// Something is attached to the image, and it is not enough.
    #[error("{_0}")]
    NotAcceptable(Box<NotAcceptable>),
    /// The signature was made and logged, and could not be attached. It is not lost: the error
    /// holds it.
    #[error("{} was signed and logged, but the signature could not be attached", signed.target.name())]
    NotAttached {
        /// The signature, with its bundle. It can be attached later, as it is.
        signed: Box<SignedImage>,
        /// Why it was not attached.
        source: Box<oci_push::Error>,
    },
    /// The registry refused, failed or could not be reached: nothing is known about the image's
    /// signatures.
    #[error("{image} {action}")]
    Registry {
        /// The image as it was named.
        image: String,
        /// What was being done.
        action: Action,
        /// What went wrong.
        source: Box<oci_push::Error>,
    },
    /// The signature could not be made.
    #[error("{image} was not signed")]
    Signing {
        /// The image as it was named.
        image: String,
        /// What went wrong.
        source: Box<signer::Error>,
    },
    /// What the signature would say cannot be signed: an annotation, a predicate or a statement.
    #[error("{what} cannot be signed: {reason}")]
    Statement {
        /// Which of them.
        what: String,
        /// Why.
        reason: String,
    },
}

/// What could not be done with an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// To inspect it.
    Inspect,
    /// To take away the attestations that a new one, which is attached, replaces.
    Replace,
    /// To sign it.
    Sign,
    /// To verify it.
    Verify,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inspect => "could not be inspected",
            Self::Replace => {
                "was attested, but the attestations that this one replaces could not be removed"
            }
            Self::Sign => "was not signed",
            Self::Verify => "could not be verified",
        })
    }
}

/// The end of the error that no rule matches.
pub(crate) fn nearest_pattern(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; the nearest pattern is {nearest:?}"))
}

impl Error {
    /// The signature that was made and could not be attached.
    pub fn unattached(&self) -> Option<&SignedImage> {
        match self {
            Self::NotAttached { signed, .. } => Some(signed),
            _ => None,
        }
    }

    /// The error of a registry that was asked about `image`.
    pub(crate) fn registry(image: &str, action: Action, source: oci_push::Error) -> Self {
        let (image, source) = (image.to_owned(), Box::new(source));
        match *source {
            oci_push::Error::NotFound { .. } => Self::ImageNotFound { image, action, source },
            _ => Self::Registry { image, action, source },
        }
    }
}
