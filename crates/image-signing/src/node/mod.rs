//! Verdicts about images at a node, for the container runtime that is about to use them.
//!
//! containerd runs every program of a directory as `PROGRAM -name NAME -digest DIGEST
//! -stdin-media-type TYPE`, with the descriptor of the image on stdin. Exit code 0 admits the image,
//! any other blocks it, and what the program wrote to stdout is the reason.

mod admissions;
mod credential_provider;
mod environment;
mod error;
mod guarded;
mod judge;
mod match_image;
mod providers;
mod request;
mod system_log;
mod yaml;

pub use self::environment::{NodeEnv, NodeFiles};
pub use self::error::NodeError;
pub use self::judge::{Admission, Node};
pub use self::providers::CredentialProviders;
pub use self::request::{NodeRequest, containerd_arguments};
pub use self::system_log::warn_system_log;
