//! The accepted signers, from the policy flags or a policy file.

use image_signing::{AcceptedSigners, VerifiedSignature};
use keys::PublicKey;
use verify::{AcceptedSigner, Formats, Policy, PolicyFile, StringMatch};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::flags::{PolicyFlags, SignerFlags};
use crate::{files, hints};

/// The signers in the policy file, or the one that flags name, as strict as flags want it. With
/// `by_digest` an attestation counts that a log of version 1 has by its digest only.
pub(crate) async fn accepted(
    flags: &PolicyFlags,
    by_digest: bool,
    context: &Context,
) -> Result<AcceptedSigners> {
    let signers = match &flags.identity_policy {
        Some(path) => {
            let (flag, parse) = ("--identity-policy", PolicyFile::parse);
            AcceptedSigners::file(files::parse(flag, path, POLICY_CAP, context, parse).await?)
        }
        None => AcceptedSigners::rule(signer(flags, context).await?),
    };
    let signers = signers.adjust(strictness(flags, context));
    if by_digest {
        context.console.warning(BY_DIGEST);
        return Ok(signers.adjust(Policy::accept_digest_entries));
    }
    Ok(signers)
}

/// Any signer at all: for hints only.
pub(crate) fn anybody() -> AcceptedSigners {
    AcceptedSigners::rule(verify::danger::any_identity())
}

/// Offers the signer of each of `signatures` as the flags that ask for exactly it.
pub(crate) fn offer(signatures: &[VerifiedSignature], context: &Context) {
    let named =
        signatures.iter().filter_map(|it| it.verified.subject_name().zip(it.verified.issuer()));
    let hints = named.filter_map(|(subject, issuer)| hints::signer(subject.as_str(), issuer));
    hints.for_each(|hint| context.console.hint(&hint));
}

/// The signer that the flags name.
async fn signer(flags: &PolicyFlags, context: &Context) -> Result<AcceptedSigner> {
    if let Some(key) = &flags.key {
        return Ok(AcceptedSigner::key(public_key(key, context).await?));
    }
    let none = SignerFlags::default();
    let named = flags.signer.as_ref().unwrap_or(&none);
    let subject = match &named.certificate_spiffe_trust_domain {
        Some(domain) => {
            let path = named.certificate_spiffe_path_prefix.as_deref();
            let flags = "--certificate-spiffe-trust-domain or --certificate-spiffe-path-prefix";
            StringMatch::spiffe(domain, path).or_fail(|| format!("cannot use {flags}"))?
        }
        None => {
            let regexp = &named.certificate_identity_regexp;
            one_of("--certificate-identity", &named.certificate_identity, regexp)?
        }
    };
    let (exact, regexp) = (&named.certificate_oidc_issuer, &named.certificate_oidc_issuer_regexp);
    let issuer = one_of("--certificate-oidc-issuer", exact, regexp)?;
    if exact.as_ref().is_some_and(|it| it.starts_with("spiffe://") || it.contains('@')) {
        context.console.warning(
            "--certificate-oidc-issuer does not look like the URL of an issuer: is it swapped with \
             --certificate-identity?",
        );
    }
    let signer = AcceptedSigner::identity(subject, issuer);
    let extensions = flags.extensions.0.iter().cloned();
    Ok(extensions.fold(signer, |signer, (oid, value)| signer.extension(oid, value)))
}

/// A string given exactly by `flag`, or as a pattern by the flag of that name.
fn one_of(flag: &str, exact: &Option<String>, regexp: &Option<StringMatch>) -> Result<StringMatch> {
    let given = exact.as_ref().map(StringMatch::exact).or_else(|| regexp.clone());
    given.ok_or_else(|| {
        let problem =
            format!("{flag} or {flag}-regexp is required for verification in keyless mode");
        Failure::usage(problem).hint(
            "name the expected signer with --certificate-identity and --certificate-oidc-issuer",
        )
    })
}

/// The public key of `--key`.
pub(crate) async fn public_key(key: &str, context: &Context) -> Result<PublicKey> {
    context.console.wait_for(&format!("reading --key {key}"));
    if image_signing::is_remote_key(key) {
        context.console.warning(&format!(
            "the key is read from {key}: whoever controls that server decides which signatures \
             verify; keep the key in a file to fix it"
        ));
    }
    let host = context.host(&context.settings());
    let read = image_signing::public_key(key, &host).await;
    context.console.settle();
    read.or_fail(|| format!("cannot use --key {key}"))
}

/// What the flags add to a policy or leave out of it. Warns about each check that is left out.
fn strictness(flags: &PolicyFlags, context: &Context) -> impl Fn(Policy) -> Policy + use<> {
    let (ignore_tlog, ignore_sct) = (flags.insecure_ignore_tlog, flags.insecure_ignore_sct);
    let timestamps = flags.use_signed_timestamps;
    if ignore_tlog {
        let text = "log entries are not checked: the signature may never have been public";
        context.console.warning(text);
    }
    if ignore_sct {
        let text = "certificate logs are not checked: the certificate may never have been public";
        context.console.warning(text);
    }
    // `any` leaves what a policy file says.
    let formats = Some(flags.signature_format).filter(|formats| *formats != Formats::Any);
    move |policy| {
        let policy = formats.into_iter().fold(policy, Policy::formats);
        let policy = if timestamps { policy.use_signed_timestamps() } else { policy };
        let policy = if ignore_tlog { verify::danger::ignore_tlog(policy) } else { policy };
        if ignore_sct { verify::danger::ignore_sct(policy) } else { policy }
    }
}

const BY_DIGEST: &str =
    "a log entry may be that of a file, not of an attestation (--log-digest-only)";
const POLICY_CAP: usize = 4 << 20;
