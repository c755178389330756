//! The one table from typed errors to hints: what the user can do about a failure.
//!
//! A hint is one sentence that begins with a verb. It may name flags: a hint with a flag that the
//! running command does not have is not shown. Flags of another command stand in backticks,
//! together with that command.

use std::error::Error as StdError;
use std::sync::Arc;

use fulcio_client::preflight::Refusal;
use host::{TransportError, escape_remote as shown};
use x509::Certificate;

/// What can be done about `error` and its causes.
pub(crate) fn of(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    let mut next = Some(error);
    for _ in 0..DEEPEST {
        let Some(error) = next else { break };
        for hint in row(error) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        // Below it are hints for verifying.
        next = match is::<signer::Error>(error) {
            Some(signer::Error::Untrusted(_)) => None,
            _ => error.source(),
        };
    }
    hints
}

/// Whether `hint` names only flags that `has` knows, apart from commands in backticks.
pub(crate) fn applies(hint: &str, has: impl Fn(&str) -> bool) -> bool {
    let outside_of_commands = hint.split('`').step_by(2);
    outside_of_commands.flat_map(str::split_whitespace).all(|word| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let flag = word.split('=').next().unwrap_or(word);
        !flag.starts_with("--") || has(flag)
    })
}

/// `text` as one word for a shell. `None` when it must not be pasted: it may act on a terminal.
pub(crate) fn pasted(text: &str) -> Option<String> {
    host::shell_quote(text)
}

/// The flags that accept exactly this signer.
pub(crate) fn signer(subject: &str, issuer: &str) -> Option<String> {
    Some(format!(
        "if this is the expected signer, use --certificate-identity {} --certificate-oidc-issuer {}",
        pasted(subject)?,
        pasted(issuer)?
    ))
}

/// What can be done about a refused signature, whose certificate names a signer.
pub(crate) fn refusal(refusal: &image_signing::Refusal) -> Vec<String> {
    let image_signing::Reason::Refused(error) = &refusal.reason else { return Vec::new() };
    of_refusal(error, refusal.certificate.as_deref())
}

/// As [`refusal`], of a file's signature.
pub(crate) fn of_refusal(error: &verify::Error, certificate: Option<&Certificate>) -> Vec<String> {
    use verify::{Check, Error};

    let is_about_the_signer = match error {
        Error::Refused(check) => matches!(
            **check,
            Check::Identity { .. } | Check::Issuer { .. } | Check::NoAcceptedSigner { .. }
        ),
        _ => false,
    };
    if !is_about_the_signer {
        return of(error);
    }
    let found = certificate
        .and_then(|it| Some((it.subject_name().ok()?, it.oidc_issuer().ok().flatten()?)));
    found.and_then(|(subject, issuer)| signer(subject.as_str(), &issuer)).into_iter().collect()
}

/// What else is attached to an image without the signature that was asked for.
pub(crate) fn no_signature(none: &image_signing::NoSignature) -> Vec<String> {
    use verify::Purpose;

    let hint = |other: &String| {
        let (image, other) = (pasted(&none.image)?, pasted(other)?);
        Some(match (&none.purpose, other.as_str()) {
            (Purpose::Attestation { .. }, bundle::SIGN_PREDICATE_TYPE) => {
                format!("verify its signature: `ambisign verify {image}`")
            }
            (Purpose::Attestation { .. }, other) => format!(
                "verify its attestation of another type: `ambisign verify-attestation --type \
                 {other} {image}`"
            ),
            (_, other) => format!(
                "verify its attestation, which says how the image was made and not that it is \
                 approved: `ambisign verify-attestation --type {other} {image}`"
            ),
        })
    };
    none.others.iter().filter_map(hint).collect()
}

fn row(error: &(dyn StdError + 'static)) -> Vec<String> {
    if let Some(error) = is::<TransportError>(error) {
        transport(error)
    } else if let Some(error) = is::<oci_push::Error>(error) {
        registry(error)
    } else if let Some(error) = is::<verify::Error>(error) {
        judgement(error)
    } else if let Some(error) = is::<signer::Error>(error) {
        signing(error)
    } else if let Some(error) = is::<Refusal>(error) {
        token(error)
    } else if let Some(image_signing::IdentityError::Search(error)) = is(error) {
        identity(error)
    } else if let Some(error) = is::<oidc_interactive::Error>(error) {
        login(error)
    } else if let Some(error) = is::<trust_update::Error>(error) {
        trust(error)
    } else if let Some(image_signing::Error::NoRule { .. }) = is(error) {
        texts(["add a rule whose patterns match the image: without a rule it is refused"])
    } else {
        Vec::new()
    }
}

/// `error` as a `T`, also in a box.
fn is<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    error
        .downcast_ref::<T>()
        .or_else(|| error.downcast_ref::<Box<T>>().map(|boxed| &**boxed))
        .or_else(|| error.downcast_ref::<Arc<T>>().map(|shared| &**shared))
}

fn texts<const N: usize>(hints: [&str; N]) -> Vec<String> {
    hints.map(str::to_owned).to_vec()
}

fn transport(error: &TransportError) -> Vec<String> {
    match error {
        TransportError::Tls { .. } => texts([
            "for a private certificate authority, set SSL_CERT_FILE",
            "for a registry with a private certificate authority, use --registry-cacert FILE",
        ]),
        TransportError::Connect { .. } => {
            texts(["check the address and the variables HTTPS_PROXY and NO_PROXY"])
        }
        TransportError::PlainHttp { .. } => texts(["use https, or --allow-insecure-service"]),
        _ => Vec::new(),
    }
}

fn registry(error: &oci_push::Error) -> Vec<String> {
    use oci_push::{Access, Error};

    match error {
        Error::Unauthorized { .. } => texts([
            "log in with `docker login` or `podman login`",
            "or use --registry-username NAME with the variable AMBISIGN_REGISTRY_PASSWORD",
        ]),
        Error::Denied { access: Access::Push, .. } => texts([
            "give these credentials the right to push (in a GitHub job: `permissions: packages: \
             write`), because the signature is stored beside the image",
            "or store signatures in another repository: set COSIGN_REPOSITORY",
        ]),
        Error::Denied { .. } => texts(["give these credentials the right to pull"]),
        Error::RateLimited { .. } => texts(["try again later, or log in to the registry"]),
        Error::Overwritten { .. } => {
            texts(["sign again: other writers changed the list of signatures at the same time"])
        }
        // The words of `host::Forbidden`.
        Error::Invalid { reason, .. } if reason.starts_with("it leads to ") => texts([
            "if the registry's storage or token service is there, use --insecure-registry-redirects",
        ]),
        _ => Vec::new(),
    }
}

const ANOTHER_INSTANCE: &str =
    "for a signature of another Sigstore instance, use --trusted-root FILE of that instance";

fn judgement(error: &verify::Error) -> Vec<String> {
    use verify::{Check, Error};

    let Error::Refused(check) = error else { return Vec::new() };
    match check.as_ref() {
        Check::Chain { .. } | Check::NoAuthority { .. } | Check::UnknownAuthority { .. } => {
            texts([ANOTHER_INSTANCE])
        }
        Check::NoLogEntry { .. } => texts([
            ANOTHER_INSTANCE,
            "to accept a signature that was never logged, use --insecure-ignore-tlog",
        ]),
        Check::NoTime { .. } => texts([
            "sign with a timestamp authority of the trusted root: the certificate is valid for \
             minutes only, and nothing proves that the signature was made in that time",
        ]),
        Check::Sct { .. } => texts([
            "for an instance that does not publish its certificates, use --insecure-ignore-sct",
        ]),
        _ => Vec::new(),
    }
}

fn signing(error: &signer::Error) -> Vec<String> {
    use signer::{Error, rekor_client};

    match error {
        Error::Unverifiable { .. } => texts([
            "name a timestamp authority: --timestamp-server-url URL, or tsaUrls in the signing \
             config together with timestampAuthorities in the trusted root",
        ]),
        Error::Untrusted(_) => texts([
            "use a --trusted-root and services (--signing-config, --fulcio-url, --rekor-url) of \
             the same Sigstore instance",
        ]),
        Error::Log { source, .. }
            if matches!(**source, rekor_client::Error::Http { status: 404, .. }) =>
        {
            texts(["for a log of Rekor version 2, name it with its version in a --signing-config"])
        }
        Error::IdentityBroken { broken, .. } => broken.hint.clone().into_iter().collect(),
        _ => Vec::new(),
    }
}

fn token(refusal: &Refusal) -> Vec<String> {
    let hint = match refusal {
        Refusal::Audience { expected, .. } => {
            return vec![format!("request the token for the audience {}", shown(expected))];
        }
        Refusal::Several(all) => return all.iter().flat_map(token).collect(),
        Refusal::Expired { .. } => {
            "get the token right before it is used; if it is new, compare the clock of this \
             machine with the issuer's"
        }
        Refusal::NotYetValid { .. } => "compare the clock of this machine with the issuer's",
        Refusal::Issuer { nearest: Some(nearest), .. } => {
            return vec![format!(
                "check the issuer of the token: the accepted one may be {}",
                shown(nearest)
            )];
        }
        Refusal::Issuer { .. } => {
            "use a certificate authority that accepts this issuer: --fulcio-url URL, or \
             --signing-config FILE of its instance"
        }
        Refusal::Claim { claim, .. } => match claim_of(claim) {
            Some(hint) => hint,
            None => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    texts([hint])
}

/// Why an issuer omits a claim that its certificates need, and what to do.
fn claim_of(claim: &str) -> Option<&'static str> {
    Some(match claim {
        "ci_config_ref_uri" | "ci_config_sha" => {
            "put a .gitlab-ci.yml into the project: GitLab omits the claim when the CI \
             configuration is elsewhere (Auto DevOps, a remote file, some parent or compliance \
             pipelines)"
        }
        "email" => {
            "request a token with the e-mail address: `format=full` of Google's metadata service, \
             `includeEmail` of generateIdToken, the scope `email` of other issuers"
        }
        "email_verified" => "verify the e-mail address with the issuer first",
        "iss" => {
            "set `jwt_issuer` in the SPIRE server, and run the OIDC discovery provider at that URL"
        }
        "job_workflow_ref" | "job_workflow_sha" => {
            "use a certificate authority with a template for this issuer: only GitHub itself writes \
             the claim"
        }
        "kubernetes.io" => "use a token that a cluster made for a service account",
        "sub" => {
            "compare the subject with what the certificate authority expects of this issuer (GET \
             /api/v2/configuration), such as the trust domain of a SPIFFE ID"
        }
        _ => return None,
    })
}

fn identity(error: &oidc_ambient::Error) -> Vec<String> {
    match error {
        oidc_ambient::Error::Broken { broken, .. } => broken.hint.clone().into_iter().collect(),
        oidc_ambient::Error::Nothing { broken, .. } => {
            // A source that is here and does not work is the likelier cause.
            let mut hints: Vec<_> = broken.iter().filter_map(|(_, it)| it.hint.clone()).collect();
            if hints.is_empty() {
                hints.extend(texts([
                    "run where an identity exists: a GitHub job with `permissions: id-token: \
                     write`, or a SPIFFE workload with SPIFFE_ENDPOINT_SOCKET",
                    "or give a token: --identity-token FILE",
                ]));
            }
            hints.push("see each source: `ambisign identity --verbose`".to_owned());
            hints
        }
        _ => Vec::new(),
    }
}

fn login(error: &oidc_interactive::Error) -> Vec<String> {
    use oidc_interactive::{Error, Untrusted};

    let device = "or log in on another device: --fulcio-auth-flow device";
    match error {
        Error::Answer { .. } => {
            texts(["give --oidc-issuer the URL exactly as the issuer's own documents state it"])
        }
        Error::Deadline { .. } => texts(["start again", device]),
        Error::Refused { error, .. } if error.contains("client") => {
            texts(["check --oidc-client-id and --oidc-client-secret-file"])
        }
        Error::Setup { .. } => texts([
            "use another redirect: --oidc-redirect-url http://localhost:0/auth/callback",
            device,
        ]),
        Error::Unsupported { what: "the device flow", .. } => {
            texts(["use the browser of this machine: --fulcio-auth-flow normal"])
        }
        Error::Untrusted {
            source: Untrusted::Expired { .. } | Untrusted::NotYet { .. }, ..
        } => texts(["compare the clock of this machine with the issuer's"]),
        Error::WrongState { .. } => {
            texts(["close the browser pages of earlier logins and start again"])
        }
        _ => Vec::new(),
    }
}

fn trust(error: &trust_update::Error) -> Vec<String> {
    use trust_update::Error;

    match error {
        Error::Unreachable { .. } => texts([
            "check the variables HTTPS_PROXY and NO_PROXY",
            "or use the cache without a refresh: --offline",
            "or use a trusted root from a file: --trusted-root FILE",
        ]),
        Error::Expired { .. } => texts([
            "compare the clock of this machine with the right time; if it is right, the mirror \
             serves old files: report that to its operators",
            "or use a trusted root from a file: --trusted-root FILE",
        ]),
        Error::Untrusted { .. } => texts([
            "look for a login page of a proxy, a broken mirror or an attack; if the repository was \
             created anew, run `ambisign initialize` with its new root",
        ]),
        Error::Damaged { .. } => {
            texts(["fetch it again without --offline", "or start over: `ambisign initialize`"])
        }
        Error::NotCached { .. } => {
            texts(["run this once with a network, or `ambisign initialize`"])
        }
        Error::Directory { .. } => {
            texts(["make the directory writable, or set TUF_ROOT to another one"])
        }
        Error::Unknown { mirror } => pasted(mirror)
            .map(|mirror| {
                format!(
                    "name the root of the repository: \
                     `ambisign initialize --mirror {mirror} --root FILE`"
                )
            })
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

/// The longest chain of causes that is looked at.
const DEEPEST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_applies_to_the_commands_that_have_its_flags() {
        let has = |flag: &str| flag == "--trusted-root";
        assert!(applies("use --trusted-root FILE, then `ambisign initialize --mirror URL`", has));
        assert!(applies("log in with `docker login`", has));
        assert!(!applies("or use the cache (--offline)", has));
        assert!(!applies("use --upload=false", has));
    }

    #[test]
    fn a_cause_in_a_box_is_found() {
        let source = Box::new(Refusal::NotYetValid { wait: std::time::Duration::from_secs(9) });
        let error = signer::Error::Preflight { provider: "spiffe".to_owned(), source };
        assert_eq!(of(&error), ["compare the clock of this machine with the issuer's"]);
    }
}
