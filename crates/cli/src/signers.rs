//! The accepted signers, from the policy flags or a policy file.

use std::path::Path;

use host::Env;
use keys::PublicKey;
use verify::{AcceptedSigner, Formats, Policy, PolicyFile, StringMatch};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{PolicyFlags, SignatureFormat};

/// The policy file of `--identity-policy`.
pub(crate) fn policy_file(path: &Path, env: &dyn Env) -> Result<PolicyFile, Failure> {
    let problem = || format!("cannot use --identity-policy {}", path.display());
    let bytes = crate::files::read_now(env, path, POLICY_CAP)
        .map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    PolicyFile::parse(&bytes).map_err(|error| Failure::of(Exit::Usage, problem(), &error))
}

/// The signer that the flags name.
pub(crate) fn signer(flags: &PolicyFlags, context: &Context) -> Result<AcceptedSigner, Failure> {
    let env = &*context.env;
    if let Some(key) = &flags.key {
        return Ok(AcceptedSigner::key(public_key(key, env)?));
    }
    let subject = subject(flags)?;
    let issuer = one_of(
        ("--certificate-oidc-issuer", flags.certificate_oidc_issuer.as_deref()),
        ("--certificate-oidc-issuer-regexp", flags.certificate_oidc_issuer_regexp.as_deref()),
    )?;
    if let Some(text) = flags.certificate_oidc_issuer.as_deref()
        && (text.starts_with("spiffe://") || text.contains('@'))
    {
        context.console.warning(
            "--certificate-oidc-issuer does not look like the URL of an issuer: is it swapped with \
             --certificate-identity?",
        );
    }
    let extensions = flags.extensions.wanted();
    let signer = AcceptedSigner::identity(subject, issuer);
    Ok(extensions.fold(signer, |signer, (oid, value)| signer.extension(oid, value)))
}

fn subject(flags: &PolicyFlags) -> Result<StringMatch, Failure> {
    let exact = ("--certificate-identity", flags.certificate_identity.as_deref());
    let regexp = ("--certificate-identity-regexp", flags.certificate_identity_regexp.as_deref());
    let path = flags.certificate_spiffe_path_prefix.as_deref();
    match &flags.certificate_spiffe_trust_domain {
        Some(domain) => StringMatch::spiffe(domain, path).map_err(|error| {
            let flags = "--certificate-spiffe-trust-domain or --certificate-spiffe-path-prefix";
            Failure::of(Exit::Usage, format!("cannot use {flags}"), &error)
        }),
        None => one_of(exact, regexp),
    }
}

/// A string given exactly or as a pattern.
fn one_of(
    (exact_flag, exact): (&str, Option<&str>),
    (regexp_flag, regexp): (&str, Option<&str>),
) -> Result<StringMatch, Failure> {
    match (exact, regexp) {
        (Some(exact), _) => Ok(StringMatch::exact(exact)),
        (None, Some(pattern)) => StringMatch::regexp(pattern)
            .map_err(|error| Failure::of(Exit::Usage, format!("cannot use {regexp_flag}"), &error)),
        (None, None) => Err(Failure::usage(format!(
            "{exact_flag} or {regexp_flag} is required for verification in keyless mode"
        ))
        .hint(
            "name the expected signer with --certificate-identity and --certificate-oidc-issuer",
        )),
    }
}

/// The public key of `--key`.
pub(crate) fn public_key(key: &str, env: &dyn Env) -> Result<PublicKey, Failure> {
    let unusable = || format!("cannot use --key {key}");
    let pem = match key.split_once("://") {
        Some(("env", variable)) => env.var(variable).ok_or_else(|| {
            Failure::new(Exit::Failed, unusable()).cause(format!("{variable} is not set"))
        })?,
        Some((scheme, _)) => {
            let problem = format!("--key: keys by {scheme}:// are not supported");
            return Err(Failure::usage(problem)
                .hint("export the public key as PEM, and name the file or env://VARIABLE"));
        }
        None => {
            let bytes = crate::files::read_now(env, Path::new(key), KEY_CAP)
                .map_err(|error| Failure::of(Exit::Failed, unusable(), &error))?;
            String::from_utf8(bytes)
                .map_err(|error| Failure::of(Exit::Failed, unusable(), &error))?
        }
    };
    if pem.contains("PRIVATE KEY") {
        return Err(
            Failure::usage(unusable()).cause("it is a private key; verifying needs the public key")
        );
    }
    PublicKey::from_pem(&pem).map_err(|error| Failure::of(Exit::Failed, unusable(), &error))
}

/// The checks that flags add to a policy or leave out of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strictness {
    use_signed_timestamps: bool,
    ignore_tlog: bool,
    ignore_sct: bool,
    formats: Option<Formats>,
}

impl Strictness {
    /// Warns about each check that the flags leave out.
    pub(crate) fn from_flags(flags: &PolicyFlags, context: &Context) -> Self {
        let ignore_tlog = flags.insecure_ignore_tlog || flags.private_infrastructure;
        if ignore_tlog {
            context
                .console
                .warning("log entries are not checked: the signature may never have been public");
        }
        if flags.insecure_ignore_sct {
            context.console.warning(
                "certificate logs are not checked: the certificate may never have been public",
            );
        }
        let use_signed_timestamps = flags.use_signed_timestamps;
        // `any` leaves what a policy file says.
        let formats = match flags.signature_format {
            SignatureFormat::Any => None,
            SignatureFormat::Bundle => Some(Formats::Bundle),
            SignatureFormat::Legacy => Some(Formats::Legacy),
        };
        Self { use_signed_timestamps, ignore_tlog, ignore_sct: flags.insecure_ignore_sct, formats }
    }

    pub(crate) fn apply(self, mut policy: Policy) -> Policy {
        if let Some(formats) = self.formats {
            policy = policy.formats(formats);
        }
        if self.use_signed_timestamps {
            policy = policy.use_signed_timestamps();
        }
        if self.ignore_tlog {
            policy = verify::danger::ignore_tlog(policy);
        }
        if self.ignore_sct {
            policy = verify::danger::ignore_sct(policy);
        }
        policy
    }
}

const KEY_CAP: usize = 64 << 10;
const POLICY_CAP: usize = 4 << 20;
