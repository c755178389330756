//! The program as a library: command line types, one file per command, and the output.
//!
//! [`run`] is the whole program; `main.rs` only calls it with the process's arguments. The work is
//! done by the crates below: this one turns flags into their values and their results into lines,
//! exit codes and hints.

mod command_line;
mod commands;
mod context;
mod cosign;
mod failure;
mod files;
mod flags;
mod help;
mod hints;
mod identity;
mod login;
mod output;
mod plan;
mod private_key;
mod signers;
mod trust;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::future::{LocalBoxFuture, ok};
use http_client::{Deadline, Stop};
use image_signing::node::containerd_arguments;
use tokio::runtime::Builder;

use crate::command_line::Refusal;
use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Result};
use crate::flags::{Command, Flags};

/// Runs the program with `arguments`, the program's name first, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = containerd_arguments(arguments.into_iter().collect());
    let is_verifier = arguments.iter().any(|it| it == "image-verifier");
    let parsed = command_line::parse(&arguments);
    let root = parsed.as_ref().map(|(flags, _)| flags.root.clone()).unwrap_or_default();
    let context = Arc::new(Context::new(arguments, root));
    let done = match parsed {
        Ok((flags, notices)) => {
            notices.iter().for_each(|notice| context.console.warning(notice));
            start(&flags, &context)
        }
        Err(Refusal::Words(failure)) => Err(failure),
        Err(Refusal::Message(message, hints)) => {
            context.console.clap(&message, &hints);
            if let (true, Some(line)) = (is_verifier, message.to_string().lines().next()) {
                context.console.data(line);
            }
            context.end_with(if message.use_stderr() { Exit::WrongArguments } else { Exit::Done });
            Ok(())
        }
    };
    done.unwrap_or_else(|failure| context.fail(&failure));
    if let Some(error) = context.console.write_error() {
        context.fail(&Failure::from(error).under("cannot write to stdout"));
    }
    context.end_with(Exit::Done).exit_code().into()
}

/// All commands and flags, for documentation.
pub fn command() -> clap::Command {
    command_line::program()
}

fn start(flags: &Flags, context: &Arc<Context>) -> Result {
    if commands::about(&flags.command, &context.console) {
        return Ok(());
    }
    if flags.root.verbose {
        log_to_stderr();
    }
    if flags.root.allow_insecure_service {
        context.console.warning(
            "plain http to services is allowed (--allow-insecure-service): whoever is on the way \
             can read the identity tokens",
        );
    }
    // Signals need a pair of sockets. A command without sockets only reads, and a signal may end it;
    // at a terminal there is a line to clear first.
    let signals = flags.command.opens_sockets() || std::io::stderr().is_terminal();
    // One thread is enough: the program waits for others nearly all of the time.
    let mut runtime = Builder::new_current_thread();
    let runtime = if signals { runtime.enable_all() } else { runtime.enable_time() }.build();
    let runtime = runtime.or_fail(|| "the async runtime cannot start".to_owned())?;
    let result = runtime.block_on(until_done_or_stopped(flags, signals, context));
    context.console.settle();
    // A thread may still wait for stdin or a file; it ends with the process.
    runtime.shutdown_background();
    result
}

/// A command is stopped by dropping its future. Files are renamed into place when they are whole, so
/// that no half-written file is left.
async fn until_done_or_stopped(flags: &Flags, signals: bool, context: &Arc<Context>) -> Result {
    let stopped = tokio::select! {
        // First, so that a signal is caught before the command does anything.
        biased;
        stop = http_client::told_to_stop(), if signals => match stop {
            Stop::Interrupted => Failure::new(Exit::Interrupted, "interrupted"),
            _ => Failure::new(Exit::Terminated, "terminated"),
        },
        result = execute(&flags.command, context) => return result,
        () = context.deadline.passed() => {
            let limit = flags.root.timeout.unwrap_or(Deadline::USUAL);
            Failure::new(Exit::Undecided, format!("not done within {limit:?}"))
                .hint("allow more time: --timeout 10m")
        }
    };
    let (causes, names) = context.console.waits.unfinished();
    Err(commands::with_names(causes.into_iter().fold(stopped, Failure::cause), names))
}

/// In a box, so that not every command reserves what the largest needs.
fn execute<'a>(command: &'a Command, context: &'a Arc<Context>) -> LocalBoxFuture<'a, Result> {
    match command {
        Command::Sign(flags) => Box::pin(commands::sign(flags, context)),
        Command::Attest(flags) => Box::pin(commands::attest(flags, context)),
        Command::AttestBlob(flags) => Box::pin(commands::attest_blob(flags, context)),
        Command::SignBlob(flags) => Box::pin(commands::sign_blob(flags, context)),
        Command::Verify(flags) => Box::pin(commands::verify(flags, context)),
        Command::VerifyAttestation(flags) => Box::pin(commands::verify_attestation(flags, context)),
        Command::VerifyBlob(flags) => Box::pin(commands::verify_blob(flags, context)),
        Command::VerifyBlobAttestation(flags) => {
            Box::pin(commands::verify_blob_attestation(flags, context))
        }
        Command::ImageVerifier(flags) => Box::pin(commands::image_verifier(flags, context)),
        Command::GenerateKeyPair(flags) => Box::pin(commands::generate_key_pair(flags, context)),
        Command::ImportKeyPair(flags) => Box::pin(commands::import_key_pair(flags, context)),
        Command::PublicKey(flags) => Box::pin(commands::public_key(flags, context)),
        Command::Inspect(flags) => Box::pin(commands::inspect(flags, context)),
        Command::Copy(flags) => Box::pin(commands::copy(flags, context)),
        Command::Save(flags) => Box::pin(commands::save(flags, context)),
        Command::Load(flags) => Box::pin(commands::load(flags, context)),
        Command::Tree(flags) => Box::pin(commands::tree(flags, context)),
        Command::Download(what) => Box::pin(commands::download(what, context)),
        Command::Attach(flags) => Box::pin(commands::attach(flags, context)),
        Command::Clean(flags) => Box::pin(commands::clean(flags, context)),
        Command::Identity(flags) => Box::pin(commands::identity(flags, context)),
        Command::Bundle(command) => Box::pin(commands::bundle(command, context)),
        Command::Initialize(flags) => Box::pin(commands::initialize(flags, context)),
        Command::TrustedRoot(flags) => Box::pin(commands::trusted_root(flags, context)),
        Command::SigningConfig(flags) => Box::pin(commands::signing_config(flags, context)),
        // These need no runtime: they were run before.
        Command::Version { .. } | Command::Completion { .. } | Command::Env(_) => Box::pin(ok(())),
    }
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
