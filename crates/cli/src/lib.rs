//! The program as a library: command line types, one file per command, and the output.
//!
//! [`run`] is the whole program; `main.rs` only calls it with the process's arguments. The work is
//! done by the crates below: this one turns flags into their values and their results into lines,
//! exit codes and hints.

mod command_line;
mod commands;
mod context;
mod cosign;
mod deadline;
mod env;
mod failure;
mod files;
mod flags;
mod hints;
mod identity;
mod login;
mod mask;
mod output;
mod plan;
mod signers;
mod trust;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use crate::command_line::Parsed;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{Command, Flags};

/// Runs the program with `arguments`, the program's name first, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let context = Arc::new(Context::new());
    if let Err(failure) = parse_and_start(&arguments.into_iter().collect::<Vec<_>>(), &context) {
        context.fail(&failure);
    }
    if let Some(error) = context.console.write_error() {
        context.fail(&Failure::of(Exit::Failed, "cannot write to stdout", &error));
    }
    context.exit().into()
}

/// All commands and flags, for documentation.
pub fn command() -> clap::Command {
    command_line::documented()
}

fn parse_and_start(arguments: &[OsString], context: &Arc<Context>) -> Result<(), Failure> {
    if let Some(name) = env::unreadable() {
        return Err(Failure::usage(format!("the variable {name} is not UTF-8")).hint("unset it"));
    }
    match command_line::parse(arguments, &|name| std::env::var_os(name)) {
        Parsed::Flags(flags, notices) => {
            notices.iter().for_each(|notice| context.console.warning(notice));
            context.set_command(command_line::command_names(arguments));
            match &flags.command {
                Command::Version(version) => commands::version(version, &context.console),
                _ => start(&flags, context)?,
            }
        }
        Parsed::Message(message, hints) => {
            context.console.clap(&message, &hints);
            if message.use_stderr() {
                context.end_with(Exit::Usage);
            }
        }
        Parsed::Refused(failure) => return Err(failure),
    }
    Ok(())
}

fn start(flags: &Flags, context: &Arc<Context>) -> Result<(), Failure> {
    if flags.root.verbose {
        log_to_stderr();
    }
    if flags.root.allow_insecure_service {
        context.allow_plain_http();
    }
    let runtime = context::runtime(handles_signals(flags))
        .map_err(|error| Failure::of(Exit::Failed, "the async runtime cannot start", &error))?;
    let result = runtime.block_on(until_done_or_stopped(flags, context));
    context.console.settle();
    // A thread may still wait for stdin or a file; it ends with the process.
    runtime.shutdown_background();
    result
}

/// Signals need a pair of sockets. A command without sockets only reads, and a signal may end it; at a
/// terminal there is a line to clear first.
fn handles_signals(flags: &Flags) -> bool {
    flags.command.opens_sockets() || std::io::stderr().is_terminal()
}

/// A command is stopped by dropping its future. Files are renamed into place when they are whole, so
/// that no half-written file is left.
async fn until_done_or_stopped(flags: &Flags, context: &Arc<Context>) -> Result<(), Failure> {
    let timeout = flags.root.timeout;
    let deadline = context.set_deadline(timeout);
    let stoppable = handles_signals(flags);
    tokio::select! {
        result = execute(&flags.command, context) => result,
        (exit, what) = told_to_stop(), if stoppable => {
            Err(unfinished(Failure::new(exit, what), context))
        }
        () = deadline.passed() => {
            let failure = Failure::new(Exit::Failed, format!("not done within {timeout:?}"))
                .hint("allow more time: --timeout 10m");
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
        Command::Attest(flags) => commands::attest(flags, context).await,
        Command::AttestBlob(flags) => commands::attest_blob(flags, context).await,
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
        // Needs no runtime: it was run before.
        Command::Version(_) => Ok(()),
    }
}

fn unfinished(failure: Failure, context: &Context) -> Failure {
    context.console.unfinished().into_iter().fold(failure, Failure::cause)
}

/// Logs what ambisign does, and of the libraries below only their warnings.
fn log_to_stderr() {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::prelude::*;

    let libraries = ["h2", "hyper", "hyper_util", "mio", "rustls", "tonic", "tower", "want"];
    let targets = Targets::new()
        .with_default(LevelFilter::DEBUG)
        .with_targets(libraries.map(|library| (library, LevelFilter::WARN)));
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(layer).with(targets).init();
}
