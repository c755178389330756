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
mod future;
mod host;
mod loopback;
mod off_thread;
mod outage;
mod programs;
pub mod retry;
mod service_time;
mod text;
mod transport;

pub use crate::address::{Forbidden, check_target, is_https_or_local, is_local, is_loopback};
pub use crate::clock::Clock;
pub use crate::env::{Env, FakeEnv, NotUtf8};
pub use crate::files::{FileError, read_file, read_file_or_fifo};
pub use crate::future::BoxFuture;
pub use crate::host::Host;
pub use crate::loopback::{Callbacks, Loopback, Page};
pub use crate::off_thread::off_thread;
pub use crate::outage::{Outage, Patience, Patient};
pub use crate::programs::{Invocation, Launch, NoPrograms, ProgramError, ProgramOutput, Programs};
pub use crate::service_time::ClockDifference;
pub use crate::text::{
    causes, error_as, escape, escape_json, escape_remote, is_unsafe, public_url, scrub,
    shell_quote, with_causes,
};
pub use crate::transport::{Answer, Body, CallPolicy, Parts, Redirects, Transport, TransportError};
pub use {bytes, http};
