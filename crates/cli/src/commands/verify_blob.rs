//! `ambisign verify-blob` and `ambisign verify-blob-attestation`.

use std::path::Path;
use std::sync::Arc;

use bundle::SIZE_CAP;
use image_signing::file::{Artifact, FileArgument, FileSignature, FileVerifier, VerifiedFile};
use keys::Digest;
use verify::{Policy, Purpose};

use super::verify::as_flags;
use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::flags::{Output, VerifyBlobAttestationFlags, VerifyBlobFlags, VerifyFileFlags};
use crate::output::json_line;
use crate::{files, plan, signers};

pub(crate) async fn verify_blob(
    flags: &VerifyBlobFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let artifact = &Artifact::parse(&flags.file);
    let signature = async {
        match &flags.signature {
            Some(signature) => detached(flags, signature, context).await,
            None => attached(artifact, &flags.verify, context).await,
        }
    };
    verify(artifact, signature, Purpose::FileSignature, &flags.verify, context).await
}

pub(crate) async fn verify_blob_attestation(
    flags: &VerifyBlobAttestationFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let artifact = &match (&flags.file, &flags.digest) {
        (Some(file), _) => Artifact::parse(file),
        (None, hex) => {
            let hex = hex.as_deref().unwrap_or_default();
            let digest = Digest::from_hex(flags.digest_alg, &hex.to_ascii_lowercase())
                .map_err(|error| Failure::of(Exit::Usage, "--digest cannot be used", &error))?;
            Artifact::Digest { name: hex.into(), digest }
        }
    };
    let purpose = Purpose::Attestation { predicate_type: flags.r#type.clone() };
    let signature = attached(artifact, &flags.verify, context);
    verify(artifact, signature, purpose, &flags.verify, context).await
}

async fn verify(
    artifact: &Artifact,
    signature: impl Future<Output = Result<FileSignature, Failure>>,
    purpose: Purpose,
    flags: &VerifyFileFlags,
    context: &Context,
) -> Result<(), Failure> {
    let signer = signers::of_file(artifact, flags, context).await;
    let is_nobody = flags.policy.names_nobody() && flags.file.identity_policy.is_none();
    if let (Err(failure), true) = (&signer, is_nobody) {
        // Reported before any file is read. The signer of the file is then offered as a hint.
        context.fail(failure);
        let signature = signature.await?;
        if !artifact.is_stdin() {
            let anybody = Policy::new(purpose, verify::danger::any_identity());
            let verified = judge(artifact, &signature, anybody, flags, context).await.ok();
            let hint = verified.and_then(|it| as_flags(&it.verified));
            hint.iter().for_each(|hint| context.console.hint(hint));
        }
        return Ok(());
    }
    let (signer, signature) = (signer?, signature.await?);
    let strictness = signers::strictness(&flags.policy, context);
    let policy = strictness(Policy::new(purpose, signer));
    let verified = judge(artifact, &signature, policy, flags, context).await?;
    for warning in verified.verified.warnings() {
        context.console.warning(&warning.to_string());
    }
    match flags.output {
        Output::Text => context.console.note("Verified OK"),
        Output::Json => context.console.data(&json_line(&verified.report())),
    }
    Ok(())
}

async fn judge(
    artifact: &Artifact,
    signature: &FileSignature,
    policy: Policy,
    flags: &VerifyFileFlags,
    context: &Context,
) -> Result<VerifiedFile, Failure> {
    let root = Arc::new(plan::trusted_root(&flags.trust, context).await?);
    let clock = context.host(&context.settings()).clock;
    context.console.wait_for(&format!("reading {}", artifact.name().display()));
    let _paused = artifact.is_stdin().then(|| context.deadline.pause());
    let verified = FileVerifier::new(policy, root, clock).verify(artifact, signature).await;
    context.console.settle();
    Ok(verified?)
}

/// The signature in `--bundle`, or beside the file.
async fn attached(
    artifact: &Artifact,
    flags: &VerifyFileFlags,
    context: &Context,
) -> Result<FileSignature, Failure> {
    let bundle = flags.bundle.as_ref().map(FileArgument::parse);
    if artifact.is_stdin() && bundle.as_ref().is_none_or(FileArgument::is_standard) {
        let problem = "stdin is the file to verify, and no other file is named for its bundle";
        return Err(Failure::usage(problem).hint("name the bundle: --bundle FILE"));
    }
    context.console.wait_for(&format!("reading the bundle of {}", artifact.name().display()));
    Ok(FileSignature::of(artifact, bundle.as_ref()).await?)
}

/// A detached signature: `--signature` (a file or the signature itself), `--certificate` and
/// `--rfc3161-timestamp`.
async fn detached(
    flags: &VerifyBlobFlags,
    signature: &str,
    context: &Context,
) -> Result<FileSignature, Failure> {
    if flags.certificate.is_none() && flags.verify.policy.key.is_none() {
        return Err(Failure::usage("--signature needs --certificate or --key"));
    }
    let read = async |flag: &'static str, path: Option<&Path>| match path {
        Some(path) => files::read(flag, path, SIZE_CAP, context).await.map(Some),
        None => Ok(None),
    };
    let bytes = match read("--signature", Some(Path::new(signature))).await {
        // The signature itself, as cosign accepts it.
        Err(_) if bundle::proto_json::decode_base64(signature).is_some() => signature.into(),
        read => read?.unwrap_or_default(),
    };
    let certificate = read("--certificate", flags.certificate.as_deref()).await?;
    let timestamp = read("--rfc3161-timestamp", flags.rfc3161_timestamp.as_deref()).await?;
    context.console.wait_for("reading the signature");
    let signature = FileSignature::detached(bytes, certificate, timestamp).await;
    signature.or_fail(|| "cannot read the signature".to_owned())
}
