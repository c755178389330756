//! What the world provides to a signer, as small traits: a network, an environment, a clock and
//! helper programs.
//!
//! Everything above this crate takes these traits as arguments and so runs unchanged in a test.
//! Plain values are the fakes: a closure is a network, an array of pairs is an environment, a
//! [`SystemTime`](std::time::SystemTime) is a clock. Nothing here opens a socket, reads the
//! process environment or knows an async runtime; `http-client` and the program do that.
#![doc = include_str!("../README.md")]

mod address;
mod clock;
mod env;
mod files;
mod programs;
mod text;
mod transport;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use crate::address::{Forbidden, check_target, is_https_or_loopback, is_local, is_loopback};
pub use crate::clock::Clock;
pub use crate::env::{Env, FakeEnv, NotUtf8};
pub use crate::files::{FileError, read_file};
pub use crate::programs::{Invocation, Launch, NoPrograms, ProgramError, ProgramOutput, Programs};
pub use crate::text::{causes, escape, escape_remote, scrub, shell_quote, with_causes};
pub use crate::transport::{CallPolicy, Redirects, Transport, TransportError};
pub use {bytes, http};

/// A future that can be kept in a struct and sent between threads; what the traits here return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The four of them together, as a program hands them to the crates below.
#[derive(Clone)]
#[non_exhaustive]
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

impl Host {
    /// A host of these parts.
    pub fn new(
        http: Arc<dyn Transport>,
        env: Arc<dyn Env>,
        clock: Arc<dyn Clock>,
        programs: Arc<dyn Programs>,
    ) -> Self {
        Self { http, env, clock, programs }
    }

    /// The same with the network `http`.
    #[must_use]
    pub fn with_http(mut self, http: Arc<dyn Transport>) -> Self {
        self.http = http;
        self
    }

    /// The same with the environment `env`.
    #[must_use]
    pub fn with_env(mut self, env: Arc<dyn Env>) -> Self {
        self.env = env;
        self
    }

    /// The same with the clock `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same with the helper programs `programs`.
    #[must_use]
    pub fn with_programs(mut self, programs: Arc<dyn Programs>) -> Self {
        self.programs = programs;
        self
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host { .. }")
    }
}
