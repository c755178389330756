//! The accepted signers, from the policy flags or a policy file.

use std::path::Path;

use keys::PublicKey;
use verify::{AcceptedSigner, Formats, Policy, PolicyFile, StringMatch};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::files;
use crate::flags::{PolicyFlags, SignerFlags};

/// The signers in the policy file of `--identity-policy`.
pub(crate) async fn policy_file(path: &Path, context: &Context) -> Result<PolicyFile> {
    let file = files::parse("--identity-policy", path, POLICY_CAP, context, PolicyFile::parse);
    file.await
}

/// The signer that the flags name.
pub(crate) async fn signer(flags: &PolicyFlags, context: &Context) -> Result<AcceptedSigner> {
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
    let read = image_signing::public_key(key, &*context.env).await;
    context.console.settle();
    read.or_fail(|| format!("cannot use --key {key}"))
}

/// What the flags add to a policy or leave out of it. Warns about each check that is left out.
pub(crate) fn strictness(
    flags: &PolicyFlags,
    context: &Context,
) -> impl Fn(Policy) -> Policy + use<> {
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

const POLICY_CAP: usize = 4 << 20;
