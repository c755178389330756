//! Doing several things at once, but not too many.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{Either, FutureExt as _, select};
use futures_util::stream::{self, BoxStream, StreamExt as _};

use crate::error::Error;

/// The results of work on several things, each with the position of its thing when it is there.
pub type Results<'a, T, E = Error> = BoxStream<'a, (usize, Result<T, E>)>;

/// How many things are done at once, and whether a failure ends them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Jobs {
    at_once: usize,
    fail_fast: bool,
}

impl Jobs {
    /// So many at once; at least one.
    pub fn new(at_once: usize) -> Self {
        Self { at_once: at_once.max(1), fail_fast: false }
    }

    /// Whether a failure ends them: nothing else is begun then, and what is begun is finished.
    #[must_use]
    pub fn fail_fast(self, fail_fast: bool) -> Self {
        Self { fail_fast, ..self }
    }

    /// How many are done at once.
    pub fn at_once(self) -> usize {
        self.at_once
    }

    /// The same for signing: more signatures wait for a log than jobs work. A log that answers all
    /// entries of one checkpoint together (`in_batches`, as of Rekor v2) answers about a hundred of
    /// them as soon as one.
    #[must_use]
    pub fn waiting_for_a_log(self, in_batches: bool) -> Self {
        let per_job = if in_batches { WAITING_FOR_A_BATCH } else { WAITING_PER_JOB };
        let most = self.at_once.max(MOST_WAITING);
        Self { at_once: self.at_once.saturating_mul(per_job).min(most), ..self }
    }

    /// The results of `work` on each of `items`, with its position among them, each when it is done.
    pub fn run<'a, I: Sync, T: Send + 'a, E: Send + 'a, W>(
        self,
        items: &'a [I],
        work: impl Fn(&'a I) -> W + Send + 'a,
    ) -> Results<'a, T, E>
    where
        W: Future<Output = Result<T, E>> + Send + 'a,
    {
        let failed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&failed);
        let goes_on = move |_: &_| !(self.fail_fast && seen.load(Ordering::Relaxed));
        stream::iter(items.iter().enumerate().take_while(goes_on))
            .map(move |(position, item)| {
                let (done, failed) = (work(item).boxed(), Arc::clone(&failed));
                async move {
                    let result = done.await;
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    (position, result)
                }
            })
            .buffer_unordered(self.at_once)
            .boxed()
    }
}

/// Finds `targets` and, at the same time unless `later`, does what `session` does. Without a target
/// the result of `session` does not matter.
pub(crate) async fn locate_beside<T, S>(
    targets: impl Future<Output = Vec<T>>,
    session: impl Future<Output = S>,
    later: bool,
) -> Option<(Vec<T>, S)> {
    let (mut targets, session) = (pin!(targets), pin!(session));
    let first = match later {
        true => Either::Left((targets.as_mut().await, session)),
        false => select(targets, session).await,
    };
    match first {
        Either::Left((targets, _)) if targets.is_empty() => None,
        Either::Left((targets, session)) => Some((targets, session.await)),
        Either::Right((session, targets)) => {
            Some((targets.await, session)).filter(|(targets, _)| !targets.is_empty())
        }
    }
}

/// Eight at once.
impl Default for Jobs {
    fn default() -> Self {
        Self::new(8)
    }
}

const MOST_WAITING: usize = 128;
const WAITING_FOR_A_BATCH: usize = 16;
const WAITING_PER_JOB: usize = 4;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    async fn results(jobs: Jobs, items: &[u8]) -> (Vec<(usize, Result<u8, u8>)>, usize) {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (now, most) = (&now, &most);
        let work = async |item: &u8| {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(std::time::Duration::from_secs(u64::from(*item))).await;
            now.fetch_sub(1, Ordering::Relaxed);
            if *item == 3 { Err(*item) } else { Ok(*item) }
        };
        let work = |item| work(item);
        let mut results: Vec<_> = jobs.run(items, work).collect().await;
        results.sort_by_key(|(position, _)| *position);
        (results, most.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn each_thing_has_a_result_and_no_more_are_done_at_once_than_jobs() {
        let (found, most) = results(Jobs::new(2), &[5, 3, 1, 1]).await;
        assert_eq!(found, [(0, Ok(5)), (1, Err(3)), (2, Ok(1)), (3, Ok(1))]);
        assert_eq!(most, 2);
        assert_eq!(results(Jobs::new(0), &[1, 1]).await.1, 1);
    }

    #[test]
    fn more_signatures_wait_for_a_log_than_jobs_work_within_a_limit() {
        let waiting = |jobs, in_batches| Jobs::new(jobs).waiting_for_a_log(in_batches).at_once();
        assert_eq!([1, 8, 64, 256].map(|jobs| waiting(jobs, false)), [4, 32, 128, 256]);
        assert_eq!([1, 8, 64, 256].map(|jobs| waiting(jobs, true)), [16, 128, 128, 256]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_begins_beside_the_search_and_does_not_matter_where_nothing_is_found() {
        use std::time::Duration;

        let found = |number: usize| async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            vec![(); number]
        };
        let session =
            |seconds| async move { tokio::time::sleep(Duration::from_secs(seconds)).await };
        for (number, seconds, later, took) in
            [(1, 3, false, 3), (1, 1, false, 2), (1, 3, true, 5), (0, 3, false, 2), (0, 1, true, 2)]
        {
            let start = tokio::time::Instant::now();
            let both = locate_beside(found(number), session(seconds), later).await;
            assert_eq!(both.is_some(), number > 0);
            assert_eq!(start.elapsed(), Duration::from_secs(took), "{number} {seconds} {later}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_nothing_else_is_begun_and_what_is_begun_is_finished() {
        let (found, _) = results(Jobs::new(2).fail_fast(true), &[5, 3, 1, 1]).await;
        assert_eq!(found, [(0, Ok(5)), (1, Err(3))]);
    }
}
