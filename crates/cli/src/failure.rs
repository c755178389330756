//! How a command fails: the exit codes, and errors of the libraries as lines for people.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use id_token::Broken;
use image_signing::file::PairError;
use image_signing::{IdentityError, NotAcceptable};

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
        self.causes.extend(chain(error));
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

    /// The file at `path` could not be read.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        let shown = path.display();
        match error.kind() {
            io::ErrorKind::NotFound => {
                let failure = Self::new(Exit::NotFound, format!("{shown} does not exist"));
                match path.to_str().is_some_and(looks_like_an_image) {
                    true => failure.hint("for an image, use `ambisign sign` or `ambisign verify`"),
                    false => failure,
                }
            }
            _ => Self::new(Exit::Failed, format!("cannot read {shown}")).cause(error.to_string()),
        }
    }

    /// `problem`, because of what the registry answered.
    pub(crate) fn registry(problem: impl Into<String>, error: &oci_push::Error) -> Self {
        let exit = match error {
            oci_push::Error::NotFound { .. } => Exit::NotFound,
            _ => Exit::Failed,
        };
        Self::of(exit, problem, error)
    }

    /// A bundle was refused, or could not be judged.
    pub(crate) fn judgement(problem: impl Into<String>, error: &verify::Error) -> Self {
        let exit = match error {
            verify::Error::Refused(check) => match check.as_ref() {
                verify::Check::Material { expected: "a certificate", .. } => Exit::NoCertificate,
                _ => Exit::NotAcceptable,
            },
            _ => Exit::Failed,
        };
        Self::of(exit, problem, error)
    }

    /// The error of a library, whose first line says what failed.
    fn library(error: &(dyn StdError + 'static)) -> Self {
        let mut failure = Self::new(Exit::Failed, host::scrub(&error.to_string()));
        failure.causes = error.source().map(chain).unwrap_or_default();
        failure.hints = hints::of(error);
        failure
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        use oidc_ambient::Error;

        let mut failure = Self::library(&error);
        match error {
            IdentityError::NotAToken(reason) => {
                let problem = "--identity-token is neither an identity token nor an existing file";
                Self::new(Exit::Failed, problem)
                    .cause(format!("as an identity token: {reason}"))
                    .hint("give a file, `-` for stdin, or a JWT: three parts separated by dots")
            }
            IdentityError::Search(Error::Broken { broken, .. }) => {
                failure.cause(format!("detected because {}", broken.evidence))
            }
            IdentityError::Search(Error::Nothing { absent, broken }) => {
                let reason =
                    |(name, broken): (String, Broken)| format!("{name}: {}", broken.reason);
                failure.causes = broken.into_iter().map(reason).collect();
                let others = if failure.causes.is_empty() { "" } else { "other " };
                let searched = absent.len();
                failure.cause(format!("none of {searched} {others}identity sources is here"))
            }
            _ => failure,
        }
    }
}

impl From<signer::Error> for Failure {
    fn from(error: signer::Error) -> Self {
        Self::library(&error)
    }
}

impl From<image_signing::Error> for Failure {
    fn from(error: image_signing::Error) -> Self {
        use image_signing::Error;

        let problem = error.to_string();
        match error {
            Error::ImageNotFound { source, .. }
            | Error::NotAttached { source, .. }
            | Error::Registry { source, .. } => Self::registry(problem, &source),
            Error::Signing { source, .. } => {
                let failure = Self::from(*source);
                Self { problem: format!("{problem}: {}", failure.problem), ..failure }
            }
            Error::Statement { .. } => Self::usage(problem),
            Error::Identity(source) => (*source).into(),
            Error::NoSignature(none) => Self {
                hints: hints::no_signature(&none),
                ..Self::new(Exit::NotSigned, problem).cause(format!(
                    "{} has none for {}: no referrer, no `sha256-...` tag, no `.sig` or `.att` tag",
                    none.repository, none.digest
                ))
            },
            Error::NotAcceptable(found) => Self::not_acceptable(problem, &found),
            error => Self::of(Exit::Failed, problem, &error),
        }
    }
}

impl From<image_signing::file::Error> for Failure {
    fn from(error: image_signing::file::Error) -> Self {
        use image_signing::file::Error;

        let problem = error.to_string();
        match error {
            Error::Content { source, .. } => Self::of(Exit::Failed, problem, &source).hint(
                "sign what you wrote yourself; if this content is meant: \
                 --danger-sign-foreign-format",
            ),
            Error::Malformed { source, swapped, .. } => {
                Self::of(Exit::NotAcceptable, problem, &*source).hint(match swapped {
                    true => "name the file first and its bundle with --bundle: they are swapped",
                    false => "check that it is a bundle written by sign-blob, and complete",
                })
            }
            Error::NoSignature { source, .. } => {
                Self::of(Exit::NotSigned, problem, &source).hint("name the bundle: --bundle FILE")
            }
            Error::Read { file, source } => Self::file(&file, &source),
            Error::Refused { certificate, source, .. } => {
                Self::refusal(problem, &source, certificate.as_deref())
            }
            Error::Signing { source, .. } => {
                let failure = Self::from(*source);
                Self { problem: format!("{problem}: {}", failure.problem), ..failure }
            }
            Error::Whole { source, .. } => Self::of(Exit::Failed, problem, &source).hint(
                "verify on a machine where the whole file fits into memory: a pure Ed25519 \
                 signature is not over its digest",
            ),
            Error::Bundle(source) => Self::of(Exit::Failed, problem, &source),
            Error::Write { source, .. } => Self::of(Exit::Failed, problem, &source),
            error => Self::library(&error),
        }
    }
}

impl From<PairError> for Failure {
    fn from(error: PairError) -> Self {
        let failure = Self::usage(error.to_string());
        match error {
            PairError::Nameless => failure.hint("name the bundle: --bundle FILE"),
            PairError::OneBundle { .. } => {
                failure.hint("leave --bundle out: each bundle is written to FILE.sigstore.json")
            }
            PairError::Overwrites { .. } => failure.hint("use another --bundle FILE"),
            PairError::Twice { .. } => failure.hint("name each file once"),
            _ => failure,
        }
    }
}

impl Failure {
    fn not_acceptable(problem: String, found: &NotAcceptable) -> Self {
        let exit = match found {
            found if found.is_undecided() => Exit::Failed,
            found if found.certificate_missing() => Exit::NoCertificate,
            _ => Exit::NotAcceptable,
        };
        let mut failure = Self::new(exit, problem);
        for group in found.groups() {
            failure.causes.push(group.to_string());
            for hint in group.refusals.first().map(|it| hints::refusal(it)).unwrap_or_default() {
                if !failure.hints.contains(&hint) {
                    failure.hints.push(hint);
                }
            }
        }
        failure
    }

    /// A signature is refused. Names the identity that its certificate claims, unless that is the
    /// reason.
    fn refusal(
        problem: String,
        error: &verify::Error,
        certificate: Option<&x509::Certificate>,
    ) -> Self {
        use verify::Check;

        let mut failure = Self::judgement(problem, error);
        failure.hints = hints::of_refusal(error, certificate);
        let verify::Error::Refused(check) = error else { return failure };
        let other = !matches!(**check, Check::Identity { .. } | Check::NoAcceptedSigner { .. });
        let subject = certificate.filter(|_| other);
        if let Some(certificate) = subject
            && let Ok(subject) = certificate.subject_name()
        {
            let issuer = certificate.oidc_issuer().ok().flatten().unwrap_or_default();
            failure.causes.push(format!(
                "the certificate names {} by {}",
                host::escape_remote(subject.as_str()),
                host::escape_remote(&issuer)
            ));
        }
        failure
    }
}

/// `HOST/NAME:TAG` or `HOST/NAME@DIGEST`, with a dot or a port in the host.
fn looks_like_an_image(text: &str) -> bool {
    let host = text.split_once('/').map(|(host, _)| host).unwrap_or_default();
    let is_host = host.trim_start_matches('.').contains(['.', ':']);
    is_host && text.parse::<oci_push::Reference>().is_ok()
}

/// `error` and its causes, each once, without secrets.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut texts: Vec<_> = host::causes(error).iter().map(|text| host::scrub(text)).collect();
    texts.dedup();
    texts
}
