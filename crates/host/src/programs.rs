//! Helper programs: a credential helper, a CI agent's command.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::BoxFuture;

/// A way to run a helper program to its end.
pub trait Programs: Send + Sync {
    /// Runs `invocation` and resolves to what it wrote. A non-zero exit is an answer, not an error.
    fn run(&self, invocation: Invocation) -> BoxFuture<'_, Result<ProgramOutput, ProgramError>>;
}

/// A closure is a set of programs, which is how tests stand in for helpers.
impl<F> Programs for F
where
    F: Fn(Invocation) -> Result<ProgramOutput, ProgramError> + Send + Sync,
{
    fn run(&self, invocation: Invocation) -> BoxFuture<'_, Result<ProgramOutput, ProgramError>> {
        let output = self(invocation);
        Box::pin(std::future::ready(output))
    }
}

/// A host without helper programs: every run is [`ProgramError::NotFound`].
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPrograms;

impl Programs for NoPrograms {
    fn run(&self, invocation: Invocation) -> BoxFuture<'_, Result<ProgramOutput, ProgramError>> {
        let program = invocation.program;
        Box::pin(std::future::ready(Err(ProgramError::NotFound { program })))
    }
}

/// One run of a program. No shell is involved, and secrets belong on `stdin`, never in `args`.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// A name to look up in `PATH`, or a path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// When it is ended.
    pub deadline: Duration,
    /// The most it may write to each of its streams, in bytes.
    pub output_cap: usize,
}

/// What a program wrote, and how it ended.
#[derive(Clone, PartialEq, Eq)]
pub struct ProgramOutput {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// May hold secrets: it is absent from `Debug`.
    pub stdout: Vec<u8>,
    /// Meant for people, shown in errors after escaping.
    pub stderr: Vec<u8>,
}

impl std::fmt::Debug for ProgramOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProgramOutput").field("code", &self.code).finish_non_exhaustive()
    }
}

/// Why a program gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// There is no such program.
    #[error("the program {} was not found", program.display())]
    NotFound {
        /// The name or path.
        program: PathBuf,
    },
    /// It ran past its deadline and was ended.
    #[error("the program {} did not finish within {deadline:?}", program.display())]
    Timeout {
        /// The name or path.
        program: PathBuf,
        /// The deadline.
        deadline: Duration,
    },
    /// It wrote more than allowed and was ended.
    #[error("the program {} wrote more than {cap} bytes", program.display())]
    TooLarge {
        /// The name or path.
        program: PathBuf,
        /// The limit.
        cap: usize,
    },
    /// It could not be started or read.
    #[error("the program {} could not be run", program.display())]
    Io {
        /// The name or path.
        program: PathBuf,
        /// The operating system's reason.
        source: Arc<std::io::Error>,
    },
}
