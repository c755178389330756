//! The files that make clients trust this sandbox and nothing else.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keys::PublicKey;
use serde_json::{Value, json};

use crate::certificate::{HEAD_START, unix_seconds};
use crate::fulcio::Fulcio;
use crate::rekor_v1::RekorV1;
use crate::rekor_v2::RekorV2;
use crate::tsa::Tsa;
use crate::{Error, Fault, Faults};

const OPERATOR: &str = "sigstore-sandbox";

/// Where the services are, as clients call them: `http://localhost:<port>` each, without a path.
///
/// The host of `rekor_v2` must be the log's origin, which is `localhost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Fulcio.
    pub fulcio: String,
    /// The OIDC issuer that people log in at.
    pub oidc: String,
    /// Rekor v1.
    pub rekor_v1: String,
    /// Rekor v2.
    pub rekor_v2: String,
    /// The timestamp authority.
    pub tsa: String,
}

/// Which Rekor a signing configuration leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RekorVersion {
    /// Rekor v1.
    V1,
    /// Rekor v2.
    V2,
}

/// The documents for clients. All their times start an hour before the authority was made, or
/// before now if that is earlier, and do not end.
#[derive(Clone, Debug)]
pub struct TrustFiles {
    root: Value,
    endpoints: Endpoints,
    start: String,
}

impl TrustFiles {
    /// The documents for these services at these URLs.
    ///
    /// # Errors
    /// None that is known: every certificate was encoded before.
    pub fn new(
        endpoints: Endpoints,
        fulcio: &Fulcio,
        rekor_v1: &RekorV1,
        rekor_v2: &RekorV2,
        tsa: &Tsa,
        now: SystemTime,
    ) -> Result<Self, Error> {
        // All keys were made together. What they signed stays good over a restart.
        let hour_ago = now.checked_sub(HEAD_START).unwrap_or(now);
        let start = timestamp(hour_ago.min(fulcio.authority().not_before()))?;
        let v1_key = rekor_v1.key().public_key();
        let v2_key = rekor_v2.note_key();
        let ct_key = fulcio.ct_log().public_key();
        let log = |url: &str, key: &PublicKey, id: [u8; 32]| {
            json!({
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.spki()),
                    "keyDetails": key.default_scheme().key_details(),
                    "validFor": { "start": start },
                },
                "logId": { "keyId": STANDARD.encode(id) },
            })
        };
        let authority = |url: &str, name: &str, chain: &[Vec<u8>]| {
            let certificates: Vec<Value> =
                chain.iter().map(|der| json!({ "rawBytes": STANDARD.encode(der) })).collect();
            json!({
                "subject": { "organization": "sigstore-sandbox", "commonName": name },
                "uri": url,
                "certChain": { "certificates": certificates },
                "validFor": { "start": start },
            })
        };
        let ca_chain = fulcio.authority().chain_der()?;
        let tsa_chain = tsa.chain_der()?;
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log(&endpoints.rekor_v1, v1_key, v1_key.id()),
                log(&endpoints.rekor_v2, v2_key.key(), v2_key.full_id()),
            ],
            "certificateAuthorities": [authority(&endpoints.fulcio, "sandbox root", &ca_chain)],
            "ctlogs": [log(&format!("{}/ct", endpoints.fulcio), ct_key, ct_key.id())],
            "timestampAuthorities": [authority(&endpoints.tsa, "sandbox TSA root", &tsa_chain)],
        });
        Ok(Self { root, endpoints, start })
    }

    /// As faults change the documents.
    #[must_use]
    pub fn with_faults(mut self, faults: &Faults) -> Self {
        if faults.contains(&Fault::TsaUntrusted) {
            self.root["timestampAuthorities"] = json!([]);
        }
        self
    }

    /// `trusted_root.json`: both logs, the CA, the CT log and the timestamp authority.
    pub fn trusted_root(&self) -> Value {
        self.root.clone()
    }

    /// `signing_config.json` (Rekor v1) or `signing_config.v2.json`, both of format v0.2.
    pub fn signing_config(&self, version: RekorVersion) -> Value {
        let service = |url: &str, version: u32| {
            json!([{
                "url": url,
                "majorApiVersion": version,
                "validFor": { "start": self.start },
                "operator": OPERATOR,
            }])
        };
        let Endpoints { fulcio, oidc, rekor_v1, rekor_v2, tsa } = &self.endpoints;
        let rekor = match version {
            RekorVersion::V1 => service(rekor_v1, 1),
            RekorVersion::V2 => service(rekor_v2, 2),
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            // The path says v2 and the configuration says 1, at the real one, too.
            "caUrls": service(fulcio, 1),
            "oidcUrls": service(oidc, 1),
            "rekorTlogUrls": rekor,
            "rekorTlogConfig": { "selector": "ANY" },
            "tsaUrls": service(&format!("{tsa}/api/v1/timestamp"), 1),
            "tsaConfig": { "selector": "ANY" },
        })
    }

    /// Both in one, as sigstore-python's `--trust-config` wants it.
    pub fn client_trust_config(&self, version: RekorVersion) -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.root,
            "signingConfig": self.signing_config(version),
        })
    }
}

/// RFC 3339 in whole seconds.
fn timestamp(time: SystemTime) -> Result<String, Error> {
    let seconds = i64::try_from(unix_seconds(time)).map_err(Error::make("a time"))?;
    jiff::Timestamp::from_second(seconds)
        .map(|timestamp| timestamp.to_string())
        .map_err(Error::make("a time"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_in_utc() {
        let time = UNIX_EPOCH + Duration::from_millis(1_700_000_000_999);
        assert_eq!(timestamp(time).unwrap(), "2023-11-14T22:13:20Z");
    }
}
