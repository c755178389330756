//! What cosign signed on the real services verifies, and says who signed it and when; any other
//! policy, root or artifact is refused by the check it is about.

use std::time::{Duration, SystemTime};

use ambisign_verify::{
    AcceptedSigner, Artifact, Check, Error, Formats, Policy, Rule, StringMatch, TimeSource,
    Warning, danger, hash_algorithm, verify,
};
use bundle::{Bundle, SIGN_PREDICATE_TYPE};
use keys::{Digest, HashAlgorithm, KeyPair, Sign};
use serde_json::json;
use trust_root::{Log, TrustedRoot, Window};

use crate::{
    ALL, ATTESTATION, Case, EMAIL, Failure, GITHUB, IMAGE, REKOR_V1, SPIFFE, exactly, now, refusal,
};

fn regexp(pattern: &str) -> StringMatch {
    StringMatch::regexp(pattern).unwrap()
}

#[test]
fn every_bundle_verifies_offline_with_its_root() {
    for case in ALL {
        let verified = case.judge(&case.json(), &case.policy()).expect(case.bundle);
        assert_eq!(verified.subject_name().unwrap().as_str(), case.subject, "{}", case.bundle);
        assert_eq!(verified.issuer(), Some(case.issuer));
        assert_eq!(verified.digest(), &case.digest());
        assert_eq!(verified.log_entries().len(), 1);
        assert_eq!(verified.times().len(), 1);
        let certificate = verified.certificate().unwrap();
        assert!(certificate.is_valid_at(verified.times()[0].time));
        assert!(!certificate.is_valid_at(now()), "expired long since, and of no matter");
        assert!(verified.warnings().is_empty());
    }
}

#[test]
fn the_file_itself_serves_as_well_as_its_digest() {
    for case in [GITHUB, ATTESTATION, REKOR_V1] {
        let bundle = Bundle::from_json(&case.json()).unwrap();
        assert_eq!(hash_algorithm(&bundle).unwrap(), HashAlgorithm::Sha256);
        let file = case.read("artifact.txt");
        let several =
            [Digest::of(HashAlgorithm::Sha512, &file), Digest::of(HashAlgorithm::Sha256, &file)];
        for artifact in [Artifact::Message(&file), Artifact::Digests(&several)] {
            verify(&bundle, &artifact, &case.policy(), case.root(), now()).expect(case.bundle);
        }
    }
}

#[test]
fn threads_share_one_root_and_hand_on_what_they_verified() {
    fn shared<T: Send + Sync>() {}
    shared::<(TrustedRoot, Policy, Bundle, ambisign_verify::Verified, Error)>();
    let all = std::thread::scope(|scope| {
        let judge = |case: Case| move || case.judge(&case.json(), &case.policy());
        let threads = ALL.map(|case| scope.spawn(judge(case)));
        threads.map(|thread| thread.join().unwrap().unwrap())
    });
    for (verified, case) in all.iter().zip(ALL) {
        assert_eq!(verified.digest(), &case.digest(), "{}", case.bundle);
    }
}

#[test]
fn what_was_verified_says_when_and_where() {
    let v2 = GITHUB.judge(&GITHUB.json(), &GITHUB.policy()).unwrap();
    assert_eq!(v2.times()[0].source, TimeSource::Timestamp);
    assert_eq!(v2.log_entries()[0].log_url, "http://localhost:3003");
    assert_eq!(v2.log_entries()[0].log_index, Some(307));
    assert_eq!(v2.log_entries()[0].integrated_time, None);
    let repository = v2.extensions().iter().find(|e| e.oid == "1.3.6.1.4.1.57264.1.12").unwrap();
    assert_eq!(repository.value, "https://github.com/octo-org/octo-repo");
    let v1 = REKOR_V1.judge(&REKOR_V1.json(), &REKOR_V1.policy()).unwrap();
    assert_eq!(v1.times()[0].source, TimeSource::Log);
    let logged = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_357_321);
    assert_eq!(v1.times()[0].time, logged);
    assert_eq!(v1.log_entries()[0].integrated_time, Some(logged));
}

#[test]
fn an_image_signature_states_that_it_is_one() {
    let policy = Policy::image_signature(IMAGE.signer());
    let verified = IMAGE.judge(&IMAGE.json(), &policy).unwrap();
    assert_eq!(verified.statement().unwrap().predicate_type(), SIGN_PREDICATE_TYPE);
    // An attestation offered as a signature of the image.
    let check = ATTESTATION.refusal(&Policy::image_signature(ATTESTATION.signer()));
    assert!(
        matches!(&check, Check::PredicateType { expected, .. } if expected == SIGN_PREDICATE_TYPE)
    );
    let check = SPIFFE.refusal(&Policy::image_signature(SPIFFE.signer()));
    assert_eq!(check.to_string(), "purpose: expected an image signature, found a file signature");
}

#[test]
fn an_attestation_is_not_a_file_signature_and_neither_is_the_other() {
    let check = ATTESTATION.refusal(&Policy::file_signature(ATTESTATION.signer()));
    let text = check.to_string();
    assert!(
        text.starts_with("purpose: expected a file signature, found a statement of type http"),
        "{text}"
    );
    let check =
        SPIFFE.refusal(&Policy::attestation("https://slsa.dev/provenance/v1", SPIFFE.signer()));
    assert!(matches!(check, Check::Purpose { .. }), "{check}");
    let check = ATTESTATION.refusal(&Policy::attestation("https://other", ATTESTATION.signer()));
    assert!(matches!(check, Check::PredicateType { .. }), "{check}");
}

#[test]
fn only_the_formats_that_the_policy_accepts_count() {
    IMAGE.judge(&IMAGE.json(), &IMAGE.policy().formats(Formats::Bundle)).unwrap();
    let check = IMAGE.refusal(&IMAGE.policy().formats(Formats::Legacy));
    assert!(matches!(check, Check::Format { .. }), "{check}");
    // What a policy accepts never widens what its rule accepts.
    let rule = Rule::from(IMAGE.signer()).formats(Formats::Legacy);
    let check = IMAGE.refusal(&Policy::image_signature(rule).formats(Formats::Bundle));
    assert!(matches!(check, Check::Format { .. }), "{check}");
}

#[test]
fn annotations_asked_for_must_be_those_of_the_subject() {
    let statement = IMAGE.judge(&IMAGE.json(), &IMAGE.policy()).unwrap();
    let annotations = statement.statement().unwrap().subjects()[0].annotations.clone();
    let all = annotations.iter().fold(IMAGE.policy(), |policy, (key, value)| {
        policy.annotation(key.as_str(), value.as_str())
    });
    IMAGE.judge(&IMAGE.json(), &all).unwrap();
    let check = IMAGE.refusal(&IMAGE.policy().annotation("env", "staging"));
    assert!(matches!(check, Check::Annotation { .. }), "{check}");
    assert!(matches!(
        SPIFFE.refusal(&SPIFFE.policy().annotation("env", "prod")),
        Check::Annotation { found: None, .. }
    ));
}

#[test]
fn another_identity_or_issuer_is_refused_by_name() {
    let exact = |subject: &str, issuer: &str| {
        GITHUB.refusal(&Policy::file_signature(exactly(subject, issuer)))
    };
    let check = exact("someone@else.test", GITHUB.issuer);
    assert!(matches!(&check, Check::Identity { found, .. } if found == GITHUB.subject));
    assert_eq!(
        check.to_string(),
        format!("identity: expected \"someone@else.test\", found {:?}", GITHUB.subject)
    );
    let check = exact(GITHUB.subject, "https://token.actions.githubusercontent.com");
    assert!(matches!(&check, Check::Issuer { found: Some(found), .. } if found == GITHUB.issuer));
}

#[test]
fn a_pattern_that_matches_a_part_is_refused_with_one_that_would_match() {
    let identity = |subject, issuer| {
        Policy::file_signature(AcceptedSigner::identity(regexp(subject), regexp(issuer)))
    };
    let policy = |pattern: &'static str| identity(pattern, "http://127.*");
    GITHUB.judge(&GITHUB.json(), &policy("https://github.com/octo-org/.*")).unwrap();
    let text = GITHUB.refusal(&policy("octo-org/octo-repo")).to_string();
    assert!(text.contains("matches only a part of it"), "{text}");
    assert!(text.contains(r#""https://github\.com/octo-org/octo-repo" would match"#), "{text}");
    let text = GITHUB.refusal(&policy("nobody")).to_string();
    assert!(!text.contains("part"), "{text}");
    let issuer = identity(".*", "127.0.0.1");
    let text = GITHUB.refusal(&issuer).to_string();
    assert!(text.contains(r#""http://127.0.0.1:8890/githubci" would match"#), "{text}");
}

#[test]
fn extensions_asked_for_must_be_there() {
    let oid = "1.3.6.1.4.1.57264.1.12";
    let with = |value: StringMatch| Policy::file_signature(GITHUB.signer().extension(oid, value));
    GITHUB.judge(&GITHUB.json(), &with(regexp("https://github.com/octo-org/.*"))).unwrap();
    let check = GITHUB.refusal(&with(StringMatch::exact("https://github.com/other/repo")));
    assert!(matches!(check, Check::Extension { found: Some(_), .. }), "{check}");
    let signer = EMAIL.signer().extension(oid, regexp(".*"));
    let check = EMAIL.refusal(&Policy::file_signature(signer));
    assert!(matches!(check, Check::Extension { found: None, .. }), "{check}");
}

#[test]
fn another_file_is_told_before_anything_else() {
    let bundle = Bundle::from_json(&GITHUB.json()).unwrap();
    let judge = |policy: &Policy, bundle: &Bundle, root: &TrustedRoot| {
        verify(bundle, &Artifact::Message(b"another file"), policy, root, now())
            .map_err(Failure::Refused)
    };
    let check =
        refusal(judge(&Policy::file_signature(danger::any_identity()), &bundle, GITHUB.root()));
    assert!(matches!(check, Check::ArtifactDigest { .. }), "{check}");
    // The digest in the bundle is a hint: with the other file's nothing changes.
    let mut value = GITHUB.value();
    value["messageSignature"]["messageDigest"]["digest"] = json!(base64_sha256(b"another file"));
    let bundle = Bundle::from_json(value.to_string().as_bytes()).unwrap();
    let check = refusal(judge(&GITHUB.policy(), &bundle, GITHUB.root()));
    assert!(matches!(check, Check::Signature(_)), "{check}");
    let image = Bundle::from_json(&IMAGE.json()).unwrap();
    let check = refusal(judge(&IMAGE.policy(), &image, IMAGE.root()));
    assert!(matches!(check, Check::Subject { .. }), "{check}");
}

fn base64_sha256(data: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(keys::sha256(data))
}

#[test]
fn a_digest_of_another_algorithm_is_a_mistake_and_not_a_refusal() {
    let bundle = Bundle::from_json(&GITHUB.json()).unwrap();
    let sha512 = Digest::of(HashAlgorithm::Sha512, &GITHUB.read("artifact.txt"));
    let artifact = Artifact::Digest(&sha512);
    let judged = verify(&bundle, &artifact, &GITHUB.policy(), GITHUB.root(), now());
    assert!(
        matches!(&judged, Err(Error::Artifact { expected, .. }) if expected == "sha256"),
        "{judged:?}"
    );
}

#[test]
fn the_root_of_another_instance_trusts_none_of_it() {
    let bundle = Bundle::from_json(&GITHUB.json()).unwrap();
    let digest = GITHUB.digest();
    let judge = |root: &TrustedRoot| {
        refusal(
            verify(&bundle, &Artifact::Digest(&digest), &GITHUB.policy(), root, now())
                .map_err(Failure::Refused),
        )
    };
    let check = judge(&TrustedRoot::public_good());
    assert!(
        matches!(&check, Check::NoLogEntry { expected, .. } if expected.contains("rekor.sigstore.dev"))
    );
    // Each part of the right root taken away, or another's in its place.
    let own = GITHUB.root();
    let other = TrustedRoot::public_good();
    let root =
        |tlogs: &TrustedRoot, cas: &TrustedRoot, ctlogs: &TrustedRoot, tsas: &TrustedRoot| {
            TrustedRoot::new(
                tlogs.tlogs().to_vec(),
                cas.certificate_authorities().to_vec(),
                ctlogs.ctlogs().to_vec(),
                tsas.timestamp_authorities().to_vec(),
            )
            .unwrap()
        };
    let check = judge(&root(own, &other, own, own));
    assert!(matches!(check, Check::Chain { .. }), "{check}");
    let check = judge(&root(own, own, &other, own));
    assert!(matches!(check, Check::Sct { .. }), "{check}");
    let check = judge(&root(own, own, own, &other));
    assert!(matches!(check, Check::UnknownAuthority { .. }), "{check}");
}

/// The root of `case`, its validity windows changed.
fn with_window(case: Case, pointer: &str, window: serde_json::Value) -> TrustedRoot {
    let mut value: serde_json::Value =
        serde_json::from_slice(&case.read("trusted_root.json")).unwrap();
    *value.pointer_mut(pointer).unwrap() = window;
    TrustedRoot::from_json(value.to_string().as_bytes()).unwrap()
}

#[test]
fn a_window_is_closed_at_both_ends_and_nothing_outside_counts() {
    let time = |case: Case| case.judge(&case.json(), &case.policy()).unwrap().times()[0].time;
    let show = |time: SystemTime| {
        Window { start: time, end: None }.to_string().trim_end_matches(" on").to_owned()
    };
    let second = Duration::from_secs(1);
    for (case, pointer) in [
        (GITHUB, "/certificateAuthorities/0/validFor"),
        (GITHUB, "/timestampAuthorities/0/validFor"),
        (REKOR_V1, "/certificateAuthorities/0/validFor"),
        (REKOR_V1, "/tlogs/0/publicKey/validFor"),
    ] {
        let at = time(case);
        let judge = |start: SystemTime, end: SystemTime| {
            let window = json!({"start": show(start), "end": show(end)});
            let root = with_window(case, pointer, window);
            let bundle = Bundle::from_json(&case.json()).unwrap();
            verify(&bundle, &Artifact::Digest(&case.digest()), &case.policy(), &root, now())
        };
        judge(at, at).expect(pointer);
        for (start, end) in [(at - second * 9, at - second), (at + second, at + second * 9)] {
            let check = refusal(judge(start, end).map_err(Failure::Refused));
            let by_the_window = matches!(
                check,
                Check::NoAuthority { .. }
                    | Check::TimestampWindow { .. }
                    | Check::IntegratedTime { .. }
            );
            assert!(by_the_window, "{pointer}: {check}");
        }
    }
    let root = with_window(
        GITHUB,
        "/ctlogs/0/publicKey/validFor",
        json!({"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}),
    );
    let bundle = Bundle::from_json(&GITHUB.json()).unwrap();
    let digest = GITHUB.digest();
    let judged = verify(&bundle, &Artifact::Digest(&digest), &GITHUB.policy(), &root, now());
    let check = refusal(judged.map_err(Failure::Refused));
    assert!(matches!(&check, Check::Sct { reason, .. } if reason.contains("window")), "{check}");
}

#[test]
fn an_entry_of_an_unknown_log_counts_for_nothing() {
    let mut value = GITHUB.value();
    let entries = value["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
    let mut foreign = entries[0].clone();
    foreign["logId"]["keyId"] = json!(base64_sha256(b"some log of the future"));
    foreign["kindVersion"] = json!({"kind": "future", "version": "9"});
    entries.push(foreign);
    let verified = GITHUB.judge(value.to_string().as_bytes(), &GITHUB.policy()).unwrap();
    assert_eq!(verified.log_entries().len(), 1);
    assert!(matches!(verified.warnings(), [Warning::UnknownLog { entry: 1, .. }]));
    value["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap().remove(0);
    let check = refusal(GITHUB.judge(value.to_string().as_bytes(), &GITHUB.policy()));
    assert!(matches!(check, Check::NoLogEntry { .. }), "{check}");
}

#[test]
fn every_entry_of_a_known_log_must_hold() {
    let mut value = GITHUB.value();
    let entries = value["verificationMaterial"]["tlogEntries"].as_array_mut().unwrap();
    let mut second = entries[0].clone();
    second["logIndex"] = json!("306");
    entries.push(second);
    let check = refusal(GITHUB.judge(value.to_string().as_bytes(), &GITHUB.policy()));
    assert!(matches!(check, Check::InclusionCopies { entry: 1, .. }), "{check}");
}

#[test]
fn without_a_timestamp_a_rekor_v2_entry_proves_no_time() {
    let mut value = GITHUB.value();
    value["verificationMaterial"]["timestampVerificationData"] = json!(null);
    let check = refusal(GITHUB.judge(value.to_string().as_bytes(), &GITHUB.policy()));
    assert!(matches!(check, Check::NoTime { .. }), "{check}");
    // Nor when it claims one.
    let at = GITHUB.judge(&GITHUB.json(), &GITHUB.policy()).unwrap().times()[0].time;
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    value["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = json!(seconds.to_string());
    let check = refusal(GITHUB.judge(value.to_string().as_bytes(), &GITHUB.policy()));
    assert!(matches!(check, Check::UnvouchedTime { .. }), "{check}");
}

#[test]
fn without_its_promise_a_rekor_v1_entry_proves_no_time() {
    let mut value = REKOR_V1.value();
    value["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"] = json!(null);
    let check = refusal(REKOR_V1.judge(value.to_string().as_bytes(), &REKOR_V1.policy()));
    assert!(matches!(check, Check::UnvouchedTime { .. }), "{check}");
    value["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = json!(null);
    let check = refusal(REKOR_V1.judge(value.to_string().as_bytes(), &REKOR_V1.policy()));
    assert!(matches!(check, Check::NoTime { .. }), "{check}");
    let mut value = REKOR_V1.value();
    value["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = json!("1795357322");
    let check = refusal(REKOR_V1.judge(value.to_string().as_bytes(), &REKOR_V1.policy()));
    assert!(matches!(check, Check::SignedEntryTimestamp { .. }), "{check}");
}

#[test]
fn a_signed_timestamp_is_demanded_where_asked_for() {
    GITHUB.judge(&GITHUB.json(), &GITHUB.policy().use_signed_timestamps()).unwrap();
    let check = REKOR_V1.refusal(&REKOR_V1.policy().use_signed_timestamps());
    assert!(matches!(check, Check::NoTime { .. }), "{check}");
}

#[test]
fn a_kind_that_cannot_be_checked_is_refused_by_name() {
    for (kind, version) in [("dsse", "0.0.2"), ("intoto", "0.0.1"), ("rekord", "0.0.1")] {
        let mut value = REKOR_V1.value();
        value["verificationMaterial"]["tlogEntries"][0]["kindVersion"] =
            json!({"kind": kind, "version": version});
        let check = refusal(REKOR_V1.judge(value.to_string().as_bytes(), &REKOR_V1.policy()));
        assert!(check.to_string().contains(&format!("{kind} {version}")), "{check}");
    }
    // The other kind that is known, but is not what the body says.
    let mut value = REKOR_V1.value();
    value["verificationMaterial"]["tlogEntries"][0]["kindVersion"]["version"] = json!("0.0.2");
    let check = refusal(REKOR_V1.judge(value.to_string().as_bytes(), &REKOR_V1.policy()));
    assert!(matches!(check, Check::EntryBody { field: "version", .. }), "{check}");
}

#[test]
fn the_entry_of_another_signature_is_refused() {
    let mut value = GITHUB.value();
    value["verificationMaterial"]["tlogEntries"] =
        SPIFFE.value()["verificationMaterial"]["tlogEntries"].clone();
    let check = refusal(GITHUB.judge(value.to_string().as_bytes(), &GITHUB.policy()));
    assert!(matches!(check, Check::EntryBody { .. }), "{check}");
}

#[test]
fn the_timestamp_of_another_signature_is_refused() {
    let mut value = GITHUB.value();
    value["verificationMaterial"]["timestampVerificationData"] =
        SPIFFE.value()["verificationMaterial"]["timestampVerificationData"].clone();
    let check = refusal(GITHUB.judge(value.to_string().as_bytes(), &GITHUB.policy()));
    assert!(matches!(check, Check::Timestamp { .. }), "{check}");
}

#[test]
fn a_checkpoint_of_another_trusted_log_is_refused() {
    // The log's key is right and its name is not: as if two logs shared a host's key.
    let own = GITHUB.root();
    let log = &own.tlogs()[0];
    let renamed = Log::rekor("http://other.test", log.key().clone(), log.valid_for()).unwrap();
    let root = TrustedRoot::new(
        vec![renamed.clone()],
        own.certificate_authorities().to_vec(),
        own.ctlogs().to_vec(),
        own.timestamp_authorities().to_vec(),
    )
    .unwrap();
    let mut value = GITHUB.value();
    value["verificationMaterial"]["tlogEntries"][0]["logId"]["keyId"] = {
        use base64::Engine as _;
        json!(base64::engine::general_purpose::STANDARD.encode(renamed.log_id()))
    };
    let bundle = Bundle::from_json(value.to_string().as_bytes()).unwrap();
    let digest = GITHUB.digest();
    let judged = verify(&bundle, &Artifact::Digest(&digest), &GITHUB.policy(), &root, now());
    let check = refusal(judged.map_err(Failure::Refused));
    assert!(
        matches!(&check, Check::CheckpointOrigin { expected, .. } if expected == "other.test"),
        "{check}"
    );
}

#[test]
fn a_key_and_a_certificate_are_not_taken_for_each_other() {
    let key = KeyPair::generate().unwrap().public_key().clone();
    let check = GITHUB.refusal(&Policy::file_signature(AcceptedSigner::key(key)));
    assert!(matches!(check, Check::Material { expected: "a public key", .. }), "{check}");
    let mut value = GITHUB.value();
    value["verificationMaterial"].as_object_mut().unwrap().remove("certificate");
    value["verificationMaterial"]["publicKey"] = json!({});
    let check = refusal(GITHUB.judge(value.to_string().as_bytes(), &GITHUB.policy()));
    assert!(matches!(check, Check::Material { expected: "a certificate", .. }), "{check}");
}

#[test]
fn what_switches_checks_off_is_asked_for_by_name() {
    GITHUB.judge(&GITHUB.json(), &Policy::file_signature(danger::any_identity())).unwrap();
    let own = GITHUB.root();
    let bundle = Bundle::from_json(&GITHUB.json()).unwrap();
    let digest = GITHUB.digest();
    let root = |tlogs: bool, ctlogs: bool| {
        TrustedRoot::new(
            if tlogs { own.tlogs().to_vec() } else { vec![] },
            own.certificate_authorities().to_vec(),
            if ctlogs { own.ctlogs().to_vec() } else { vec![] },
            own.timestamp_authorities().to_vec(),
        )
        .unwrap()
    };
    let judge = |policy: Policy, root: &TrustedRoot| {
        verify(&bundle, &Artifact::Digest(&digest), &policy, root, now())
    };
    assert!(judge(GITHUB.policy(), &root(true, false)).is_err());
    judge(danger::ignore_sct(GITHUB.policy()), &root(true, false)).unwrap();
    assert!(judge(GITHUB.policy(), &root(false, true)).is_err());
    let verified = judge(danger::ignore_tlog(GITHUB.policy()), &root(false, true)).unwrap();
    assert!(verified.log_entries().is_empty());
    assert_eq!(verified.times()[0].source, TimeSource::Timestamp);
}

#[test]
fn the_clock_counts_only_when_logs_are_ignored_and_nothing_else_is_there() {
    let bundle = Bundle::from_json(&REKOR_V1.json()).unwrap();
    let digest = REKOR_V1.digest();
    let signed = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_357_321);
    let judge = |policy: Policy, now| {
        verify(&bundle, &Artifact::Digest(&digest), &policy, REKOR_V1.root(), now)
    };
    let verified = judge(danger::ignore_tlog(REKOR_V1.policy()), signed).unwrap();
    assert_eq!(verified.times()[0].source, TimeSource::Clock);
    let check =
        refusal(judge(danger::ignore_tlog(REKOR_V1.policy()), now()).map_err(Failure::Refused));
    assert!(matches!(check, Check::Chain { .. }), "{check}");
    judge(REKOR_V1.policy(), SystemTime::UNIX_EPOCH).unwrap();
}
