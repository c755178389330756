//! Waiting for several futures at once.

use std::future::poll_fn;
use std::task::Poll;

use host::BoxFuture;

/// Resolves to all results in the order of `futures`, or to the first error; the futures that are
/// then unfinished are dropped.
pub(crate) async fn try_join<T, E>(
    mut futures: Vec<BoxFuture<'_, Result<T, E>>>,
) -> Result<Vec<T>, E> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(move |context| {
        let mut pending = false;
        for (future, slot) in futures.iter_mut().zip(&mut done) {
            if slot.is_some() {
                continue;
            }
            match future.as_mut().poll(context) {
                Poll::Ready(Ok(value)) => *slot = Some(value),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => pending = true,
            }
        }
        if pending {
            return Poll::Pending;
        }
        Poll::Ready(Ok(done.iter_mut().filter_map(Option::take).collect()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn results_keep_their_order_and_the_first_error_ends_the_wait() {
        let all: Vec<BoxFuture<'_, Result<u8, u8>>> =
            vec![Box::pin(ready(Ok(1))), Box::pin(ready(Ok(2)))];
        assert_eq!(poll_once(try_join(all)), Poll::Ready(Ok(vec![1, 2])));
        let bad: Vec<BoxFuture<'_, Result<u8, u8>>> =
            vec![Box::pin(pending()), Box::pin(ready(Err(7)))];
        assert_eq!(poll_once(try_join(bad)), Poll::Ready(Err(7)));
    }

    #[test]
    fn nothing_to_wait_for_is_an_empty_result() {
        assert_eq!(poll_once(try_join::<u8, u8>(Vec::new())), Poll::Ready(Ok(Vec::new())));
    }
}
