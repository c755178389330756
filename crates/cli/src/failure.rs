//! How a command fails: errors of the libraries as lines for people.

use std::error::Error as StdError;

pub(crate) use image_signing::Outcome as Exit;
use image_signing::explain;

use crate::hints;

/// What failed, why, and what can be done; and how the program then ends.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) problem: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hints: Vec<String>,
    /// What is not done.
    pub(crate) names: Vec<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, problem: impl Into<String>) -> Self {
        let (causes, hints, names) = Default::default();
        Self { exit, problem: problem.into(), causes, hints, names }
    }

    /// The command line asks for something that cannot be done.
    pub(crate) fn usage(problem: impl Into<String>) -> Self {
        Self::new(Exit::WrongArguments, problem)
    }

    /// Adds `error` with its causes and hints.
    pub(crate) fn because(mut self, error: &(dyn StdError + 'static)) -> Self {
        self.causes.extend(explain(error));
        self.hints.extend(hints::of(error));
        self
    }

    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What failed, why and what to do, in one line.
    pub(crate) fn line(&self) -> String {
        let causes = [std::slice::from_ref(&self.problem), &self.causes].concat().join(": ");
        let hint = self.hints.first().map_or_else(String::new, |hint| format!("; {hint}"));
        format!("{causes}{hint}").chars().take(LONGEST_LINE).collect()
    }

    /// The same failure as the reason why `problem`.
    pub(crate) fn under(mut self, problem: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.problem, problem.into());
        self.causes.insert(0, cause);
        self
    }
}

/// What a command does, or why not.
pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Every error of a library says in its first line what failed.
impl<E: StdError + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut causes = explain(&error);
        let problem = causes.remove(0);
        Self {
            exit: Exit::of(&error),
            problem,
            causes,
            hints: hints::of(&error),
            names: Vec::new(),
        }
    }
}

/// Turns the error of a library into the failure of a command.
pub(crate) trait OrFail<T> {
    /// The exit code is that of the error.
    fn or_fail(self, problem: impl FnOnce() -> String) -> Result<T, Failure>;

    /// The error is that of a flag's value.
    fn or_usage(self, problem: &str) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> OrFail<T> for Result<T, E> {
    fn or_fail(self, problem: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| error.into().under(problem()))
    }

    fn or_usage(self, problem: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit: Exit::WrongArguments, ..error.into().under(problem) })
    }
}

/// In characters. containerd reads 16 KiB.
const LONGEST_LINE: usize = 4000;
