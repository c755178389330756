//! `ambisign bundle create` and `ambisign bundle upgrade`.

use std::path::Path;
use std::sync::Arc;

use image_signing::file::{Artifact, Converter, FileArgument, FileSignature};

use crate::context::Context;
use crate::failure::{OrFail as _, Result};
use crate::flags::{BundleCommand, CreateBundleFlags};
use crate::output::write;
use crate::{plan, signers};

pub(crate) async fn bundle(command: &BundleCommand, context: &Arc<Context>) -> Result {
    let (mut artifact, mut key, mut ignore_tlog) = (None, None, false);
    let (signature, made) = match command {
        BundleCommand::Create(flags) => {
            if let Some(name) = &flags.key {
                key = Some(signers::public_key(name, context).await?);
            }
            artifact = flags.artifact.as_ref().map(Artifact::parse);
            ignore_tlog = flags.ignore_tlog;
            (signature(flags, artifact.as_ref(), context).await?, &flags.made)
        }
        BundleCommand::Upgrade(flags) => {
            (FileSignature::read(&FileArgument::parse(&flags.bundle)).await?, &flags.made)
        }
    };
    let root = Arc::new(plan::trusted_root(&made.trust, context).await?);
    let mut converter = Converter::new(root, context.host(&context.settings()).http);
    if ignore_tlog || made.trust.offline {
        converter = converter.without_log();
    }
    context.console.wait_for("looking for the log entry of the signature");
    let bundle = converter.bundle(&signature, artifact.as_ref(), key.as_ref()).await;
    context.console.settle();
    let bundle = bundle.or_fail(|| "no bundle was made".to_owned())?;
    write(&made.out, &bundle.json_text(), &context.console)
}

/// The signature that the flags name, whose form clap has checked.
async fn signature(
    flags: &CreateBundleFlags,
    artifact: Option<&Artifact>,
    context: &Context,
) -> Result<FileSignature> {
    let (env, certificate) = (&*context.env, flags.certificate.as_deref());
    Ok(match (&flags.signature, &flags.attestation, &flags.bundle) {
        (Some(signature), ..) => {
            let file = artifact.map_or_else(|| Path::new("-"), Artifact::name);
            let timestamp = flags.rfc3161_timestamp.as_deref();
            FileSignature::in_files(file, signature, certificate, timestamp, env).await?
        }
        (None, Some(envelope), _) => {
            FileSignature::attested_in_files(envelope, certificate, env).await?
        }
        (None, None, bundle) => {
            let bundle = bundle.as_deref().unwrap_or_else(|| Path::new("-"));
            FileSignature::read(&FileArgument::parse(bundle)).await?
        }
    })
}
