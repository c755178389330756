//! Faults that can be injected, by name.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A way in which the sandbox misbehaves on purpose, so that a client's answer to it can be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The codes of the device flow have expired when they are given.
    DeviceExpired,
    /// Fulcio answers 500.
    FulcioError,
    /// The GitHub-shaped endpoint answers 503 to every request.
    GithubUnavailable,
    /// Whoever logs in is denied.
    LoginDenied,
    /// The identity token of a login has the signature of another text.
    LoginForged,
    /// The identity token of a login has the nonce of another one.
    LoginWrongNonce,
    /// The browser is sent back with the state of another login.
    LoginWrongState,
    /// The Workload API issues no identity to anyone.
    NoIdentity,
    /// The registry refuses every write.
    RegistryDeniesPush,
    /// Both Rekors answer 500 to new entries.
    RekorError,
    /// Both Rekors take ten seconds for a new entry.
    SlowLog,
    /// Every token has expired a minute ago.
    TokenExpired,
    /// Every token is for another audience than the one asked for.
    TokenForAnother,
    /// The timestamp authority answers 500.
    TsaError,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::DeviceExpired,
        Self::FulcioError,
        Self::GithubUnavailable,
        Self::LoginDenied,
        Self::LoginForged,
        Self::LoginWrongNonce,
        Self::LoginWrongState,
        Self::NoIdentity,
        Self::RegistryDeniesPush,
        Self::RekorError,
        Self::SlowLog,
        Self::TokenExpired,
        Self::TokenForAnother,
        Self::TsaError,
    ];

    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeviceExpired => "device-expired",
            Self::FulcioError => "fulcio-error",
            Self::GithubUnavailable => "github-unavailable",
            Self::LoginDenied => "login-denied",
            Self::LoginForged => "login-forged",
            Self::LoginWrongNonce => "login-wrong-nonce",
            Self::LoginWrongState => "login-wrong-state",
            Self::NoIdentity => "no-identity",
            Self::RegistryDeniesPush => "registry-denies-push",
            Self::RekorError => "rekor-error",
            Self::SlowLog => "slow-log",
            Self::TokenExpired => "token-expired",
            Self::TokenForAnother => "token-for-another",
            Self::TsaError => "tsa-error",
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
