//! Whose signature is wanted, from the policy flags or a policy file.

use std::collections::BTreeSet;
use std::path::Path;

use host::Env;
use keys::PublicKey;
use verify::{Check, Error, Policy, PolicyFile, StringMatch, Verified};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::PolicyFlags;

/// The signers that are acceptable, and how many different ones it takes.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    policies: Vec<Policy>,
    threshold: usize,
}

impl Wanted {
    /// Whom the flags ask for.
    pub(crate) fn from_flags(flags: &PolicyFlags, context: &Context) -> Result<Self, Failure> {
        let policy = relaxed(signer(flags, &*context.env)?, flags, context);
        Ok(Self { policies: vec![policy], threshold: 1 })
    }

    /// Whom the file asks for, for an image in `repository`.
    pub(crate) fn from_file(
        file: &PolicyFile,
        path: &Path,
        repository: &str,
        flags: &PolicyFlags,
        context: &Context,
    ) -> Result<Self, Failure> {
        let Some(rule) = file.rule(repository) else {
            let problem = format!("no rule of {} is about {repository}", path.display());
            return Err(Failure::new(Exit::Failed, problem).hint(
                "add a rule whose patterns include it: what no rule allows is not accepted",
            ));
        };
        let policies = rule.policies().iter();
        let policies = policies.map(|policy| relaxed(policy.clone(), flags, context)).collect();
        Ok(Self { policies, threshold: rule.threshold().get() })
    }

    /// The same, of everybody: says what verifies and by whom, and decides nothing.
    pub(crate) fn anybody() -> Self {
        Self { policies: vec![verify::danger::any_identity()], threshold: 1 }
    }

    /// The same with more to ask of each.
    pub(crate) fn each(mut self, change: impl Fn(Policy) -> Policy) -> Self {
        self.policies = self.policies.into_iter().map(change).collect();
        self
    }

    /// Judges by each of the acceptable signers; one must do. Of several refusals the one is told
    /// that is about more than who signed.
    pub(crate) fn judge(
        &self,
        judge: impl Fn(&Policy) -> Result<Verified, Error>,
    ) -> Result<Verified, Error> {
        let mut refused: Option<Error> = None;
        for policy in &self.policies {
            match judge(policy) {
                Ok(verified) => return Ok(verified),
                Err(error) => match &refused {
                    Some(first) if !is_about_the_signer(first) => {}
                    Some(_) if is_about_the_signer(&error) => {}
                    _ => refused = Some(error),
                },
            }
        }
        Err(refused.unwrap_or(Error::Artifact {
            expected: "an acceptable signer".to_owned(),
            found: "none".to_owned(),
        }))
    }

    /// Whether these are enough different signers; if not, how many there are and should be.
    pub(crate) fn enough<'a>(
        &self,
        accepted: impl IntoIterator<Item = &'a Verified>,
    ) -> Result<(), (usize, usize)> {
        let signers: BTreeSet<_> = accepted
            .into_iter()
            .map(|verified| match verified.subject_name() {
                Some(name) => (verified.issuer().map(str::to_owned), name.as_str().to_owned()),
                None => (None, verified.public_key().to_pem()),
            })
            .collect();
        if signers.len() >= self.threshold { Ok(()) } else { Err((signers.len(), self.threshold)) }
    }
}

/// The policy file of `--identity-policy`.
pub(crate) fn policy_file(path: &Path, env: &dyn Env) -> Result<PolicyFile, Failure> {
    let problem = || format!("--identity-policy {} cannot be used", path.display());
    let bytes = crate::files::read_now(env, path, POLICY_CAP)
        .map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    let text =
        std::str::from_utf8(&bytes).map_err(|error| Failure::of(Exit::Usage, problem(), &error))?;
    let read = if text.trim_start().starts_with('{') {
        PolicyFile::from_json(&bytes)
    } else {
        PolicyFile::from_toml(text)
    };
    read.map_err(|error| Failure::of(Exit::Usage, problem(), &error))
}

fn signer(flags: &PolicyFlags, env: &dyn Env) -> Result<Policy, Failure> {
    if let Some(key) = &flags.key {
        let names_more = flags.extensions.wanted().next().is_some()
            || [
                &flags.certificate_identity,
                &flags.certificate_identity_regexp,
                &flags.certificate_oidc_issuer,
                &flags.certificate_oidc_issuer_regexp,
                &flags.certificate_spiffe_trust_domain,
                &flags.certificate_spiffe_path_prefix,
            ]
            .into_iter()
            .any(Option::is_some);
        if names_more {
            return Err(Failure::usage("--key and the --certificate flags exclude each other")
                .hint("a key has no identity: it is all that is known of its owner"));
        }
        return Ok(Policy::public_key(public_key(key, env)?));
    }
    let subject = subject(flags)?;
    let issuer = one_of(
        ("--certificate-oidc-issuer", flags.certificate_oidc_issuer.as_deref()),
        ("--certificate-oidc-issuer-regexp", flags.certificate_oidc_issuer_regexp.as_deref()),
    )?;
    let extensions = flags.extensions.wanted();
    Ok(extensions
        .fold(Policy::new(subject, issuer), |policy, (oid, value)| policy.extension(oid, value)))
}

fn subject(flags: &PolicyFlags) -> Result<StringMatch, Failure> {
    let exact = ("--certificate-identity", flags.certificate_identity.as_deref());
    let regexp = ("--certificate-identity-regexp", flags.certificate_identity_regexp.as_deref());
    let path = flags.certificate_spiffe_path_prefix.as_deref();
    match &flags.certificate_spiffe_trust_domain {
        Some(_) if exact.1.is_some() || regexp.1.is_some() => Err(Failure::usage(
            "--certificate-spiffe-trust-domain and --certificate-identity exclude each other",
        )),
        Some(domain) => StringMatch::spiffe(domain, path).map_err(|error| {
            let flags = "--certificate-spiffe-trust-domain or --certificate-spiffe-path-prefix";
            Failure::of(Exit::Usage, format!("{flags} is unusable"), &error)
        }),
        None if path.is_some() => Err(Failure::usage(
            "--certificate-spiffe-path-prefix needs --certificate-spiffe-trust-domain",
        )),
        None => one_of(exact, regexp),
    }
}

/// A string given exactly or as a pattern.
fn one_of(
    (exact_flag, exact): (&str, Option<&str>),
    (regexp_flag, regexp): (&str, Option<&str>),
) -> Result<StringMatch, Failure> {
    match (exact, regexp) {
        (Some(exact), None) => Ok(StringMatch::exact(exact)),
        (None, Some(pattern)) => StringMatch::regexp(pattern).map_err(|error| {
            Failure::of(Exit::Usage, format!("{regexp_flag} is unusable"), &error)
        }),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("{exact_flag} and {regexp_flag} exclude each other")))
        }
        (None, None) => Err(Failure::usage(format!(
            "{exact_flag} or {regexp_flag} is required for verification in keyless mode"
        ))
        .hint("a signature says nothing until it is known whose it should be")),
    }
}

/// The public key of `--key`.
pub(crate) fn public_key(key: &str, env: &dyn Env) -> Result<PublicKey, Failure> {
    let unusable = || format!("--key {key} cannot be used");
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
        return Err(Failure::usage(unusable())
            .cause("it is a private key, and verifying takes the public one"));
    }
    PublicKey::from_pem(&pem).map_err(|error| Failure::of(Exit::Failed, unusable(), &error))
}

/// `policy` with what the flags leave out of it.
fn relaxed(mut policy: Policy, flags: &PolicyFlags, context: &Context) -> Policy {
    if flags.use_signed_timestamps {
        policy = policy.use_signed_timestamps();
    }
    if flags.insecure_ignore_tlog || flags.private_infrastructure {
        context
            .console
            .warning("log entries are not looked at: nobody may have seen this signature");
        policy = verify::danger::ignore_tlog(policy);
    }
    if flags.insecure_ignore_sct {
        context
            .console
            .warning("the certificate need not be published: its owner may not know of it");
        policy = verify::danger::ignore_sct(policy);
    }
    policy
}

fn is_about_the_signer(error: &Error) -> bool {
    let Error::Refused(check) = error else { return false };
    matches!(
        **check,
        Check::Identity { .. }
            | Check::Issuer { .. }
            | Check::Material { .. }
            | Check::Signature(_)
    )
}

const KEY_CAP: usize = 64 << 10;
const POLICY_CAP: usize = 4 << 20;
