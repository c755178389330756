//! Two futures, and which of them ends first.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Who won.
pub(crate) enum First<A, B> {
    Left(A),
    Right(B),
}

/// Resolves with the first of both; the left one when both are ready.
pub(crate) async fn race<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|context| {
        if let Poll::Ready(value) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(value));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}
