//! The calls, answered with the bytes recorded from SPIRE.

use host::FakeEnv;
use id_token::Audience;
use serde_json::Value;
use spiffe_workload_api::{Error, Selection, WorkloadApi};

use crate::replay::{
    A_FIRST, BUILDER, Seen, id, recording, recordings, replaying, replaying_values,
};
use crate::wire::{self, Field};

#[tokio::test]
async fn the_recorded_jwt_svid_is_returned_to_the_recorded_request() {
    let (server, api) = replaying(&["JWT-SVID for sigstore"]).await;
    let svid = api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap();
    assert_eq!(svid.spiffe_id.as_str(), BUILDER);
    assert_eq!(svid.hint, "");
    let recorded = recording("claims of the JWT-SVID");
    assert_eq!(Value::Object(svid.token.claims().as_object().clone()), recorded["claims"]);
    assert_eq!(svid.token.algorithm(), "ES256");
    let seen = server.seen();
    assert_eq!(seen, [Seen::of(&recording("JWT-SVID for sigstore"))]);
}

#[tokio::test]
async fn an_identity_is_asked_for_by_its_spiffe_id() {
    let (server, api) = replaying(&["one of several by SPIFFE ID"]).await;
    let svid = api.fetch_jwt_svid(&[Audience::sigstore()], Some(&id(A_FIRST))).await.unwrap();
    assert_eq!((svid.spiffe_id.as_str(), svid.hint.as_str()), (A_FIRST, "internal"));
    assert_eq!(server.seen(), [Seen::of(&recording("one of several by SPIFFE ID"))]);
}

#[tokio::test]
async fn several_identities_are_named_and_none_is_taken() {
    let (_server, api) = replaying(&["two registrations, the second with a hint"]).await;
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "this process has several SPIFFE identities: {A_FIRST} (hint \"internal\"), {BUILDER}"
        )
    );
    let all = api.fetch_jwt_svids(&[Audience::sigstore()]).await.unwrap();
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn the_recorded_x509_svids_are_returned_and_their_keys_stay_out_of_debug() {
    let (server, api) = replaying(&["X.509-SVIDs"]).await;
    let svid = api.fetch_x509_svid(None).await.unwrap();
    assert_eq!(svid.spiffe_id.as_str(), BUILDER);
    assert_eq!((svid.chain.len(), svid.bundle.len()), (1, 1));
    assert_eq!(svid.private_key.first(), Some(&0x30));
    assert!(!format!("{svid:?}").contains("key"), "{svid:?}");
    assert_eq!(server.seen(), [Seen::of(&recording("X.509-SVIDs"))]);

    let (_server, api) = replaying(&["X.509-SVIDs of several registrations"]).await;
    let error = api.fetch_x509_svid(None).await.unwrap_err();
    assert!(matches!(error, Error::Several { offered } if offered.len() == 2));
    let chosen = api.fetch_x509_svid(Some(&id(BUILDER))).await.unwrap();
    assert_eq!(chosen.spiffe_id.as_str(), BUILDER);
    let error = api.fetch_x509_svid(Some(&id("spiffe://example.org/x"))).await.unwrap_err();
    assert!(error.to_string().contains(A_FIRST), "{error}");
}

#[tokio::test]
async fn each_recorded_refusal_is_told_apart() {
    let recordings = recordings();
    let refusals = recordings.iter().filter(|case| case["message"].is_string());
    let mut count = 0;
    for refusal in refusals {
        let name = refusal["case"].as_str().unwrap();
        let message = refusal["message"].as_str().unwrap();
        let (_server, api) = replaying(&[name]).await;
        let error = if refusal["method"] == "/SpiffeWorkloadAPI/FetchX509SVID" {
            api.fetch_x509_svid(None).await.unwrap_err()
        } else {
            api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap_err()
        };
        let shown = host::escape_remote(message);
        match (refusal["status"].as_str().unwrap(), &error) {
            ("PERMISSION_DENIED", Error::NoIdentity { message, .. })
            | ("UNAVAILABLE", Error::Unavailable { message, .. }) => assert_eq!(*message, shown),
            (status, Error::Refused { code, message, .. }) => {
                assert_eq!((*code, message.as_str()), (status, shown.as_str()));
            }
            other => panic!("{name}: {other:?}"),
        }
        count += 1;
    }
    assert!(count >= 15, "{count}");
}

#[tokio::test]
async fn an_answer_about_someone_or_something_else_is_refused() {
    let (_server, api) = replaying(&["JWT-SVID for sigstore"]).await;
    let other = Audience::new("other").unwrap();
    let error = api.fetch_jwt_svid(&[other], None).await.unwrap_err();
    assert!(error.to_string().contains("for other, found one for \"sigstore\""), "{error}");
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], Some(&id(A_FIRST))).await.unwrap_err();
    assert!(matches!(error, Error::NoIdentity { asked: Some(_), .. }), "{error}");
}

#[tokio::test]
async fn one_token_for_several_audiences_is_asked_for_as_recorded() {
    let (server, api) = replaying(&["two audiences"]).await;
    let audiences = ["sigstore", "other"].map(|name| Audience::new(name).unwrap());
    let svid = api.fetch_jwt_svid(&audiences, None).await.unwrap();
    assert_eq!(svid.token.claims().audiences(), ["sigstore", "other"]);
    assert_eq!(server.seen(), [Seen::of(&recording("two audiences"))]);

    let (server, api) = replaying(&["JWT-SVID for sigstore"]).await;
    let error = api.fetch_jwt_svid(&audiences, None).await.unwrap_err().to_string();
    assert!(error.contains("for other, found one for \"sigstore\""), "{error}");
    let error = api.fetch_jwt_svid(&[], None).await.unwrap_err().to_string();
    assert!(error.contains("names no audience"), "{error}");
    assert_eq!(server.seen().len(), 1, "without an audience nothing is asked");
}

/// SPIRE answers "no identity issued" to a process that is registered for something else, too.
#[tokio::test]
async fn another_identity_than_the_one_asked_for_is_told_apart_from_none_at_all() {
    let other = id("spiffe://example.org/other");
    let denied = "another SPIFFE ID";
    let several = "two registrations, the second with a hint";
    let (server, api) = replaying(&[denied, several]).await;
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], Some(&other)).await.unwrap_err();
    let Error::NoIdentity { asked: Some(asked), offered, .. } = &error else { panic!("{error:?}") };
    assert_eq!((asked, offered.len()), (&other, 2));
    assert_eq!(
        error.to_string(),
        format!(
            "{} does not issue {other} to this process: it issues {A_FIRST} (hint \"internal\"), \
             {BUILDER}",
            server.endpoint()
        )
    );
    assert_eq!(server.seen().len(), 2);

    let (server, api) = replaying(&[denied]).await;
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], Some(&other)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} issues no identity to this process: no identity issued", server.endpoint())
    );
    assert!(matches!(error, Error::NoIdentity { asked: None, .. }));

    // The second question fails: what the first one said stands.
    let hung = "empty audience string";
    let (_server, api) = replaying(&[denied, hung]).await;
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], Some(&other)).await.unwrap_err();
    assert!(error.to_string().contains("does not issue spiffe://example.org/other"), "{error}");
}

#[tokio::test]
async fn an_empty_answer_to_a_request_for_one_identity_is_told_apart_from_a_broken_one() {
    let empty = || wire::answer(&[]);
    let (_server, api) = replaying_values(vec![empty(), recording("JWT-SVID for sigstore")]).await;
    let other = id("spiffe://example.org/other");
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], Some(&other)).await.unwrap_err();
    let Error::NoIdentity { asked: Some(_), offered, .. } = &error else { panic!("{error:?}") };
    assert_eq!(offered[0].spiffe_id.as_str(), BUILDER);
    let (_server, api) = replaying_values(vec![empty()]).await;
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidAnswer { reason, .. } if reason.contains("no SVID")));
}

#[tokio::test]
async fn a_hint_is_kept_as_it_was_sent_and_escaped_where_it_is_shown() {
    let hint = format!("\u{202e}signing\n{}", "x".repeat(1013));
    let hint = hint.as_str();
    assert_eq!(hint.len(), 1024);
    let recorded = wire::message(&recording("two registrations, the second with a hint"));
    let mut svids = wire::svids(&recorded);
    svids[0] = wire::with(svids[0].clone(), wire::JWT_HINT, hint);
    let (_server, api) = replaying_values(vec![wire::answer(&wire::of_svids(&svids))]).await;
    let by_hint = Selection::default().with_hint(hint);
    let svid = api.select_jwt_svid(&[Audience::sigstore()], &by_hint).await.unwrap();
    assert_eq!(svid.hint, hint);
    let error = api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap_err().to_string();
    assert!(error.contains("\\u{202e}signing\\nxxx") && error.len() < 600, "{error}");
    let cut = Selection::default().with_hint(&hint[..200]);
    assert!(api.select_jwt_svid(&[Audience::sigstore()], &cut).await.is_err());

    svids[0] = wire::with(svids[0].clone(), wire::JWT_HINT, "x".repeat(1025));
    let (_server, api) = replaying_values(vec![wire::answer(&wire::of_svids(&svids))]).await;
    let error = api.fetch_jwt_svids(&[Audience::sigstore()]).await.unwrap_err().to_string();
    assert!(error.contains("has 1025 bytes, the limit is 1024"), "{error}");
}

#[tokio::test]
async fn a_certificate_of_another_identity_and_a_key_of_another_certificate_are_refused() {
    let recorded = wire::svids(&wire::message(&recording("X.509-SVIDs of several registrations")));
    let fetch = async |svids: &[Vec<Field>]| {
        let (_server, api) = replaying_values(vec![wire::answer(&wire::of_svids(svids))]).await;
        match api.fetch_x509_svids().await {
            Err(Error::InvalidAnswer { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    let field = |svid: &[Field], number: u8| {
        svid.iter().find(|(known, _)| *known == number).unwrap().1.clone()
    };
    let [first, second] = recorded.as_slice() else { panic!("two") };
    let (one, other) = (field(first, wire::SPIFFE_ID), field(second, wire::SPIFFE_ID));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();

    let renamed = wire::with(first.clone(), wire::SPIFFE_ID, other.clone());
    assert_eq!(
        fetch(&[renamed]).await,
        format!("expected the certificate of {}, found that of {}", text(&other), text(&one))
    );
    let rekeyed = wire::with(first.clone(), wire::KEY, field(second, wire::KEY));
    let reason = fetch(&[second.clone(), rekeyed]).await;
    let start = format!("the private key of {} is not that of its certificate", text(&one));
    assert!(reason.starts_with(&start), "{reason}");
    assert_eq!(reason.matches("ECDSA P-256, id ").count(), 2, "both keys are named: {reason}");
    for key in [&[0x30, 0x00][..], &[7; 5000]] {
        let reason = fetch(&[wire::with(first.clone(), wire::KEY, key)]).await;
        assert!(reason.contains("cannot be read"), "{reason}");
    }
    // An authority is not a workload.
    let authority = wire::with(first.clone(), 2, field(first, 4));
    let reason = fetch(&[authority]).await;
    assert!(reason.contains("found that of spiffe://example.org"), "{reason}");
    let long = wire::with(first.clone(), wire::X509_HINT, "x".repeat(1025));
    assert!(fetch(&[long]).await.contains("the limit is 1024"));
}

#[tokio::test]
async fn the_variable_names_the_endpoint_and_no_other_place_is_tried() {
    let (server, _) = replaying(&["JWT-SVID for sigstore"]).await;
    let path = server.socket.to_str().unwrap();
    for address in [path.to_owned(), format!("unix://{path}")] {
        let env = [("SPIFFE_ENDPOINT_SOCKET", address.as_str())];
        let api = WorkloadApi::connect_env(&env).await.unwrap();
        api.fetch_jwt_svid(&[Audience::sigstore()], None).await.unwrap();
    }
    let error = WorkloadApi::connect_env(&FakeEnv::new()).await.unwrap_err().to_string();
    assert!(error.contains("SPIFFE_ENDPOINT_SOCKET is not set"), "{error}");
    let env = [("SPIFFE_ENDPOINT_SOCKET", "npipe:spire-agent\\public\\api")];
    let error = WorkloadApi::connect_env(&env).await.unwrap_err().to_string();
    assert!(error.contains("Windows named pipes (npipe:) are not supported"), "{error}");
}
