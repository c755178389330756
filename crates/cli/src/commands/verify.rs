//! `ambisign verify` and `ambisign verify-attestation`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use image_signing::{AcceptedSigners, Image, ImageVerifier, VerifiedImage};
use oci_push::Layout;
use verify::Verified;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::files;
use crate::flags::{Output, VerifyAttestationFlags, VerifyFlags, VerifyImagesFlags};
use crate::hints;
use crate::output::json_line;
use crate::plan;
use crate::signers;

pub(crate) async fn verify(flags: &VerifyFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let annotations = plan::annotations(&flags.annotations)?;
    let json = |verified: &VerifiedImage| vec![json_line(&verified.reports())];
    let job = Job { flags: &flags.images, predicate_type: None, json, context };
    job.run(annotations).await
}

pub(crate) async fn verify_attestation(
    flags: &VerifyAttestationFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let predicate_type = Some(flags.r#type.clone());
    let json = |verified: &VerifiedImage| {
        let envelopes = verified.signatures.iter().filter_map(|it| it.envelope.as_ref());
        envelopes.map(bundle::Envelope::to_json).collect()
    };
    let job = Job { flags: &flags.images, predicate_type, json, context };
    job.run(BTreeMap::new()).await
}

struct Job<'a> {
    flags: &'a VerifyImagesFlags,
    /// Attestations of this type are verified; `None`: signatures.
    predicate_type: Option<String>,
    json: fn(&VerifiedImage) -> Vec<String>,
    context: &'a Context,
}

impl Job<'_> {
    async fn run(&self, annotations: BTreeMap<String, String>) -> Result<(), Failure> {
        let Self { flags, context, .. } = self;
        let images = self.images()?;
        let signers = match &flags.file.identity_policy {
            Some(path) => Ok(AcceptedSigners::file(signers::policy_file(path, context).await?)),
            None => signers::signer(&flags.policy, context).await.map(AcceptedSigners::rule),
        };
        if let (Err(failure), true) = (&signers, flags.policy.names_nobody()) {
            context.fail(failure);
            _ = tokio::time::timeout(PATIENCE, self.name_signers()).await;
            return Ok(());
        }
        let strictness = signers::strictness(&flags.policy, context);
        let signers = signers?.adjust(move |policy| {
            let add = |policy: verify::Policy, (key, value)| policy.annotation(key, value);
            strictness(annotations.iter().fold(policy, add))
        });
        let verifier = self.verifier(signers).await?;
        if flags.local_image {
            return self.directories(&verifier).await;
        }
        images.iter().for_each(|image| context.console.begin(image.as_str()));
        context.console.wait_for("looking for signatures");
        let mut lines = Lines { next: 0, waiting: BTreeMap::new(), context };
        let mut failed = 0;
        let mut results = verifier.verify_all(&images);
        while let Some((position, result)) = results.next().await {
            images.get(position).iter().for_each(|image| context.console.end(image.as_str()));
            let found = result.map(|verified| self.report(&verified)).unwrap_or_else(|error| {
                context.fail(&error.into());
                failed += 1;
                Vec::new()
            });
            lines.put(position, found);
        }
        context.console.tally("verified", images.len(), failed);
        Ok(())
    }

    /// The images named; none where directories are.
    fn images(&self) -> Result<Vec<Image>, Failure> {
        match self.flags.local_image {
            true => Ok(Vec::new()),
            false => plan::images(&self.flags.images),
        }
    }

    async fn directories(&self, verifier: &ImageVerifier) -> Result<(), Failure> {
        let Self { flags, context, .. } = self;
        let mut bundles = Vec::new();
        for path in &flags.bundle {
            bundles.push(files::read("--bundle", path, bundle::SIZE_CAP, context).await?.into());
        }
        for directory in &flags.images {
            let verified = async {
                let layout = Layout::open(directory).await;
                let layout = layout.or_fail(|| format!("{directory} could not be verified"))?;
                Ok(verifier.verify_layout(&layout, &bundles).await?)
            };
            match verified.await {
                Ok(verified) => {
                    self.report(&verified).iter().for_each(|line| context.console.data(line));
                }
                Err(failure) => context.fail(&failure),
            }
        }
        Ok(())
    }

    async fn verifier(&self, signers: AcceptedSigners) -> Result<ImageVerifier, Failure> {
        let Self { flags, context, .. } = self;
        let images = self.images()?;
        let registry = plan::registry(&flags.registry, &images, None, context)?;
        let root = plan::verifying_root(&flags.trust, context).await?;
        let clock = context.host(&context.settings()).clock;
        let verifier = ImageVerifier::new(registry, root, clock, signers);
        Ok(self.predicate_type.iter().fold(verifier, ImageVerifier::attestations))
    }

    fn report(&self, verified: &VerifiedImage) -> Vec<String> {
        let image = verified.image.as_str();
        for warning in verified.signatures.iter().flat_map(|it| it.verified.warnings()) {
            self.context.console.warning(&format!("{image}: {warning}"));
        }
        for refusal in &verified.refused {
            tracing::info!("{image}: {} does not count: {}", refusal.signature, refusal.explain());
        }
        match self.flags.output {
            Output::Json => (self.json)(verified),
            Output::Text => verified.lines(),
        }
    }

    /// The flags name no signer. Who did sign is offered as a hint, as far as it can be verified.
    async fn name_signers(&self) -> Result<(), Failure> {
        let verifier = self.verifier(AcceptedSigners::rule(verify::danger::any_identity())).await?;
        for image in self.images()?.iter().take(MOST_NAMED) {
            self.context.console.wait_for(&format!("looking who signed {image}"));
            let Ok(verified) = verifier.verify(image).await else { continue };
            let hints = verified.signatures.iter().filter_map(|it| as_flags(&it.verified));
            hints.for_each(|hint| self.context.console.hint(&hint));
        }
        Ok(())
    }
}

/// Prints results in the order of the command line, whatever order they come in.
struct Lines<'a> {
    next: usize,
    waiting: BTreeMap<usize, Vec<String>>,
    context: &'a Context,
}

impl Lines<'_> {
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

/// The signer as the flags that ask for exactly it.
pub(super) fn as_flags(verified: &Verified) -> Option<String> {
    hints::signer(verified.subject_name()?.as_str(), verified.issuer()?)
}

/// For how many images the signers are named when no flag names one, and for how long.
const MOST_NAMED: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
