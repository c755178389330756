//! What the world provides to a signer, as small traits: a network, an environment, a clock and
//! helper programs.
//!
//! Everything above this crate takes these traits as arguments and so runs unchanged in a test.
//! Plain values are the fakes: a closure is a network, an array of pairs is an environment, a
//! [`SystemTime`](std::time::SystemTime) is a clock. Nothing here opens a socket, reads the
//! process environment or knows an async runtime; `http-client` and the program do that.
#![doc = include_str!("../README.md")]

mod clock;
mod env;
mod files;
mod loopback;
mod programs;
mod redact;
mod transport;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use crate::clock::Clock;
pub use crate::env::Env;
pub use crate::files::{FileError, read_file};
pub use crate::loopback::{Callbacks, Loopback, Page};
pub use crate::programs::{Invocation, Launch, NoPrograms, ProgramError, ProgramOutput, Programs};
pub use crate::redact::{escape_remote, scrub};
pub use crate::transport::{
    CallPolicy, Redirects, Transport, TransportError, TrustOnly, UnixSocket,
};

/// A future that can be kept in a struct and sent between threads; what the traits here return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The four of them together, as a program hands them to the crates below.
#[derive(Clone)]
pub struct Host {
    /// The network.
    pub http: Arc<dyn Transport>,
    /// The environment.
    pub env: Arc<dyn Env>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Helper programs.
    pub programs: Arc<dyn Programs>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host { .. }")
    }
}
