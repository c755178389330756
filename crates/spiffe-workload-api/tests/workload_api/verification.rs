//! SVIDs that are verified, here and by the API.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use id_token::{Audience, IdToken};
use serde_json::{Value, json};
use spiffe_workload_api::{Error, JwtBundle, SpiffeId, verify_jwt_svid, verify_x509_svid};

use crate::replay::{A_FIRST, BUILDER, Seen, at, recorded_token, recording, replaying};

#[tokio::test]
async fn the_recorded_jwt_svid_verifies_with_the_recorded_bundle_and_no_other_way() {
    let (_server, api) = replaying(&["JWT bundles"]).await;
    let bundles = api.fetch_jwt_bundles().await.unwrap();
    let text = recorded_token();
    let token = IdToken::parse(&text).unwrap();
    let sigstore = Audience::sigstore();
    let now = at(1_795_359_000);
    let verify = |token: &IdToken, now| verify_jwt_svid(token, &sigstore, &bundles, now);
    assert_eq!(verify(&token, now).unwrap().as_str(), BUILDER);
    let reason = |result: Result<SpiffeId, Error>| match result {
        Err(Error::Untrusted { kind: "JWT-SVID", reason }) => reason,
        other => panic!("{other:?}"),
    };
    verify(&token, at(1_795_359_293 + 59)).unwrap();
    assert!(reason(verify(&token, at(1_795_359_293 + 60))).contains("expired 60 s ago"));
    let other = Audience::new("other").unwrap();
    let result = verify_jwt_svid(&token, &other, &bundles, now);
    assert!(reason(result).contains("expected the audience other, found \"sigstore\""));
    let none = std::collections::BTreeMap::new();
    let result = verify_jwt_svid(&token, &sigstore, &none, now);
    assert!(reason(result).contains("the bundle of example.org is not known"));
    let revoked = bundles.keys().map(|domain| (domain.clone(), JwtBundle::default())).collect();
    let result = verify_jwt_svid(&token, &sigstore, &revoked, now);
    assert!(reason(result).contains("no key"));

    let parts: Vec<&str> = text.split('.').collect();
    let header = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let id = "lDajfOuUICToKPwePMZp9I3Qdiz7tjVf";
    let claims = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["sub"] = json!(A_FIRST);
    for (part, text, expected) in [
        (2, "AAAA".repeat(21) + "AA", "its signature does not verify"),
        (1, URL_SAFE_NO_PAD.encode(claims.to_string()), "its signature does not verify"),
        (0, header(&json!({ "alg": "EdDSA", "kid": id })), "expected one of RS256"),
        (0, header(&json!({ "alg": "ES384", "kid": id })), "its signature does not verify"),
        (0, header(&json!({ "alg": "ES256" })), "`kid` is missing"),
        (0, header(&json!({ "alg": "ES256", "kid": id, "crit": ["x"] })), "found \"crit\""),
        (0, header(&json!({ "alg": "ES256", "kid": id, "typ": "wit+jwt" })), "wit+jwt"),
        (0, header(&json!({ "alg": "ES256", "kid": id, "typ": "JOSE" })), "does not verify"),
    ] {
        let mut changed: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        changed[part] = text;
        let token = IdToken::parse(&changed.join(".")).unwrap();
        let reason = reason(verify(&token, now));
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
    let unsigned = format!("{}.{}.", header(&json!({ "alg": "none", "kid": id })), parts[1]);
    let unsigned = IdToken::parse(&unsigned).unwrap();
    assert!(reason(verify(&unsigned, now)).contains("expected one of RS256"));
}

#[tokio::test]
async fn the_recorded_x509_svids_verify_with_the_recorded_bundle() {
    let (_server, api) = replaying(&["X.509 bundles"]).await;
    let bundles = api.fetch_x509_bundles().await.unwrap();
    let (_server, api) = replaying(&["X.509-SVIDs of several registrations"]).await;
    let state = api.fetch_x509_state().await.unwrap();
    assert!(state.federated.is_empty() && state.revocation_lists.is_empty());
    // 2026-11-22 at 15:00.
    let now = at(1_795_359_600);
    for svid in &state.svids {
        assert_eq!(verify_x509_svid(&svid.chain, &bundles, now).unwrap(), svid.spiffe_id);
    }
    let chain = &state.svids[0].chain;
    let reason = |result: Result<SpiffeId, Error>| match result {
        Err(Error::Untrusted { kind: "X.509-SVID", reason }) => reason,
        other => panic!("{other:?}"),
    };
    let late = reason(verify_x509_svid(chain, &bundles, at(1_795_459_600)));
    assert!(late.contains("valid"), "{late}");
    assert!(reason(verify_x509_svid(&[], &bundles, now)).contains("no certificate"));
    let none = std::collections::BTreeMap::new();
    assert!(
        reason(verify_x509_svid(chain, &none, now))
            .contains("the bundle of example.org is not known")
    );
    // An authority is not a workload.
    let authority = state.svids[0].bundle.clone();
    let itself = reason(verify_x509_svid(&authority, &bundles, now));
    assert!(itself.contains("names a trust domain"), "{itself}");
    let mut broken = chain.clone();
    let last = broken[0].len() - 1;
    broken[0][last] ^= 1;
    assert!(!reason(verify_x509_svid(&broken, &bundles, now)).is_empty());
}

#[tokio::test]
async fn the_api_judges_tokens_too() {
    let (server, api) =
        replaying(&["validate a good JWT-SVID", "validate a broken signature"]).await;
    let token = IdToken::parse(&recorded_token()).unwrap();
    let (spiffe_id, claims) = api.validate_jwt_svid(&Audience::sigstore(), &token).await.unwrap();
    assert_eq!(spiffe_id.as_str(), BUILDER);
    let recorded = recording("claims of the JWT-SVID");
    assert_eq!(Value::Object(claims.as_object().clone()), recorded["claims"]);
    assert_eq!(server.seen(), [Seen::of(&recording("validate a good JWT-SVID"))]);
    let error = api.validate_jwt_svid(&Audience::sigstore(), &token).await.unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
    assert!(error.to_string().contains("cryptographic primitive"), "{error}");
}
