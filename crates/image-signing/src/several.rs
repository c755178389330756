//! Doing several things at once, but not too many.

use std::future::poll_fn;
use std::task::Poll;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};

/// The results of `work` on each of `items` with its position among them. At most `width` of them
/// are worked on at once.
pub(crate) fn several<'a, I: Sync, R: Send + 'a>(
    items: &'a [I],
    width: usize,
    in_order: bool,
    work: impl Fn(&'a I) -> BoxFuture<'a, R> + Send + 'a,
) -> BoxStream<'a, (usize, R)> {
    let work = stream::iter(items.iter().enumerate()).map(move |(position, item)| {
        let done = work(item);
        async move { (position, done.await) }
    });
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
