//! What stops a program from outside.

/// Who stops the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Stop {
    /// A user pressed Ctrl-C.
    Interrupted,
    /// A signal to terminate, as one cancels a job.
    Terminated,
}

/// Waits until the program is told to stop. Without a call the system ends it at once.
///
/// Must run in a tokio runtime with I/O enabled: signals need a pair of sockets.
pub async fn told_to_stop() -> Stop {
    let terminated = async {
        #[cfg(unix)]
        if let Ok(mut signals) =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        {
            signals.recv().await;
            return;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        Ok(()) = tokio::signal::ctrl_c() => Stop::Interrupted,
        () = terminated => Stop::Terminated,
    }
}
