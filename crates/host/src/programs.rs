//! Helper programs: a credential helper, a CI agent's command.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::future::BoxFuture;

/// A way to run a helper program to its end.
pub trait Programs: Send + Sync {
    /// Runs `invocation` and resolves to what it wrote. A non-zero exit is an answer, not an error.
    fn run(&self, invocation: Invocation) -> BoxFuture<'_, Result<ProgramOutput, ProgramError>>;

    /// Starts a program that belongs to the person, such as a browser: it gets no input, its
    /// output is discarded, and it may outlive us. Resolves to its exit code if it ends; dropping
    /// the future leaves it running. By default there are no such programs.
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
        let run = Invocation::new(program, args).without(without);
        let output = self(run.with_deadline(Duration::MAX).with_output_cap(0));
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
#[non_exhaustive]
pub struct Invocation {
    /// A name to look up in `PATH`, or a path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// What it reads.
    pub stdin: Vec<u8>,
    /// Variables of our environment that it does not get. `*SUFFIX` means all whose name ends so.
    pub without: Vec<String>,
    /// Variables that it gets although [`Self::without`] names them.
    pub keep: Vec<String>,
    /// Variables that it gets in addition, in place of ours with the same name.
    pub variables: Vec<(String, String)>,
    /// When it is ended, together with every process that it started and that did not leave its
    /// process group.
    pub deadline: Duration,
    /// The most it may write to each of its streams, in bytes.
    pub output_cap: usize,
}

impl Invocation {
    /// `program` with `args` and an empty input; it has 30 seconds and may write 1 MiB.
    pub fn new(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            stdin: Vec::new(),
            without: Vec::new(),
            keep: Vec::new(),
            variables: Vec::new(),
            deadline: Duration::from_secs(30),
            output_cap: 1 << 20,
        }
    }

    /// Gives it `stdin` to read.
    #[must_use]
    pub fn with_stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Withholds the variables `names` of our environment. A helper that is not meant for them must
    /// not inherit the right to act as this job.
    #[must_use]
    pub fn without(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.without.extend(names.into_iter().map(Into::into));
        self
    }

    /// Lets it have the variables `names` although [`Self::without`] names them.
    #[must_use]
    pub fn keeping(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.keep.extend(names.into_iter().map(Into::into));
        self
    }

    /// Whether it does not get the variable `name`.
    pub fn withholds(&self, name: &str) -> bool {
        names(&self.without, name) && !self.keep.iter().any(|kept| kept == name)
    }

    /// Gives it `variables` in addition. They are not for secrets: others can see them.
    #[must_use]
    pub fn with_variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Ends it after `deadline`.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Lets it write `output_cap` bytes to each of its streams.
    #[must_use]
    pub fn with_output_cap(mut self, output_cap: usize) -> Self {
        self.output_cap = output_cap;
        self
    }
}

/// Whether one of `patterns` is `name`, or a `*SUFFIX` of it.
fn names(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.strip_prefix('*') {
        Some(suffix) => name.ends_with(suffix),
        None => pattern == name,
    })
}

/// A program to start for a person. No shell is involved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Launch {
    /// A name to look up in `PATH`, or a path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables of our environment that it does not get. `*SUFFIX` means all whose name ends so.
    pub without: Vec<String>,
}

impl Launch {
    /// Whether it does not get the variable `name`.
    pub fn withholds(&self, name: &str) -> bool {
        names(&self.without, name)
    }

    /// `program` with `args`.
    pub fn new(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
            without: Vec::new(),
        }
    }

    /// Withholds the variables `names` of our environment.
    #[must_use]
    pub fn without(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.without.extend(names.into_iter().map(Into::into));
        self
    }
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
    fn a_group_of_variables_is_withheld_by_its_suffix_but_for_those_kept() {
        let run =
            Invocation::new("p", ["x"]).without(["*_ID_TOKEN", "SECRET"]).keeping(["MY_ID_TOKEN"]);
        for withheld in ["PYPI_ID_TOKEN", "_ID_TOKEN", "SECRET"] {
            assert!(run.withholds(withheld), "{withheld}");
        }
        for given in ["MY_ID_TOKEN", "ID_TOKEN", "SECRETS", "PATH"] {
            assert!(!run.withholds(given), "{given}");
        }
    }
}
