//! A whole Sigstore in one process: an OIDC issuer, a GitHub-shaped token endpoint, a SPIFFE
//! Workload API, Fulcio with its CT log, Rekor v1 and v2, a timestamp authority and an OCI
//! registry.
//!
//! Each service is a value with one method, [`Service::handle`], that turns a request into an
//! answer; the HTTP server is an adapter around it, so a test may do without one. The checks are
//! those of the real services, because a sandbox that takes what Fulcio refuses proves nothing.
//!
//! It is deliberately not a Sigstore to rely on: everybody who reaches its ports is whoever they
//! say they are, and nothing it signs means anything outside this machine.

mod ct;
mod error;
mod fulcio;
mod oidc;
mod rekor_v1;
mod rekor_v2;
mod service;
mod state;
mod trust;
mod tsa;

pub use crate::error::Error;
pub use crate::oidc::{Issuer, IssuerKeys};
pub use crate::service::{Service, answer, gateway_error, json_answer, not_found};
pub use crate::state::State;
