//! Blocking work beside an async runtime.

use std::io;

use futures_channel::oneshot;

/// Runs `work`, which may block, on a thread of its own: a FIFO or a file system that hangs stops
/// that thread and nothing else. When the future is dropped the thread goes on; it ends with the
/// process. Not a blocking task of a runtime, because a runtime waits for those when it ends.
///
/// # Errors
/// The thread could not be started, or panicked.
pub async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let run = move || drop(sender.send(work()));
    std::thread::Builder::new().name("ambisign-blocking".to_owned()).spawn(run)?;
    receiver.await.map_err(|_| io::Error::other("the thread that did the work ended"))
}
