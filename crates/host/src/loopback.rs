//! A loopback listener for login redirects.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Request, Response};

use crate::future::BoxFuture;

/// Listens on loopback for the redirect at the end of a login in a browser (RFC 8252 7.3).
pub trait Loopback: Send + Sync {
    /// Listens on `port` of the first of `addresses`, and on those of the others where that can
    /// be done; port 0 is any free one.
    ///
    /// # Errors
    /// An address is not a loopback address, or the first cannot be listened on.
    fn listen(
        &self,
        addresses: &[IpAddr],
        port: u16,
    ) -> BoxFuture<'_, Result<Box<dyn Callbacks>, std::io::Error>>;
}

/// An open listener. Dropping it closes it.
pub trait Callbacks: Send {
    /// The port.
    fn port(&self) -> u16;

    /// Answers every request by `answer`, of several connections at once, and resolves when the
    /// page that `answer` calls the last has been delivered. It sets no deadline: race it.
    fn serve<'a>(
        &'a mut self,
        answer: &'a mut (dyn FnMut(&Request<()>) -> Page + Send),
    ) -> BoxFuture<'a, ()>;
}

/// What a browser is shown.
#[derive(Clone, Debug)]
pub struct Page {
    /// The whole answer.
    pub response: Response<Bytes>,
    /// Whether nothing is waited for after it.
    pub last: bool,
}
