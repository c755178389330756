//! Doing several things at once, but not too many.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};

/// The results of `work` on each of `items`, of which at most `width` are worked on at once.
pub(crate) fn several<'a, I: Send + 'a, R: Send + 'a>(
    items: Vec<I>,
    width: usize,
    in_order: bool,
    work: impl FnMut(I) -> BoxFuture<'a, R> + Send + 'a,
) -> BoxStream<'a, R> {
    let work = stream::iter(items).map(work);
    match in_order {
        true => work.buffered(width).boxed(),
        false => work.buffer_unordered(width).boxed(),
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
