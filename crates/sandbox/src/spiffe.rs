//! A SPIFFE agent: who the workloads of this machine are.
//!
//! What it answers, and with which words it refuses, is what SPIRE's agent was seen to do. It does
//! not look at who asks: every process that reaches the socket has all registrations.

mod agent;
mod authority;
mod certificate;
mod grpc;
#[rustfmt::skip]
mod proto;

pub use self::agent::{Registration, SpiffeAgent};
pub(crate) use self::grpc::serve;
