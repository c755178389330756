//! Faults that can be injected, by name.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A way in which the sandbox misbehaves on purpose, so that a client's answer to it can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Certificates name another OIDC issuer than the token's.
    CertificateByAnotherIssuer,
    /// Certificates expired twenty minutes ago.
    CertificateExpired,
    /// Certificates are for another identity than the token's.
    CertificateForAnother,
    /// Certificates are valid from tomorrow on.
    CertificateNotYetValid,
    /// Certificates are valid for ten years.
    CertificateTenYears,
    /// Fulcio has no certificate transparency log, so that its certificates lack timestamps.
    CertificatesUnlogged,
    /// The codes of the device flow have expired when they are given.
    DeviceExpired,
    /// Fulcio answers 500.
    FulcioError,
    /// The GitHub-shaped endpoint answers 503 to every request.
    GithubUnavailable,
    /// The programs that CI platforms put into their jobs refuse.
    HelperFails,
    /// Platforms forbid every request for a token: 403.
    IdentityForbidden,
    /// Platforms take a request for a token and never answer.
    IdentityHangs,
    /// Platforms answer a request for a token with an HTML page.
    IdentityHtml,
    /// Platforms answer the first two requests for a token with 503.
    IdentityLate,
    /// Platforms know no identity for the caller: 404.
    IdentityMissing,
    /// Platforms redirect a request for a token to another host, which would serve it.
    IdentityRedirects,
    /// Google's tokens lack the address of the account.
    IdentityWithoutEmail,
    /// The first answer of each Rekor about a new entry is lost on the way: the entry is there.
    LogAnswerLost,
    /// Every login is denied.
    LoginDenied,
    /// The identity token of a login has the signature of another text.
    LoginForged,
    /// The identity token of a login has the nonce of another one.
    LoginWrongNonce,
    /// The browser is sent back with the state of another login.
    LoginWrongState,
    /// The Workload API issues no identity to anyone.
    NoIdentity,
    /// The Workload API learns of its registrations only when it was asked three times.
    RegistrationLate,
    /// The registry refuses every write.
    RegistryDeniesPush,
    /// The registry refuses to move a tag to another manifest.
    RegistryImmutableTags,
    /// The registry takes the blobs of a signature and refuses its manifest.
    RegistryRefusesSignatures,
    /// Both Rekors answer 500 to new entries.
    RekorError,
    /// Both Rekors take ten seconds for a new entry.
    SlowLog,
    /// The Workload API takes requests and never answers.
    SpiffeHangs,
    /// Every token has expired a minute ago.
    TokenExpired,
    /// Every token is for another audience than the one asked for.
    TokenForAnother,
    /// JWT-SVIDs lack the claim `iss`, as SPIRE's do where no issuer is configured.
    TokenWithoutIssuer,
    /// The timestamp authority answers 500.
    TsaError,
    /// The trusted root lacks the timestamp authority that the signing configs name.
    TsaUntrusted,
    /// The TUF repository's timestamp expired an hour ago.
    TufExpired,
    /// The targets of the TUF repository are other than its metadata says.
    TufTampered,
    /// The TUF repository answers 503.
    TufUnavailable,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 38] = [
        Self::CertificateByAnotherIssuer,
        Self::CertificateExpired,
        Self::CertificateForAnother,
        Self::CertificateNotYetValid,
        Self::CertificateTenYears,
        Self::CertificatesUnlogged,
        Self::DeviceExpired,
        Self::FulcioError,
        Self::GithubUnavailable,
        Self::HelperFails,
        Self::IdentityForbidden,
        Self::IdentityHangs,
        Self::IdentityHtml,
        Self::IdentityLate,
        Self::IdentityMissing,
        Self::IdentityRedirects,
        Self::IdentityWithoutEmail,
        Self::LogAnswerLost,
        Self::LoginDenied,
        Self::LoginForged,
        Self::LoginWrongNonce,
        Self::LoginWrongState,
        Self::NoIdentity,
        Self::RegistrationLate,
        Self::RegistryDeniesPush,
        Self::RegistryImmutableTags,
        Self::RegistryRefusesSignatures,
        Self::RekorError,
        Self::SlowLog,
        Self::SpiffeHangs,
        Self::TokenExpired,
        Self::TokenForAnother,
        Self::TokenWithoutIssuer,
        Self::TsaError,
        Self::TsaUntrusted,
        Self::TufExpired,
        Self::TufTampered,
        Self::TufUnavailable,
    ];

    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CertificateByAnotherIssuer => "certificate-by-another-issuer",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateForAnother => "certificate-for-another",
            Self::CertificateNotYetValid => "certificate-not-yet-valid",
            Self::CertificateTenYears => "certificate-ten-years",
            Self::CertificatesUnlogged => "certificates-unlogged",
            Self::DeviceExpired => "device-expired",
            Self::FulcioError => "fulcio-error",
            Self::GithubUnavailable => "github-unavailable",
            Self::HelperFails => "helper-fails",
            Self::IdentityForbidden => "identity-forbidden",
            Self::IdentityHangs => "identity-hangs",
            Self::IdentityHtml => "identity-html",
            Self::IdentityLate => "identity-late",
            Self::IdentityMissing => "identity-missing",
            Self::IdentityRedirects => "identity-redirects",
            Self::IdentityWithoutEmail => "identity-without-email",
            Self::LogAnswerLost => "log-answer-lost",
            Self::LoginDenied => "login-denied",
            Self::LoginForged => "login-forged",
            Self::LoginWrongNonce => "login-wrong-nonce",
            Self::LoginWrongState => "login-wrong-state",
            Self::NoIdentity => "no-identity",
            Self::RegistrationLate => "registration-late",
            Self::RegistryDeniesPush => "registry-denies-push",
            Self::RegistryImmutableTags => "registry-immutable-tags",
            Self::RegistryRefusesSignatures => "registry-refuses-signatures",
            Self::RekorError => "rekor-error",
            Self::SlowLog => "slow-log",
            Self::SpiffeHangs => "spiffe-hangs",
            Self::TokenExpired => "token-expired",
            Self::TokenForAnother => "token-for-another",
            Self::TokenWithoutIssuer => "token-without-issuer",
            Self::TsaError => "tsa-error",
            Self::TsaUntrusted => "tsa-untrusted",
            Self::TufExpired => "tuf-expired",
            Self::TufTampered => "tuf-tampered",
            Self::TufUnavailable => "tuf-unavailable",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|fault| fault.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Error::Config { reason: format!("there is no fault {text:?}, only {known}") }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_known_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse::<Fault>().unwrap(), fault);
        }
        let error = "rain".parse::<Fault>().unwrap_err().to_string();
        assert!(error.contains("slow-log"), "{error}");
    }
}
