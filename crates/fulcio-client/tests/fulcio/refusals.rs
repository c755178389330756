//! What is said about a token beforehand, compared with what real Fulcio said.

use std::time::{Duration, UNIX_EPOCH};

use fulcio_client::Configuration;
use fulcio_client::preflight::{self, Refusal, Warning};
use id_token::{Audience, IdToken};
use serde_json::{Value, json};

use crate::{OPAQUE, answers, check, configuration, recorded_token, token, token_of};

#[test]
fn the_preflight_agrees_with_every_recorded_answer() {
    let (mut taken, mut refused) = (0, 0);
    for case in answers() {
        let name = case["case"].as_str().unwrap();
        let body = case["body"].as_str().unwrap();
        let about_the_token = [OPAQUE, "template: ", "value <"].iter().any(|s| body.contains(s));
        let token = match token_of(&case) {
            Some(token) => IdToken::parse(&token),
            None if about_the_token => IdToken::parse(""),
            None => continue,
        };
        let verdict = token
            .map_err(|error| error.to_string())
            .and_then(|token| check(&token).map(|_| ()).map_err(|refusal| refusal.to_string()));
        if about_the_token && name != "token signature broken" {
            assert!(verdict.is_err(), "{name}: Fulcio refuses it");
            refused += 1;
        } else {
            assert_eq!(verdict, Ok(()), "{name}: Fulcio takes it");
            taken += 1;
        }
    }
    assert_eq!((refused, taken), (21, 36));
}

#[test]
fn every_recorded_refusal_of_a_token_has_its_reason() {
    for (name, reason) in [
        ("expired token", "the token expired 25 seconds ago"),
        ("not yet valid (nbf in 10 min)", "the token is not valid before 9 minutes from now"),
        ("other audience", "the token is for another audience: expected sigstore, found other"),
        ("empty audience list", "the token is for another audience: expected sigstore, found none"),
        ("no aud", "the token is for another audience: expected sigstore, found none"),
        ("no exp", "the token's claim exp: expected a time, found none"),
        (
            "issuer not listed",
            "this certificate authority does not accept the issuer http://127.0.0.1:8890/nobody: \
             of those it accepts the most alike are http://127.0.0.1:8890/buddy, \
             http://127.0.0.1:8890/buildkite, http://127.0.0.1:8890/buildkiteold",
        ),
        (
            "issuer with trailing slash",
            "this certificate authority does not accept the issuer http://127.0.0.1:8890/email/, \
             but http://127.0.0.1:8890/email",
        ),
        ("no iss", "the token's claim iss: expected the issuer's URL, found none"),
        (
            "email missing",
            "the token's claim email: expected the e-mail address that is to be certified, found \
             none",
        ),
        ("email not verified", "the token's claim email_verified: expected true, found false"),
        ("email_verified missing", "the token's claim email_verified: expected true, found none"),
        (
            "email malformed",
            "the token's claim email: expected an e-mail address, found not an address",
        ),
        (
            "alg none",
            "the token is signed with none: expected one of RS256, RS384, RS512, ES256, ES384, \
             ES512, PS256, PS384, PS512, EdDSA",
        ),
        (
            "gitlab without ci_config_ref_uri",
            "the token's claim ci_config_ref_uri: expected a text, which certificates of \
             gitlab-pipeline are made from, found none",
        ),
        (
            "github without job_workflow_ref",
            "the token's claim job_workflow_ref: expected a text, which certificates of \
             github-workflow are made from, found none",
        ),
        (
            "buildkite without runner_environment",
            "the token's claim runner_environment: expected a text, which certificates of \
             buildkite-job are made from, found none",
        ),
        (
            "uri sub on another host",
            "the token's claim sub: expected a URI under http://127.0.0.1:8890, found \
             http://other.example/users/1",
        ),
        (
            "username with ! in sub",
            "the token's claim sub: expected a user name without an exclamation mark, found a!b",
        ),
    ] {
        assert_eq!(check(&recorded_token(name)).unwrap_err().to_string(), reason, "{name}");
    }
}

#[test]
fn an_oddity_that_fulcio_accepts_is_a_warning() {
    let warnings = |name| check(&recorded_token(name)).unwrap();
    assert_eq!(warnings("CSR key P-256"), []);
    assert_eq!(warnings("no iat"), []);
    assert_eq!(warnings("no sub"), [Warning::NoSubject]);
    assert_eq!(
        warnings("issued in the future (iat)"),
        [Warning::IssuedInFuture { ahead: Duration::from_secs(580) }]
    );
    assert_eq!(warnings("kubernetes token without kubernetes.io"), [Warning::NoServiceAccount]);
    assert_eq!(warnings("circleci without vcs-ref"), []);
    assert_eq!(warnings("username with @ in sub"), []);
}

#[test]
fn times_are_judged_to_the_second_and_without_grace() {
    let at = |seconds: u64, nanos: u32, claims: Value| {
        let mut all = json!({
            "iss": "http://127.0.0.1:8890/email", "aud": "sigstore", "sub": "1",
            "email": "e@example.com", "email_verified": true, "exp": 1_000_000,
        });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let now = UNIX_EPOCH + Duration::new(seconds, nanos);
        preflight::check(&token(all), &Audience::sigstore(), Some(&configuration()), now)
    };
    let short = |left| Ok(vec![Warning::ShortLived { left: Duration::from_secs(left) }]);
    assert_eq!(at(999_970, 0, json!({})), Ok(vec![]));
    assert_eq!(at(999_971, 0, json!({})), short(29));
    assert_eq!(at(1_000_000, 0, json!({})), short(0));
    let expired = |ago| Err(Refusal::Expired { ago: Duration::from_secs(ago) });
    assert_eq!(at(1_000_000, 1, json!({})), expired(0));
    assert_eq!(at(1_000_001, 0, json!({})), expired(1));
    // As Go reads them: a fraction is cut off, a number may stand in quotes.
    assert_eq!(at(1_000_000, 1, json!({ "exp": 1_000_000.9 })), expired(0));
    assert_eq!(at(0, 0, json!({ "exp": "1000000" })), Ok(vec![]));
    for exp in [json!("soon"), json!(true), json!(null)] {
        let refusal = at(0, 0, json!({ "exp": exp })).unwrap_err();
        assert!(matches!(&refusal, Refusal::Claim { claim, .. } if claim == "exp"), "{refusal}");
    }
    let wait = |wait| Duration::from_secs(wait);
    assert_eq!(
        at(1000, 0, json!({ "nbf": 1300 })),
        Ok(vec![Warning::NotYetValid { wait: wait(300) }])
    );
    assert_eq!(at(1000, 0, json!({ "nbf": 1301 })), Err(Refusal::NotYetValid { wait: wait(301) }));
    assert_eq!(at(1000, 0, json!({ "nbf": 1000 })), Ok(vec![]));
    assert_eq!(at(1000, 0, json!({ "nbf": null })), Ok(vec![]));
}

#[test]
fn the_audience_is_the_configured_one_where_one_is_configured() {
    let now = UNIX_EPOCH;
    let own = Configuration::from_json(
        br#"{"issuers":[{"issuerUrl":"https://i","audience":"own","issuerType":"username"}]}"#,
    )
    .unwrap();
    let of = |aud: Value| token(json!({ "iss": "https://i", "sub": "s", "exp": 60, "aud": aud }));
    let audience = Audience::new("asked").unwrap();
    let with = |token: &IdToken, configuration| {
        preflight::check(token, &audience, configuration, now).is_ok()
    };
    assert!(with(&of(json!("own")), Some(&own)));
    assert!(!with(&of(json!("asked")), Some(&own)));
    assert!(with(&of(json!("asked")), None));
    assert!(with(&of(json!(["other", "own"])), Some(&own)));
    assert!(!with(&of(json!(["own", 1])), Some(&own)), "a list of audiences is one of texts");
    assert!(!with(&of(json!({ "own": 1 })), Some(&own)));
}

#[test]
fn what_each_type_of_issuer_needs_is_named() {
    let refused = |kind: &str, claims: Value| {
        let issuer = json!({
            "issuerUrl": "https://i", "audience": "sigstore", "issuerType": kind,
            "spiffeTrustDomain": "example.org", "subjectDomain": "https://example.org",
        });
        let configuration = json!({ "issuers": [issuer] }).to_string();
        let configuration = Configuration::from_json(configuration.as_bytes()).unwrap();
        let mut all = json!({ "iss": "https://i", "aud": "sigstore", "exp": 60 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let audience = Audience::sigstore();
        match preflight::check(&token(all), &audience, Some(&configuration), UNIX_EPOCH) {
            Ok(_) => None,
            Err(Refusal::Claim { claim, .. }) => Some(claim),
            Err(other) => panic!("{other}"),
        }
    };
    let sub = |text: &str| json!({ "sub": text });
    for good in ["spiffe://example.org/ns/a/sa/b", "spiffe://example.org"] {
        assert_eq!(refused("spiffe", sub(good)), None, "{good}");
    }
    for bad in [
        "",
        "example.org/a",
        "spiffe://example.org/",
        "spiffe://example.org//a",
        "spiffe://example.org/a/../b",
        "spiffe://example.org/a?b",
        "spiffe://example.org:80/a",
        "spiffe://Example.org/a",
        "spiffe://evil.example.org/a",
        "spiffe://",
    ] {
        assert_eq!(refused("spiffe", sub(bad)).as_deref(), Some("sub"), "{bad}");
    }
    for good in ["https://example.org/users/1", "https://example.org:8443/x"] {
        assert_eq!(refused("uri", sub(good)), None, "{good}");
    }
    for bad in ["http://example.org/x", "https://evil.example/x", "https://evil.example@x/", "x"] {
        assert_eq!(refused("uri", sub(bad)).as_deref(), Some("sub"), "{bad}");
    }
    for claim in [json!("text"), json!({ "namespace": 1 }), json!({ "serviceaccount": "a" })] {
        let claims = json!({ "sub": "s", "kubernetes.io": claim });
        assert_eq!(refused("kubernetes", claims).as_deref(), Some("kubernetes.io"));
    }
    assert_eq!(refused("chainguard-identity", json!({})).as_deref(), Some("sub"));
    assert_eq!(refused("email", json!({ "email": 1 })).as_deref(), Some("email"));
    for email in ["@example.org", "a@", "a b@example.org", "a@b c.example"] {
        let claims = json!({ "email": email, "email_verified": "True" });
        assert_eq!(refused("email", claims).as_deref(), Some("email"), "{email}");
    }
    let quoted = json!({ "email": "\"a b\"@example.org", "email_verified": "true" });
    assert_eq!(refused("email", quoted), None);
    assert_eq!(refused("username", json!({ "sub": 1 })).as_deref(), Some("sub"));
    for (kind, first) in [
        ("github-workflow", "job_workflow_ref"),
        ("gitlab-pipeline", "ci_config_ref_uri"),
        ("buildkite-job", "organization_slug"),
        ("codefresh-workflow", "account_id"),
    ] {
        assert_eq!(refused(kind, sub("s")).as_deref(), Some(first), "{kind}");
    }
    assert_eq!(refused("of-tomorrow", sub("s")), None);
    assert_eq!(refused("ci-provider", sub("s")), None, "a platform that we cannot know");
}
