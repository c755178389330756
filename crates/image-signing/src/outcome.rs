//! What became of an image or file, by its error; and how a program then ends.

use std::error::Error as StdError;

use host::error_as as is;
use verify::{Check, PolicyError};

use crate::error::Error;
use crate::file::{self, PairError};
use crate::identity_error::IdentityError;
use crate::moving;
use crate::private_key::PrivateKeyError;
use crate::public_key_error::PublicKeyError;
use crate::verdict::NotAcceptable;

/// What became of the image or file that an error is about, and of a program that works on several.
///
/// Ordered by severity: of several outcomes the greatest is that of the program. An end by a signal
/// counts as "could not decide" and so stands above what is known of others, but not above a signature
/// that was refused.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done: no error says this.
    Done,
    /// The image, tag or file does not exist.
    NotFound,
    /// There is no signature.
    NotSigned,
    /// It could not be decided, or could not be done.
    Undecided,
    /// Ctrl-C ended the program: no error says this.
    Interrupted,
    /// A signal to terminate ended the program: no error says this.
    Terminated,
    /// There is a signature without the certificate that is required.
    NoCertificate,
    /// There are signatures, and none is acceptable.
    NotAcceptable,
    /// What was asked for cannot be done with anything: the arguments are wrong.
    WrongArguments,
}

impl Outcome {
    /// The exit code of a program that ends so: `ambisign` and, as far as it tells them apart, cosign.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Undecided => 1,
            Self::WrongArguments => 2,
            Self::NotSigned => 10,
            Self::NotFound => 11,
            Self::NotAcceptable => 12,
            Self::NoCertificate => 13,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// Of `error`, an error of this crate or of one below it, and its causes: the outermost that
    /// says something decides.
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(outcome) = outcome(error) {
                return outcome;
            }
            next = error.source();
        }
        Self::Undecided
    }
}

fn outcome(error: &(dyn StdError + 'static)) -> Option<Outcome> {
    if is::<PairError>(error).is_some() || is::<PolicyError>(error).is_some() {
        Some(Outcome::WrongArguments)
    } else if let Some(PublicKeyError::Scheme { .. } | PublicKeyError::Private) = is(error) {
        Some(Outcome::WrongArguments)
    } else if let Some(PrivateKeyError::Elsewhere(_) | PrivateKeyError::Algorithm { .. }) =
        is(error)
    {
        Some(Outcome::WrongArguments)
    } else if let Some(moving::Error::Digest { .. }) = is(error) {
        Some(Outcome::WrongArguments)
    } else if let Some(moving::Error::Platform { .. }) = is(error) {
        Some(Outcome::NotFound)
    } else if is::<signer::Error>(error).is_some() {
        Some(Outcome::Undecided)
    } else if let Some(oci_push::Error::NotFound { .. }) = is(error) {
        Some(Outcome::NotFound)
    } else if let Some(error) = is::<verify::Error>(error) {
        Some(refused(error))
    } else if let Some(error) = is::<Error>(error) {
        match error {
            Error::NoSignature(_) => Some(Outcome::NotSigned),
            Error::NotAcceptable(found) => Some(not_acceptable(found)),
            Error::Statement { .. } => Some(Outcome::WrongArguments),
            _ => None,
        }
    } else {
        match is::<file::Error>(error)? {
            file::Error::Malformed { .. } => Some(Outcome::NotAcceptable),
            file::Error::NoSignature { .. } => Some(Outcome::NotSigned),
            file::Error::NotAcceptable(found) => Some(not_acceptable(found)),
            file::Error::Read(host::FileError::NotFound { .. }) => Some(Outcome::NotFound),
            _ => None,
        }
    }
}

fn refused(error: &verify::Error) -> Outcome {
    let verify::Error::Refused(check) = error else { return Outcome::Undecided };
    match **check {
        Check::Material { expected: "a certificate", .. } => Outcome::NoCertificate,
        _ => Outcome::NotAcceptable,
    }
}

fn not_acceptable(found: &NotAcceptable) -> Outcome {
    match found {
        found if found.is_undecided() => Outcome::Undecided,
        found if found.certificate_missing() => Outcome::NoCertificate,
        _ => Outcome::NotAcceptable,
    }
}

/// `error` and its causes in words, each once and without secrets; then what else the error knows:
/// where signatures were looked for, why each was refused, what each identity source said.
pub fn explain(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut texts = host::causes(error);
    if let Some(Error::NoSignature(none)) = is(error) {
        texts.push(none.where_looked());
    } else if let Some(Error::NotAcceptable(found)) = is(error) {
        texts.extend(found.groups().iter().map(ToString::to_string));
    } else if let Some(file::Error::NotAcceptable(found)) = is(error) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_error_that_says_something_decides() {
        let missing = || host::FileError::NotFound { path: "a".into() };
        let read = file::Error::Read(missing());
        assert_eq!(Outcome::of(&read), Outcome::NotFound);
        let bundle =
            file::Error::NoSignature { file: "a".into(), source: file::Missing::File(missing()) };
        assert_eq!(Outcome::of(&bundle), Outcome::NotSigned);
        assert_eq!(Outcome::of(&missing()), Outcome::Undecided);
    }

    #[test]
    fn an_explanation_has_no_token() {
        let token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln";
        let error = Error::Statement { what: "a".to_owned(), reason: token.to_owned() };
        assert_eq!(explain(&error), ["a cannot be signed: [token]"]);
    }
}
