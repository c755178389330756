//! Certificates that are not the one that was asked for.

use bytes::Bytes;
use fulcio_client::issued::{Difference, compare_with};
use fulcio_client::predict::Profile;
use fulcio_client::{Error, Fulcio, IssuerType};
use host::TransportError;
use http::{Request, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use x509::Certificate;

use crate::{RecordedKey, fixture, issued, ready, recorded_token, token};

/// An authority that issues the recorded certificate at `date` and says `configuration` of itself.
fn authority(date: &'static str, configuration: Option<Value>) -> Fulcio {
    let http = move |request: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        let answer = Response::builder().header("date", date);
        Ok(match (request.method().as_str(), &configuration) {
            ("POST", _) => answer.body(fixture("fulcio/signingCert-response.json").into()),
            (_, Some(configuration)) => answer.body(configuration.to_string().into()),
            (_, None) => answer.status(404).body(Bytes::new()),
        }
        .unwrap())
    };
    Fulcio::new("https://fulcio.example".parse().unwrap(), Arc::new(http))
}

const RECORDED: &str = "Sun, 22 Nov 2026 14:53:55 GMT";
const GITHUB: &str = "https://token.actions.githubusercontent.com";

#[test]
fn a_certificate_that_has_expired_or_is_not_yet_valid_when_it_is_issued_is_refused() {
    let token = recorded_token("CSR key P-256");
    let issue = |date| ready(authority(date, None).issue(&token, &RecordedKey::new()));
    assert!(issue(RECORDED).is_ok());
    for date in ["Sun, 22 Nov 2026 13:00:00 GMT", "Sun, 22 Nov 2026 16:00:00 GMT"] {
        let Err(Error::AnotherCertificate { source, .. }) = issue(date) else { panic!("{date}") };
        assert_eq!(source, Difference::NotValid, "{date}");
    }
}

#[test]
fn a_certificate_for_another_identity_than_that_of_a_known_issuer_is_refused() {
    let workflow = "octo-org/octo-repo/.github/workflows/other.yml@refs/heads/main";
    let other = token(json!({ "iss": GITHUB, "aud": "sigstore", "sub": "repo:octo-org/octo-repo",
        "job_workflow_ref": workflow, "event_name": "push", "sha": "a", "workflow": "w",
        "repository": "octo-org/octo-repo", "ref": "refs/heads/main", "job_workflow_sha": "a",
        "runner_environment": "github-hosted", "repository_id": "1", "repository_owner": "octo-org",
        "repository_owner_id": "1", "workflow_ref": workflow, "workflow_sha": "a", "run_id": "1",
        "run_attempt": "1", "repository_visibility": "public" }));
    let error = ready(authority(RECORDED, None).issue(&other, &RecordedKey::new())).unwrap_err();
    let Error::AnotherCertificate { source, .. } = error else { panic!("{error}") };
    let expected = format!("expected the subject uri https://github.com/{workflow}, found uri ");
    assert!(source.to_string().starts_with(&expected), "{source}");
}

/// An instance of one's own may certify the tokens of a public issuer in another way.
#[test]
fn where_the_authority_treats_a_known_issuer_in_its_own_way_its_configuration_decides() {
    let subject =
        "https://github.com/octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main";
    let answer: Value = serde_json::from_str(&fixture("fulcio/signingCert-response.json")).unwrap();
    let leaf = &answer["signedCertificateEmbeddedSct"]["chain"]["certificates"][0];
    let issuer = Certificate::from_pem(leaf.as_str().unwrap()).unwrap().oidc_issuer();
    let issuer = issuer.unwrap().unwrap();
    // For the known template of GitHub this token gives no certificate; here it is one of type uri.
    let token = token(json!({ "iss": issuer, "aud": "sigstore", "sub": subject }));
    let configuration = json!({ "issuers": [{ "issuerUrl": issuer, "audience": "sigstore",
        "challengeClaim": "sub", "issuerType": "uri", "subjectDomain": "https://github.com" }] });
    let fulcio = authority(RECORDED, Some(configuration));
    ready(fulcio.issue(&token, &RecordedKey::new())).unwrap();
}

#[test]
fn what_the_recorded_authority_issued_is_what_was_predicted_and_nothing_else_is() {
    let email = |name: &str| issued().into_iter().find(|case| case["case"] == name).unwrap();
    let case = email("email-google-sa");
    let leaf = Certificate::from_pem(case["pem"].as_str().unwrap()).unwrap();
    let claims = token(case["claims"].clone());
    let profile = Profile::new(IssuerType::Email);
    let prediction = profile.predict(claims.claims()).unwrap();
    compare_with(&leaf, &prediction).unwrap();
    let mut another = prediction.clone();
    another.issuer = "https://accounts.google.com".to_owned();
    assert!(matches!(compare_with(&leaf, &another), Err(Difference::Issuer { .. })));
    let other = token(json!({ "iss": prediction.issuer, "email": "eve@proj", "sub": "1",
        "email_verified": true }));
    let another = profile.predict(other.claims()).unwrap();
    let error = compare_with(&leaf, &another).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected the subject email eve@proj, found email ci@proj.iam.gserviceaccount.com"
    );
}
