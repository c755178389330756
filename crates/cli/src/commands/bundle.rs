//! `ambisign bundle create` and `ambisign bundle upgrade`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::SIZE_CAP;
use image_signing::file::{Artifact, Converter, FileArgument, FileSignature};

use crate::context::Context;
use crate::failure::{OrFail as _, Result};
use crate::flags::{BundleCommand, CreateBundleFlags, TrustFlags};
use crate::output::write;
use crate::{files, plan, signers};

pub(crate) async fn bundle(command: &BundleCommand, context: &Arc<Context>) -> Result<()> {
    let (made, out) = match command {
        BundleCommand::Create(flags) => {
            let key = match &flags.key {
                Some(key) => Some(signers::public_key(key, context).await?),
                None => None,
            };
            let signature = signature(flags, context).await?;
            let artifact = flags.artifact.as_ref().map(Artifact::parse);
            let converter = converter(&flags.trust, context).await?;
            let converter = if flags.ignore_tlog { converter.without_log() } else { converter };
            context.console.wait_for("looking for the log entry of the signature");
            (converter.bundle(&signature, artifact.as_ref(), key.as_ref()).await, &flags.out)
        }
        BundleCommand::Upgrade(flags) => {
            let signature = FileSignature::read(&FileArgument::parse(&flags.bundle)).await?;
            let converter = converter(&flags.trust, context).await?;
            context.console.wait_for("looking for the log entries of the bundle");
            (converter.bundle(&signature, None, None).await, &flags.out)
        }
    };
    context.console.settle();
    let bundle = made.or_fail(|| "no bundle was made".to_owned())?;
    let out = out.as_deref().unwrap_or_else(|| Path::new("-"));
    write(out, &bundle.to_json(), &context.console)
}

async fn converter(flags: &TrustFlags, context: &Context) -> Result<Converter> {
    let root = Arc::new(plan::trusted_root(flags, context).await?);
    let converter = Converter::new(root, context.host(&context.settings()).http);
    Ok(if flags.offline { converter.without_log() } else { converter })
}

/// The signature that the flags name, whose form clap has checked.
async fn signature(flags: &CreateBundleFlags, context: &Context) -> Result<FileSignature> {
    if let Some(path) = &flags.bundle {
        return Ok(FileSignature::read(&FileArgument::parse(path)).await?);
    }
    if let Some(signature) = &flags.signature {
        let certificate = flags.certificate.as_deref();
        let timestamp = flags.rfc3161_timestamp.as_deref();
        let env = &*context.env;
        return Ok(FileSignature::in_files(signature, certificate, timestamp, env).await?);
    }
    let read = async |flag, path: &Option<PathBuf>| match path {
        Some(path) => files::read(flag, path, SIZE_CAP, context).await.map(Some),
        None => Ok(None),
    };
    let envelope = read("--attestation", &flags.attestation).await?.unwrap_or_default();
    let certificate = read("--certificate", &flags.certificate).await?;
    let attested = FileSignature::attested(&envelope, certificate.as_deref());
    attested.or_fail(|| "cannot read the attestation".to_owned())
}
