#![doc = include_str!("../README.md")]
//!
//! This crate does not decide what an identity may do, and stores nothing outside of memory. Answers are handed over
//! after a check that they match the request. Whether an SVID can be trusted is another question,
//! which [`verify_jwt_svid`] and [`verify_x509_svid`] answer.

mod address;
mod api;
mod bundle;
mod connect;
mod der;
mod endpoint;
mod error;
mod grpc;
mod jwt_source;
mod live;
mod owner;
mod process;
#[rustfmt::skip]
mod proto;
mod source;
mod svid;
mod validate;
mod watch;
mod x509_source;

pub use host;
pub use id_token;
pub use x509;

pub use crate::address::ENDPOINT_VARIABLE;
pub use crate::api::WorkloadApi;
pub use crate::bundle::{JwtBundle, SpiffeBundle, X509Bundle};
pub use crate::endpoint::Endpoint;
pub use crate::error::{Error, Offer, Unreachable};
pub use crate::jwt_source::JwtSource;
pub use crate::live::Health;
pub use crate::source::SpiffeSource;
pub use crate::svid::{JwtSvid, Selection, X509State, X509Svid};
pub use crate::validate::{verify_jwt_svid, verify_x509_svid};
pub use crate::watch::{Update, Watch, watch_jwt_bundles, watch_x509, watch_x509_bundles};
pub use crate::x509_source::X509Source;
pub use id_token::{SpiffeId, TrustDomain};
