//! Why an image was not moved, or what is attached to it not read or changed.

use std::fmt;

/// Why an image was not moved, or what is attached to it not read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bundle is not about the image.
    #[error("{bundle} was not attached to {image}: {reason}")]
    Bundle {
        /// The bundle as it was named.
        bundle: String,
        /// The image as it was named.
        image: String,
        /// What it is about.
        reason: String,
    },
    /// The destination names a digest, and the image has another.
    #[error("{destination} cannot be written: the image has the digest {digest}")]
    Digest {
        /// The destination as it was named.
        destination: String,
        /// The image's digest.
        digest: String,
    },
    /// The destination holds another image.
    #[error("{destination} is another image: expected {expected} or nothing, found {found}")]
    Occupied {
        /// The tag or the directory.
        destination: String,
        /// The digest of the image to be moved.
        expected: String,
        /// The digest of what is there.
        found: String,
    },
    /// The image has no such platform.
    #[error("{image} has no platform {platform}: found {}", List(found))]
    Platform {
        /// The image as it was named.
        image: String,
        /// What was asked for.
        platform: String,
        /// The platforms that it has.
        found: Vec<String>,
    },
    /// The registry or the layout refused, failed or could not be reached.
    #[error("{what} {step}")]
    Store {
        /// The image or the directory as it was named.
        what: String,
        /// What was being done with it.
        step: Step,
        /// What went wrong.
        source: Box<oci_push::Error>,
    },
}

/// What could not be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Step {
    /// To attach a bundle to it.
    Attach,
    /// To remove what is attached to it.
    Clean,
    /// To copy it.
    Copy,
    /// To load it from a directory.
    Load,
    /// To read what is attached to it.
    Read,
    /// To save it to a directory.
    Save,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attach => "was not changed: no bundle was attached to it",
            Self::Clean => "was not cleaned",
            Self::Copy => "was not copied",
            Self::Load => "was not loaded",
            Self::Read => "could not be looked at",
            Self::Save => "was not saved",
        })
    }
}

impl Error {
    pub(crate) fn store(what: &str, step: Step) -> impl FnOnce(oci_push::Error) -> Self {
        let what = what.to_owned();
        move |source| Self::Store { what, step, source: Box::new(source) }
    }
}

struct List<'a>(&'a [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("none"),
            found => f.write_str(&found.join(", ")),
        }
    }
}
