//! The one table from typed errors to hints: what the user can do about a failure.
//!
//! A hint is one sentence that begins with a verb. It may name flags: a hint with a flag that the
//! running command does not have is not shown. Flags of another command stand in backticks,
//! together with that command.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use fulcio_client::preflight::Refusal;
use host::{FileError, TransportError, escape_remote as shown, shell_quote};
use image_signing::file::{self, PairError};
use image_signing::{IdentityError, NoSignature, Reason};
use x509::Certificate;

/// What can be done about `error` and its causes.
pub(crate) fn of(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        for hint in fixed(error).iter().map(|hint| (*hint).to_owned()).chain(particular(error)) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        // Below it are hints for verifying.
        let is_last = matches!(is(error), Some(signer::Error::Untrusted(_)));
        next = error.source().filter(|_| !is_last);
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

/// `error` as a `T`, also in a box.
pub(crate) fn is<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    error
        .downcast_ref::<T>()
        .or_else(|| error.downcast_ref::<Box<T>>().map(|boxed| &**boxed))
        .or_else(|| error.downcast_ref::<Arc<T>>().map(|shared| &**shared))
}

/// The flags that accept exactly this signer.
pub(crate) fn signer(subject: &str, issuer: &str) -> Option<String> {
    // What may act on a terminal must not be pasted.
    let (subject, issuer) = (shell_quote(subject)?, shell_quote(issuer)?);
    Some(format!(
        "if this is the expected signer, use --certificate-identity {subject} \
         --certificate-oidc-issuer {issuer}"
    ))
}

/// Hints in which nothing of the error stands.
fn fixed(error: &(dyn StdError + 'static)) -> &'static [&'static str] {
    if let Some(error) = is::<TransportError>(error) {
        transport(error)
    } else if let Some(error) = is::<oci_push::Error>(error) {
        registry(error)
    } else if let Some(error) = is::<verify::Error>(error) {
        judgement(error)
    } else if let Some(error) = is::<signer::Error>(error) {
        signing(error)
    } else if let Some(error) = is::<file::Error>(error) {
        of_file(error)
    } else if let Some(error) = is::<PairError>(error) {
        of_pairs(error)
    } else if let Some(error) = is::<oidc_interactive::Error>(error) {
        login(error)
    } else if let Some(error) = is::<trust_update::Error>(error) {
        trust(error)
    } else if let Some(IdentityError::NotAToken(_)) = is(error) {
        &["give a file, `-` for stdin, or a JWT: three parts separated by dots"]
    } else if let Some(image_signing::Error::NoRule { .. }) = is(error) {
        &["add a rule whose patterns match the image: without a rule it is refused"]
    } else {
        &[]
    }
}

/// Hints that name something of the error.
fn particular(error: &(dyn StdError + 'static)) -> Vec<String> {
    if let Some(refusal) = is::<Refusal>(error) {
        token(refusal)
    } else if let Some(IdentityError::Search(error)) = is(error) {
        identity(error)
    } else if let Some(signer::Error::IdentityBroken { broken, .. }) = is(error) {
        broken.hint.clone().into_iter().collect()
    } else if let Some(trust_update::Error::Unknown { mirror }) = is(error) {
        let root =
            |mirror| format!("name its root: `ambisign initialize --mirror {mirror} --root FILE`");
        shell_quote(mirror).map(root).into_iter().collect()
    } else if let Some(image_signing::Error::NoSignature(none)) = is(error) {
        others(none)
    } else if let Some(image_signing::Error::NotAcceptable(found)) = is(error) {
        let refusals = found.groups().into_iter().filter_map(|it| it.refusals.first().copied());
        refusals
            .flat_map(|it| match &it.reason {
                Reason::Refused(error) => refused(error, it.certificate.as_deref()),
                Reason::Unreachable(error) => of(&**error),
                _ => Vec::new(),
            })
            .collect()
    } else if let Some(file::Error::Refused { certificate, source, .. }) = is(error) {
        refused(source, certificate.as_deref())
    } else {
        Vec::new()
    }
}

fn transport(error: &TransportError) -> &'static [&'static str] {
    match error {
        TransportError::Tls { .. } => &[
            "for a private certificate authority, set SSL_CERT_FILE",
            "for a registry with a private certificate authority, use --registry-cacert FILE",
        ],
        TransportError::Connect { .. } => {
            &["check the address and the variables HTTPS_PROXY and NO_PROXY"]
        }
        TransportError::PlainHttp { .. } => &["use https, or --allow-insecure-service"],
        _ => &[],
    }
}

fn registry(error: &oci_push::Error) -> &'static [&'static str] {
    use oci_push::{Access, Error};

    match error {
        Error::Unauthorized { .. } => &[
            "log in with `docker login` or `podman login`",
            "or use --registry-username NAME with the variable AMBISIGN_REGISTRY_PASSWORD",
        ],
        Error::Denied { access: Access::Push, .. } => &[
            "give these credentials the right to push (in a GitHub job: `packages: write`)",
            "or store signatures in another repository: set COSIGN_REPOSITORY",
        ],
        Error::Denied { .. } => &["give these credentials the right to pull"],
        Error::RateLimited { .. } => &["try again later, or log in to the registry"],
        Error::Overwritten { .. } => &["sign again: others wrote at the same time"],
        // The words of `host::Forbidden`.
        Error::Invalid { reason, .. } if reason.starts_with("it leads to ") => &[
            "if storage or token service of the registry are there, use --insecure-registry-redirects",
        ],
        _ => &[],
    }
}

/// What else is attached to an image without the signature that was asked for.
fn others(none: &NoSignature) -> Vec<String> {
    let Some(image) = shell_quote(&none.image) else { return Vec::new() };
    let hint = |other: &String| match other.as_str() {
        bundle::SIGN_PREDICATE_TYPE => {
            Some(format!("verify its signature: `ambisign verify {image}`"))
        }
        other => Some(format!(
            "verify its attestation, which is not an approval: \
             `ambisign verify-attestation --type {} {image}`",
            shell_quote(other)?
        )),
    };
    none.others.iter().filter_map(hint).collect()
}

/// What can be done about a refused signature, whose certificate names a signer.
fn refused(error: &verify::Error, certificate: Option<&Certificate>) -> Vec<String> {
    use verify::{Check, Error};

    let Error::Refused(check) = error else { return of(error) };
    if !matches!(
        **check,
        Check::Identity { .. } | Check::Issuer { .. } | Check::NoAcceptedSigner { .. }
    ) {
        return of(error);
    }
    let subject = certificate.and_then(|it| it.subject_name().ok());
    let issuer = certificate.and_then(|it| it.oidc_issuer().ok().flatten());
    let hint = subject.zip(issuer).and_then(|(subject, issuer)| signer(subject.as_str(), &issuer));
    hint.into_iter().collect()
}

fn judgement(error: &verify::Error) -> &'static [&'static str] {
    use verify::{Check, Error};

    let Error::Refused(check) = error else { return &[] };
    match check.as_ref() {
        Check::Chain { .. } | Check::NoAuthority { .. } | Check::UnknownAuthority { .. } => {
            &[ANOTHER_INSTANCE]
        }
        Check::NoLogEntry { .. } => &[
            ANOTHER_INSTANCE,
            "to accept a signature that was never logged, use --insecure-ignore-tlog",
        ],
        Check::NoTime { .. } => {
            &["sign with a timestamp authority of the trusted root: it proves the time of signing"]
        }
        Check::Sct { .. } => {
            &["for an instance that does not log its certificates, use --insecure-ignore-sct"]
        }
        _ => &[],
    }
}

fn signing(error: &signer::Error) -> &'static [&'static str] {
    use signer::{Error, rekor_client};

    match error {
        Error::Unverifiable { .. } => {
            &["name a timestamp authority of the trusted root: --timestamp-server-url URL, or \
             tsaUrls in the signing config"]
        }
        Error::Untrusted(_) => {
            &["use a --trusted-root and a --signing-config of the same Sigstore instance"]
        }
        Error::Log { source, .. }
            if matches!(**source, rekor_client::Error::Http { status: 404, .. }) =>
        {
            &["for a log of Rekor version 2, name it with its version in a --signing-config"]
        }
        _ => &[],
    }
}

fn of_file(error: &file::Error) -> &'static [&'static str] {
    use file::Error;

    match error {
        Error::Content { .. } => {
            &["sign such content only if you wrote it: --danger-sign-foreign-format"]
        }
        Error::Malformed { swapped: true, .. } => {
            &["name the file first and its bundle with --bundle: they are swapped"]
        }
        Error::Malformed { .. } => &["give the bundle that sign-blob wrote"],
        Error::NoSignature { .. } => &[NAME_THE_BUNDLE],
        Error::Read(FileError::NotFound { path }) if looks_like_an_image(path) => {
            &["for an image, use `ambisign sign` or `ambisign verify`"]
        }
        Error::Whole { .. } => &["sign the file with another algorithm than pure Ed25519"],
        _ => &[],
    }
}

fn of_pairs(error: &PairError) -> &'static [&'static str] {
    match error {
        PairError::Nameless => &[NAME_THE_BUNDLE],
        PairError::OneBundle { .. } => {
            &["leave --bundle out: each bundle is written to FILE.sigstore.json"]
        }
        PairError::Overwrites { .. } => &["use another --bundle FILE"],
        _ => &[],
    }
}

fn token(refusal: &Refusal) -> Vec<String> {
    let hint = match refusal {
        Refusal::Several(all) => return all.iter().flat_map(token).collect(),
        Refusal::Audience { expected, .. } => {
            format!("request the token for the audience {}", shown(expected))
        }
        Refusal::Issuer { nearest: Some(nearest), .. } => {
            format!("check the issuer of the token: the accepted one may be {}", shown(nearest))
        }
        Refusal::Issuer { .. } => "use a certificate authority that accepts this issuer: \
                                   --fulcio-url URL, or --signing-config FILE of its instance"
            .to_owned(),
        Refusal::Expired { .. } => {
            format!("get the token right before it is used; if it is new, {CLOCK}")
        }
        Refusal::NotYetValid { .. } => CLOCK.to_owned(),
        Refusal::Claim { claim, .. } => missing_claim(claim).to_owned(),
        _ => String::new(),
    };
    Some(hint).filter(|hint| !hint.is_empty()).into_iter().collect()
}

/// Why an issuer omits a claim that its certificates need, and what to do.
fn missing_claim(claim: &str) -> &'static str {
    match claim {
        "ci_config_ref_uri" | "ci_config_sha" => {
            "put a .gitlab-ci.yml into the project: GitLab omits the claim when the CI \
             configuration is elsewhere"
        }
        "email" => {
            "request a token with the e-mail address: `format=full` (Google's metadata), \
             `includeEmail` (generateIdToken), the scope `email` (other issuers)"
        }
        "email_verified" => "verify the e-mail address with the issuer first",
        "iss" => {
            "set `jwt_issuer` in the SPIRE server, and run the OIDC discovery provider at that URL"
        }
        "job_workflow_ref" | "job_workflow_sha" => {
            "use a certificate authority with a template for this issuer: only GitHub writes the \
             claim"
        }
        "kubernetes.io" => "use a token that a cluster made for a service account",
        "sub" => {
            "compare the subject with what the certificate authority expects of this issuer (GET \
             /api/v2/configuration), such as the trust domain of a SPIFFE ID"
        }
        _ => "",
    }
}

fn identity(error: &oidc_ambient::Error) -> Vec<String> {
    match error {
        oidc_ambient::Error::Broken { broken, .. } => broken.hint.clone().into_iter().collect(),
        oidc_ambient::Error::Nothing { broken, .. } => {
            // A source that is here and does not work is the likelier cause.
            let mut hints: Vec<_> = broken.iter().filter_map(|(_, it)| it.hint.clone()).collect();
            if hints.is_empty() {
                hints.extend(NO_IDENTITY.map(str::to_owned));
            }
            hints.push("see each source: `ambisign identity --verbose`".to_owned());
            hints
        }
        _ => Vec::new(),
    }
}

fn login(error: &oidc_interactive::Error) -> &'static [&'static str] {
    use oidc_interactive::{Error, Untrusted};

    match error {
        Error::Answer { .. } => {
            &["give --oidc-issuer the URL exactly as the issuer's own documents state it"]
        }
        Error::Deadline { .. } => &["start again", ANOTHER_DEVICE],
        Error::Refused { error, .. } if error.contains("client") => {
            &["check --oidc-client-id and --oidc-client-secret-file"]
        }
        Error::Setup { .. } => &[
            "use another redirect: --oidc-redirect-url http://localhost:0/auth/callback",
            ANOTHER_DEVICE,
        ],
        Error::Unsupported { what: "the device flow", .. } => {
            &["use the browser of this machine: --fulcio-auth-flow normal"]
        }
        Error::Untrusted {
            source: Untrusted::Expired { .. } | Untrusted::NotYet { .. }, ..
        } => &[CLOCK],
        Error::WrongState { .. } => &["close the browser pages of earlier logins and start again"],
        _ => &[],
    }
}

fn trust(error: &trust_update::Error) -> &'static [&'static str] {
    use trust_update::Error;

    match error {
        Error::Unreachable { .. } => &[
            "check the variables HTTPS_PROXY and NO_PROXY",
            "or use the cache without a refresh: --offline",
            ROOT_FILE,
        ],
        Error::Expired { .. } => &[
            "compare the clock of this machine with the right time, or report it to the mirror",
            ROOT_FILE,
        ],
        Error::Untrusted { .. } => {
            &["if the repository was created anew, run `ambisign initialize` with its new root"]
        }
        Error::Damaged { .. } => {
            &["fetch it again without --offline", "or start over: `ambisign initialize`"]
        }
        Error::NotCached { .. } => &["run this once with a network, or `ambisign initialize`"],
        Error::Directory { .. } => &["make the directory writable, or set TUF_ROOT to another one"],
        _ => &[],
    }
}

/// `HOST/NAME:TAG` or `HOST/NAME@DIGEST`, with a dot or a port in the host.
fn looks_like_an_image(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let host = text.split_once('/').map(|(host, _)| host).unwrap_or_default();
    let is_host = host.trim_start_matches('.').contains(['.', ':']);
    is_host && text.parse::<oci_push::Reference>().is_ok()
}

const ANOTHER_DEVICE: &str = "or log in on another device: --fulcio-auth-flow device";
const ANOTHER_INSTANCE: &str =
    "for a signature of another Sigstore instance, use --trusted-root FILE of that instance";
const CLOCK: &str = "compare the clock of this machine with the issuer's";
const NAME_THE_BUNDLE: &str = "name the bundle: --bundle FILE";
const NO_IDENTITY: [&str; 2] = [
    "run where an identity exists: a GitHub job with `permissions: id-token: write`, or a SPIFFE \
     workload with SPIFFE_ENDPOINT_SOCKET",
    "or give a token: --identity-token FILE",
];
const ROOT_FILE: &str = "or use a trusted root from a file: --trusted-root FILE";

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
        assert_eq!(of(&error), [CLOCK]);
    }
}
