//! Logins from end to end: against the answers of a real Dex, against the sandbox's issuer in
//! memory and on real sockets, and through a real browser.

mod chromium;
mod dex;
mod fake;
mod flows;
mod network;
