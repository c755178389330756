//! How flag values are written.

use bundle::predicate_type;
use clap::ValueEnum;
use image_signing::did_you_mean;
use keys::{Digest, HashAlgorithm, KeyAlgorithm};
use url::Url;

/// How results are printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    Json,
    Text,
}

/// cosign's names of the login flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AuthFlow {
    Device,
    Normal,
    Token,
}

/// A text that must not be the empty string of an unset variable.
pub(super) fn nonempty<T: From<String>>(text: &str) -> Result<T, String> {
    match text {
        "" => Err("the value is empty: is a variable unset?".to_owned()),
        _ => Ok(text.to_owned().into()),
    }
}

/// An image or a file. `--upload false` means `--upload` and an argument `false`: the user wanted
/// `--upload=false`.
pub(super) fn argument<T: From<String>>(text: &str) -> Result<T, String> {
    match text {
        "true" | "false" => Err(format!(
            "write the value of a switch with `=` (--upload={text}), and a file of this name as \
             ./{text}"
        )),
        _ => nonempty(text),
    }
}

/// The URL of a service.
pub(super) fn service_url(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    url.filter(Url::has_host).ok_or("expected a URL that begins with https:// or http://")
}

/// A predicate type: a URI, or one of cosign's short names.
pub(super) fn predicate_type(name: &str) -> Result<String, String> {
    predicate_type::resolve(name).map(str::to_owned).ok_or_else(|| {
        let names: Vec<_> = predicate_type::SHORT_NAMES.iter().map(|(name, _)| *name).collect();
        format!("expected a URI, or one of {}{}", names.join(", "), did_you_mean(name, &names))
    })
}

/// The algorithm of a digest.
pub(super) fn algorithm(name: &str) -> Result<HashAlgorithm, &'static str> {
    HashAlgorithm::from_name(name).ok_or("expected sha256, sha384 or sha512")
}

/// A SHA-256 digest.
pub(super) fn sha256(hex: &str) -> Result<Digest, keys::Error> {
    Digest::from_hex(HashAlgorithm::Sha256, &hex.to_ascii_lowercase())
}

/// cosign's names of the kinds of keys that are made.
pub(super) fn signing_algorithm(name: &str) -> Result<KeyAlgorithm, String> {
    let names = KeyAlgorithm::SIGNING_NAMES;
    if name == "ecdsa-sha2-512-nistp521" {
        return Err("keys on P-521 verify and do not sign here; P-384 does".to_owned());
    }
    let expected = || format!("expected {}{}", names.join(", "), did_you_mean(name, &names));
    KeyAlgorithm::from_signing_name(name).ok_or_else(expected)
}

/// `KEY=VALUE`; the value may contain `=`.
pub(super) fn annotation(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE"),
    }
}

/// As Go's `strconv.ParseBool`, for scripts written for cosign.
pub(crate) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false"),
    }
}
