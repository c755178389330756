//! The futures that the traits return.

use std::pin::Pin;

/// A future that can be kept in a struct and sent between threads; what the traits here return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
