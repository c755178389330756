//! The one table from typed errors to hints: what the user can do about a failure.
//!
//! Their texts are in `data/hints.txt`, which says how a hint is written.

use std::error::Error as StdError;

use fulcio_client::ProfilesError;
use fulcio_client::preflight::Refusal;
use host::{FileError, TransportError, error_as as is, escape_remote as shown, shell_quote};
use image_signing::file::{self, PairError};
use image_signing::moving::Error as MovingError;
use image_signing::node::NodeError;
use image_signing::{
    IdentityError, Image, KeyFileError, PrivateKeyError, PublicKeyError, Reason, unexpected_signer,
};
use oci_push::{Access, Error as RegistryError};
use oidc_ambient::Error as SearchError;
use oidc_interactive::{Error as LoginError, Untrusted};
use signer::{Error as SigningError, ForeignFormat, rekor_client};
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

/// The hints of the first pattern that the error matches.
macro_rules! table {
    ($error:expr; $($pattern:pat $(if $guard:expr)? => $hints:expr,)*) => {
        $(if let Some($pattern) = is($error) $(&& $guard)? { $hints } else)* { Vec::new() }
    };
}

fn row(error: &(dyn StdError + 'static)) -> Vec<String> {
    table! { error;
        TransportError::Tls { .. } => say("tls"),
        TransportError::Connect { .. } => say("network"),
        TransportError::PlainHttp { .. } => say("plain-http"),

        RegistryError::Unauthorized { .. } => say("registry-login"),
        RegistryError::Denied { access: Access::Push, .. } => say("registry-push"),
        RegistryError::Denied { .. } => say("registry-pull"),
        RegistryError::RateLimited { .. } => say("registry-limit"),
        RegistryError::Overwritten { .. } => say("registry-overwritten"),
        // The words of `host::Forbidden`.
        RegistryError::Invalid { reason, .. } if reason.starts_with("it leads to ") =>
            say("registry-redirect"),
        MovingError::Digest { .. } => say("destination-digest"),
        MovingError::Occupied { .. } => say("occupied"),
        image_signing::Error::NoRule { .. } => say("no-rule"),
        file::Error::NoRule { .. } => say("no-rule"),
        NodeError::Unreadable { .. } => say("node-policy"),
        image_signing::Error::NoSignature(none) => none.others_to_verify(),
        image_signing::Error::NotAcceptable(found) => refusals(found),

        verify::Error::Refused(check) => match **check {
            Check::Chain { .. } | Check::NoAuthority { .. } | Check::UnknownAuthority { .. } =>
                say("another-instance"),
            Check::NoLogEntry { .. } => say("another-instance no-log-entry"),
            Check::NoTime { .. } => say("no-time"),
            Check::Sct { .. } => say("sct"),
            _ => Vec::new(),
        },
        ForeignFormat { .. } => say("foreign-content"),
        file::Error::Malformed { swapped: true, .. } => say("swapped"),
        file::Error::Malformed { .. } => say("not-a-bundle"),
        file::Error::NoSignature { .. } => say("name-the-bundle"),
        file::Error::NotAcceptable(found) => refusals(found),
        file::Error::Read(FileError::NotFound { path }) if Image::is_likely(&path.to_string_lossy()) =>
            say("an-image"),
        file::Error::Refused { certificate, source, .. } => refused(source, certificate.as_deref()),
        file::Error::Whole { .. } => say("whole"),
        PairError::Nameless => say("name-the-bundle"),
        PairError::OneBundle { .. } => say("one-bundle"),
        PairError::Overwrites { .. } => say("overwrites"),

        SigningError::Unverifiable { .. } => say("unverifiable"),
        SigningError::Untrusted(_) => say("untrusted"),
        rekor_client::Error::TooLarge { .. } => say("log-size"),
        SigningError::Log { source, .. }
            if matches!(**source, rekor_client::Error::Http { status: 404, .. }) =>
            say("rekor-v2"),
        SigningError::IdentityBroken { broken, .. } => Vec::from_iter(broken.hint.clone()),
        PrivateKeyError::Algorithm { .. } => say("leave-out-algorithm"),
        PrivateKeyError::Encrypted => say("encrypted-here"),
        PrivateKeyError::NoPassword | PrivateKeyError::NoNewPassword => say("password"),
        PrivateKeyError::Key(keys::Error::WrongPassword) => say("password"),
        PrivateKeyError::Key(keys::Error::UnsupportedKey { found, .. })
            if found.contains("encrypted") => say("encrypted-elsewhere"),
        KeyFileError::Exists(_) => say("key-files-exist"),
        PublicKeyError::Scheme { .. } => say("key-scheme"),
        ProfilesError::Malformed(_) => say("profiles"),
        IdentityError::NotAToken(_) => say("not-a-token"),
        IdentityError::Search(SearchError::Broken { broken, .. }) =>
            Vec::from_iter(broken.hint.clone()),
        IdentityError::Search(SearchError::Nothing { broken, .. }) => {
            // A source that is here and does not work is the likelier cause.
            let hints: Vec<_> = broken.iter().filter_map(|(_, it)| it.hint.clone()).collect();
            let hints = if hints.is_empty() { say("no-identity") } else { hints };
            [hints, say("sources")].concat()
        },

        Refusal::Several(all) => all.iter().flat_map(|it| row(it)).collect(),
        Refusal::Audience { expected, .. } => {
            vec![format!("request the token for the audience {}", shown(expected))]
        },
        Refusal::Issuer { nearest: Some(nearest), .. } => {
            let accepted = shown(nearest);
            vec![format!("check the issuer of the token: the accepted one may be {accepted}")]
        },
        Refusal::Issuer { .. } => say("issuer"),
        Refusal::Expired { .. } => say("expired clock"),
        Refusal::NotYetValid { .. } => say("clock"),
        Refusal::Claim { claim, .. } => say(&format!("claim:{claim}")),

        LoginError::Answer { .. } => say("login-issuer"),
        LoginError::Deadline { .. } => say("login-again login-elsewhere"),
        LoginError::Refused { error, .. } if error.contains("client") => say("login-client"),
        LoginError::Setup { .. } => say("login-redirect login-elsewhere"),
        LoginError::Unsupported { what: "the device flow", .. } => say("login-here"),
        LoginError::Untrusted { source: Untrusted::Expired { .. } | Untrusted::NotYet { .. }, .. }
            => say("clock"),
        LoginError::WrongState { .. } => say("login-earlier"),

        TrustError::Unreachable { source, .. } if is_plain_http(&**source) => Vec::new(),
        TrustError::Unreachable { .. } => say("network offline root-file"),
        TrustError::Expired { .. } => say("root-expired root-file"),
        TrustError::Untrusted { .. } => say("root-untrusted"),
        TrustError::Damaged { .. } => say("root-damaged"),
        TrustError::NotCached { .. } => say("root-not-cached"),
        TrustError::Directory { .. } => say("root-directory"),
        TrustError::Unknown { mirror } => {
            let command = |mirror| format!("ambisign initialize --mirror {mirror} --root FILE");
            let root = shell_quote(mirror).map(|it| format!("name its root: `{}`", command(it)));
            Vec::from_iter(root)
        },
    }
}

/// The hints of these groups of `data/hints.txt`, in this order; the names stand between spaces.
fn say(groups: &str) -> Vec<String> {
    groups.split(' ').flat_map(group).map(str::to_owned).collect()
}

fn group(name: &str) -> impl Iterator<Item = &'static str> {
    let begins = |line: &&str| {
        let names = line.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        names.is_some_and(|names| names.split(' ').any(|it| it == name))
    };
    let mut lines = include_str!("../data/hints.txt").lines();
    lines.by_ref().find(begins);
    lines.take_while(|line| !line.is_empty())
}

/// Whether the request was not sent: its own hint says what can be done.
fn is_plain_http(error: &(dyn StdError + 'static)) -> bool {
    matches!(is(error), Some(TransportError::PlainHttp { .. }))
}

fn refusals(found: &image_signing::NotAcceptable) -> Vec<String> {
    let first = found.groups().into_iter().filter_map(|it| it.refusals.first().copied());
    first.flat_map(refusal).collect()
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
    match unexpected_signer(error, certificate) {
        Some((subject, issuer)) => Vec::from_iter(signer(&subject, &issuer)),
        None => of(error),
    }
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
        assert_eq!(of(&error), say("clock"));
    }
}
