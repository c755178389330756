//! `ambisign sign`, and what `ambisign attest` shares with it.

use std::sync::Arc;

use image_signing::file::FileArgument;
use image_signing::{
    Claim, Error, Image, ImageSigner, Preparation, Run, SignedImage, Unattached, check_earlier,
};

use super::many::{failed, finish, reported, show};
use super::signing::{self, check_stdin, not_signed, report_stream};
use super::unattached::{listener, unattached, with_signature};
use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::flags::{AttestFlags, ImagesFlags, Output, SignFlags};
use crate::output::{json_line, write};
use crate::plan;

/// Images to sign, or to attest something of.
pub(super) struct Job<'a> {
    pub(super) flags: &'a ImagesFlags,
    pub(super) annotations: &'a [(String, String)],
    /// What is attested; `None`: the images are signed.
    pub(super) claim: Option<Claim>,
    pub(super) attest: Option<&'a AttestFlags>,
    pub(super) upload: bool,
    /// `signed` or `attested`.
    pub(super) done: &'static str,
    /// What is wrong without an upload and without a bundle.
    pub(super) lost: &'static str,
}

pub(crate) async fn sign(flags: &SignFlags, context: &Arc<Context>) -> Result<()> {
    check_stdin(flags.images.many.from_file.as_deref(), &flags.images.signing)?;
    let job = Job {
        flags: &flags.images,
        annotations: &flags.annotations,
        claim: None,
        attest: None,
        upload: flags.upload,
        done: "signed",
        lost: "with --upload=false the signature would be lost",
    };
    job.run(context).await
}

impl Job<'_> {
    pub(super) async fn run(self, context: &Arc<Context>) -> Result<()> {
        let flags = self.flags;
        let images = plan::many(&flags.many, context).await?;
        plan::check_digests(flags.require_digest, &images)?;
        self.check_outputs(images.len())?;
        let output = flags.signing.output();
        let report = report_stream(flags.bundle.as_deref(), output)?;
        let tags = Some(flags.tags.signature_tags);
        let registry = plan::registry(&flags.registry, &images, tags, context)?;
        let annotations = plan::annotations(self.annotations)?;
        let signer = ImageSigner::new(registry).with_annotations(annotations)?;
        let bundle = flags.bundle.as_deref();
        let unattached = unattached(bundle, context);
        let signer = signer.parts(flags.many.parts()).jobs(flags.many.jobs()).attach(self.upload);
        let signer = signer.with_listener(listener(&unattached, bundle, context));
        let signing = signing::plan(&flags.signing, report, context).await?;
        let digest_only = self.attest.is_some_and(|it| it.claim.log_digest_only);
        let signing = signing.log_digest_only(digest_only);
        let earlier = !flags.new_bundle_format;
        if let (true, Err(error)) = (earlier, check_earlier(signing.services())) {
            return Err(Failure::usage(host::with_causes(&error)));
        }
        let signer = signer.earlier_format(earlier);
        let names: Vec<_> = images.iter().map(Image::as_str).collect();
        let (claim, fail_fast) = (self.claim.clone(), flags.many.fail_fast);
        let how = Preparation::new(flags.skip_signed, fail_fast, signing.may_log_in(), claim);
        let how = how.replace(self.attest.is_some_and(|it| it.replace));
        let shown = show(report, context);
        let mut run = Run::new(self.done, &images, output == Output::Json, context.clock(), &shown);
        let begun = async { Ok::<_, Failure>(signing.begin().await?) };
        let fail = |error: Error| reported(&error.into(), context);
        let ready = run.prepare(signer, &images, begun, &how, &*context.env, fail).await;
        let ready = match ready.or_fail(|| not_signed(&names)) {
            Ok(ready) => ready,
            Err(failure) => {
                run.abandon(&failed(&failure));
                return Err(failure);
            }
        };
        if let Some(ready) = &ready {
            let task = |name, work| context.console.waits.task(name, work);
            let report = |signed| {
                let line = self.finish(signed, &unattached, context);
                line.map_err(|failure| reported(&failure, context))
            };
            run.sign(ready, task, report).await;
        }
        finish(run, context);
        Ok(())
    }

    /// Writes the bundle, unless it was written before it was attached, and gives the report.
    fn finish(
        &self,
        signed: Result<SignedImage, Error>,
        unattached: &Unattached,
        context: &Context,
    ) -> Result<String> {
        let signed = signed.map_err(|error| {
            let made = error.unattached().cloned();
            let failure = Failure::from(error);
            made.iter().fold(failure, |it, signed| with_signature(it, &unattached.keep(signed)))
        })?;
        if let (Some(path), false) = (&self.flags.bundle, self.upload) {
            write(path, signed.bundle_json(), &context.console)
                .map_err(|failure| with_signature(failure, &unattached.keep(&signed)))?;
        }
        let resolved = signed.target.resolved();
        Ok(match self.flags.signing.output() {
            Output::Json => json_line(&signed.report()),
            Output::Text => format!("{} {resolved} {}", self.done, signed.signed.by()),
        })
    }

    fn check_outputs(&self, images: usize) -> Result<()> {
        let flags = self.flags;
        if flags.bundle.is_some() && images > 1 {
            return Err(Failure::usage(format!(
                "--bundle names one file, and {images} images are to be signed"
            )));
        }
        if flags.bundle.is_some() && flags.many.recursive {
            return Err(Failure::usage("--bundle names one file, and --recursive signs several"));
        }
        if !self.upload && flags.bundle.is_none() {
            return Err(Failure::usage(self.lost).hint("say where it goes: --bundle FILE"));
        }
        if let Some(path) = &flags.bundle {
            FileArgument::parse(path).check_writable()?;
        }
        Ok(())
    }
}
