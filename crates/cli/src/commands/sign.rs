//! `ambisign sign`, and what `ambisign attest` shares with it.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use image_signing::file::check_writable;
use image_signing::{Claim, Error, Image, ImageSigner, Parts, SignedImage, Target, check_earlier};

use super::signing::{Signing, WIDTH, report_stream};
use super::unattached::Unattached;
use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::flags::{ImagesFlags, Output, SignFlags};
use crate::output::{Stream, cannot_write, json_line, write};
use crate::plan;

/// Images to sign, or to attest something of.
pub(super) struct Job<'a> {
    pub(super) flags: &'a ImagesFlags,
    pub(super) annotations: &'a [(String, String)],
    /// What is attested; `None`: the images are signed.
    pub(super) claim: Option<Claim>,
    pub(super) upload: bool,
    /// `signed` or `attested`.
    pub(super) done: &'static str,
    /// What is wrong without an upload and without a bundle.
    pub(super) lost: &'static str,
}

pub(crate) async fn sign(flags: &SignFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let job = Job {
        flags: &flags.images,
        annotations: &flags.annotations,
        claim: None,
        upload: flags.upload,
        done: "signed",
        lost: "with --upload=false the signature would be lost",
    };
    job.run(context).await
}

impl Job<'_> {
    pub(super) async fn run(self, context: &Arc<Context>) -> Result<(), Failure> {
        let flags = self.flags;
        let images = plan::images(&flags.images)?;
        self.check_outputs()?;
        let report = report_stream(flags.bundle.as_deref(), flags.signing.output())?;
        let tags = Some(flags.signature_tags);
        let registry = plan::registry(&flags.registry, &images, tags, context)?;
        let annotations = plan::annotations(self.annotations)?;
        let signer = ImageSigner::new(registry).with_annotations(annotations)?;
        let unattached = Unattached::new(flags.bundle.as_deref(), context);
        let parts = if flags.recursive { Parts::All } else { Parts::None };
        let signer = signer.parts(parts).attach(self.upload);
        let signer = signer.with_listener(unattached.listener());
        let signing = Signing::plan(&flags.signing, report, context).await?;
        let earlier = !flags.new_bundle_format;
        if let (true, Err(error)) = (earlier, check_earlier(signing.services())) {
            return Err(Failure::usage(host::with_causes(&error)));
        }
        let signer = signer.earlier_format(earlier);

        // First what can be known without an identity: nothing is sent to Fulcio or Rekor for an
        // image that does not exist or may not be written.
        let (targets, unlocated) = locate(&signer, &images, context).await;
        if targets.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = targets.iter().map(Target::name).collect();
        let session = signing.session(&names).await?;
        let signer = match &self.claim {
            Some(claim) => {
                let certificate = session.certificate().await?;
                signer.with_attestation(claim.attestation(certificate.as_ref(), &*context.env)?)
            }
            None => signer,
        };
        let sign = async |target| {
            let signed = signer.sign_and_attach(target, &session);
            (target, context.console.task(target.name(), signed).await)
        };
        let mut failed = unlocated;
        let mut signed = stream::iter(&targets).map(sign).buffer_unordered(WIDTH);
        while let Some((target, signed)) = signed.next().await {
            context.console.end(target.name());
            let written = match signed {
                Ok(signed) => self.finish(&signed, report, &unattached, context),
                Err(Error::NotAttached { signed, source }) => {
                    let kept = signed.clone();
                    let failure = Failure::from(Error::NotAttached { signed, source });
                    Err(unattached.keep(&kept, failure))
                }
                Err(error) => Err(error.into()),
            };
            if let Err(failure) = written {
                failed += 1;
                context.fail(&failure);
            }
        }
        context.console.tally(self.done, targets.len() + unlocated, failed);
        Ok(())
    }

    /// Writes the bundle, unless it was written before it was attached, and reports.
    fn finish(
        &self,
        signed: &SignedImage,
        report: Stream,
        unattached: &Unattached,
        context: &Context,
    ) -> Result<(), Failure> {
        if let (Some(path), false) = (&self.flags.bundle, self.upload) {
            write(path, &signed.bundle_json, &context.console)
                .map_err(|failure| unattached.keep(signed, failure))?;
        }
        let resolved = signed.target.resolved();
        let line = match self.flags.signing.output() {
            Output::Json => json_line(&signed.report()),
            Output::Text => format!("{} {resolved} {}", self.done, signed.signed.by()),
        };
        context.console.say(report, &line);
        Ok(())
    }

    fn check_outputs(&self) -> Result<(), Failure> {
        let flags = self.flags;
        if flags.bundle.is_some() && flags.images.len() > 1 {
            return Err(Failure::usage(format!(
                "--bundle names one file, and {} images are to be signed",
                flags.images.len()
            )));
        }
        if flags.bundle.is_some() && flags.recursive {
            return Err(Failure::usage("--bundle names one file, and --recursive signs several"));
        }
        if !self.upload && flags.bundle.is_none() {
            return Err(Failure::usage(self.lost).hint("say where it goes: --bundle FILE"));
        }
        if let Some(path) = flags.bundle.as_deref().filter(|path| !files::is_standard(path)) {
            check_writable(path).map_err(|error| cannot_write(path, &error))?;
        }
        Ok(())
    }
}

/// The manifests of `images` that can be signed, and how many images cannot.
async fn locate(signer: &ImageSigner, images: &[Image], context: &Context) -> (Vec<Target>, usize) {
    let (mut targets, mut failed) = (Vec::new(), 0);
    images.iter().for_each(|image| context.console.begin(image.as_str()));
    context.console.wait_for("looking at the images");
    let mut located = signer.locate_all(images);
    while let Some((position, found)) = located.next().await {
        images.get(position).iter().for_each(|image| context.console.end(image.as_str()));
        match found {
            Ok(found) => {
                found.iter().for_each(|target| context.console.begin(target.name()));
                targets.extend(found);
            }
            Err(error) => {
                failed += 1;
                context.fail(&error.into());
            }
        }
    }
    (targets, failed)
}
