//! The certificate that a token becomes, told beforehand and compared with the one that was issued.

use std::time::{Duration, UNIX_EPOCH};

use fulcio_client::predict::Profile;
use fulcio_client::preflight::{self, Refusal, Warning};
use fulcio_client::{CiProvider, Configuration, IssuerType, Profiles};
use id_token::{Audience, Claims};
use serde_json::{Value, json};
use x509::Certificate;

use crate::{configuration, issued, profile, recorded_token, token};

#[test]
fn every_token_that_got_a_certificate_passes_and_its_certificate_is_predicted() {
    for case in issued() {
        let name = case["case"].as_str().unwrap();
        let Value::Object(claims) = case["claims"].clone() else { panic!() };
        let claims = Claims::new(claims);
        let token = token(claims.as_object().clone().into());
        let at = UNIX_EPOCH + Duration::from_secs(case["claims"]["iat"].as_u64().unwrap());
        let warnings =
            preflight::check(&token, &Audience::sigstore(), Some(&configuration()), at).unwrap();
        assert_eq!(warnings, [], "{name}");

        let certificate = Certificate::from_pem(case["pem"].as_str().unwrap()).unwrap();
        let profile = profile(&case["issuer_profile"]);
        // What the configuration does not tell is guessed, and guessed right.
        let configured = configuration();
        let issuer = configured.issuer_for(claims.issuer().unwrap()).unwrap();
        assert_eq!(Profile::of(issuer, &claims), profile, "{name}");

        let prediction = profile.predict(&claims).expect(name);
        assert_eq!(prediction.subject, certificate.subject_name().unwrap(), "{name}");
        assert_eq!(Some(prediction.issuer), certificate.oidc_issuer().unwrap(), "{name}");
        assert_eq!(prediction.proof, case["proof_text"].as_str().unwrap(), "{name}");
        let found = certificate.fulcio_extensions().unwrap();
        let found: Vec<_> = found.iter().map(|e| (e.oid.as_str(), e.value.clone())).collect();
        assert_eq!(prediction.extensions, found, "{name}");
    }
}

/// The recording has what the configuration does not tell, in the form of a file of profiles.
#[test]
fn a_file_of_profiles_tells_what_the_configuration_does_not() {
    let recorded: Vec<Value> = issued().iter().map(|case| case["issuer_profile"].clone()).collect();
    let profiles = Profiles::from_json(json!({ "issuers": recorded }).to_string().as_bytes());
    let profiles = profiles.unwrap();
    for case in issued() {
        let name = case["case"].as_str().unwrap();
        let Value::Object(claims) = case["claims"].clone() else { panic!() };
        let claims = Claims::new(claims);
        let iss = claims.issuer().unwrap();
        let told = configuration().issuer_with(&profiles, iss).unwrap();
        let expected = &case["issuer_profile"];
        let provider = told.ci_provider.map(CiProvider::as_str);
        assert_eq!(provider, expected["ci_provider"].as_str(), "{name}");
        assert_eq!(told.issuer_claim.as_deref(), expected["issuer_claim"].as_str(), "{name}");
        assert_eq!(Profile::of(&told, &claims), profile(expected), "{name}");
    }
}

#[test]
fn what_cannot_be_guessed_is_judged_by_the_file() {
    let configuration = Configuration::from_json(
        br#"{"issuers":[{"issuerUrl":"https://forge.example/api/actions","audience":"sigstore",
            "issuerType":"ci-provider"}]}"#,
    )
    .unwrap();
    let profiles = Profiles::from_json(
        br#"{"issuers":[{"issuer_url":"https://forge.example/api/actions","type":"ci-provider",
            "ci_provider":"buildkite-job"}]}"#,
    )
    .unwrap();
    let claims = json!({
        "iss": "https://forge.example/api/actions", "aud": "sigstore", "sub": "s", "exp": 60,
        "organization_slug": "acme",
    });
    let token = token(claims);
    let iss = token.claims().issuer().unwrap();
    let check = |configuration: &Configuration| {
        preflight::check(&token, &Audience::sigstore(), Some(configuration), UNIX_EPOCH)
    };
    assert!(matches!(check(&configuration).as_deref(), Ok([Warning::UnknownType { .. }, ..])));
    let completed = configuration.completed(&profiles, iss);
    let refusal = check(&completed).unwrap_err();
    assert!(matches!(&refusal, Refusal::Claim { claim, .. } if claim == "pipeline_slug"));
    assert_eq!(completed.issuers().len(), 1, "none is added");
    assert_eq!(completed.issuer_with(&profiles, "https://elsewhere.example"), None);
}

#[test]
fn the_public_issuers_are_known_without_asking_anyone() {
    let predicted = |claims: Value| {
        let token = token(claims);
        let issuer = Profiles::known().issuer_for(token.claims().issuer()?)?.clone();
        Profile::of(&issuer, token.claims()).predict(token.claims())
    };
    let eks = "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC";
    let pod = predicted(json!({ "iss": eks, "sub": "system:serviceaccount:build:signer",
        "kubernetes.io": { "namespace": "build", "serviceaccount": { "name": "signer" } } }));
    let pod = pod.unwrap();
    assert_eq!(
        pod.subject.as_str(),
        "https://kubernetes.io/namespaces/build/serviceaccounts/signer"
    );
    assert_eq!(pod.issuer, eks);
    let dex = predicted(json!({ "iss": "https://oauth2.sigstore.dev/auth", "sub": "s",
        "email": "p@example.org", "email_verified": true,
        "federated_claims": { "connector_id": "https://github.com/login/oauth" } }));
    let dex = dex.unwrap();
    assert_eq!(
        (dex.issuer.as_str(), dex.proof.as_str()),
        ("https://github.com/login/oauth", "p@example.org")
    );
    let chainguard = |verified: bool| {
        predicted(json!({ "iss": "https://issuer.enforce.dev", "sub": "a/b",
            "email": "p@example.org", "email_verified": verified }))
    };
    assert_eq!(chainguard(true).unwrap().proof, "p@example.org");
    assert_eq!(chainguard(false).unwrap().proof, "a/b");
    assert_eq!(predicted(json!({ "iss": "https://elsewhere.example", "sub": "s" })), None);
}

#[test]
fn a_kubernetes_token_without_a_service_account_predicts_no_subject() {
    let token = recorded_token("kubernetes token without kubernetes.io");
    let prediction = Profile::new(IssuerType::Kubernetes).predict(token.claims()).unwrap();
    assert_eq!(prediction.subject.as_str(), "https://kubernetes.io/namespaces//serviceaccounts/");
}

/// Forgejo speaks GitHub's protocol, and a private Fulcio may have a template of its own for it.
#[test]
fn a_token_that_only_looks_like_githubs_is_not_measured_by_githubs_template() {
    let claims = json!({
        "iss": "https://codeberg.example/api/actions", "sub": "repo:o/r:ref:refs/heads/main",
        "repository": "o/r", "repository_owner": "o", "workflow": "w", "ref": "refs/heads/main",
        "sha": "s", "event_name": "push", "run_id": "1", "run_attempt": "1",
    });
    let Value::Object(claims) = claims else { panic!() };
    assert_eq!(CiProvider::guess(&Claims::new(claims)), None);
}
