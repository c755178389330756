//! Doing several things at once, but not too many.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Runs `work` on every item, at most `width` at once, and hands each result to `done` as it comes.
pub(crate) async fn for_each<I, F, R>(
    items: impl Iterator<Item = I>,
    width: usize,
    work: impl Fn(I) -> F,
    mut done: impl FnMut(R),
) where
    F: Future<Output = R>,
{
    let mut items = items.fuse();
    let mut running: Vec<Pin<Box<F>>> = Vec::new();
    poll_fn(|context| {
        loop {
            while running.len() < width {
                let Some(item) = items.next() else { break };
                running.push(Box::pin(work(item)));
            }
            let mut finished = false;
            running.retain_mut(|future| match future.as_mut().poll(context) {
                Poll::Ready(result) => {
                    done(result);
                    finished = true;
                    false
                }
                Poll::Pending => true,
            });
            match (finished, running.is_empty()) {
                // Room for the next items, which must be polled once to wake us.
                (true, _) => (),
                (false, true) => return Poll::Ready(()),
                (false, false) => return Poll::Pending,
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn all_items_are_worked_on_and_never_more_than_the_width_at_once() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        let work = |item: u32| {
            let (running, most) = (&running, &most);
            let mut polls = 0;
            poll_fn(move |context| {
                if polls == 0 {
                    running.set(running.get() + 1);
                    most.set(most.get().max(running.get()));
                }
                polls += 1;
                if polls > 2 {
                    running.set(running.get() - 1);
                    return Poll::Ready(item);
                }
                context.waker().wake_by_ref();
                Poll::Pending
            })
        };
        let mut results = Vec::new();
        {
            let mut all = std::pin::pin!(for_each(0..10, 3, work, |result| results.push(result)));
            let mut context = Context::from_waker(Waker::noop());
            while all.as_mut().poll(&mut context).is_pending() {}
        }
        results.sort_unstable();
        assert_eq!(results, (0..10).collect::<Vec<_>>());
        assert_eq!(most.get(), 3);
    }
}
