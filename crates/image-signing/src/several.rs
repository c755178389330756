//! Doing several things at once, but not too many.

use std::future::{Future, poll_fn};
use std::task::Poll;

use futures_util::future::Either;
use futures_util::stream::{Stream, StreamExt as _};

/// The results of `work`, at most `width` of which runs at once.
pub(crate) fn several<S>(
    work: S,
    width: usize,
    in_order: bool,
) -> impl Stream<Item = <S::Item as Future>::Output>
where
    S: Stream<Item: Future>,
{
    match in_order {
        true => Either::Left(work.buffered(width)),
        false => Either::Right(work.buffer_unordered(width)),
    }
}

/// Lets everything else that waits have its turn: a deadline, a signal, other images.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
