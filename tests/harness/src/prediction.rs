//! Compares certificates and reports with what was predicted.

use fulcio_client::predict::Prediction;
use serde_json::Value;
use x509::Certificate;

/// Demands that the certificate holds exactly what was predicted, in this order.
#[track_caller]
pub fn assert_certified(certificate: &Certificate, prediction: &Prediction) {
    assert_eq!(certificate.subject_name().unwrap(), prediction.subject);
    assert_eq!(certificate.oidc_issuer().unwrap().as_deref(), Some(prediction.issuer.as_str()));
    let found: Vec<(String, String)> = certificate
        .fulcio_extensions()
        .unwrap()
        .into_iter()
        .map(|extension| (extension.oid, extension.value))
        .collect();
    let expected: Vec<(String, String)> = prediction
        .extensions
        .iter()
        .map(|(oid, value)| ((*oid).to_owned(), value.clone()))
        .collect();
    assert_eq!(found, expected);
}

/// Demands that the report of `identity -o json` holds exactly what was predicted.
#[track_caller]
pub fn assert_reported(report: &Value, prediction: &Prediction) {
    let certificate = &report["certificate"];
    assert_eq!(certificate["subject"], prediction.subject.as_str(), "{report:#}");
    assert_eq!(certificate["subject_kind"], prediction.subject.kind());
    assert_eq!(certificate["issuer"], prediction.issuer.as_str());
    assert_eq!(certificate["proof"], prediction.proof.as_str());
    let found: Vec<(&str, &str)> = certificate["extensions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["oid"].as_str().unwrap(), it["value"].as_str().unwrap()))
        .collect();
    let expected: Vec<(&str, &str)> =
        prediction.extensions.iter().map(|(oid, value)| (*oid, value.as_str())).collect();
    assert_eq!(found, expected);
}
