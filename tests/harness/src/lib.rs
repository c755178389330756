//! Support for the tests that run the program: a sandbox with an empty home directory, the program
//! with an environment that holds nothing but what the test sets, and the other Sigstore clients.
//!
//! Not published, and no test itself.

#![expect(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod browser;
mod containerd;
mod counted;
mod earlier;
mod hostile;
mod interop;
mod namespace;
mod paths;
mod peers;
mod prediction;
mod program;
mod setup;
mod skip;

pub use crate::browser::Browser;
pub use crate::containerd::Containerd;
pub use crate::counted::{Counted, Delays};
pub use crate::earlier::{certificate_pem, rekor_bundle};
pub use crate::hostile::{Exchange, HostileServer, RawRequest, Reply};
pub use crate::interop::{DockerRegistry, Identity, Interop, Library, RegistryKind, Signer};
pub use crate::namespace::has_namespaces;
pub use crate::paths::{ambisign, sandbox_program, target, workspace};
pub use crate::peers::{Peers, peer};
pub use crate::prediction::{assert_certified, assert_reported};
pub use crate::program::{Outcome, Program};
pub use crate::setup::{Setup, by};
pub use crate::skip::skip;
