//! What is logged.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keys::{Digest, Sign as _};
use serde_json::json;

use super::{EntryPlan, Forge, Plan, SignedPart, Signing};

impl Plan {
    pub(super) fn body(&self, plan: &EntryPlan, signed: &SignedPart<'_>, forge: &Forge) -> Vec<u8> {
        let signature = STANDARD.encode(signed.signature);
        let pem = if self.keyed {
            forge.signer.public_key().to_pem()
        } else {
            let der = STANDARD.encode(signed.leaf);
            format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n")
        };
        let pem = STANDARD.encode(pem);
        let hex = signed.digest.to_hex();
        let spec = match (plan.kind.0, plan.v2, &self.signing) {
            (_, true, _) => {
                let (field, raw) = match self.keyed {
                    true => ("publicKey", forge.signer.public_key().spki()),
                    false => ("x509Certificate", signed.leaf),
                };
                json!({ "hashedRekordV002": {
                    "data": {
                        "algorithm": "SHA2_256",
                        "digest": STANDARD.encode(signed.digest.as_bytes()),
                    },
                    "signature": {
                        "content": signature,
                        "verifier": {
                            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                            field: { "rawBytes": STANDARD.encode(raw) },
                        },
                    },
                } })
            }
            ("dsse", _, Signing::Statement { payload, .. }) => json!({
                "envelopeHash": { "algorithm": "sha256", "value": hex },
                "payloadHash": {
                    "algorithm": "sha256",
                    "value": Digest::sha256(payload.as_bytes()).to_hex(),
                },
                "signatures": [{ "signature": signature, "verifier": pem }],
            }),
            ("intoto", _, Signing::Statement { payload, payload_type }) => json!({ "content": {
                "envelope": {
                    "payloadType": payload_type,
                    "signatures": [{ "publicKey": pem, "sig": STANDARD.encode(&signature) }],
                },
                "hash": { "algorithm": "sha256", "value": hex },
                "payloadHash": {
                    "algorithm": "sha256",
                    "value": Digest::sha256(payload.as_bytes()).to_hex(),
                },
            } }),
            _ => json!({
                "data": { "hash": { "algorithm": "sha256", "value": hex } },
                "signature": { "content": signature, "publicKey": { "content": pem } },
            }),
        };
        let mut body = json!({ "apiVersion": plan.kind.1, "kind": plan.kind.0, "spec": spec });
        (plan.body)(&mut body);
        (plan.body_bytes)(body.to_string().into_bytes())
    }
}
