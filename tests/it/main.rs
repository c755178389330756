//! The program against a whole Sigstore.
//!
//! Every test starts a sandbox of its own in this process and runs the real program against it, in
//! an environment that holds nothing but what the test puts there.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod attest;
mod bad_input;
mod blobs;
#[cfg(target_os = "linux")]
mod bounds;
mod clocks;
mod cmd;
mod detached;
mod earlier;
mod flags;
mod hints;
mod hostile;
mod images;
mod interruptions;
mod json;
mod keys;
mod large;
mod login;
mod many;
mod many_bundles;
mod masks;
mod misissued;
mod mistakes;
mod moving;
mod network;
mod node;
mod outputs;
mod outside;
mod pipes;
mod policy;
mod readme;
mod recorded;
mod registries;
mod requests;
#[cfg(unix)]
mod schema;
mod session;
mod shells;
mod terminals;
mod trust;
