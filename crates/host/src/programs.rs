//! Helper programs: a credential helper, a CI agent's command.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::BoxFuture;

/// A way to run a helper program to its end.
pub trait Programs: Send + Sync {
    /// Runs `invocation` and resolves to what it wrote. A non-zero exit is an answer, not an error.
    fn run(&self, invocation: Invocation) -> BoxFuture<'_, Result<ProgramOutput, ProgramError>>;

    /// Starts a program that belongs to the person, such as a browser: it gets no input, nobody
    /// reads what it writes, and it may outlive us. Resolves to its exit code if it ends; whoever
    /// drops the future leaves it running. Where nothing is said, there are no such programs.
    fn launch(&self, launch: Launch) -> BoxFuture<'_, Result<Option<i32>, ProgramError>> {
        let program = launch.program;
        Box::pin(std::future::ready(Err(ProgramError::NotFound { program })))
    }
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

    fn launch(&self, launch: Launch) -> BoxFuture<'_, Result<Option<i32>, ProgramError>> {
        let Launch { program, args, without } = launch;
        let output = self(Invocation {
            program,
            args,
            stdin: Vec::new(),
            without,
            deadline: Duration::MAX,
            output_cap: 0,
        });
        Box::pin(std::future::ready(output.map(|output| output.code)))
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
    /// Variables of our environment that it does not get. Start from [`Invocation::SECRETS`] and
    /// take out what this very program needs.
    pub without: Vec<String>,
    /// When it is ended.
    pub deadline: Duration,
    /// The most it may write to each of its streams, in bytes.
    pub output_cap: usize,
}

impl Invocation {
    /// The variables that hold an identity token, or a credential that such tokens are given for.
    /// A helper that does something else must not inherit the right to act as this job.
    pub const SECRETS: [&str; 16] = [
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "AMBISIGN_IDENTITY_TOKEN",
        "BITBUCKET_STEP_OIDC_TOKEN",
        "BUILDKITE_AGENT_ACCESS_TOKEN",
        "CF_OIDC_REQUEST_TOKEN",
        "CIRCLE_OIDC_TOKEN",
        "CIRCLE_OIDC_TOKEN_V2",
        "COSIGN_IDENTITY_TOKEN",
        "SEMAPHORE_OIDC_TOKEN",
        "SIGSTORE_IDENTITY_TOKEN",
        "SIGSTORE_ID_TOKEN",
        "SYSTEM_ACCESSTOKEN",
        "TFC_WORKLOAD_IDENTITY_TOKEN",
        "TFC_WORKLOAD_IDENTITY_TOKEN_SIGSTORE",
        "VERCEL_OIDC_TOKEN",
    ];

    /// [`Self::SECRETS`] but those of `needed`, for [`Self::without`].
    pub fn secrets_but(needed: &[&str]) -> Vec<String> {
        let kept = Self::SECRETS.iter().filter(|name| !needed.contains(*name));
        kept.map(|name| (*name).to_owned()).collect()
    }
}

/// A program to start for a person. No shell is involved.
#[derive(Clone, Debug)]
pub struct Launch {
    /// A name to look up in `PATH`, or a path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables of our environment that it does not get; see [`Invocation::without`].
    pub without: Vec<String>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_keeps_only_the_secret_that_it_needs() {
        let without = Invocation::secrets_but(&["BUILDKITE_AGENT_ACCESS_TOKEN"]);
        assert_eq!(without.len(), Invocation::SECRETS.len() - 1);
        assert!(without.iter().any(|name| name == "ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
        assert!(!without.iter().any(|name| name == "BUILDKITE_AGENT_ACCESS_TOKEN"));
    }
}
