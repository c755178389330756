//! Doing several things at once, but not too many.

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
