//! The one HTTP stack of ambisign: hyper and rustls (on ring) behind [`host::Transport`], and the
//! tokio-backed [`SystemEnv`], [`SystemClock`], [`SystemPrograms`] and [`LoopbackListener`].
//!
//! Every call has a deadline for each attempt and for all of them, a cap on its answer, and a rule
//! for redirects and retries: the [`host::CallPolicy`] that is given with the request. Proxies
//! and trust anchors come from [`Settings`], never from the process environment. This crate knows
//! no service: what an answer means is the caller's to say.
//!
//! [`HttpClient`] must be used inside a tokio runtime with I/O and time enabled; the
//! current-thread flavour is enough. TLS is set up on the first `https` request, so that plain
//! `http` neither pays for the trust store nor fails where there is none.

#![doc = include_str!("../README.md")]

mod client;
mod clock;
mod connect;
pub mod danger;
mod deadline;
mod descendants;
mod env;
mod error;
mod exchange;
mod failure;
mod loopback;
mod no_proxy;
mod parts;
mod programs;
mod provider;
mod proxy;
mod redirect;
mod resolver;
mod roots;
mod server_tls;
mod settings;
mod stop;
mod stream;
mod system;
mod terminal;
mod tls;
mod tunnel;
mod waits;

pub use crate::client::HttpClient;
pub use crate::clock::SystemClock;
pub use crate::deadline::{Deadline, Paused};
pub use crate::env::{DiskEnv, SystemEnv};
pub use crate::error::Error;
pub use crate::loopback::{LoopbackListener, SystemLoopback};
pub use crate::programs::SystemPrograms;
pub use crate::server_tls::ServerTls;
pub use crate::settings::{Roots, Settings};
pub use crate::stop::{Stop, told_to_stop};
pub use crate::system::{system_host, system_host_with};
pub use crate::terminal::{ask_hidden, can_ask, read_line};
pub use crate::waits::Waits;

pub use host;
