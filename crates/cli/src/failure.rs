//! How a command fails: the exit codes, and errors of the libraries as lines for people.

use std::error::Error as StdError;

use image_signing::{Outcome, explain};

use crate::hints;

/// How the program ends. Ordered by severity: of several results the greatest is the exit code.
/// An end by a signal counts as "could not decide" and so stands above what is known of others,
/// but not above a signature that was refused.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Exit {
    Done,
    /// The image, tag or file does not exist.
    NotFound,
    /// No signature found.
    NotSigned,
    /// Could not decide, or could not do.
    Failed,
    /// Ended by Ctrl-C.
    Interrupted,
    /// Ended by a signal to terminate.
    Terminated,
    /// A signature without the certificate that was required.
    NoCertificate,
    /// Signatures exist, none acceptable.
    NotAcceptable,
    /// The command line is wrong.
    Usage,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotSigned => 10,
            Self::NotFound => 11,
            Self::NotAcceptable => 12,
            Self::NoCertificate => 13,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::NotFound => Self::NotFound,
            Outcome::NotSigned => Self::NotSigned,
            Outcome::NotAcceptable => Self::NotAcceptable,
            Outcome::NoCertificate => Self::NoCertificate,
            Outcome::WrongArguments => Self::Usage,
            _ => Self::Failed,
        }
    }
}

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
        Self::new(Exit::Usage, problem)
    }

    /// `error` with its causes and hints, under the heading `problem`.
    pub(crate) fn of(
        exit: Exit,
        problem: impl Into<String>,
        error: &(dyn StdError + 'static),
    ) -> Self {
        Self::new(exit, problem).because(error)
    }

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
            exit: Outcome::of(&error).into(),
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
}

impl<T, E: Into<Failure>> OrFail<T> for Result<T, E> {
    fn or_fail(self, problem: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| error.into().under(problem()))
    }
}

/// In characters. containerd reads 16 KiB.
const LONGEST_LINE: usize = 4000;
