#![doc = include_str!("../README.md")]
//!
//! Each service is a value with one method, [`Service::handle`], that turns a request into an
//! answer; the HTTP server is an adapter around it, so a test may do without one. The checks are
//! those of the real services, because a sandbox that takes what Fulcio refuses proves nothing.
//!
//! It is deliberately not a Sigstore to rely on: every process that reaches its ports gets any
//! identity it asks for, and nothing it signs means anything outside this machine.

mod ca;
mod certificate;
mod config;
mod ct;
mod environment;
mod error;
mod fault;
mod fulcio;
mod github;
mod html;
mod image;
mod issuer;
mod key;
mod log;
mod login;
mod oidc;
mod page;
mod platform;
mod platforms;
mod registry;
mod rekor_v1;
mod rekor_v2;
mod running;
mod sandbox;
mod served;
mod server;
mod service;
mod spiffe;
mod state;
mod trust;
mod tsa;
mod tuf;
mod urls;
mod verifier;

pub use crate::ca::Authority;
pub use crate::config::Config;
pub use crate::ct::CtLog;
pub use crate::error::Error;
pub use crate::fault::{Fault, Faults};
pub use crate::fulcio::{CiProvider, Fulcio, IssuerKind, TrustedIssuer};
pub use crate::github::{Github, GithubJob};
pub use crate::image::SampleImage;
pub use crate::issuer::{Issuer, IssuerKeys, TOKEN_LIFE};
pub use crate::key::{KeyKind, ServiceKey};
pub use crate::login::{LOGIN_EMAIL, LOGIN_ISSUERS, LoginPage, SECRET_CLIENT};
pub use crate::oidc::Oidc;
pub use crate::platform::{PLATFORMS, Platform};
pub use crate::platforms::UNTRUSTED_ISSUERS;
pub use crate::registry::Registry;
pub use crate::rekor_v1::RekorV1;
pub use crate::rekor_v2::{Delay, RekorV2};
pub use crate::running::Running;
pub use crate::sandbox::{ISSUERS, Sandbox};
pub use crate::service::{Service, answer, gateway_error, json_answer, not_found};
pub use crate::spiffe::{Registration, SpiffeAgent};
pub use crate::state::State;
pub use crate::trust::{Endpoints, RekorVersion, TrustFiles};
pub use crate::tsa::Tsa;
pub use crate::tuf::{Tuf, TufKey, TufKeys, TufRepository, sign_tuf, tuf_time};
