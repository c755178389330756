use trust_root::TrustedRoot;
use x509::Certificate;

use crate::purpose::{Formats, Purpose};
use crate::rule::Rule;

/// What a signature must be for, who must have made it, and which evidence it needs.
///
/// There is no policy without a purpose and acceptable signers: a valid signature by an unknown
/// signer proves nothing, and a signature for another purpose is about something else.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) purpose: Purpose,
    pub(crate) rule: Rule,
    pub(crate) annotations: Vec<(String, String)>,
    pub(crate) formats: Formats,
    pub(crate) timestamps: usize,
    pub(crate) logs: usize,
    pub(crate) scts: usize,
    pub(crate) digest_entries: bool,
    pub(crate) ignore_tlog: bool,
    pub(crate) ignore_sct: bool,
    pub(crate) known: Option<Certificate>,
}

impl Policy {
    /// A signature of this purpose by one of the acceptable signers.
    pub fn new(purpose: Purpose, signers: impl Into<Rule>) -> Self {
        let rule = signers.into();
        Self {
            purpose,
            annotations: rule.annotations().to_vec(),
            formats: Formats::Any,
            rule,
            timestamps: 0,
            logs: 1,
            scts: 1,
            digest_entries: false,
            ignore_tlog: false,
            ignore_sct: false,
            known: None,
        }
    }

    /// The signature of a container image.
    pub fn image_signature(signers: impl Into<Rule>) -> Self {
        Self::new(Purpose::ImageSignature, signers)
    }

    /// The signature of a file.
    pub fn file_signature(signers: impl Into<Rule>) -> Self {
        Self::new(Purpose::FileSignature, signers)
    }

    /// An attestation of this predicate type.
    pub fn attestation(predicate_type: impl Into<String>, signers: impl Into<Rule>) -> Self {
        Self::new(Purpose::Attestation { predicate_type: predicate_type.into() }, signers)
    }

    /// What the signature must be for.
    pub fn purpose(&self) -> &Purpose {
        &self.purpose
    }

    /// The acceptable signers.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// The signer must have given this annotation. May be called several times.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.push((key.into(), value.into()));
        self
    }

    /// Only signatures in these formats count, of those that the rule accepts.
    #[must_use]
    pub fn formats(mut self, formats: Formats) -> Self {
        self.formats = formats;
        self
    }

    /// Requires a time from a timestamp authority. Without this, a time from a log is enough.
    #[must_use]
    pub fn use_signed_timestamps(self) -> Self {
        let authorities = self.timestamps.max(1);
        self.timestamp_threshold(authorities)
    }

    /// Requires timestamps from this many different timestamp authorities. The default is 0: a
    /// time from a log is enough.
    #[must_use]
    pub fn timestamp_threshold(mut self, authorities: usize) -> Self {
        self.timestamps = authorities;
        self
    }

    /// Suits the policy to an instance without logs, whose trusted root names none of either kind: a
    /// timestamp by one of its authorities is required in their place. The policy stays as it is for
    /// every other root. The private instance of GitHub is one without logs.
    #[must_use]
    pub fn suited_to(self, root: &TrustedRoot) -> Self {
        match is_without_logs(root) {
            true => danger::ignore_sct(danger::ignore_tlog(self.use_signed_timestamps())),
            false => self,
        }
    }

    /// Accepts attestations of which a log of version 1 has the digest only (`hashedrekord` 0.0.1 over
    /// the pre-authentication encoding of the envelope), as logs of version 2 have it of all.
    ///
    /// Such an entry does not say that an envelope was signed: whoever has a workload sign a file of
    /// their choice, with a program that signs any content, can have it sign such an encoding.
    #[must_use]
    pub fn accept_digest_entries(mut self) -> Self {
        self.digest_entries = true;
        self
    }

    /// Requires entries in this many different logs, at least 1.
    #[must_use]
    pub fn log_threshold(mut self, logs: usize) -> Self {
        self.logs = logs.max(1);
        self
    }

    /// Requires that this many different certificate transparency logs published the certificate,
    /// at least 1.
    #[must_use]
    pub fn sct_threshold(mut self, logs: usize) -> Self {
        self.scts = logs.max(1);
        self
    }

    /// Names a certificate that was read before, such as the one of a session with many signatures:
    /// where a signature has the same one, it is not read again, and its issuer's signature is not
    /// computed again. All checks are made, and no certificate is accepted for being known.
    #[must_use]
    pub fn knowing(mut self, certificate: Certificate) -> Self {
        self.known = Some(certificate);
        self
    }
}

/// Whether `root` is of an instance without logs. What [`Policy::suited_to`] then changes deserves a
/// warning.
pub fn is_without_logs(root: &TrustedRoot) -> bool {
    root.tlogs().is_empty() && root.ctlogs().is_empty()
}

/// Switches checks off. Print a warning with every use.
pub mod danger {
    use super::Policy;
    use crate::accepted::{AcceptedSigner, Kind};

    /// Accepts a certificate of any identity: proves that a signature was made, not by which
    /// signer.
    pub fn any_identity() -> AcceptedSigner {
        AcceptedSigner { kind: Kind::AnyIdentity, extensions: Vec::new() }
    }

    /// Ignores log entries. Without a timestamp the certificate must be valid now.
    #[must_use]
    pub fn ignore_tlog(mut policy: Policy) -> Policy {
        policy.ignore_tlog = true;
        policy
    }

    /// Does not check that the certificate was published in a certificate transparency log.
    #[must_use]
    pub fn ignore_sct(mut policy: Policy) -> Policy {
        policy.ignore_sct = true;
        policy
    }
}
