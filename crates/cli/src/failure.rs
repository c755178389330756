//! The one place that turns errors of the libraries into exit codes and hints.

use std::error::Error as StdError;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use fulcio_client::preflight::Refusal;
use host::TransportError;
use image_signing::{NoSignature, NotAcceptable, Reason};
use verify::Purpose;

/// How the program ends. Ordered by severity: of several results the greatest is the exit code.
/// An end by a signal counts as "could not decide" and so stands above what is known of others,
/// but not above a signature that was refused.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Exit {
    Done,
    /// The image, tag or file does not exist.
    NotFound,
    /// No signature found.
    NotSigned,
    /// Could not decide, or could not do.
    Failed,
    /// Ended by Ctrl-C.
    Interrupted,
    /// Ended by a signal to terminate.
    Terminated,
    /// A signature without the certificate that was required.
    NoCertificate,
    /// Signatures exist, none acceptable.
    NotAcceptable,
    /// The command line is wrong.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NotSigned => 10,
            Exit::NotFound => 11,
            Exit::NotAcceptable => 12,
            Exit::NoCertificate => 13,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        })
    }
}

/// A result for a person and for a script.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) problem: String,
    pub(crate) causes: Vec<String>,
    pub(crate) hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, problem: impl Into<String>) -> Self {
        Self { exit, problem: problem.into(), causes: Vec::new(), hints: Vec::new() }
    }

    /// The command line asks for what cannot be done.
    pub(crate) fn usage(problem: impl Into<String>) -> Self {
        Self::new(Exit::Usage, problem)
    }

    /// `error` and its causes under the heading `problem`.
    pub(crate) fn of(exit: Exit, problem: impl Into<String>, error: &dyn StdError) -> Self {
        Self::new(exit, problem).because(error)
    }

    pub(crate) fn because(mut self, error: &dyn StdError) -> Self {
        self.causes.extend(chain(error));
        self
    }

    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl Failure {
    /// The file at `path` could not be read.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        let shown = path.display();
        match error.kind() {
            io::ErrorKind::NotFound => Self::new(Exit::NotFound, format!("{shown} does not exist")),
            _ => Self::of(Exit::Failed, format!("{shown} cannot be read"), error),
        }
    }

    /// `problem`, because the registry failed with `error`.
    pub(crate) fn registry(problem: impl Into<String>, error: &oci_push::Error) -> Self {
        use oci_push::{Access, Error};

        let failure = Self::of(Exit::Failed, problem, error);
        match error {
            Error::NotFound { .. } => Self { exit: Exit::NotFound, ..failure },
            Error::Unauthorized { .. } => failure.hint(
                "log in with `docker login` or `podman login`, or use --registry-username and \
                 AMBISIGN_REGISTRY_PASSWORD",
            ),
            Error::Denied { access: Access::Push, .. } => failure.hint(
                "the signature is written beside the image: give these credentials the right to \
                 push (in a GitHub job `permissions: packages: write`), or name another place \
                 with COSIGN_REPOSITORY",
            ),
            Error::Denied { .. } => failure.hint("give these credentials the right to pull"),
            Error::RateLimited { .. } => {
                failure.hint("nothing is known about the image: try again later, or log in")
            }
            Error::Transport { source, .. } => failure.hints_for(source),
            Error::Overwritten { .. } => {
                failure.hint("sign again: other writers were at work at the same time")
            }
            _ => failure,
        }
    }

    /// A bundle was judged and not accepted, or could not be judged.
    pub(crate) fn judgement(problem: impl Into<String>, error: &verify::Error) -> Self {
        use verify::{Check, Error};

        let exit = match error {
            Error::Refused(_) => Exit::NotAcceptable,
            _ => Exit::Failed,
        };
        let failure = Self::of(exit, problem, error);
        let Error::Refused(check) = error else { return failure };
        match check.as_ref() {
            Check::Identity { found, .. } => failure.hint(format!(
                "if this is the signer you mean: --certificate-identity {}",
                quoted(found)
            )),
            Check::Issuer { found: Some(found), .. } => failure.hint(format!(
                "if this is the issuer you mean: --certificate-oidc-issuer {}",
                quoted(found)
            )),
            Check::Material { expected: "a certificate", .. } => {
                Self { exit: Exit::NoCertificate, ..failure }
            }
            Check::Chain { .. } | Check::NoAuthority { .. } | Check::UnknownAuthority { .. } => {
                failure.hint(
                    "a signature of another Sigstore instance needs that instance's --trusted-root",
                )
            }
            Check::NoLogEntry { .. } => failure.hint(
                "a signature of another Sigstore instance needs that instance's --trusted-root; \
                 one that was never logged needs --insecure-ignore-tlog",
            ),
            Check::NoTime { .. } => failure.hint(
                "the certificate lived for minutes: only a log of version 1 or a timestamp \
                 authority of the trusted root can say that it was used within them",
            ),
            Check::Sct { .. } => failure.hint(
                "an instance that does not publish its certificates needs --insecure-ignore-sct",
            ),
            _ => failure,
        }
    }

    /// Fulcio would refuse the token.
    pub(crate) fn refusal(problem: impl Into<String>, refusal: &Refusal) -> Self {
        Self::of(Exit::Failed, problem, refusal).hints_for_token(refusal)
    }

    fn hints_for_token(self, refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Audience { expected, .. } => self.hint(format!(
                "have the token issued for the audience {}",
                host::escape_remote(expected)
            )),
            Refusal::Expired { .. } => self.hint(
                "get the token right before it is needed; if it is new, compare this machine's \
                 clock with the issuer's",
            ),
            Refusal::NotYetValid { .. } => {
                self.hint("compare this machine's clock with the issuer's")
            }
            Refusal::Issuer { nearest: Some(nearest), .. } => {
                self.hint(format!("do you mean {}?", host::escape_remote(nearest)))
            }
            Refusal::Issuer { .. } => self.hint(
                "use a certificate authority that knows this issuer: --fulcio-url, or the \
                 --signing-config of its instance",
            ),
            Refusal::Claim { claim, .. } => match claim_hint(claim) {
                Some(hint) => self.hint(hint),
                None => self,
            },
            _ => self,
        }
    }

    pub(crate) fn hints_for(self, error: &TransportError) -> Self {
        match error {
            TransportError::Tls { .. } => self.hint(
                "for a private certificate authority use SSL_CERT_FILE, or --registry-cacert \
                 for a registry",
            ),
            TransportError::Connect { .. } => {
                self.hint("check the address, and HTTPS_PROXY and NO_PROXY")
            }
            _ => self,
        }
    }
}

/// Why an issuer leaves a claim out that certificates are made from, and what to do.
fn claim_hint(claim: &str) -> Option<&'static str> {
    Some(match claim {
        "ci_config_ref_uri" | "ci_config_sha" => {
            "GitLab leaves it out where the CI configuration is not stored in this project (Auto \
             DevOps, a remote file, some parent or compliance pipelines): put a .gitlab-ci.yml \
             into the project"
        }
        "email" => {
            "Google writes it with `format=full` (metadata service) or `includeEmail` \
             (generateIdToken); of other issuers ask for the scope `email`"
        }
        "email_verified" => "let the issuer verify the address first",
        "iss" => {
            "a SPIRE server writes it when `jwt_issuer` is set: set it, and run the OIDC discovery \
             provider at that URL"
        }
        "job_workflow_ref" | "job_workflow_sha" => {
            "only GitHub itself writes it: for Forgejo and others the certificate authority needs \
             a template of its own"
        }
        "kubernetes.io" => "use a token that a cluster made for a service account",
        "sub" => {
            "see what the certificate authority expects of this issuer, such as the trust domain \
             of SPIFFE IDs: GET /api/v2/configuration"
        }
        _ => return None,
    })
}

impl From<oidc_ambient::Error> for Failure {
    fn from(error: oidc_ambient::Error) -> Self {
        use oidc_ambient::Error;

        let mut failure = Self::new(Exit::Failed, error.to_string());
        match error {
            Error::Broken { broken, .. } => {
                failure.causes.push(format!("detected because {}", broken.evidence));
                failure.hints.extend(broken.hint);
            }
            Error::Nothing { absent, broken } => {
                // What may be ours and does not work is the likelier cause than what is not here.
                if !broken.is_empty() {
                    for (name, broken) in broken {
                        failure.causes.push(format!("{name}: {}", broken.reason));
                        failure.hints.extend(broken.hint);
                    }
                    let more = "`ambisign identity` tells where else an identity was looked for";
                    return failure.hint(more);
                }
                let absent = absent.into_iter();
                failure.causes =
                    absent.map(|(name, absence)| format!("{name}: {}", absence.evidence)).collect();
                failure = failure.hint(
                    "run where there is one (a GitHub job with `permissions: id-token: write`, a \
                     SPIFFE workload with SPIFFE_ENDPOINT_SOCKET), or give --identity-token FILE",
                );
            }
            _ => (),
        }
        failure
    }
}

impl From<image_signing::Error> for Failure {
    fn from(error: image_signing::Error) -> Self {
        use image_signing::Error;

        let problem = error.to_string();
        match error {
            Error::ImageNotFound { source, .. }
            | Error::NotAttached { source, .. }
            | Error::Registry { source, .. } => Self::registry(problem, &source),
            Error::Signing { source, .. } => {
                let failure = Self::from(*source);
                Self { problem: format!("{problem}: {}", failure.problem), ..failure }
            }
            Error::Annotation { .. } => Self::usage(problem),
            Error::Identity(source) => (*source).into(),
            Error::NoRule { .. } => Self::new(Exit::Failed, problem).hint(
                "add a rule whose patterns match it: an image that no rule matches is refused",
            ),
            Error::NoSignature(none) => Self::no_signature(problem, &none),
            Error::NotAcceptable(found) => Self::not_acceptable(problem, &found),
            _ => Self::of(Exit::Failed, problem, &error),
        }
    }
}

impl Failure {
    fn no_signature(problem: String, none: &NoSignature) -> Self {
        let NoSignature { image, digest, repository, purpose, others, .. } = none;
        let failure = Self::new(Exit::NotSigned, problem).cause(format!(
            "{repository} has none for {digest}: no referrer, no `sha256-...` tag, no `.sig` or \
             `.att` tag"
        ));
        others.iter().fold(failure, |failure, other| match (purpose, other.as_str()) {
            (Purpose::Attestation { .. }, bundle::SIGN_PREDICATE_TYPE) => {
                failure.hint(format!("it is signed: ambisign verify {image}"))
            }
            (Purpose::Attestation { .. }, other) => failure.hint(format!(
                "it has an attestation of another type: ambisign verify-attestation --type {} \
                 {image}",
                quoted(other)
            )),
            (_, other) => failure.hint(format!(
                "it has an attestation, which says how it was made and not that it is approved: \
                 ambisign verify-attestation --type {} {image}",
                quoted(other)
            )),
        })
    }

    fn not_acceptable(problem: String, found: &NotAcceptable) -> Self {
        let exit = match found {
            found if found.is_undecided() => Exit::Failed,
            found if found.certificate_missing() => Exit::NoCertificate,
            _ => Exit::NotAcceptable,
        };
        let mut failure = Self::new(exit, problem);
        for group in found.groups() {
            failure.causes.push(group.to_string());
            let refused = group.refusals.first().map(|refusal| &refusal.reason);
            if let Some(Reason::Refused(error)) = refused {
                for hint in Self::judgement("", error).hints {
                    if !failure.hints.contains(&hint) {
                        failure.hints.push(hint);
                    }
                }
            }
        }
        failure
    }
}

impl From<signer::Error> for Failure {
    fn from(error: signer::Error) -> Self {
        use signer::Error;

        let mut failure = Self::new(Exit::Failed, host::scrub(&error.to_string()));
        if let Some(source) = error.source() {
            failure.causes = chain(source);
        }
        match error {
            Error::Unverifiable { .. } => failure.hint(
                "name a timestamp authority: --timestamp-server-url URL, or tsaUrls in the \
                 signing config and timestampAuthorities in the trusted root",
            ),
            Error::Untrusted(_) => failure.hint(
                "--trusted-root and the services (--signing-config, --fulcio-url, --rekor-url) \
                 must belong to the same Sigstore instance",
            ),
            Error::IdentityBroken { broken, .. } => {
                failure.hints.extend(broken.hint);
                failure
            }
            Error::Preflight { source, .. } => failure.hints_for_token(&source),
            Error::Certificate { source, .. } => match *source {
                fulcio_client::Error::Token { source: Some(refusal), .. } => {
                    failure.hints_for_token(&refusal)
                }
                fulcio_client::Error::Transport(source) => failure.hints_for(&source),
                _ => failure,
            },
            _ => failure,
        }
    }
}

/// `text` as one word for a shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", host::escape_remote(text).replace('\'', "'\\''"))
}

/// `error` and what is beneath it, each once, without secrets.
pub(crate) fn chain(error: &dyn StdError) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next.filter(|_| texts.len() < DEEPEST) {
        let text = host::scrub(&error.to_string()).to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
        next = error.source();
    }
    texts
}

const DEEPEST: usize = 12;
