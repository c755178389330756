//! Work that reads and writes files, beside the caller's async runtime.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use host::{Answer, BoxFuture, CallPolicy, Clock, Host, Transport, TransportError};
use http::Request;

use crate::error::Error;

/// Does `work` on a thread of its own: a file system that hangs stops that thread, and neither a
/// deadline nor a signal. Requests and pauses of the work are made by whoever polls the future,
/// because there is the async runtime that they need.
pub(crate) async fn apart<T: Send + 'static>(
    host: &Host,
    work: impl AsyncFnOnce(Host) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (jobs, queue) = mpsc::unbounded();
    let caller =
        Arc::new(Caller { jobs, http: Arc::clone(&host.http), clock: Arc::clone(&host.clock) });
    let host = host.clone().with_http(Arc::clone(&caller) as _).with_clock(caller);
    let done = pin!(host::off_thread(move || block_on(work(host))));
    let requests = queue.for_each_concurrent(None, |job: Job| job);
    let done = match select(done, pin!(requests)).await {
        Either::Left((done, _)) => done,
        Either::Right(((), done)) => done.await,
    };
    done.unwrap_or_else(|error| {
        Err(Error::Root { reason: format!("no thread to read it: {error}") })
    })
}

type Job = BoxFuture<'static, ()>;

/// Network and clock of the caller, used from another thread.
struct Caller {
    jobs: mpsc::UnboundedSender<Job>,
    http: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
}

impl Caller {
    /// What `job` resolves to where the caller polls it; `None` when the caller has gone.
    async fn run<T: Send + 'static>(
        &self,
        job: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let job = Box::pin(async move { drop(sender.send(job.await)) });
        self.jobs.unbounded_send(job).ok()?;
        receiver.await.ok()
    }
}

impl Transport for Caller {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        let (http, policy, url) =
            (Arc::clone(&self.http), policy.clone(), request.uri().to_string());
        Box::pin(async move {
            let answer = self.run(async move { http.send(request, &policy).await }).await;
            let reason = "the caller has gone".to_owned();
            answer.unwrap_or_else(|| Err(TransportError::Unusable { url, reason }))
        })
    }
}

impl Clock for Caller {
    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (jobs, clock) = (self.jobs.clone(), Arc::clone(&self.clock));
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::pin(async move {
            clock.sleep(duration).await;
            _ = sender.send(());
        });
        Box::pin(async move {
            if jobs.unbounded_send(job).is_ok() {
                _ = receiver.await;
            }
        })
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        std::thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
