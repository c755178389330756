//! A Fulcio, a token and a file of profiles that make their reader slow, large or wrong.

#![expect(clippy::disallowed_methods, reason = "the time that is measured is the real one")]

use std::time::{Duration, Instant, UNIX_EPOCH};

use fulcio_client::predict::Profile;
use fulcio_client::{CiProvider, Configuration, IssuerType, Profiles, preflight};
use id_token::{Audience, Claims};
use serde_json::{Value, json};

use crate::token;

fn listed(patterns: &[String]) -> Configuration {
    let issuer = |pattern: &String| {
        json!({ "wildcardIssuerUrl": pattern, "audience": "sigstore", "challengeClaim": "sub",
            "issuerType": "ci-provider" })
    };
    let issuers: Vec<Value> = patterns.iter().map(issuer).collect();
    Configuration::from_json(json!({ "issuers": issuers }).to_string().as_bytes()).unwrap()
}

#[test]
fn patterns_of_stars_and_long_issuers_take_no_time() {
    let start = Instant::now();
    let long = format!("https://{}", "a".repeat(60_000));
    let one = listed(&["*".repeat(1 << 20)]);
    let many = listed(&vec![format!("https://{}", "*".repeat(100)); 800]);
    let never = listed(&vec![format!("https://{}!", "*".repeat(60)); 800]);
    for iss in [long.as_str(), "https://issuer.example", &"a".repeat(2048)] {
        assert_eq!(one.issuer_for(iss), None);
        assert_eq!(many.issuer_for(iss), None);
        assert_eq!(never.issuer_for(iss), None);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Each claim stands in a few extensions: the certificate is at most some times as long.
#[test]
fn long_claims_give_long_extensions_and_nothing_worse() {
    let iss = "https://token.actions.githubusercontent.com";
    let mut claims = json!({ "iss": iss, "sub": "s", "ref": "r", "sha": "s", "workflow": "w",
        "job_workflow_sha": "s", "workflow_sha": "s", "event_name": "push", "run_id": 1,
        "run_attempt": 1.9, "repository_id": [[[["x"]]]], "repository_owner_id": {"a": null},
        "runner_environment": "{url}{url}", "repository_visibility": "", "repository": "{{.url}}",
        "repository_owner": "o", "workflow_ref": "w" });
    claims["job_workflow_ref"] = json!("x".repeat(60_000));
    let Value::Object(claims) = claims else { panic!() };
    let mut profile = Profile::new(IssuerType::CiProvider);
    profile.ci_provider = Some(CiProvider::GitHub);
    profile.ci_url = Some("u".repeat(10));
    let prediction = profile.predict(&Claims::new(claims)).unwrap();
    let length: usize = prediction.extensions.iter().map(|(_, value)| value.len()).sum();
    assert!(length < 65_000, "{length}");
    let value = |number: &str| {
        let oid = format!("1.3.6.1.4.1.57264.1.{number}");
        prediction.extensions.iter().find(|(known, _)| *known == oid).map(|(_, value)| value)
    };
    assert_eq!(value("11").unwrap(), "{url}{url}", "a claim is not a template");
    assert_eq!(value("15").unwrap(), "[[[[x]]]]");
    assert_eq!(value("17").unwrap(), "map[a:<nil>]");
    assert_eq!(value("22"), None);
}

#[test]
fn addresses_that_are_none_are_not_guessed_to_be_the_platforms() {
    for iss in [
        "/_services/token",
        "https://token.actions..ghe.com/_services/token/",
        "https://token.actions.",
        "https://token.actions./x.ghe.com",
        "://",
        "",
    ] {
        let token = token(json!({ "iss": iss, "sub": "s", "job_workflow_ref": "w",
            "ci_config_ref_uri": "/", "aud": "sigstore", "exp": 60 }));
        // None of them is listed; what counts is that nothing panics.
        let refused = preflight::check(
            &token,
            &Audience::sigstore(),
            Some(&listed(&["https://x/*".to_owned()])),
            UNIX_EPOCH,
        );
        assert!(refused.is_err(), "{iss}");
        let issuer = listed(&["*".to_owned()]).issuers()[0].clone();
        let _ = Profile::of(&issuer, token.claims()).predict(token.claims());
    }
}

#[test]
fn a_file_of_profiles_that_is_none_is_refused_in_a_line() {
    let entry =
        |rest: &str| format!("{{\"issuer_url\":\"https://x\",\"type\":\"ci-provider\"{rest}}}");
    let escape = "\\u001b[2J\\u202e";
    for file in [
        String::new(),
        "[]".to_owned(),
        format!("{{\"issuers\":{}", "[".repeat(100_000)),
        format!("{{\"issuers\":[{}]}}", entry(",\"unknown\":1")),
        format!("{{\"issuers\":[{}]}}", entry(&format!(",\"ci_provider\":\"{escape}\""))),
        format!(
            "{{\"issuers\":[{}]}}",
            entry(&format!(",\"ci_provider\":\"github-workflow\",\"url\":\"{escape}\""))
        ),
        format!(
            "{{\"issuers\":[{}]}}",
            entry(&format!(
                ",\"ci_provider\":\"github-workflow\",\"url\":\"ftp{}\"",
                "x".repeat(100_000)
            ))
        ),
    ] {
        let error = Profiles::from_json(file.as_bytes()).unwrap_err().to_string();
        assert!(error.len() < 600 && !error.contains(['\u{1b}', '\u{202e}']), "{error}");
    }
}
