//! `ambisign sign`, and what `ambisign attest` shares with it.

use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use image_signing::file::check_writable;
use image_signing::{Error, ImageSigner, SignedImage, Target};
use signer::Session;

use super::signing::{Signing, WIDTH, cannot_write, report_stream, write};
use super::unattached::Unattached;
use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::flags::{Output, RegistryFlags, SignFlags, SigningFlags};
use crate::output::json_line;
use crate::plan;

/// Images to sign, or to attest something of.
pub(super) struct Job<'a> {
    pub(super) images: &'a [String],
    pub(super) recursive: bool,
    pub(super) upload: bool,
    pub(super) bundle: Option<&'a Path>,
    pub(super) signing: &'a SigningFlags,
    pub(super) registry: &'a RegistryFlags,
    pub(super) signature_tags: bool,
    /// `signed` or `attested`.
    pub(super) done: &'static str,
    /// What is wrong without an upload and without a bundle.
    pub(super) lost: &'static str,
}

pub(crate) async fn sign(flags: &SignFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let job = Job {
        images: &flags.images,
        recursive: flags.recursive,
        upload: flags.upload,
        bundle: flags.bundle.as_deref(),
        signing: &flags.signing,
        registry: &flags.registry,
        signature_tags: flags.attaching.signature_tags,
        done: "signed",
        lost: "with --upload=false the signature would be lost",
    };
    let annotations = plan::annotations(&flags.annotations)?;
    job.run(
        context,
        |signer| Ok(signer.with_annotations(annotations)?),
        async |signer, _| Ok(signer),
    )
    .await
}

impl Job<'_> {
    /// Signs what `before` says, from flags alone, or `after`, once there is a certificate.
    pub(super) async fn run(
        &self,
        context: &Arc<Context>,
        before: impl FnOnce(ImageSigner) -> Result<ImageSigner, Failure>,
        after: impl AsyncFnOnce(ImageSigner, &Session) -> Result<ImageSigner, Failure>,
    ) -> Result<(), Failure> {
        let flags = self;
        let images = plan::images(flags.images)?;
        self.check_outputs()?;
        let report = report_stream(flags.bundle, flags.signing.output())?;
        let signer = ImageSigner::new(plan::registry(
            flags.registry,
            &images,
            flags.signature_tags,
            context,
        )?);
        let signer = before(signer)?.recursive(flags.recursive).attach(flags.upload);
        let unattached = Unattached::new(flags.bundle, context);
        let signer = signer.with_listener(unattached.listener());
        let signing = Signing::plan(flags.signing, report, context).await?;

        // First what can be known without an identity: nothing is sent to Fulcio or Rekor for an image
        // that does not exist or may not be written.
        let (mut targets, mut failed) = (Vec::new(), 0_usize);
        images.iter().for_each(|image| context.console.begin(image.as_str()));
        context.console.wait_for("looking at the images");
        let mut located = signer.locate_all(&images);
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
        drop(located);
        if targets.is_empty() {
            return Ok(());
        }
        let unlocated = failed;

        let session = signing.session().await?;
        let signer = after(signer, &session).await?;
        // A bundle that goes to a file is written before it is attached.
        let bundle = flags.bundle;
        let signer = signer.attach(flags.upload && bundle.is_none());
        let sign = async |(position, target): (usize, &Target)| {
            let signed = signer.sign_and_attach(target, &session);
            (position, context.console.task(target.name(), signed).await)
        };
        let mut signed = stream::iter(targets.iter().enumerate()).map(sign).buffer_unordered(WIDTH);
        while let Some((position, signed)) = signed.next().await {
            let signed = match (signed, bundle) {
                (Ok(signed), Some(path)) => {
                    match write(path, &signed.bundle_json, &context.console) {
                        Ok(()) => {}
                        // It is logged: attaching it is still worth while.
                        Err(failure) if flags.upload => context.fail(&failure),
                        Err(failure) => return Err(unattached.keep(&signed, failure)),
                    }
                    match flags.upload {
                        true => signer.attach_signature(signed).await,
                        false => Ok(signed),
                    }
                }
                (signed, _) => signed,
            };
            targets.get(position).iter().for_each(|target| context.console.end(target.name()));
            failed += usize::from(signed.is_err());
            match signed {
                Ok(signed) => {
                    context.console.say(report, &self.line(&signed));
                }
                Err(Error::NotAttached { signed, source }) => {
                    let kept = signed.clone();
                    let failure = Failure::from(Error::NotAttached { signed, source });
                    context.fail(&unattached.keep(&kept, failure));
                }
                Err(error) => context.fail(&error.into()),
            }
        }
        let all = targets.len() + unlocated;
        if failed > 0 && all > 1 {
            context.console.note(&format!(
                "{} {} of {all}, {failed} failed",
                self.done,
                all - failed
            ));
        }
        Ok(())
    }

    fn check_outputs(&self) -> Result<(), Failure> {
        let flags = self;
        if flags.bundle.is_some() && flags.images.len() > 1 {
            return Err(Failure::usage(format!(
                "--bundle names one file, and {} images are to be signed",
                flags.images.len()
            )));
        }
        if flags.bundle.is_some() && flags.recursive {
            return Err(Failure::usage("--bundle names one file, and --recursive signs several"));
        }
        if !flags.upload && flags.bundle.is_none() {
            return Err(Failure::usage(self.lost).hint("say where it goes: --bundle FILE"));
        }
        if let Some(path) = flags.bundle.filter(|path| !files::is_standard(path)) {
            check_writable(path).map_err(|error| cannot_write(path, &error))?;
        }
        Ok(())
    }

    fn line(&self, signed: &SignedImage) -> String {
        let resolved = signed.target.resolved();
        match self.signing.output() {
            Output::Json => json_line(&signed.report()),
            Output::Text => format!(
                "{} {}@{} as {}",
                self.done,
                resolved.repository(),
                resolved.digest(),
                signed.identity().name
            ),
        }
    }
}
