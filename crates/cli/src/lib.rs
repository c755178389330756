//! The program as a library: command line types, one file per command, and the output.
//!
//! [`run`] is the whole program; `main.rs` only calls it with the process's arguments. The work is
//! done by the crates below: this one turns flags into their values and their results into lines,
//! exit codes and hints.

mod commands;
mod concurrent;
mod context;
mod env;
mod failure;
mod files;
mod flags;
mod identity;
mod login;
mod mask;
mod output;
mod plan;
mod spec;
mod trust;
mod wanted;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use crate::context::Context;
use crate::env::ProcessEnv;
use crate::failure::{Exit, Failure};
use crate::flags::{Command, Flags, Parsed};
use crate::output::Console;

/// Runs the program with `arguments`, the program's name first, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let console = Arc::new(Console::new());
    let arguments: Vec<_> = arguments.into_iter().collect();
    let flags = match flags::parse(&arguments, &ProcessEnv) {
        Parsed::Flags(flags, notices) => {
            notices.iter().for_each(|notice| console.warning(notice));
            flags
        }
        Parsed::Message(message) => {
            console.clap(&message);
            return if message.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
        Parsed::Refused { problem, replacement } => {
            console.failure(&Failure::usage(problem).hint(replacement));
            return Exit::Usage.into();
        }
    };
    if let Command::Version(version) = &flags.command {
        return commands::version(version, &console).into();
    }
    if flags.root.verbose {
        log_to_stderr();
    }
    let context = Arc::new(Context::new(&console));
    if let Err(failure) = start(&flags, &context) {
        context.fail(&failure);
    }
    context.exit().into()
}

fn start(flags: &Flags, context: &Arc<Context>) -> Result<(), Failure> {
    // One thread does: the program waits for others nearly all of the time.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = match flags.command.opens_sockets() {
        true => runtime.enable_all().build(),
        false => runtime.enable_time().build(),
    };
    let runtime = runtime
        .map_err(|error| Failure::of(Exit::Failed, "the async runtime cannot start", &error))?;
    let result = runtime.block_on(until_done_or_stopped(flags, context));
    context.console.settle();
    // A thread may still wait for stdin; it ends with the process.
    runtime.shutdown_background();
    result
}

/// Dropping a command's future is how it is stopped: files are renamed into place when whole, so
/// that nothing is left half-written.
async fn until_done_or_stopped(flags: &Flags, context: &Arc<Context>) -> Result<(), Failure> {
    let timeout = flags.root.timeout;
    // Signals come through a pair of sockets. What opens none only reads: it may just end.
    let stoppable = flags.command.opens_sockets();
    tokio::select! {
        result = execute(&flags.command, context) => result,
        (exit, what) = told_to_stop(), if stoppable => {
            Err(unfinished(Failure::new(exit, what), context))
        }
        () = tokio::time::sleep(timeout) => {
            let failure = Failure::new(Exit::Failed, format!("not done within {timeout:?}"))
                .hint("give it more time: --timeout 10m");
            Err(unfinished(failure, context))
        }
    }
}

/// Ctrl-C, or the signal by which a job is cancelled.
async fn told_to_stop() -> (Exit, &'static str) {
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
        Ok(()) = tokio::signal::ctrl_c() => (Exit::Interrupted, "interrupted"),
        () = terminated => (Exit::Terminated, "terminated"),
    }
}

async fn execute(command: &Command, context: &Arc<Context>) -> Result<(), Failure> {
    match command {
        Command::Sign(flags) => commands::sign(flags, context).await,
        Command::SignBlob(flags) => commands::sign_blob(flags, context).await,
        Command::Verify(flags) => commands::verify(flags, context).await,
        Command::VerifyAttestation(flags) => commands::verify_attestation(flags, context).await,
        Command::VerifyBlob(flags) => commands::verify_blob(flags, context).await,
        Command::VerifyBlobAttestation(flags) => {
            commands::verify_blob_attestation(flags, context).await
        }
        Command::Inspect(flags) => commands::inspect(flags, context).await,
        Command::Identity(flags) => commands::identity(flags, context).await,
        Command::Initialize(flags) => commands::initialize(flags, context).await,
        Command::TrustedRoot(flags) => commands::trusted_root(flags, context).await,
        Command::SigningConfig(flags) => commands::signing_config(flags, context).await,
        Command::Version(flags) => {
            commands::version(flags, &context.console);
            Ok(())
        }
    }
}

fn unfinished(mut failure: Failure, context: &Context) -> Failure {
    if let Some(waiting) = context.console.waiting_for() {
        failure.causes.push(format!("at that moment: {waiting}"));
    }
    let unfinished = context.console.unfinished();
    if !unfinished.is_empty() {
        failure.causes.push(format!("not finished: {}", unfinished.join(", ")));
    }
    failure
}

fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}
