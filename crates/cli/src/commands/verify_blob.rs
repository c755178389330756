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
    let check = Check { artifact, flags: &flags.verify, context };
    let signature = async {
        match &flags.signature {
            Some(signature) => detached(flags, signature, context).await,
            None => attached(artifact, flags.verify.bundle.as_deref(), context).await,
        }
    };
    check.carry_out(signature, Purpose::FileSignature).await
}

pub(crate) async fn verify_blob_attestation(
    flags: &VerifyBlobAttestationFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let predicate_type = flags.r#type.clone();
    let artifact = &match (&flags.file, &flags.digest) {
        (Some(file), _) => Artifact::parse(file),
        (None, hex) => {
            let hex = hex.as_deref().unwrap_or_default();
            let digest = Digest::from_hex(flags.digest_alg, &hex.to_ascii_lowercase())
                .map_err(|error| Failure::of(Exit::Usage, "--digest cannot be used", &error))?;
            Artifact::Digest { name: hex.into(), digest }
        }
    };
    let check = Check { artifact, flags: &flags.verify, context };
    let signature = attached(artifact, flags.verify.bundle.as_deref(), context);
    check.carry_out(signature, Purpose::Attestation { predicate_type }).await
}

/// What is verified, by which flags.
struct Check<'a> {
    artifact: &'a Artifact,
    flags: &'a VerifyFileFlags,
    context: &'a Context,
}

impl Check<'_> {
    async fn carry_out(
        &self,
        signature: impl Future<Output = Result<FileSignature, Failure>>,
        purpose: Purpose,
    ) -> Result<(), Failure> {
        let console = &self.context.console;
        let signer = signers::signer(&self.flags.policy, self.context).await;
        if let (Err(failure), true) = (&signer, self.flags.policy.names_nobody()) {
            // Reported before any file is read. The signer of the file is then offered as a hint.
            self.context.fail(failure);
            let signature = signature.await?;
            if !self.artifact.is_stdin() {
                let anybody = Policy::new(purpose, verify::danger::any_identity());
                let verified = self.verify(&signature, anybody).await.ok();
                let hint = verified.and_then(|it| as_flags(&it.verified));
                hint.iter().for_each(|hint| console.hint(hint));
            }
            return Ok(());
        }
        let (signer, signature) = (signer?, signature.await?);
        let strictness = signers::strictness(&self.flags.policy, self.context);
        let policy = strictness(Policy::new(purpose, signer));
        let verified = self.verify(&signature, policy).await?;
        let warnings = verified.verified.warnings().iter();
        warnings.for_each(|warning| console.warning(&warning.to_string()));
        match self.flags.output {
            Output::Text => console.note("Verified OK"),
            Output::Json => console.data(&json_line(&verified.report())),
        }
        Ok(())
    }

    async fn verify(
        &self,
        signature: &FileSignature,
        policy: Policy,
    ) -> Result<VerifiedFile, Failure> {
        let root = Arc::new(plan::trusted_root(&self.flags.trust, self.context).await?);
        let clock = self.context.host(&self.context.settings()).clock;
        let reading = format!("reading {}", self.artifact.name().display());
        self.context.console.wait_for(&reading);
        let _paused = self.artifact.is_stdin().then(|| self.context.deadline.pause());
        let verifier = FileVerifier::new(policy, root, clock);
        let verified = verifier.verify(self.artifact, signature).await;
        self.context.console.settle();
        Ok(verified?)
    }
}

/// The signature in `--bundle`, or beside the file.
async fn attached(
    artifact: &Artifact,
    bundle: Option<&Path>,
    context: &Context,
) -> Result<FileSignature, Failure> {
    let bundle = bundle.map(FileArgument::parse);
    match &bundle {
        Some(FileArgument::Standard) if artifact.is_stdin() => {
            Err(Failure::usage("stdin cannot be both the file and its bundle")
                .hint("name one of them"))
        }
        None if artifact.is_stdin() => {
            Err(Failure::usage("stdin has no file name that leads to its bundle")
                .hint("name the bundle: --bundle FILE"))
        }
        bundle => {
            context
                .console
                .wait_for(&format!("reading the bundle of {}", artifact.name().display()));
            Ok(FileSignature::of(artifact, bundle.as_ref()).await?)
        }
    }
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
    let read = async |flag: &'static str, path: Option<&Path>| {
        let Some(path) = path else { return Ok(None) };
        files::read(flag, path, SIZE_CAP, context).await.map(Some)
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
