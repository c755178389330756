//! `ambisign verify-blob` and `ambisign verify-blob-attestation`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::proto_json::Message;
use bundle::{Bundle, SIZE_CAP};
use host::FileError;
use image_signing::facts;
use keys::{Digest, HashAlgorithm, KeyAlgorithm};
use serde_json::json;
use trust_root::TrustedRoot;
use verify::{
    AcceptedSigner, Artifact, Error, LegacySignature, Policy, Purpose, Verified, verify_legacy,
};
use x509::Certificate;

use super::verify::{as_flags, refusal};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::flags::{
    DigestAlgorithm, Output, PolicyFlags, TrustFlags, VerifyBlobAttestationFlags, VerifyBlobFlags,
};
use crate::plan;
use crate::signers::{self, Strictness};

/// The signature of a file, as it was found.
enum Signature {
    Bundle { bundle: Box<Bundle>, digest: Digest },
    Earlier(Box<LegacySignature>),
}

pub(crate) async fn verify_blob(
    flags: &VerifyBlobFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let file = &flags.file;
    let signer = signer(&flags.policy, context)?;
    let signature = match &flags.signature {
        Some(signature) => Signature::Earlier(Box::new(detached(flags, signature, context)?)),
        None => attached(flags.bundle.as_deref(), file).await?,
    };
    let strictness = Strictness::from_flags(&flags.policy, context);
    let Some(signer) = signer else {
        let about = (file.as_path(), &flags.policy, &flags.trust);
        let purpose = Purpose::FileSignature;
        name_signer(about, purpose, &signature, context).await;
        return Ok(());
    };
    let policy = strictness.apply(Policy::file_signature(signer));
    let root = plan::trusted_root(&flags.trust, context).await?;
    let digests = digests(&signature, file, &flags.policy, context).await?;
    let judged = match signature.judge(&Artifact::Digests(&digests), &policy, &root, context) {
        Err(Error::Artifact { .. })
            if signature.may_be_over_the_message(&flags.policy, context)
                && named_digest(file).is_none() =>
        {
            let message = whole(file).await?;
            signature.judge(&Artifact::Message(&message), &policy, &root, context)
        }
        judged => judged,
    };
    let verified = judged.map_err(|error| unacceptable(file, &signature, &error))?;
    conclude(file, &verified, &signature, flags.output, context);
    Ok(())
}

pub(crate) async fn verify_blob_attestation(
    flags: &VerifyBlobAttestationFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let predicate_type = plan::predicate_type(&flags.r#type)?;
    let (name, given) = match (&flags.file, &flags.digest) {
        (Some(file), _) => (file.clone(), None),
        (None, hex) => {
            let hex = hex.as_deref().unwrap_or_default();
            let digest = Digest::from_hex(algorithm(flags.digest_alg), &hex.to_ascii_lowercase());
            let digest = digest
                .map_err(|error| Failure::of(Exit::Usage, "--digest cannot be used", &error))?;
            (hex.into(), Some(digest))
        }
    };
    let signer = signer(&flags.policy, context)?;
    let signature = attached(flags.bundle.as_deref(), &name).await?;
    let strictness = Strictness::from_flags(&flags.policy, context);
    let Some(signer) = signer else {
        if given.is_none() {
            let about = (name.as_path(), &flags.policy, &flags.trust);
            let purpose = Purpose::Attestation { predicate_type };
            name_signer(about, purpose, &signature, context).await;
        }
        return Ok(());
    };
    let policy = strictness.apply(Policy::attestation(&predicate_type, signer));
    let root = plan::trusted_root(&flags.trust, context).await?;
    let digests = match given {
        Some(digest) => vec![digest],
        None => digests(&signature, &name, &flags.policy, context).await?,
    };
    let verified = signature
        .judge(&Artifact::Digests(&digests), &policy, &root, context)
        .map_err(|error| unacceptable(&name, &signature, &error))?;
    conclude(&name, &verified, &signature, flags.output, context);
    Ok(())
}

/// The signer that the flags name. When they name none, that is reported before any file is read,
/// and `None`: the signer of the file can then be offered as a hint.
fn signer(flags: &PolicyFlags, context: &Context) -> Result<Option<AcceptedSigner>, Failure> {
    match signers::signer(flags, context) {
        Err(failure) if flags.names_nobody() => {
            context.fail(&failure);
            Ok(None)
        }
        signer => signer.map(Some),
    }
}

impl Signature {
    fn judge(
        &self,
        artifact: &Artifact<'_>,
        policy: &Policy,
        root: &TrustedRoot,
        context: &Context,
    ) -> Result<Verified, Error> {
        match self {
            Self::Bundle { bundle, .. } => {
                verify::verify(bundle, artifact, policy, root, context.now())
            }
            Self::Earlier(legacy) => verify_legacy(legacy, artifact, policy, root, context.now()),
        }
    }

    /// Whether the key also signs whole messages instead of digests.
    fn may_be_over_the_message(&self, flags: &PolicyFlags, context: &Context) -> bool {
        let certificate = self.certificate();
        let key = certificate.map(|certificate| certificate.public_key().clone()).or_else(|| {
            let key = flags.key.as_deref()?;
            signers::public_key(key, &*context.env).ok()
        });
        key.is_some_and(|key| key.algorithm() == KeyAlgorithm::Ed25519)
    }

    /// The certificate of the signer, not verified.
    fn certificate(&self) -> Option<Certificate> {
        match self {
            Self::Bundle { bundle, .. } => verify::certificate(bundle),
            Self::Earlier(legacy) => legacy.certificate(),
        }
    }

    fn hash_algorithm(&self) -> Result<HashAlgorithm, Error> {
        match self {
            Self::Bundle { bundle, .. } => verify::hash_algorithm(bundle),
            Self::Earlier(legacy) => legacy.hash_algorithm(),
        }
    }
}

/// The bundle of `file`, or cosign's older JSON.
async fn attached(bundle: Option<&Path>, file: &Path) -> Result<Signature, Failure> {
    let (path, bytes) = read_bundle(bundle, file).await?;
    let problem = || format!("{} is not a Sigstore bundle", path.display());
    let has = |name: &str| {
        let document = Message::parse(&bytes, SIZE_CAP);
        document.is_ok_and(|mut document| document.any(name).is_ok_and(|it| it.is_some()))
    };
    match Bundle::from_json(&bytes) {
        Ok(bundle) => {
            Ok(Signature::Bundle { bundle: Box::new(bundle), digest: Digest::sha256(&bytes) })
        }
        // The format before.
        Err(_) if has("base64Signature") => match LegacySignature::blob_bundle(&bytes) {
            Ok(legacy) => Ok(Signature::Earlier(Box::new(legacy))),
            Err(error) => Err(Failure::of(Exit::NotAcceptable, problem(), &error)),
        },
        Err(_) if has("payloadType") => {
            match LegacySignature::attestation(&bytes, &Default::default()) {
                Ok(legacy) => Ok(Signature::Earlier(Box::new(legacy))),
                Err(error) => Err(Failure::of(Exit::NotAcceptable, problem(), &error)),
            }
        }
        Err(error) => Err(Failure::of(Exit::NotAcceptable, problem(), &error).hint(
            match is_bundle(file).await {
                true => "name the file first and its bundle with --bundle: they are swapped",
                false => "check that it is a bundle written by sign-blob, and complete",
            },
        )),
    }
}

async fn is_bundle(file: &Path) -> bool {
    let bytes = files::read(file, SIZE_CAP).await;
    bytes.is_ok_and(|bytes| Bundle::from_json(&bytes).is_ok())
}

/// The path of the bundle and its content: of `--bundle`, or beside the file.
async fn read_bundle(bundle: Option<&Path>, file: &Path) -> Result<(PathBuf, Vec<u8>), Failure> {
    let paths = match bundle {
        Some(path) if files::is_standard(path) && files::is_standard(file) => {
            return Err(Failure::usage("stdin cannot be both the file and its bundle")
                .hint("name one of them"));
        }
        Some(path) => vec![path.to_owned()],
        None if files::is_standard(file) => {
            return Err(Failure::usage("stdin has no file name that leads to its bundle")
                .hint("name the bundle: --bundle FILE"));
        }
        None => vec![files::bundle_path(file), files::older_bundle_path(file)],
    };
    let mut missing = None;
    for path in paths {
        match files::read(&path, SIZE_CAP).await {
            Ok(bytes) => return Ok((path, bytes)),
            Err(error @ FileError::NotFound { .. }) => _ = missing.get_or_insert(error),
            Err(error) => {
                return Err(Failure::of(Exit::Failed, "cannot read the bundle", &error));
            }
        }
    }
    if bundle.is_none() && !file.exists() && named_digest(file).is_none() {
        let problem = format!("{} does not exist", file.display());
        return Err(Failure::new(Exit::NotFound, problem));
    }
    let failure =
        Failure::new(Exit::NotSigned, format!("no signature of {} found", file.display()));
    let failure = missing.iter().fold(failure, |failure, error| failure.because(error));
    Err(failure.hint("name the bundle: --bundle FILE"))
}

/// The digest that stands in place of a file, as cosign accepts it, unless such a file exists.
fn named_digest(file: &Path) -> Option<Digest> {
    let text = file.to_string_lossy();
    let (name, hex) = text.split_once(':').filter(|_| !file.exists())?;
    Digest::from_hex(HashAlgorithm::from_name(name)?, hex).ok()
}

/// A detached signature: `--signature` (a file or the signature itself), `--certificate` and
/// `--rfc3161-timestamp`.
fn detached(
    flags: &VerifyBlobFlags,
    signature: &str,
    context: &Context,
) -> Result<LegacySignature, Failure> {
    let read = |flag: &str, path: &Path| {
        let problem = format!("cannot read {flag} {}", path.display());
        let read = files::read_now(&*context.env, path, SIZE_CAP);
        read.map_err(|error| Failure::of(Exit::Failed, problem, &error))
    };
    if flags.certificate.is_none() && flags.policy.key.is_none() {
        return Err(Failure::usage("--signature needs --certificate or --key"));
    }
    let bytes = match read("--signature", Path::new(signature)) {
        Ok(bytes) => bytes,
        // The signature itself, as cosign accepts it.
        Err(_) if bundle::proto_json::decode_base64(signature).is_some() => {
            signature.as_bytes().to_vec()
        }
        Err(failure) => return Err(failure),
    };
    let certificate = flags.certificate.as_deref();
    let certificate = certificate.map(|path| read("--certificate", path)).transpose()?;
    let certificate = certificate.map(|pem| String::from_utf8_lossy(&pem).into_owned());
    let timestamp = flags.rfc3161_timestamp.as_deref();
    let timestamp = timestamp.map(|path| read("--rfc3161-timestamp", path)).transpose()?;
    let timestamp = timestamp.map(unwrap_timestamp);
    LegacySignature::detached(&bytes, certificate.as_deref(), timestamp.as_deref())
        .map_err(|error| Failure::judgement("cannot read the signature", &error))
}

/// cosign wrote the timestamp wrapped in JSON.
fn unwrap_timestamp(bytes: Vec<u8>) -> Vec<u8> {
    let wrapped = Message::parse(&bytes, SIZE_CAP);
    let inner = wrapped.ok().and_then(|mut json| json.bytes("SignedRFC3161Timestamp").ok()?);
    inner.unwrap_or(bytes)
}

/// The digests that the signature may be over. The certificate or the bundle names the algorithm;
/// with --key, the key may use another.
async fn digests(
    signature: &Signature,
    file: &Path,
    flags: &PolicyFlags,
    context: &Context,
) -> Result<Vec<Digest>, Failure> {
    let mut algorithms =
        vec![signature.hash_algorithm().map_err(|error| unacceptable(file, signature, &error))?];
    if let Some(key) = &flags.key {
        let key = signers::public_key(key, &*context.env)?;
        algorithms.push(key.default_scheme().hash().unwrap_or(HashAlgorithm::Sha512));
    }
    algorithms.dedup();
    if let Some(digest) = named_digest(file) {
        return Ok(vec![digest]);
    }
    context.console.wait_for(&format!("reading {}", file.display()));
    let _paused = files::is_standard(file).then(|| context.pause());
    let digests = files::digests(file.to_owned(), algorithms)
        .await
        .map_err(|error| Failure::file(file, &error))?;
    context.console.settle();
    Ok(digests)
}

/// The whole file, for a pure Ed25519 signature, which is not over a digest.
async fn whole(file: &Path) -> Result<Vec<u8>, Failure> {
    files::read(file, MESSAGE_CAP).await.map_err(|error| {
        let problem = format!("cannot verify the signature of {}", file.display());
        Failure::of(Exit::Failed, problem, &error).hint(
            "verify on a machine where the whole file fits into memory: a pure Ed25519 signature \
             is not over its digest",
        )
    })
}

fn unacceptable(file: &Path, signature: &Signature, error: &Error) -> Failure {
    let problem = format!("the signature of {} is not acceptable", file.display());
    refusal(problem, error, signature.certificate().as_ref())
}

/// Offers the signer of a signature that verifies as a hint: the flags name none.
async fn name_signer(
    (file, policy, trust): (&Path, &PolicyFlags, &TrustFlags),
    purpose: Purpose,
    signature: &Signature,
    context: &Context,
) {
    if files::is_standard(file) {
        return;
    }
    let Ok(root) = plan::trusted_root(trust, context).await else { return };
    let Ok(digests) = digests(signature, file, policy, context).await else { return };
    let anybody = Policy::new(purpose, verify::danger::any_identity());
    let judged = signature.judge(&Artifact::Digests(&digests), &anybody, &root, context);
    judged.ok().as_ref().and_then(as_flags).iter().for_each(|hint| context.console.hint(hint));
}

fn conclude(
    file: &Path,
    verified: &Verified,
    signature: &Signature,
    output: Output,
    context: &Context,
) {
    for warning in verified.warnings() {
        context.console.warning(&warning.to_string());
    }
    match output {
        Output::Text => context.console.note("Verified OK"),
        Output::Json => {
            let bundle = match signature {
                Signature::Bundle { digest, .. } => Some(digest),
                Signature::Earlier(_) => None,
            };
            let digest = verified.digest();
            let mut report = json!({
                "file": file.display().to_string(),
                "digest": format!("{}:{}", digest.algorithm().name(), digest.to_hex()),
                "optional": facts(verified, bundle),
            });
            if let (Some(statement), Some(report)) = (verified.statement(), report.as_object_mut())
            {
                report.insert("predicateType".to_owned(), json!(statement.predicate_type()));
            }
            context.console.json(&report);
        }
    }
}

fn algorithm(name: DigestAlgorithm) -> HashAlgorithm {
    match name {
        DigestAlgorithm::Sha256 => HashAlgorithm::Sha256,
        DigestAlgorithm::Sha384 => HashAlgorithm::Sha384,
        DigestAlgorithm::Sha512 => HashAlgorithm::Sha512,
    }
}

/// The largest file that is held in memory, in bytes: cosign's limit for attachments.
const MESSAGE_CAP: usize = 128 << 20;
