//! A person logs in with OpenID Connect, and we get the identity token that says who they are.
//!
//! Three ways: a browser on this machine that comes back to a loopback port (RFC 8252, with PKCE
//! of RFC 7636), a browser on any other device (RFC 8628), and a code that the issuer shows and
//! the person types in. The token is not taken on trust: its signature is checked against the
//! issuer's keys, and its issuer, audience, times, nonce and access token hash with it (OpenID
//! Connect Core 3.1.3.7).
//!
//! Nothing here prints, reads the process environment, knows an async runtime or decides whether
//! there is a person at all: see [`Prompt`] and [`Login`]. No session is kept and no token
//! refreshed.

#![doc = include_str!("../README.md")]

mod browser;
mod call;
mod device;
mod discovery;
mod error;
mod exchange;
mod key_set;
mod launcher;
mod login;
mod pages;
mod pkce;
mod prompt;
mod race;
mod redirect;
mod source;
mod verification;

pub use crate::error::Error;
pub use crate::login::{Flow, Login, PUBLIC_ISSUER};
pub use crate::prompt::{Notice, Prompt};
pub use crate::source::InteractiveLogin;
pub use crate::verification::Untrusted;
pub use host::{Callbacks, Loopback, Page};
pub use {host, id_token};
