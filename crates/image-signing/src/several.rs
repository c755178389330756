//! Doing several things at once, but not too many.

use std::future::Future;

use futures_util::stream::{self, BoxStream, StreamExt as _};

/// The results of `work` on each of `items`, of which at most `width` are worked on at once.
pub(crate) fn several<'a, I, F, R>(
    items: Vec<I>,
    width: usize,
    in_order: bool,
    work: impl FnMut(I) -> F + Send + 'a,
) -> BoxStream<'a, R>
where
    I: Send + 'a,
    F: Future<Output = R> + Send + 'a,
    R: Send + 'a,
{
    let work = stream::iter(items).map(work);
    match in_order {
        true => work.buffered(width).boxed(),
        false => work.buffer_unordered(width).boxed(),
    }
}
