//! `ambisign verify` and `ambisign verify-attestation`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bundle::LargeText;
use image_signing::{AcceptedSigners, Error, Image, ImageVerifier, Run, VerifiedImage};

use super::many::{finish, reported, show};
use crate::context::Context;
use crate::failure::Result;
use crate::files;
use crate::flags::{Output, VerifyAttestationFlags, VerifyFlags, VerifyImagesFlags};
use crate::output::{Stream, json_line};
use crate::plan;
use crate::signers;

pub(crate) async fn verify(flags: &VerifyFlags, context: &Arc<Context>) -> Result<()> {
    let annotations = plan::annotations(&flags.annotations)?;
    let json = |verified: &VerifiedImage| vec![json_line(&verified.reports()).into()];
    let job = Job { flags: &flags.images, predicate_type: None, by_digest: false, json, context };
    job.run(annotations).await
}

pub(crate) async fn verify_attestation(
    flags: &VerifyAttestationFlags,
    context: &Arc<Context>,
) -> Result<()> {
    let predicate_type = Some(flags.attestation.r#type.clone());
    let json = |verified: &VerifiedImage| {
        let envelopes = verified.signatures.iter().filter_map(|it| it.envelope.as_ref());
        envelopes.map(bundle::Envelope::json_text).collect()
    };
    let (flags, by_digest) = (&flags.images, flags.attestation.log_digest_only);
    Job { flags, predicate_type, by_digest, json, context }.run(BTreeMap::new()).await
}

struct Job<'a> {
    flags: &'a VerifyImagesFlags,
    /// Attestations of this type are verified; `None`: signatures.
    predicate_type: Option<String>,
    by_digest: bool,
    json: fn(&VerifiedImage) -> Vec<LargeText>,
    context: &'a Context,
}

impl Job<'_> {
    async fn run(&self, annotations: BTreeMap<String, String>) -> Result<()> {
        let Self { flags, context, .. } = self;
        let images = match flags.local_image {
            true => Vec::new(),
            false => plan::many(&flags.many, context).await?,
        };
        let signers = match signers::accepted(&flags.policy, self.by_digest, context).await {
            Err(failure) if flags.policy.names_nobody() => {
                context.fail(&failure);
                _ = tokio::time::timeout(PATIENCE, self.name_signers(&images)).await;
                return Ok(());
            }
            signers => signers?,
        };
        let signers = signers.adjust(move |policy| {
            annotations.iter().fold(policy, |policy, (key, value)| policy.annotation(key, value))
        });
        let verifier = self.verifier(signers, &images).await?;
        if flags.local_image {
            return self.directories(&verifier).await;
        }
        let shown = show(Stream::Stdout, context);
        let is_json = flags.output == Output::Json;
        let mut run = Run::new("verified", &images, is_json, context.clock(), &shown);
        let report = |result: Result<VerifiedImage, Error>| match result {
            Ok(verified) => Ok(self.report(&verified)),
            Err(error) => Err(reported(&error.into(), context)),
        };
        run.verify(&verifier, &images, report).await;
        finish(run, context);
        Ok(())
    }

    async fn directories(&self, verifier: &ImageVerifier) -> Result<()> {
        let Self { flags, context, .. } = self;
        let mut bundles = Vec::new();
        for path in &flags.bundle {
            bundles
                .push(files::read("--bundle", path, bundle::LARGE_SIZE_CAP, context).await?.into());
        }
        for directory in &flags.many.images {
            match verifier.verify_directory(directory, &bundles).await {
                Ok(verified) => {
                    self.report(&verified).into_iter().for_each(|it| context.console.data(it));
                }
                Err(error) => context.fail(&error.into()),
            }
        }
        Ok(())
    }

    async fn verifier(&self, signers: AcceptedSigners, images: &[Image]) -> Result<ImageVerifier> {
        let Self { flags, context, .. } = self;
        let index = plan::images(flags.index.as_slice())?;
        let all = [images, &index].concat();
        let registry = plan::registry(&flags.registry, &all, None, context)?;
        let root = plan::verifying_root(&flags.trust, context).await?;
        let clock = context.clock();
        let verifier = ImageVerifier::new(registry, root, clock, signers);
        let verifier = verifier.parts(flags.many.parts()).jobs(flags.many.jobs());
        let verifier = index.into_iter().fold(verifier, ImageVerifier::by_index);
        Ok(self.predicate_type.iter().fold(verifier, ImageVerifier::attestations))
    }

    fn report(&self, verified: &VerifiedImage) -> Vec<LargeText> {
        let image = verified.image.as_str();
        for warning in verified.signatures.iter().flat_map(|it| it.verified.warnings()) {
            self.context.console.warning(&format!("{image}: {warning}"));
        }
        for refusal in &verified.refused {
            tracing::info!("{image}: {} does not count: {}", refusal.signature, refusal.explain());
        }
        match self.flags.output {
            Output::Json => (self.json)(verified),
            Output::Text => verified.lines().into_iter().map(LargeText::from).collect(),
        }
    }

    /// The flags name no signer. Who did sign is offered as a hint, as far as it can be verified.
    async fn name_signers(&self, images: &[Image]) -> Result<()> {
        let verifier = self.verifier(signers::anybody(), images).await?;
        for image in images.iter().take(MOST_NAMED) {
            self.context.console.wait_for(&format!("looking who signed {image}"));
            let Ok(verified) = verifier.verify(image).await else { continue };
            signers::offer(&verified.signatures, self.context);
        }
        Ok(())
    }
}

/// For how many images the signers are named when no flag names one, and for how long.
const MOST_NAMED: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);
