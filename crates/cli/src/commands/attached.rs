//! What is attached to an image, found and judged.

use bundle::{Bundle, Content, Envelope, SIGN_PREDICATE_TYPE, Statement};
use keys::{Digest, HashAlgorithm};
use oci_push::{Found, LegacyKind, LegacySignature, Registry, Resolved, Search};
use trust_root::TrustedRoot;
use verify::{
    Artifact, Check, Error, LegacySignature as Legacy, Policy, Purpose, Verified, verify_legacy,
};
use x509::Certificate;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::hints;
use crate::wanted::Wanted;

/// By what the signatures of one image are judged.
pub(super) struct Judge<'a> {
    pub(super) registry: &'a Registry,
    pub(super) root: &'a TrustedRoot,
    pub(super) wanted: &'a Wanted,
    /// The predicate type sought. That of signatures is [`SIGN_PREDICATE_TYPE`].
    pub(super) predicate_type: &'a str,
    pub(super) context: &'a Context,
}

/// What became of everything attached to an image.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) accepted: Vec<Accepted>,
    /// What was refused, and why.
    pub(super) refused: Vec<(String, Failure)>,
    /// The predicate types of what was made for another purpose: neither for nor against.
    pub(super) others: Vec<String>,
}

/// A signature that was verified.
pub(super) struct Accepted {
    pub(super) verified: Verified,
    /// The digest of the bundle; `None` for cosign's earlier formats.
    pub(super) bundle: Option<Digest>,
    /// What was signed, of an attestation.
    pub(super) envelope: Option<Envelope>,
}

impl Judge<'_> {
    /// Looks at the bundles first and, when none of them will do, at cosign's earlier formats.
    pub(super) async fn image(&self, text: &str, image: &Resolved) -> Result<Judged, Failure> {
        let could_not = |error| Failure::registry(format!("{text} could not be verified"), &error);
        let search = Search::prefer(self.predicate_type);
        let found = self.registry.find_with(image, &search).await.map_err(could_not)?;
        let digest = digest(image)?;
        let mut judged = Judged::default();
        self.found(&found, &digest, &mut judged);
        let enough = |judged: &Judged| {
            let verified = judged.accepted.iter().map(|accepted| &accepted.verified);
            self.wanted.rule.decide(verified).is_enough()
        };
        if !enough(&judged) && !found.bundles.is_empty() {
            let earlier = self.registry.find_legacy(image).await.map_err(could_not)?;
            self.found(&earlier, &digest, &mut judged);
        }
        if !enough(&judged)
            && let Some(unreachable) = found.unreachable.into_iter().next()
        {
            return Err(could_not(unreachable.error));
        }
        for accepted in &judged.accepted {
            for warning in accepted.verified.warnings() {
                self.context.console.warning(&format!("{text}: {warning}"));
            }
        }
        Ok(judged)
    }

    fn found(&self, found: &Found, image: &Digest, judged: &mut Judged) {
        for signature in &found.bundles {
            self.bundle(&signature.digest.to_string(), &signature.bytes, image, judged);
        }
        for signature in &found.legacy {
            self.earlier(signature, image, judged);
        }
        for unusable in &found.unusable {
            let failure = Failure::new(Exit::NotAcceptable, "").cause(&unusable.reason);
            judged.refused.push((unusable.what.clone(), failure));
        }
    }

    fn bundle(&self, name: &str, bytes: &[u8], image: &Digest, judged: &mut Judged) {
        let bundle = match Bundle::from_json(bytes) {
            Ok(bundle) => bundle,
            Err(error) => {
                let failure = Failure::of(Exit::NotAcceptable, "", &error);
                judged.refused.push((name.to_owned(), failure));
                return;
            }
        };
        let envelope = match bundle.content() {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        };
        if let Some(other) = envelope.and_then(|envelope| self.other(envelope)) {
            judged.others.push(other);
            return;
        }
        let artifact = Artifact::Digest(image);
        let verdict =
            verify::verify(&bundle, &artifact, &self.policy(), self.root, self.context.now());
        match verdict {
            Ok(verified) => judged.accepted.push(Accepted {
                verified,
                bundle: Some(Digest::sha256(bytes)),
                envelope: envelope.cloned(),
            }),
            Err(error) => judged.refuse(name, &error, verify::certificate(&bundle).as_ref()),
        }
    }

    fn earlier(&self, signature: &LegacySignature, image: &Digest, judged: &mut Judged) {
        let name = match signature.kind {
            LegacyKind::Attestation => format!("{} (.att)", signature.digest),
            // Layers of one image may have the same payload: the signature tells them apart.
            LegacyKind::Signature => format!("{} (.sig)", signature.digest),
        };
        let (payload, annotations) = (&signature.bytes, &signature.annotations);
        let legacy = match signature.kind {
            LegacyKind::Attestation => Legacy::attestation(payload, annotations),
            LegacyKind::Signature => Legacy::image_signature(payload, annotations),
        };
        let legacy = match legacy {
            Ok(legacy) => legacy,
            Err(error) => return judged.refuse(&name, &error, None),
        };
        let other = match signature.kind {
            LegacyKind::Attestation => legacy.envelope().and_then(|envelope| self.other(envelope)),
            LegacyKind::Signature => {
                (self.predicate_type != SIGN_PREDICATE_TYPE).then(|| SIGN_PREDICATE_TYPE.to_owned())
            }
        };
        if let Some(other) = other {
            judged.others.push(other);
            return;
        }
        let artifact = Artifact::Digest(image);
        let verdict =
            verify_legacy(&legacy, &artifact, &self.policy(), self.root, self.context.now());
        match verdict {
            Ok(verified) => judged.accepted.push(Accepted {
                verified,
                bundle: None,
                envelope: legacy.envelope().cloned(),
            }),
            Err(error) => judged.refuse(&name, &error, legacy.certificate().as_ref()),
        }
    }

    fn policy(&self) -> Policy {
        self.wanted.policy(match self.predicate_type {
            SIGN_PREDICATE_TYPE => Purpose::ImageSignature,
            other => Purpose::Attestation { predicate_type: other.to_owned() },
        })
    }

    /// The predicate type of a statement, when it is not the one sought.
    fn other(&self, envelope: &Envelope) -> Option<String> {
        let statement = Statement::parse(&envelope.payload).ok()?;
        let predicate_type = statement.predicate_type();
        (predicate_type != self.predicate_type).then(|| predicate_type.to_owned())
    }
}

impl Judged {
    /// Whether these signatures are enough; if not, the reason for each that is not acceptable.
    pub(super) fn conclude(
        self,
        text: &str,
        wanted: &Wanted,
        none: impl FnOnce(&[String]) -> Failure,
    ) -> Result<Vec<Accepted>, Failure> {
        let verified = self.accepted.iter().map(|accepted| &accepted.verified);
        let decision = wanted.rule.decide(verified);
        if decision.is_enough() {
            return Ok(self.accepted);
        }
        let missing = (decision.matches.len(), decision.required);
        if self.accepted.is_empty() && self.refused.is_empty() {
            return Err(none(&self.others));
        }
        let exits = self.refused.iter().map(|(_, failure)| failure.exit);
        let (exit, problem) = match missing {
            (0, _) => (
                exits.max().unwrap_or(Exit::NotAcceptable),
                format!("{text} is signed, but no signature is acceptable"),
            ),
            (found, wanted) => (
                Exit::NotAcceptable,
                format!(
                    "{text} is signed by {found} acceptable signer(s), and {wanted} are wanted"
                ),
            ),
        };
        let mut whole = Failure::new(exit, problem);
        for (name, failure) in self.refused {
            whole.causes.push(format!("{name}: {}", failure.causes.join(": ")));
            for hint in failure.hints {
                if !whole.hints.contains(&hint) {
                    whole.hints.push(hint);
                }
            }
        }
        Err(whole)
    }

    /// For a person who wants to know: what else is there, and why it does not count.
    pub(super) fn tell_refused(&self, text: &str) {
        for (name, failure) in &self.refused {
            tracing::info!("{text}: {name} does not count: {}", failure.causes.join(": "));
        }
    }

    fn refuse(&mut self, name: &str, error: &Error, certificate: Option<&Certificate>) {
        self.refused.push((name.to_owned(), refusal("", error, certificate)));
    }
}

/// Why a signature is refused, and whom its certificate names, unless that was the reason.
pub(super) fn refusal(
    problem: impl Into<String>,
    error: &Error,
    certificate: Option<&Certificate>,
) -> Failure {
    let mut failure = Failure::judgement(problem, error);
    let Error::Refused(check) = error else { return failure };
    if matches!(**check, Check::Identity { .. } | Check::Issuer { .. })
        && let Some(certificate) = certificate
        && let (Ok(subject), Ok(Some(issuer))) =
            (certificate.subject_name(), certificate.oidc_issuer())
    {
        failure.hints.extend(hints::signer(subject.as_str(), &issuer));
    }
    let subject = certificate.filter(|_| !matches!(**check, Check::Identity { .. }));
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

/// The digest of an image as the judgement takes it.
pub(super) fn digest(image: &Resolved) -> Result<Digest, Failure> {
    let digest = image.digest();
    HashAlgorithm::from_name(digest.algorithm())
        .and_then(|algorithm| Digest::from_hex(algorithm, digest.hex()).ok())
        .ok_or_else(|| Failure::new(Exit::Failed, format!("the digest {digest} is unusable")))
}
