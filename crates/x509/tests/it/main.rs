//! Certificates that real services issued, and certificates made to be refused.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may")]

mod captures;
mod made;
mod names;
mod paths;
mod scts;

use std::time::{Duration, SystemTime};

use ambisign_x509::Certificate;
use keys::PublicKey;
use serde_json::Value;

/// A recorded file.
fn recorded(name: &str) -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures");
    let path = format!("{root}/{name}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Everything that was recorded with each certificate.
fn issued() -> Vec<(Value, Certificate)> {
    let cases: Vec<Value> = serde_json::from_str(&recorded("fulcio/issued.json")).unwrap();
    cases
        .into_iter()
        .map(|case| {
            let certificate = Certificate::from_pem(case["pem"].as_str().unwrap()).unwrap();
            (case, certificate)
        })
        .collect()
}

/// Fulcio's intermediate and root.
fn fulcio_chain() -> Vec<Certificate> {
    Certificate::chain_from_pem(&recorded("ct/fulcio-chain.pem")).unwrap()
}

fn ct_key() -> PublicKey {
    PublicKey::from_pem(&recorded("ct/public-key.pem")).unwrap()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Some moment in 2026.
fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + seconds(1_795_359_105)
}
