//! `ambisign verify-blob` and `ambisign verify-blob-attestation`.

use std::sync::Arc;

use image_signing::AcceptedSigners;
use image_signing::file::{
    Artifact, FileArgument, FileSignature, FileVerifier, LogSearch, Signatures, VerifiedFile,
};
use keys::Digest;
use tokio::sync::OnceCell;
use trust_root::TrustedRoot;
use verify::Purpose;

use super::verify::as_flags;
use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::flags::{Output, VerifyBlobAttestationFlags, VerifyBlobFlags, VerifyFileFlags};
use crate::output::json_line;
use crate::{plan, signers};

pub(crate) async fn verify_blob(flags: &VerifyBlobFlags, context: &Arc<Context>) -> Result<()> {
    let artifacts: Vec<_> = flags.files.iter().map(Artifact::parse).collect();
    let detached = flags.signature.as_deref().map(|signature| (signature, flags));
    if detached.is_some() && artifacts.len() > 1 {
        let problem = "--signature is of one file, and several are named: verify them one by one";
        return Err(Failure::usage(problem));
    }
    if detached.is_some() && flags.certificate.is_none() && flags.verify.policy.key.is_none() {
        return Err(Failure::usage("--signature needs --certificate or --key"));
    }
    let (flags, purpose) = (&flags.verify, Purpose::FileSignature);
    Job { flags, purpose, detached, root: OnceCell::new(), context }.run(&artifacts).await
}

pub(crate) async fn verify_blob_attestation(
    flags: &VerifyBlobAttestationFlags,
    context: &Arc<Context>,
) -> Result<()> {
    let artifact = match (&flags.file, &flags.digest) {
        (Some(file), _) => Artifact::parse(file),
        (None, hex) => {
            let hex = hex.as_deref().unwrap_or_default();
            let digest = Digest::from_hex(flags.digest_alg, &hex.to_ascii_lowercase())
                .map_err(|error| Failure::of(Exit::Usage, "--digest cannot be used", &error))?;
            Artifact::Digest { name: hex.into(), digest }
        }
    };
    let purpose = Purpose::Attestation { predicate_type: flags.r#type.clone() };
    let flags = &flags.verify;
    Job { flags, purpose, detached: None, root: OnceCell::new(), context }.run(&[artifact]).await
}

struct Job<'a> {
    flags: &'a VerifyFileFlags,
    purpose: Purpose,
    /// `--signature` (a file or the signature itself), and what comes with it.
    detached: Option<(&'a str, &'a VerifyBlobFlags)>,
    root: OnceCell<Arc<TrustedRoot>>,
    context: &'a Context,
}

impl Job<'_> {
    async fn run(&self, artifacts: &[Artifact]) -> Result<()> {
        let Self { flags, context, .. } = self;
        let signers = match &flags.file.identity_policy {
            Some(path) => Ok(AcceptedSigners::file(signers::policy_file(path, context).await?)),
            None => signers::signer(&flags.policy, context).await.map(AcceptedSigners::rule),
        };
        if let (Err(failure), true) = (&signers, flags.policy.names_nobody()) {
            // Reported before any file is read. The signer of the file is then offered as a hint.
            context.fail(failure);
            let anybody = AcceptedSigners::rule(verify::danger::any_identity());
            if let Some(artifact) = artifacts.first().filter(|it| !it.is_stdin()) {
                let offered = self.offered(artifact).await?;
                let verified = self.judge(artifact, &offered, &anybody).await.ok();
                let signatures = verified.map_or_else(Vec::new, |verified| verified.signatures);
                let hints = signatures.iter().filter_map(|it| as_flags(&it.verified));
                hints.for_each(|hint| context.console.hint(&hint));
            }
            return Ok(());
        }
        let strictness = signers::strictness(&flags.policy, context);
        let signers = signers?.adjust(strictness);
        let several = artifacts.len() > 1;
        let mut failed = 0;
        // Bundles that are named are read once for all files.
        let mut named = None;
        for artifact in artifacts {
            let verified = async {
                let offered = match (&named, flags.bundle.is_empty()) {
                    (Some(named), _) => Signatures::clone(named),
                    (None, true) => self.offered(artifact).await?,
                    (None, false) => named.insert(self.offered(artifact).await?).clone(),
                };
                self.judge(artifact, &offered, &signers).await
            };
            match verified.await {
                Ok(verified) => self.report(&verified, several),
                Err(failure) if several => {
                    context.fail(&failure);
                    failed += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
        context.console.tally("verified", artifacts.len(), failed);
        Ok(())
    }

    fn report(&self, verified: &VerifiedFile, several: bool) {
        let console = &self.context.console;
        for warning in verified.signatures.iter().flat_map(|it| it.verified.warnings()) {
            console.warning(&warning.to_string());
        }
        match self.flags.output {
            Output::Json => verified.reports().iter().for_each(|it| console.data(&json_line(it))),
            Output::Text => console.note(&verified.line(several)),
        }
    }

    async fn judge(
        &self,
        artifact: &Artifact,
        offered: &Signatures,
        signers: &AcceptedSigners,
    ) -> Result<VerifiedFile> {
        let Self { flags, context, .. } = self;
        let policy = signers.file_policy(self.purpose.clone(), artifact.name())?;
        let root = || plan::verifying_root(&flags.trust, context);
        let root = Arc::clone(self.root.get_or_try_init(root).await?);
        let clock = context.host(&context.settings()).clock;
        context.console.wait_for(&format!("reading {}", artifact.name().display()));
        let _paused = artifact.is_stdin().then(|| context.deadline.pause());
        let verifier = FileVerifier::new(policy, Arc::clone(&root), clock);
        let verified = match (self.detached, offered.first()) {
            (Some(_), Some(signature)) if !flags.trust.offline => {
                let search = LogSearch::new(root, context.host(&context.settings()).http);
                verifier.verify_detached(artifact, signature, &search).await
            }
            _ => verifier.verify_any(artifact, offered).await,
        };
        context.console.settle();
        Ok(verified?)
    }

    /// The detached signature, the bundles in `--bundle`, or the one beside the file.
    async fn offered(&self, artifact: &Artifact) -> Result<Signatures> {
        let Self { flags, context, .. } = self;
        if let Some((signature, parts)) = self.detached {
            context.console.wait_for("reading the signature");
            let certificate = parts.certificate.as_deref();
            let (timestamp, env) = (parts.rfc3161_timestamp.as_deref(), &*context.env);
            let read = FileSignature::in_files(signature, certificate, timestamp, env).await;
            return Ok(read?.into());
        }
        let bundles: Vec<_> = flags.bundle.iter().map(FileArgument::parse).collect();
        let is_twice = bundles.is_empty() || bundles.iter().any(FileArgument::is_standard);
        if artifact.is_stdin() && is_twice {
            let problem = "stdin is the file to verify, and no other file is named for its bundle";
            return Err(Failure::usage(problem).hint("name the bundle: --bundle FILE"));
        }
        context.console.wait_for(&format!("reading the bundle of {}", artifact.name().display()));
        Ok(Signatures::of(artifact, &bundles).await?)
    }
}
