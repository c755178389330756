//! What an image carries already.

use std::sync::Arc;

use bundle::{Statement, predicate_type};
use host::Clock;
use oci_push::Registry;
use serde_json::Value;
use signer::Signer;
use trust_root::TrustedRoot;
use verify::Policy;

use crate::accepted::VerifiedSignature;
use crate::attestation::Attestation;
use crate::error::{Action, Error};
use crate::examiner::Examiner;
use crate::image::Target;

/// What would be signed, and by whom.
pub(crate) struct Known {
    registry: Registry,
    root: Arc<TrustedRoot>,
    clock: Arc<dyn Clock>,
    policy: Arc<Policy>,
    attestation: Option<Attestation>,
}

impl Known {
    /// A signature that meets `policy`, or such an attestation with the claim of `attestation`.
    pub(crate) fn new(
        registry: Registry,
        signer: &Signer,
        policy: Policy,
        attestation: Option<Attestation>,
    ) -> Self {
        let (root, clock) = (Arc::clone(signer.root()), Arc::clone(signer.clock()));
        Self { registry, root, clock, policy: Arc::new(policy), attestation }
    }

    /// Whether `target` carries it. What could not be read is an error: it may be that.
    pub(crate) async fn is_signed(&self, target: &Target) -> Result<bool, Error> {
        let Self { registry, root, clock, policy, .. } = self;
        let examiner = Examiner { registry, root, clock, policy };
        let found = examiner.find_and_judge(target.image(), target.resolved(), Action::Sign).await;
        match found {
            Ok(verified) => Ok(verified.signatures.iter().any(|it| self.says_it(it))),
            Err(Error::NoSignature(_)) => Ok(false),
            Err(Error::NotAcceptable(found)) if !found.is_undecided() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn says_it(&self, signature: &VerifiedSignature) -> bool {
        let Some(attestation) = &self.attestation else { return true };
        let subjects = signature.verified.statement().map(Statement::subjects).unwrap_or_default();
        let ours = attestation.statement(subjects.to_vec());
        let theirs = signature.verified.statement();
        ours.is_ok_and(|ours| match ours.bytes().len() {
            ..=COMPARED => claim(Some(&ours)) == claim(theirs),
            // As trees, two large predicates would take a hundred times as much memory.
            _ => theirs == Some(&ours),
        })
    }
}

/// The largest statement whose predicate is compared by its meaning, in bytes; a larger one is
/// compared byte for byte.
const COMPARED: usize = 4 << 20;

/// The predicate, without the time that cosign's type `custom` has in it.
fn claim(statement: Option<&Statement>) -> Value {
    let Some(statement) = statement else { return Value::Null };
    let mut claim = statement.predicate();
    if Some(statement.predicate_type()) == predicate_type::resolve("custom")
        && let Some(claim) = claim.as_object_mut()
    {
        claim.remove("Timestamp");
    }
    claim
}
