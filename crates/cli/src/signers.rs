//! The accepted signers, from the policy flags or a policy file.

use std::path::Path;

use image_signing::{AcceptedSigners, PublicKeyError};
use keys::PublicKey;
use verify::{AcceptedSigner, Formats, Policy, PolicyFile, StringMatch};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{PolicyFlags, SignatureFormat};

/// The content of the file that `flag` names.
pub(crate) async fn read(
    flag: &str,
    path: &Path,
    cap: usize,
    context: &Context,
) -> Result<Vec<u8>, host::FileError> {
    context.console.wait_for(&format!("reading {flag} {}", path.display()));
    let bytes = context.env.read(path, cap).await;
    context.console.settle();
    bytes
}

/// The signers in the policy file of `--identity-policy`.
pub(crate) async fn policy_file(
    path: &Path,
    context: &Context,
) -> Result<AcceptedSigners, Failure> {
    let problem = || format!("cannot use --identity-policy {}", path.display());
    let bytes = read("--identity-policy", path, POLICY_CAP, context)
        .await
        .map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    let file = PolicyFile::parse(&bytes);
    file.map(AcceptedSigners::file).map_err(|error| Failure::of(Exit::Usage, problem(), &error))
}

/// The signer that the flags name.
pub(crate) async fn signer(
    flags: &PolicyFlags,
    context: &Context,
) -> Result<AcceptedSigner, Failure> {
    if let Some(key) = &flags.key {
        return Ok(AcceptedSigner::key(public_key(key, context).await?));
    }
    let domain = flags.certificate_spiffe_trust_domain.as_deref();
    let subject = match (domain, &flags.certificate_identity, &flags.certificate_identity_regexp) {
        (Some(domain), ..) => {
            let path = flags.certificate_spiffe_path_prefix.as_deref();
            let flags = "--certificate-spiffe-trust-domain or --certificate-spiffe-path-prefix";
            StringMatch::spiffe(domain, path).map_err(|error| unusable(flags, &error))?
        }
        (None, exact, regexp) => one_of("--certificate-identity", exact, regexp)?,
    };
    let (exact, regexp) = (&flags.certificate_oidc_issuer, &flags.certificate_oidc_issuer_regexp);
    let issuer = one_of("--certificate-oidc-issuer", exact, regexp)?;
    if exact.as_ref().is_some_and(|it| it.starts_with("spiffe://") || it.contains('@')) {
        context.console.warning(
            "--certificate-oidc-issuer does not look like the URL of an issuer: is it swapped with \
             --certificate-identity?",
        );
    }
    let extensions = flags.extensions.wanted();
    let signer = AcceptedSigner::identity(subject, issuer);
    Ok(extensions.fold(signer, |signer, (oid, value)| signer.extension(oid, value)))
}

/// A string given exactly by `flag`, or as a pattern by the flag of that name.
fn one_of(
    flag: &str,
    exact: &Option<String>,
    regexp: &Option<String>,
) -> Result<StringMatch, Failure> {
    match (exact, regexp) {
        (Some(exact), _) => Ok(StringMatch::exact(exact)),
        (None, Some(pattern)) => StringMatch::regexp(pattern)
            .map_err(|error| unusable(&format!("{flag}-regexp"), &error)),
        (None, None) => Err(Failure::usage(format!(
            "{flag} or {flag}-regexp is required for verification in keyless mode"
        ))
        .hint(
            "name the expected signer with --certificate-identity and --certificate-oidc-issuer",
        )),
    }
}

fn unusable(flag: &str, error: &verify::PolicyError) -> Failure {
    Failure::of(Exit::Usage, format!("cannot use {flag}"), error)
}

/// The public key of `--key`.
pub(crate) async fn public_key(key: &str, context: &Context) -> Result<PublicKey, Failure> {
    context.console.wait_for(&format!("reading --key {key}"));
    let read = image_signing::public_key(key, &*context.env).await;
    context.console.settle();
    read.map_err(|error| {
        let problem = format!("cannot use --key {key}");
        match error {
            PublicKeyError::Scheme { .. } => Failure::usage(format!("--key: {error}"))
                .hint("export the public key as PEM, and name the file or env://VARIABLE"),
            PublicKeyError::Private => Failure::of(Exit::Usage, problem, &error),
            _ => Failure::of(Exit::Failed, problem, &error),
        }
    })
}

/// What the flags add to a policy or leave out of it. Warns about each check that is left out.
pub(crate) fn strictness(
    flags: &PolicyFlags,
    context: &Context,
) -> impl Fn(Policy) -> Policy + use<> {
    let ignore_tlog = flags.insecure_ignore_tlog || flags.private_infrastructure;
    let (timestamps, ignore_sct) = (flags.use_signed_timestamps, flags.insecure_ignore_sct);
    if ignore_tlog {
        let text = "log entries are not checked: the signature may never have been public";
        context.console.warning(text);
    }
    if ignore_sct {
        let text = "certificate logs are not checked: the certificate may never have been public";
        context.console.warning(text);
    }
    let formats = match flags.signature_format {
        // Leaves what a policy file says.
        SignatureFormat::Any => None,
        SignatureFormat::Bundle => Some(Formats::Bundle),
        SignatureFormat::Legacy => Some(Formats::Legacy),
    };
    move |policy| {
        let policy = formats.into_iter().fold(policy, Policy::formats);
        let policy = if timestamps { policy.use_signed_timestamps() } else { policy };
        let policy = if ignore_tlog { verify::danger::ignore_tlog(policy) } else { policy };
        if ignore_sct { verify::danger::ignore_sct(policy) } else { policy }
    }
}

const POLICY_CAP: usize = 4 << 20;
