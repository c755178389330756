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
use image_signing::moving::Error as MovingError;
use image_signing::{
    IdentityError, KeyFileError, NoSignature, PrivateKeyError, PublicKeyError, Reason,
};
use oci_push::{Access, Error as RegistryError};
use oidc_ambient::Error as SearchError;
use oidc_interactive::{Error as LoginError, Untrusted};
use signer::{Error as SigningError, rekor_client};
use trust_update::Error as TrustError;
use verify::Check;
use x509::Certificate;

/// What can be done about `error` and its causes.
pub(crate) fn of(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        for hint in row(error).into_iter().filter(|hint| !hint.is_empty()) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        // Below it are hints for verifying.
        let is_last = matches!(is(error), Some(SigningError::Untrusted(_)));
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

/// The hints of the first pattern that the error matches; a list in brackets, or an expression.
macro_rules! table {
    ($error:expr; $($pattern:pat $(if $guard:expr)? => $hints:expr,)*) => {
        $(if let Some($pattern) = is($error) $(&& $guard)? {
            $hints.into_iter().map(String::from).collect()
        } else)* { Vec::new() }
    };
}

fn row(error: &(dyn StdError + 'static)) -> Vec<String> {
    table! { error;
        TransportError::Tls { .. } => [
            "for a private certificate authority, set SSL_CERT_FILE",
            "for a registry with a private certificate authority, use --registry-cacert FILE",
        ],
        TransportError::Connect { .. } => [CONNECTION],
        TransportError::PlainHttp { .. } => ["use https, or --allow-insecure-service"],

        RegistryError::Unauthorized { .. } => [
            "log in with `docker login` or `podman login`",
            "or use --registry-username NAME with the variable AMBISIGN_REGISTRY_PASSWORD",
        ],
        RegistryError::Denied { access: Access::Push, .. } => [
            "give these credentials the right to push (in a GitHub job: `packages: write`)",
            "or store signatures in another repository: set COSIGN_REPOSITORY",
        ],
        RegistryError::Denied { .. } => ["give these credentials the right to pull"],
        RegistryError::RateLimited { .. } => ["try again later, or log in to the registry"],
        RegistryError::Overwritten { .. } => ["run the command again: others wrote at the same time"],
        // The words of `host::Forbidden`.
        RegistryError::Invalid { reason, .. } if reason.starts_with("it leads to ") => [
            "if the registry's storage is there, use --insecure-registry-redirects",
        ],
        MovingError::Digest { .. } => ["name the destination by a tag, or by this digest"],
        MovingError::Occupied { .. } => [
            "name another tag or another directory",
            "or replace the image under the tag with --force",
        ],
        image_signing::Error::NoRule { .. } => [
            "add a rule whose patterns match the image: without a rule it is refused",
        ],
        image_signing::Error::NoSignature(none) => others(none),
        image_signing::Error::NotAcceptable(found) => {
            let first = found.groups().into_iter().filter_map(|it| it.refusals.first().copied());
            first.flat_map(refusal).collect::<Vec<_>>()
        },

        verify::Error::Refused(check) => judgement(check),
        file::Error::Content { .. } => [
            "sign such content only if you wrote it: --danger-sign-foreign-format",
        ],
        file::Error::Malformed { swapped: true, .. } => [
            "name the file first and its bundle with --bundle: they are swapped",
        ],
        file::Error::Malformed { .. } => ["give the bundle that was written when it was signed"],
        file::Error::NoSignature { .. } => [NAME_THE_BUNDLE],
        file::Error::Read(FileError::NotFound { path }) if looks_like_an_image(path) => [
            "for an image, use `ambisign sign`, `ambisign attest` or `ambisign verify`",
        ],
        file::Error::Refused { certificate, source, .. } => refused(source, certificate.as_deref()),
        file::Error::Whole { .. } => [
            "verify on a machine with more memory: this signature is not over a digest",
        ],
        PairError::Nameless => [NAME_THE_BUNDLE],
        PairError::OneBundle { .. } => [
            "leave --bundle out: each bundle is written to FILE.sigstore.json",
        ],
        PairError::Overwrites { .. } => ["use another --bundle FILE"],

        SigningError::Unverifiable { .. } => [
            "name a timestamp authority of the trusted root: --timestamp-server-url URL, or \
             tsaUrls in the signing config",
        ],
        SigningError::Untrusted(_) => [
            "use a --trusted-root and a --signing-config of the same Sigstore instance",
        ],
        SigningError::Log { source, .. }
            if matches!(**source, rekor_client::Error::Http { status: 404, .. }) => [
            "for a log of Rekor version 2, name it with its version in a --signing-config",
        ],
        SigningError::IdentityBroken { broken, .. } => broken.hint.clone(),
        PrivateKeyError::NoPassword => [PASSWORD],
        PrivateKeyError::Key(keys::Error::WrongPassword) => [PASSWORD],
        PrivateKeyError::Key(keys::Error::UnsupportedKey { found, .. })
            if found.contains("encrypted") => [
                "decrypt it: openssl pkcs8 -in KEY -out PLAIN, then \
                 `ambisign import-key-pair --key PLAIN`",
            ],
        KeyFileError::Exists(_) => ["choose other names: --output-key-prefix PREFIX"],
        PublicKeyError::Scheme { .. } => [
            "export the public key as PEM, and name the file or env://VARIABLE",
        ],
        IdentityError::NotAToken(_) => [
            "give a file, `-` for stdin, or a JWT: three parts separated by dots",
        ],
        IdentityError::Search(SearchError::Broken { broken, .. }) => broken.hint.clone(),
        IdentityError::Search(SearchError::Nothing { broken, .. }) => {
            // A source that is here and does not work is the likelier cause.
            let mut hints: Vec<_> = broken.iter().filter_map(|(_, it)| it.hint.clone()).collect();
            if hints.is_empty() {
                hints.extend(NO_IDENTITY.map(str::to_owned));
            }
            hints.push("see each source: `ambisign identity --verbose`".to_owned());
            hints
        },

        Refusal::Several(all) => all.iter().flat_map(|it| row(it)).collect::<Vec<_>>(),
        Refusal::Audience { expected, .. } => [
            format!("request the token for the audience {}", shown(expected)),
        ],
        Refusal::Issuer { nearest: Some(nearest), .. } => [
            format!("check the issuer of the token: the accepted one may be {}", shown(nearest)),
        ],
        Refusal::Issuer { .. } => [
            "use a certificate authority that accepts this issuer: --fulcio-url URL, or \
             --signing-config FILE of its instance",
        ],
        Refusal::Expired { .. } => [
            "get the token right before it is used",
            CLOCK,
        ],
        Refusal::NotYetValid { .. } => [CLOCK],
        Refusal::Claim { claim, .. } => [missing_claim(claim)],

        LoginError::Answer { .. } => [
            "give --oidc-issuer the URL exactly as the issuer's own documents state it",
        ],
        LoginError::Deadline { .. } => ["start again", ANOTHER_DEVICE],
        LoginError::Refused { error, .. } if error.contains("client") => [
            "check --oidc-client-id and --oidc-client-secret-file",
        ],
        LoginError::Setup { .. } => [
            "use another redirect: --oidc-redirect-url http://localhost:0/auth/callback",
            ANOTHER_DEVICE,
        ],
        LoginError::Unsupported { what: "the device flow", .. } => [
            "use the browser of this machine: --fulcio-auth-flow normal",
        ],
        LoginError::Untrusted { source: Untrusted::Expired { .. } | Untrusted::NotYet { .. }, .. }
            => [CLOCK],
        LoginError::WrongState { .. } => ["close the pages of earlier logins and start again"],

        TrustError::Unreachable { source, .. } if is_plain_http(&**source) => Vec::<String>::new(),
        TrustError::Unreachable { .. } => [
            CONNECTION,
            "or use the cache without a refresh: --offline",
            ROOT_FILE,
        ],
        TrustError::Expired { .. } => [
            "compare the clock of this machine with the right time",
            "or report it to the operators of the mirror",
            ROOT_FILE,
        ],
        TrustError::Untrusted { .. } => [
            "look for a login page of a proxy, a broken mirror or an attack",
            "if the repository was created anew, run `ambisign initialize` with its new root",
        ],
        TrustError::Damaged { .. } => [
            "fetch it again without --offline",
            "or start over: `ambisign initialize`",
        ],
        TrustError::NotCached { .. } => ["run this once with a network, or `ambisign initialize`"],
        TrustError::Directory { .. } => [
            "make the directory writable, or set TUF_ROOT to another one",
        ],
        TrustError::Unknown { mirror } => shell_quote(mirror).map(|mirror| {
            format!("name its root: `ambisign initialize --mirror {mirror} --root FILE`")
        }),
    }
}

fn judgement(check: &Check) -> Vec<&'static str> {
    match check {
        Check::Chain { .. } | Check::NoAuthority { .. } | Check::UnknownAuthority { .. } => {
            vec![ANOTHER_INSTANCE]
        }
        Check::NoLogEntry { .. } => vec![
            ANOTHER_INSTANCE,
            "to accept a signature that was never logged, use --insecure-ignore-tlog",
        ],
        Check::NoTime { .. } => {
            vec!["sign with a timestamp authority of the trusted root, which proves the time"]
        }
        Check::Sct { .. } => {
            vec!["for an instance that does not log its certificates, use --insecure-ignore-sct"]
        }
        _ => Vec::new(),
    }
}

/// Whether the request was not sent: its own hint says what can be done.
fn is_plain_http(error: &(dyn StdError + 'static)) -> bool {
    matches!(is(error), Some(TransportError::PlainHttp { .. }))
}

fn refusal(refusal: &image_signing::Refusal) -> Vec<String> {
    match &refusal.reason {
        Reason::Refused(error) => refused(error, refusal.certificate.as_deref()),
        Reason::Unreachable(error) => of(&**error),
        _ => Vec::new(),
    }
}

/// What can be done about a refused signature, whose certificate names a signer.
fn refused(error: &verify::Error, certificate: Option<&Certificate>) -> Vec<String> {
    match error {
        verify::Error::Refused(check) if is_about_the_signer(check) => {
            let subject = certificate.and_then(|it| it.subject_name().ok());
            let issuer = certificate.and_then(|it| it.oidc_issuer().ok().flatten());
            let found = subject.zip(issuer);
            found.and_then(|(it, issuer)| signer(it.as_str(), &issuer)).into_iter().collect()
        }
        error => of(error),
    }
}

fn is_about_the_signer(check: &Check) -> bool {
    matches!(check, Check::Identity { .. } | Check::Issuer { .. } | Check::NoAcceptedSigner { .. })
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

/// What else is attached to an image without the signature that was asked for.
fn others(none: &NoSignature) -> Vec<String> {
    let Some(image) = shell_quote(&none.image) else { return Vec::new() };
    let signature = || format!("verify its signature: `ambisign verify {image}`");
    let attestation = |predicate_type| {
        format!(
            "verify its attestation, which is not an approval: \
             `ambisign verify-attestation --type {predicate_type} {image}`"
        )
    };
    let hint = |other: &String| match other == bundle::SIGN_PREDICATE_TYPE {
        true => Some(signature()),
        false => shell_quote(other).map(attestation),
    };
    none.others.iter().filter_map(hint).collect()
}

/// Why an issuer omits a claim that its certificates need, and what to do.
fn missing_claim(claim: &str) -> &'static str {
    match claim {
        "ci_config_ref_uri" | "ci_config_sha" => {
            "put a .gitlab-ci.yml into the project: GitLab omits the claim when it is elsewhere"
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
            "use a certificate authority with a template for this issuer: only GitHub writes this"
        }
        "kubernetes.io" => "use a token that a cluster made for a service account",
        "sub" => {
            "compare the subject with what the certificate authority expects of this issuer (GET \
             /api/v2/configuration), such as the trust domain of a SPIFFE ID"
        }
        _ => "",
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
const CONNECTION: &str = "check the address and the variables HTTPS_PROXY and NO_PROXY";
const PASSWORD: &str =
    "set the variable AMBISIGN_PASSWORD or COSIGN_PASSWORD to the password of the key";
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
