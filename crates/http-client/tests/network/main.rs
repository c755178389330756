//! The client against real sockets on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod bounds;
mod hostile;
mod http2;
mod parts;
mod proxies;
mod redirects;
mod retries;
mod server;
mod tls;
#[cfg(unix)]
mod unix;
