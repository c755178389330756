//! `ambisign verify-blob` and `ambisign verify-blob-attestation`.

use std::slice;
use std::sync::Arc;

use image_signing::AcceptedSigners;
use image_signing::file::{Artifact, FileVerifier, LogSearch, SignatureSource, VerifiedFile};
use keys::Digest;
use tokio::sync::OnceCell;
use trust_root::TrustedRoot;
use verify::Purpose;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::flags::{Output, VerifyBlobAttestationFlags, VerifyBlobFlags, VerifyFileFlags};
use crate::output::json_line;
use crate::{plan, signers};

pub(crate) async fn verify_blob(flags: &VerifyBlobFlags, context: &Arc<Context>) -> Result<()> {
    let artifacts: Vec<_> = flags.files.iter().map(Artifact::parse).collect();
    let source = match &flags.signature {
        Some(_) if flags.certificate.is_none() && flags.verify.policy.key.is_none() => {
            return Err(Failure::usage("--signature needs --certificate or --key"));
        }
        Some(signature) => {
            let (certificate, timestamp) = (&flags.certificate, &flags.rfc3161_timestamp);
            let (certificate, timestamp) = (certificate.clone(), timestamp.clone());
            SignatureSource::detached(signature, certificate, timestamp, &artifacts)?
        }
        None => SignatureSource::bundles(&flags.verify.bundle, &artifacts)?,
    };
    let (flags, purpose, root) = (&flags.verify, Purpose::FileSignature, OnceCell::new());
    Job { flags, purpose, by_digest: false, source, root, context }.run(&artifacts).await
}

pub(crate) async fn verify_blob_attestation(
    flags: &VerifyBlobAttestationFlags,
    context: &Arc<Context>,
) -> Result<()> {
    let artifact = match (&flags.file, &flags.digest) {
        (Some(file), _) => Artifact::parse(file),
        (None, hex) => {
            let hex = hex.as_deref().unwrap_or_default();
            let digest = Digest::from_hex(flags.digest_alg, &hex.to_ascii_lowercase());
            let digest = digest.or_usage("--digest cannot be used")?;
            Artifact::Digest { name: hex.into(), digest }
        }
    };
    let purpose = Purpose::Attestation { predicate_type: flags.attestation.r#type.clone() };
    let (root, by_digest) = (OnceCell::new(), flags.attestation.log_digest_only);
    let (flags, artifacts) = (&flags.verify, slice::from_ref(&artifact));
    let source = SignatureSource::bundles(&flags.bundle, artifacts)?;
    Job { flags, purpose, by_digest, source, root, context }.run(artifacts).await
}

struct Job<'a> {
    flags: &'a VerifyFileFlags,
    purpose: Purpose,
    by_digest: bool,
    source: SignatureSource,
    root: OnceCell<Arc<TrustedRoot>>,
    context: &'a Context,
}

impl Job<'_> {
    async fn run(&self, artifacts: &[Artifact]) -> Result<()> {
        let Self { flags, context, .. } = self;
        let signers = match signers::accepted(&flags.policy, self.by_digest, context).await {
            Err(failure) if flags.policy.names_nobody() => {
                // Reported before any file is read. The signer of the file is then offered as a hint.
                context.fail(&failure);
                if let Some(artifact) = artifacts.first().filter(|it| !it.is_stdin())
                    && let Ok(verified) = self.verify(artifact, &signers::anybody()).await
                {
                    signers::offer(&verified.signatures, context);
                }
                return Ok(());
            }
            signers => signers?,
        };
        let (several, mut failed) = (artifacts.len() > 1, 0);
        for artifact in artifacts {
            match self.verify(artifact, &signers).await {
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
            Output::Json => verified.reports().iter().for_each(|it| console.data(json_line(it))),
            Output::Text => console.note(&verified.line(several)),
        }
    }

    async fn verify(&self, artifact: &Artifact, signers: &AcceptedSigners) -> Result<VerifiedFile> {
        let Self { flags, source, context, .. } = self;
        let (name, console) = (artifact.name().display(), &context.console);
        let what = if source.is_detached() { "signature" } else { "bundle" };
        console.wait_for(&format!("reading the {what} of {name}"));
        let offered = source.of(artifact, &*context.env).await?;
        let policy = signers.file_policy(self.purpose.clone(), artifact.name())?;
        let root =
            self.root.get_or_try_init(|| plan::verifying_root(&flags.trust, context)).await?;
        let host = context.host(&context.settings());
        let mut verifier = FileVerifier::new(policy, Arc::clone(root), host.clock);
        if source.is_detached() && !flags.trust.offline {
            verifier = verifier.with_log_search(LogSearch::new(Arc::clone(root), host.http));
        }
        console.wait_for(&format!("reading {name}"));
        let _paused = artifact.is_stdin().then(|| context.deadline.pause());
        let verified = verifier.verify_any(artifact, &offered).await;
        console.settle();
        Ok(verified?)
    }
}
