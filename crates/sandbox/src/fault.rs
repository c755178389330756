//! Faults that can be injected, by name, and switched while everything runs.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Error;

/// Each fault, as the command line spells it, and what it does.
macro_rules! faults {
    ($($variant:ident $name:literal $description:literal,)*) => {
        /// A way in which the sandbox misbehaves on purpose, so that a client's answer to it can
        /// be tried.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $(#[doc = $description] $variant,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// As the command line spells it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it does, in one sentence.
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$variant => $description,)*
                }
            }
        }
    };
}

faults! {
    CertificateByAnotherIssuer "certificate-by-another-issuer"
        "Certificates name another OIDC issuer than the token's.",
    CertificateExpired "certificate-expired"
        "Certificates expired twenty minutes ago.",
    CertificateForAnother "certificate-for-another"
        "Certificates are for another identity than the token's.",
    CertificateNotYetValid "certificate-not-yet-valid"
        "Certificates are valid from tomorrow on.",
    CertificateTenYears "certificate-ten-years"
        "Certificates are valid for ten years.",
    CertificatesUnlogged "certificates-unlogged"
        "Fulcio has no certificate transparency log, so that its certificates lack timestamps.",
    DeviceExpired "device-expired"
        "The codes of the device flow have expired when they are given.",
    FulcioError "fulcio-error"
        "Fulcio answers 500.",
    GithubUnavailable "github-unavailable"
        "The GitHub-shaped endpoint answers 503 to every request.",
    HelperFails "helper-fails"
        "The programs that CI platforms put into their jobs refuse.",
    IdentityForbidden "identity-forbidden"
        "Platforms forbid every request for a token: 403.",
    IdentityHangs "identity-hangs"
        "Platforms take a request for a token and never answer.",
    IdentityHtml "identity-html"
        "Platforms answer a request for a token with an HTML page.",
    IdentityLate "identity-late"
        "Platforms answer the first two requests for a token with 503.",
    IdentityMissing "identity-missing"
        "Platforms know no identity for the caller: 404.",
    IdentityRedirects "identity-redirects"
        "Platforms redirect a request for a token to another host, which would serve it.",
    IdentityWithoutEmail "identity-without-email"
        "Google's tokens lack the address of the account.",
    LogAnswerLost "log-answer-lost"
        "The first answer of each Rekor about a new entry is lost on the way: the entry is there.",
    LogSizeLimit "log-size-limit"
        "Rekor version 1 refuses requests of more than 4 MiB, as a load balancer does: 413.",
    LoginDenied "login-denied"
        "Every login is denied.",
    LoginForged "login-forged"
        "The identity token of a login has the signature of another text.",
    LoginWrongNonce "login-wrong-nonce"
        "The identity token of a login has the nonce of another one.",
    LoginWrongState "login-wrong-state"
        "The browser is sent back with the state of another login.",
    NoIdentity "no-identity"
        "The Workload API issues no identity to anyone.",
    RegistrationLate "registration-late"
        "The Workload API learns of its registrations only when it was asked three times.",
    RegistryDeniesPush "registry-denies-push"
        "The registry refuses every write.",
    RegistryImmutableTags "registry-immutable-tags"
        "The registry refuses to move a tag to another manifest.",
    RegistryRefusesSignatures "registry-refuses-signatures"
        "The registry takes the blobs of a signature and refuses its manifest.",
    RekorError "rekor-error"
        "Both Rekors answer 500 to new entries.",
    SlowLog "slow-log"
        "Both Rekors take ten seconds for a new entry.",
    SpiffeHangs "spiffe-hangs"
        "The Workload API takes requests and never answers.",
    TokenExpired "token-expired"
        "Every token has expired a minute ago.",
    TokenForAnother "token-for-another"
        "Every token is for another audience than the one asked for.",
    TokenWithoutIssuer "token-without-issuer"
        "JWT-SVIDs lack the claim iss, as SPIRE's do where no issuer is configured.",
    TsaError "tsa-error"
        "The timestamp authority answers 500.",
    TsaUntrusted "tsa-untrusted"
        "The trusted root lacks the timestamp authority that the signing configs name.",
    TufExpired "tuf-expired"
        "The TUF repository's timestamp expired an hour ago.",
    TufTampered "tuf-tampered"
        "The targets of the TUF repository are other than its metadata says.",
    TufUnavailable "tuf-unavailable"
        "The TUF repository answers 503.",
}

impl Fault {
    /// Whether it is decided at the start: what it spoils is written or signed then, and switching
    /// it later changes nothing.
    pub fn is_fixed_at_start(self) -> bool {
        matches!(
            self,
            Self::HelperFails | Self::TsaUntrusted | Self::TufExpired | Self::TufTampered
        )
    }
}

/// The faults of a running sandbox. All clones are one set, so that a fault that is switched is
/// switched for every service.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<BTreeSet<Fault>>>);

impl Faults {
    /// Whether the sandbox has this fault now.
    pub fn contains(&self, fault: &Fault) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(fault)
    }

    /// Switches a fault on or off. One that is [fixed at the start](Fault::is_fixed_at_start)
    /// has its effect only in a sandbox that starts with it.
    pub fn switch(&self, fault: Fault, on: bool) {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match on {
            true => faults.insert(fault),
            false => faults.remove(&fault),
        };
    }
}

impl<const N: usize> From<[Fault; N]> for Faults {
    fn from(faults: [Fault; N]) -> Self {
        faults.into_iter().collect()
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<T: IntoIterator<Item = Fault>>(faults: T) -> Self {
        Self(Arc::new(Mutex::new(faults.into_iter().collect())))
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
