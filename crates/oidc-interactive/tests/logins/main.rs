//! Logins from end to end: against the answers of a real Dex, against the sandbox's issuer in
//! memory and on real sockets, and through a real browser.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod chromium;
mod dex;
mod fake;
mod flows;
mod hostile;
mod network;
