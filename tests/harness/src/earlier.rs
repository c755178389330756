//! The parts of a bundle as the earlier formats spell them.

use bundle::proto_json::decode_base64;
use serde_json::{Value, json};
use x509::Certificate;

/// The certificate of a bundle, as PEM.
pub fn certificate_pem(bundle: &Value) -> String {
    let der = &bundle["verificationMaterial"]["certificate"]["rawBytes"];
    let der = decode_base64(der.as_str().unwrap()).unwrap();
    Certificate::from_der(&der).unwrap().to_pem()
}

/// The entry of Rekor v1 in a bundle with the log's promise, as cosign's `rekorBundle`.
pub fn rekor_bundle(bundle: &Value) -> Value {
    let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
    // protobuf's JSON leaves out what is 0.
    let number = |name: &str| entry[name].as_str().unwrap_or("0").parse::<u64>().unwrap();
    let id = decode_base64(entry["logId"]["keyId"].as_str().unwrap()).unwrap();
    json!({
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"],
            "integratedTime": number("integratedTime"),
            "logIndex": number("logIndex"),
            "logID": id.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        },
    })
}
