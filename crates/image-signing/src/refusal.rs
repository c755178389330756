//! Signatures that do not count, and why.

use std::error::Error as StdError;
use std::fmt;

use verify::Check;
use x509::Certificate;

/// A signature that does not count, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The digest of the bundle, or of the signed payload in an earlier format; for what could not
    /// be read, the digest or tag of its manifest.
    pub signature: String,
    /// Why it does not count.
    pub reason: Reason,
    /// The signer's certificate, where it could be read. It is not verified.
    pub certificate: Option<Box<Certificate>>,
}

/// Why a signature does not count.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// A check failed, or could not be made.
    Refused(verify::Error),
    /// It could not be fetched. It may be acceptable.
    Unreachable(Box<dyn StdError + Send + Sync>),
    /// It is not a signature that can be read.
    Unreadable(Box<dyn StdError + Send + Sync>),
    /// Its manifest cannot be used.
    Unusable(String),
}

impl Refusal {
    pub(crate) fn new(signature: impl Into<String>, reason: Reason) -> Self {
        Self { signature: signature.into(), reason, certificate: None }
    }

    /// The reason with its causes, and the identity that the certificate claims unless the reason
    /// names it. Without control characters.
    pub fn explain(&self) -> String {
        let mut texts = match &self.reason {
            Reason::Refused(error) => host::causes(error),
            Reason::Unreachable(error) => {
                let mut texts = vec!["it could not be fetched".to_owned()];
                texts.extend(host::causes(&**error));
                texts
            }
            Reason::Unreadable(error) => host::causes(&**error),
            Reason::Unusable(reason) => vec![host::escape(reason)],
        };
        if let Reason::Refused(error) = &self.reason {
            texts.extend(claimed_identity(error, self.certificate.as_deref()));
        }
        texts.join(": ")
    }
}

/// The subject and issuer in the certificate, unverified, where `error` does not name them.
pub(crate) fn claimed_identity(
    error: &verify::Error,
    certificate: Option<&Certificate>,
) -> Option<String> {
    let verify::Error::Refused(check) = error else { return None };
    if matches!(**check, Check::Identity { .. } | Check::NoAcceptedSigner { .. }) {
        return None;
    }
    let certificate = certificate?;
    let subject = certificate.subject_name().ok()?;
    let issuer = certificate.oidc_issuer().ok().flatten();
    let issuer = issuer.map(|issuer| format!(" by {}", host::escape_remote(&issuer)));
    let subject = host::escape_remote(subject.as_str());
    Some(format!("the certificate names {subject}{}", issuer.unwrap_or_default()))
}

/// Signatures that do not count for the same reason.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RefusalGroup<'a> {
    /// The reason; see [`Refusal::explain`].
    pub explanation: String,
    /// The signatures: at least one.
    pub refusals: Vec<&'a Refusal>,
}

impl<'a> RefusalGroup<'a> {
    /// `refusals` by their reasons, in the order of the first of each.
    pub fn of(refusals: &'a [Refusal]) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for refusal in refusals {
            let explanation = refusal.explain();
            match groups.iter_mut().find(|group| group.explanation == explanation) {
                Some(group) => group.refusals.push(refusal),
                None => groups.push(Self { explanation, refusals: vec![refusal] }),
            }
        }
        groups
    }
}

impl fmt::Display for RefusalGroup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refusals.as_slice() {
            [one] => write!(f, "{}: {}", host::escape_remote(&one.signature), self.explanation),
            many => write!(f, "{} signatures: {}", many.len(), self.explanation),
        }
    }
}
