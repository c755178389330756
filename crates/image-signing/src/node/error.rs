use std::path::PathBuf;

use host::FileError;
use verify::PolicyError;

/// Why a node has no verdict about an image, apart from what [`crate::Error`] says of images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// What the container runtime said of the image cannot be used.
    #[error("the container runtime did not name an image: {reason}")]
    Request {
        /// What is wrong with it: expected and found.
        reason: String,
    },
    /// The policy file cannot be read.
    #[error("the policy of this node cannot be read")]
    Unreadable {
        /// Why.
        source: FileError,
    },
    /// The policy file is not one.
    #[error("the policy of this node, {}, cannot be used", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PolicyError,
    },
}
