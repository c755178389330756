//! How a command fails: the exit codes, and errors of the libraries as lines for people.

use std::error::Error as StdError;
use std::process::ExitCode;

use image_signing::file::{self, PairError};
use image_signing::{IdentityError, NotAcceptable, PrivateKeyError, PublicKeyError, moving};
use verify::{Check, PolicyError};

use crate::hints::{self, is};

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

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotSigned => 10,
            Exit::NotFound => 11,
            Exit::NotAcceptable => 12,
            Exit::NoCertificate => 13,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        })
    }
}

/// What failed, why, and what can be done; and how the program then ends.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) problem: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, problem: impl Into<String>) -> Self {
        Self { exit, problem: problem.into(), causes: Vec::new(), hints: Vec::new() }
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
        self.causes.extend(causes(error));
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

    /// The same failure as the reason why `problem`.
    pub(crate) fn under(mut self, problem: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.problem, problem.into());
        self.causes.insert(0, cause);
        self
    }
}

/// Every error of a library says in its first line what failed.
impl<E: StdError + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut causes = causes(&error);
        let problem = causes.remove(0);
        Self { exit: exit(&error), problem, causes, hints: hints::of(&error) }
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

/// The table from typed errors to exit codes. The outermost error that is in it decides.
fn exit(error: &(dyn StdError + 'static)) -> Exit {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(exit) = row(error) {
            return exit;
        }
        next = error.source();
    }
    Exit::Failed
}

fn row(error: &(dyn StdError + 'static)) -> Option<Exit> {
    use image_signing::Error;

    if is::<PairError>(error).is_some() || is::<PolicyError>(error).is_some() {
        Some(Exit::Usage)
    } else if let Some(PublicKeyError::Scheme { .. } | PublicKeyError::Private) = is(error) {
        Some(Exit::Usage)
    } else if let Some(moving::Error::Digest { .. }) = is(error) {
        Some(Exit::Usage)
    } else if let Some(moving::Error::Platform { .. }) = is(error) {
        Some(Exit::NotFound)
    } else if let Some(PrivateKeyError::Elsewhere(_)) = is(error) {
        Some(Exit::Usage)
    } else if is::<signer::Error>(error).is_some() {
        Some(Exit::Failed)
    } else if let Some(oci_push::Error::NotFound { .. }) = is(error) {
        Some(Exit::NotFound)
    } else if let Some(error) = is::<verify::Error>(error) {
        Some(refused(error))
    } else if let Some(error) = is::<Error>(error) {
        match error {
            Error::NoSignature(_) => Some(Exit::NotSigned),
            Error::NotAcceptable(found) => Some(not_acceptable(found)),
            Error::Statement { .. } => Some(Exit::Usage),
            _ => None,
        }
    } else {
        match is::<file::Error>(error)? {
            file::Error::Malformed { .. } => Some(Exit::NotAcceptable),
            file::Error::NoSignature { .. } => Some(Exit::NotSigned),
            file::Error::Read(host::FileError::NotFound { .. }) => Some(Exit::NotFound),
            _ => None,
        }
    }
}

fn refused(error: &verify::Error) -> Exit {
    let verify::Error::Refused(check) = error else { return Exit::Failed };
    match **check {
        Check::Material { expected: "a certificate", .. } => Exit::NoCertificate,
        _ => Exit::NotAcceptable,
    }
}

fn not_acceptable(found: &NotAcceptable) -> Exit {
    match found {
        found if found.is_undecided() => Exit::Failed,
        found if found.certificate_missing() => Exit::NoCertificate,
        _ => Exit::NotAcceptable,
    }
}

/// `error` and its causes, each once and without secrets; then what else the error knows.
pub(crate) fn causes(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut texts = host::causes(error);
    if let Some(image_signing::Error::NoSignature(none)) = is(error) {
        texts.push(none.where_looked());
    } else if let Some(image_signing::Error::NotAcceptable(found)) = is(error) {
        texts.extend(found.groups().iter().map(ToString::to_string));
    } else if let Some(error) = is::<file::Error>(error) {
        texts.extend(error.claimed_identity());
    } else if let Some(IdentityError::Search(error)) = is(error) {
        texts.extend(error.details());
    }
    texts.iter_mut().for_each(|text| *text = host::scrub(text));
    texts.dedup();
    texts
}
