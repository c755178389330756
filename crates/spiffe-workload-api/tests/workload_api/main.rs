//! The client against sockets that answer with the bytes recorded from SPIRE, against an agent whose
//! streams the test holds, and against sockets where something else listens.

#![cfg(unix)]
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests may")]

mod agent;
mod calls;
mod connection;
mod hostile;
mod replay;
mod source;
mod sources;
mod verification;
mod watch;
mod wire;
