//! The clock.

use std::time::{Duration, SystemTime};

use crate::future::BoxFuture;

/// What time it is, and a way to wait.
///
/// A [`SystemTime`] is a clock that stands still and whose waits end at once.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> SystemTime;

    /// Resolves after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

impl Clock for SystemTime {
    fn now(&self) -> SystemTime {
        *self
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
