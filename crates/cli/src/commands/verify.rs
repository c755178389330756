//! `ambisign verify` and `ambisign verify-attestation`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use image_signing::{AcceptedSigners, ImageVerifier, VerifiedImage};
use verify::Verified;

use crate::context::Context;
use crate::failure::Failure;
use crate::flags::{Output, VerifyAttestationFlags, VerifyFlags, VerifyImagesFlags};
use crate::hints;
use crate::output::json_line;
use crate::plan;
use crate::signers;

/// What is verified of an image.
#[derive(Clone, Copy)]
enum Kind<'a> {
    Signatures,
    /// Attestations with this predicate type.
    Attestations(&'a str),
}

pub(crate) async fn verify(flags: &VerifyFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let annotations = plan::annotations(&flags.annotations)?;
    images(&flags.images, annotations, Kind::Signatures, flags.output, context).await
}

pub(crate) async fn verify_attestation(
    flags: &VerifyAttestationFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let predicate_type = plan::predicate_type(&flags.r#type)?;
    let kind = Kind::Attestations(&predicate_type);
    images(&flags.images, BTreeMap::new(), kind, flags.output, context).await
}

async fn images(
    flags: &VerifyImagesFlags,
    annotations: BTreeMap<String, String>,
    kind: Kind<'_>,
    output: Output,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let images = plan::images(&flags.images)?;
    let signers = match &flags.file.identity_policy {
        Some(path) => Ok(signers::policy_file(path, context).await?),
        None => signers::signer(&flags.policy, context).await.map(AcceptedSigners::rule),
    };
    let signers = match signers {
        Ok(signers) => signers,
        Err(failure) => {
            context.fail(&failure);
            if flags.policy.names_nobody() {
                name_signers(flags, kind, context).await;
            }
            return Ok(());
        }
    };
    let strictness = signers::strictness(&flags.policy, context);
    let signers = signers.adjust(move |policy| {
        let annotations = annotations.iter();
        let policy = annotations.fold(policy, |policy, (key, value)| policy.annotation(key, value));
        strictness(policy)
    });
    let verifier = verifier(flags, signers, kind, context).await?;
    images.iter().for_each(|image| context.console.begin(image.as_str()));
    context.console.wait_for("looking for signatures");
    let mut lines = Lines::new(context);
    let mut failed = 0;
    let mut results = verifier.verify_all(&images);
    while let Some((position, result)) = results.next().await {
        images.get(position).iter().for_each(|image| context.console.end(image.as_str()));
        lines.put(
            position,
            match result {
                Ok(verified) => report(&verified, kind, output, context),
                Err(error) => {
                    context.fail(&error.into());
                    failed += 1;
                    Vec::new()
                }
            },
        );
    }
    context.console.tally("verified", images.len(), failed);
    Ok(())
}

async fn verifier(
    flags: &VerifyImagesFlags,
    signers: AcceptedSigners,
    kind: Kind<'_>,
    context: &Context,
) -> Result<ImageVerifier, Failure> {
    let images = plan::images(&flags.images)?;
    let registry = plan::registry(&flags.registry, &images, true, context)?;
    let root = Arc::new(plan::trusted_root(&flags.trust, context).await?);
    let clock = context.host(&context.settings()).clock;
    let verifier = ImageVerifier::new(registry, root, clock, signers);
    Ok(match kind {
        Kind::Signatures => verifier,
        Kind::Attestations(predicate_type) => verifier.attestations(predicate_type),
    })
}

/// Prints results in the order of the command line, whatever order they come in.
struct Lines<'a> {
    next: usize,
    waiting: BTreeMap<usize, Vec<String>>,
    context: &'a Context,
}

impl<'a> Lines<'a> {
    fn new(context: &'a Context) -> Self {
        Self { next: 0, waiting: BTreeMap::new(), context }
    }

    fn put(&mut self, position: usize, lines: Vec<String>) {
        self.waiting.insert(position, lines);
        while let Some(lines) = self.waiting.remove(&self.next) {
            lines.iter().for_each(|line| self.context.console.data(line));
            self.next += 1;
        }
    }
}

/// A deadline or a signal ends the command while an earlier image is waited for: what is known is
/// printed nevertheless.
impl Drop for Lines<'_> {
    fn drop(&mut self) {
        self.waiting.values().flatten().for_each(|line| self.context.console.data(line));
    }
}

fn report(
    verified: &VerifiedImage,
    kind: Kind<'_>,
    output: Output,
    context: &Context,
) -> Vec<String> {
    let image = verified.image.as_str();
    for signature in &verified.signatures {
        for warning in signature.verified.warnings() {
            context.console.warning(&format!("{image}: {warning}"));
        }
    }
    for refusal in &verified.refused {
        tracing::info!("{image}: {} does not count: {}", refusal.signature, refusal.explain());
    }
    let signatures = verified.signatures.iter();
    match (kind, output) {
        (Kind::Attestations(_), Output::Json) => signatures
            .filter_map(|signature| signature.envelope.as_ref())
            .map(bundle::Envelope::to_json)
            .collect(),
        (Kind::Signatures, Output::Json) => vec![json_line(&verified.reports())],
        (_, Output::Text) => signatures
            .map(|signature| {
                let (digest, signer) = (verified.resolved.digest(), signature.signer());
                format!("verified {image} ({digest}) signed by {signer}")
            })
            .collect(),
    }
}

/// The flags name no signer. Who did sign is offered as a hint, as far as it can be verified.
async fn name_signers(flags: &VerifyImagesFlags, kind: Kind<'_>, context: &Context) {
    let look = async {
        let anybody = AcceptedSigners::rule(verify::danger::any_identity());
        let images = plan::images(&flags.images)?;
        let verifier = verifier(flags, anybody, kind, context).await?;
        let mut hints: Vec<String> = Vec::new();
        for image in images.iter().take(MOST_NAMED) {
            context.console.wait_for(&format!("looking who signed {image}"));
            let Ok(verified) = verifier.verify(image).await else { continue };
            let found = verified.signatures.iter();
            for hint in found.filter_map(|signature| as_flags(&signature.verified)) {
                if !hints.contains(&hint) {
                    context.console.hint(&hint);
                    hints.push(hint);
                }
            }
        }
        Ok::<_, Failure>(())
    };
    let _ = tokio::time::timeout(PATIENCE, look).await;
}

/// The signer as the flags that ask for exactly it.
pub(super) fn as_flags(verified: &Verified) -> Option<String> {
    hints::signer(verified.subject_name()?.as_str(), verified.issuer()?)
}

/// For how many images the signers are named when no flag names one, and for how long.
const MOST_NAMED: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
