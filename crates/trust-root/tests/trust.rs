//! The embedded material, what cosign and the real services wrote, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests are not in #[test] functions")]

use std::time::{Duration, SystemTime};

use keys::{KeyPair, Scheme, Sign};
use serde_json::{Value, json};
use trust_root::bundle::Limits;
use trust_root::{
    CertificateAuthority, ClientTrustConfig, Error, Log, Service, SigningConfig, TrustedRoot,
    Window,
};
use url::Url;

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures/");
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/");

fn capture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{CAPTURES}{name}")).unwrap()
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The public-good trusted root, with `change` made to its JSON.
fn changed(change: impl FnOnce(&mut Value)) -> Result<TrustedRoot, Error> {
    let mut value: Value =
        serde_json::from_slice(&std::fs::read(format!("{DATA}trusted_root.json")).unwrap())
            .unwrap();
    change(&mut value);
    TrustedRoot::from_json(value.to_string().as_bytes())
}

#[test]
fn the_embedded_files_are_those_that_provenance_names() {
    let provenance = std::fs::read_to_string(format!("{DATA}PROVENANCE.md")).unwrap();
    for name in ["trusted_root.json", "signing_config.v0.2.json"] {
        let sum = hex(&keys::sha256(&std::fs::read(format!("{DATA}{name}")).unwrap()));
        let line = provenance.lines().find(|line| line.contains(&format!("| {name} |"))).unwrap();
        assert!(line.contains(&sum), "{name} is {sum}");
    }
}

#[test]
fn the_public_good_root_has_the_authorities_and_logs_of_the_instance() {
    let root = TrustedRoot::public_good();
    let logs: Vec<_> =
        root.tlogs().iter().map(|log| (log.base_url(), log.scheme(), hex(log.log_id()))).collect();
    assert_eq!(
        logs,
        [
            (
                "https://rekor.sigstore.dev",
                Scheme::EcdsaP256Sha256,
                "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d".to_owned()
            ),
            (
                "https://log2025-1.rekor.sigstore.dev",
                Scheme::Ed25519,
                "cf1199155bddd051268d1f16ac5c0c75c009f6fb5a63f4177f8e18d7051e3fa0".to_owned()
            ),
        ]
    );
    assert_eq!(root.tlogs()[1].host_name().unwrap(), "log2025-1.rekor.sigstore.dev");
    assert_eq!(root.ctlogs().len(), 2);
    let chains: Vec<_> =
        root.certificate_authorities().iter().map(|authority| authority.chain.len()).collect();
    assert_eq!(chains, [1, 2]);
    assert_eq!(root.timestamp_authorities().len(), 1);
    let ended = root.ctlogs()[0].valid_for();
    assert_eq!(ended.to_string(), "2021-03-14T00:00:00Z to 2022-10-31T23:59:59.999Z");
}

#[test]
fn the_roots_and_configs_of_real_services_are_read() {
    for folder in ["bundles", "bundles-v1"] {
        let root =
            TrustedRoot::from_json(&capture(&format!("{folder}/trusted_root.json"))).unwrap();
        assert_eq!((root.tlogs().len(), root.ctlogs().len()), (1, 1), "{folder}");
        SigningConfig::from_json(&capture(&format!("{folder}/signing_config.json"))).unwrap();
    }
    let both = ClientTrustConfig::from_json(&capture("bundles/client-trust-config.json")).unwrap();
    let rekor = both.signing_config.rekor(both.trusted_root.tlogs()[0].valid_for().start).unwrap();
    assert_eq!(rekor[0].major_api_version, 2);
    let again = ClientTrustConfig::from_json(both.to_json().as_bytes()).unwrap();
    assert_eq!(again.to_json(), both.to_json());
}

#[test]
fn a_root_survives_writing_and_reading() {
    let root = TrustedRoot::public_good();
    let again = TrustedRoot::from_json(root.to_json().as_bytes()).unwrap();
    assert_eq!(again.to_json(), root.to_json());
    assert_eq!(again.tlogs()[1].log_id(), root.tlogs()[1].log_id());
    // Some readers insist on an authority's name.
    let json: Value = serde_json::from_str(&root.to_json()).unwrap();
    let name = json!({ "organization": "sigstore.dev", "commonName": "sigstore" });
    assert_eq!(json["certificateAuthorities"][0]["subject"], name);
}

#[test]
fn a_root_put_together_is_one_that_can_be_read() {
    let chain = TrustedRoot::public_good().certificate_authorities()[1].chain.clone();
    let window = Window { start: at(1_000), end: Some(at(2_000)) };
    let key = || KeyPair::generate().unwrap().public_key().clone();
    let authority = |chain| CertificateAuthority {
        uri: "http://127.0.0.1:1".into(),
        chain,
        valid_for: window,
        operator: None,
    };
    let root = TrustedRoot::new(
        vec![Log::rekor("http://localhost:3000", key(), window).unwrap()],
        vec![authority(chain)],
        vec![Log::certificates("http://ct.test", key(), window)],
        Vec::new(),
    )
    .unwrap();
    let again = TrustedRoot::from_json(root.to_json().as_bytes()).unwrap();
    assert_eq!(again.ctlogs()[0].valid_for(), window);
    assert_eq!(again.tlogs()[0].host_name().unwrap(), "localhost");
    assert!(TrustedRoot::new(vec![], vec![authority(vec![])], vec![], vec![]).is_err());
}

#[test]
fn all_three_media_types_are_read_and_no_other() {
    for good in [
        "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "application/vnd.dev.sigstore.trustedroot.v0.1+json",
        "application/vnd.dev.sigstore.trustedroot.v0.2+json",
    ] {
        assert!(changed(|v| v["mediaType"] = json!(good)).is_ok(), "{good}");
    }
    for bad in [json!("application/vnd.dev.sigstore.trustedroot.v0.3+json"), Value::Null] {
        assert!(matches!(changed(|v| v["mediaType"] = bad), Err(Error::MediaType { .. })));
    }
}

#[test]
fn fields_of_later_versions_are_ignored_and_duplicate_keys_are_not() {
    assert!(changed(|v| v["tlogs"][0]["checkpointKeyId"] = json!({"keyId": "wNI9ag=="})).is_ok());
    assert!(changed(|v| v["tlogs"][0]["operator"] = json!("sigstore.dev")).is_ok());
    assert!(changed(|v| v["news"] = json!([1])).is_ok());
    let text =
        String::from_utf8(std::fs::read(format!("{DATA}trusted_root.json")).unwrap()).unwrap();
    let twice = text.replacen('{', "{\"tlogs\":[],", 1);
    assert!(matches!(TrustedRoot::from_json(twice.as_bytes()), Err(Error::Document { .. })));
}

#[test]
fn an_entry_that_breaks_a_rule_is_named() {
    let cases: &[(&str, &str, Value)] = &[
        ("tlogs[0].publicKey.validFor.start", "/tlogs/0/publicKey/validFor", json!({})),
        ("ctlogs[0].publicKey.validFor", "/ctlogs/0/publicKey/validFor", Value::Null),
        (
            "certificateAuthorities[0].validFor.start",
            "/certificateAuthorities/0/validFor",
            json!({}),
        ),
        (
            "tlogs[0].logId.keyId",
            "/tlogs/0/logId/keyId",
            json!("3T0wasbHETJjGR4cmWc3AqJKXrjePK3/h4pygC8p7o4="),
        ),
        ("tlogs[0].logId.keyId", "/tlogs/0/logId", Value::Null),
        ("tlogs[1].logId.keyId", "/tlogs/1/baseUrl", json!("https://log2025-2.rekor.sigstore.dev")),
        ("tlogs[0].hashAlgorithm", "/tlogs/0/hashAlgorithm", json!("SHA2_512")),
        ("tlogs[0].publicKey.keyDetails", "/tlogs/0/publicKey/keyDetails", json!("PKIX_ED25519")),
        ("tlogs[0].publicKey", "/tlogs/0/publicKey/rawBytes", json!("AAAA")),
        (
            "timestampAuthorities[0].certChain.certificates",
            "/timestampAuthorities/0/certChain/certificates",
            json!([]),
        ),
        (
            "certificateAuthorities[1].certChain.certificates[0].rawBytes",
            "/certificateAuthorities/1/certChain/certificates/0/rawBytes",
            json!("AAAA"),
        ),
    ];
    for (path, pointer, to) in cases {
        let error = changed(|v| *v.pointer_mut(pointer).unwrap() = to.clone()).unwrap_err();
        assert!(error.to_string().starts_with(path), "{pointer}: {error}");
    }
    let unknown = changed(|v| v["tlogs"][0]["publicKey"]["keyDetails"] = json!("ROT13"));
    assert!(matches!(unknown, Err(Error::Document { .. })));
}

#[test]
fn a_log_with_an_algorithm_of_the_future_counts_for_nothing() {
    let root = changed(|v| v["tlogs"][0]["publicKey"]["keyDetails"] = json!("ML_DSA_65")).unwrap();
    assert_eq!(root.tlogs().len(), 1);
}

const NOW: u64 = 1_800_000_000;

fn config(rekor: &Value, selector: &Value) -> Result<SigningConfig, Error> {
    let services: Vec<Value> = rekor
        .as_array()
        .unwrap()
        .iter()
        .map(|s| {
            json!({"url": s[0], "majorApiVersion": s[1], "operator": s[2],
                "validFor": {"start": s[3], "end": s[4]}})
        })
        .collect();
    let json = json!({
        "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "rekorTlogUrls": services,
        "rekorTlogConfig": selector,
    });
    SigningConfig::from_json(json.to_string().as_bytes())
}

fn selected(rekor: &Value, selector: &Value) -> Result<Vec<String>, Error> {
    let services = config(rekor, selector)?.rekor(at(NOW))?;
    Ok(services.iter().map(|s| s.url.host_str().unwrap().to_owned()).collect())
}

#[test]
fn the_newest_of_each_operator_of_the_highest_version_are_selected() {
    let services = json!([
        ["https://old.test", 2, "a", "2025-01-01T00:00:00Z", null],
        ["https://v1.test", 1, "c", "2026-06-01T00:00:00Z", null],
        ["https://new.test", 2, "a", "2026-01-01T00:00:00Z", null],
        ["https://other.test", 2, "b", "2025-06-01T00:00:00Z", null],
        ["https://v3.test", 3, "d", "2026-01-01T00:00:00Z", null],
        ["https://future.test", 2, "e", "2030-01-01T00:00:00Z", null],
        ["https://past.test", 2, "f", "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"],
    ]);
    let all = ["new.test", "other.test"];
    assert_eq!(selected(&services, &json!({"selector": "ALL"})).unwrap(), all);
    assert_eq!(selected(&services, &Value::Null).unwrap(), all);
    assert_eq!(selected(&services, &json!({"selector": "ANY"})).unwrap(), ["new.test"]);
    assert_eq!(selected(&services, &json!({"selector": "EXACT", "count": 2})).unwrap(), all);
    let error = selected(&services, &json!({"selector": "EXACT", "count": 3})).unwrap_err();
    assert!(error.to_string().contains("exactly 3, 2 can be used"), "{error}");
}

#[test]
fn selectors_without_a_meaning_are_refused() {
    let services = json!([["https://a.test", 1, "a", "2025-01-01T00:00:00Z", null]]);
    for bad in [
        json!({"selector": "SERVICE_SELECTOR_UNDEFINED"}),
        json!({}),
        json!({"selector": "EXACT"}),
        json!({"selector": "SOME"}),
    ] {
        assert!(selected(&services, &bad).is_err(), "{bad}");
    }
}

#[test]
fn a_list_without_a_usable_service_says_why_not_each() {
    let services = json!([
        ["https://future.test", 2, "e", "2030-01-01T00:00:00Z", null],
        ["https://v9.test", 9, "e", "2020-01-01T00:00:00Z", null],
    ]);
    let text = selected(&services, &Value::Null).unwrap_err().to_string();
    assert!(text.contains("future.test/ (valid 2030-01-01T00:00:00Z on)"), "{text}");
    assert!(text.contains("v9.test/ (API version 9 is not supported)"), "{text}");
    assert!(selected(&json!([]), &Value::Null).unwrap().is_empty());
    let none = config(&json!([]), &Value::Null).unwrap().fulcio(at(NOW)).unwrap_err();
    assert!(none.to_string().contains("none is listed"));
}

#[test]
fn the_end_of_a_window_belongs_to_it() {
    let end = "2027-01-15T08:00:00Z"; // NOW
    let services = json!([["https://a.test", 1, "a", "2025-01-01T00:00:00Z", end]]);
    let config = config(&services, &Value::Null).unwrap();
    assert_eq!(config.rekor(at(NOW)).unwrap().len(), 1);
    assert!(config.rekor(at(NOW + 1)).is_err());
}

#[test]
fn a_url_given_replaces_the_list_and_keeps_the_version_of_a_listed_one() {
    let services = json!([
        ["https://v1.test", 1, "a", "2025-01-01T00:00:00Z", null],
        ["https://v2.test/", 2, "a", "2030-01-01T00:00:00Z", null],
    ]);
    let config = config(&services, &json!({"selector": "ANY"})).unwrap();
    let url = |text| Url::parse(text).unwrap();
    let chosen = config.clone().with_rekor_urls(vec![
        url("https://v2.test"),
        url("https://v1.test"),
        url("https://unknown.test"),
    ]);
    let versions: Vec<_> =
        chosen.rekor(at(NOW)).unwrap().iter().map(|s| s.major_api_version).collect();
    assert_eq!(versions, [2, 1, 1]);
    assert!(config.clone().with_rekor_urls(vec![]).rekor(at(NOW)).unwrap().is_empty());
    let fulcio = config.with_fulcio_url(url("http://localhost:5555")).fulcio(at(0)).unwrap();
    assert_eq!(fulcio.url.as_str(), "http://localhost:5555/");
}

#[test]
fn the_older_signing_config_is_told_apart_by_name() {
    let old = br#"{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.1+json",
        "caUrl":"https://fulcio.test","tlogUrls":["https://rekor.test"]}"#;
    let error = SigningConfig::from_json(old).unwrap_err();
    assert!(error.to_string().contains("v0.1"), "{error}");
    assert!(matches!(error, Error::MediaType { .. }));
}

#[test]
fn a_config_put_together_is_one_that_can_be_read() {
    let service = |url: &str, version| Service::new(Url::parse(url).unwrap(), version, "me", at(1));
    let config = SigningConfig::new(
        vec![service("http://127.0.0.1:1", 1)],
        vec![service("http://127.0.0.1:2", 1)],
        vec![service("http://localhost:3", 2)],
        vec![service("http://127.0.0.1:4/api/v1/timestamp", 1)],
    );
    let again = SigningConfig::from_json(config.to_json().as_bytes()).unwrap();
    assert_eq!(again.to_json(), config.to_json());
    assert_eq!(again.tsa(at(2)).unwrap()[0].url.path(), "/api/v1/timestamp");
    assert_eq!(again.oidc(at(2)).unwrap().url.port(), Some(2));
}

#[test]
fn services_are_reached_by_http_and_nothing_else() {
    let services = json!([["file:///etc/passwd", 1, "a", "2025-01-01T00:00:00Z", null]]);
    assert!(matches!(config(&services, &Value::Null), Err(Error::Entry { .. })));
}

/// Every trusted root of the conformance suite can be read, except the one whose log has no start.
#[test]
fn the_roots_of_the_conformance_suite_are_read() {
    let suite = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/conformance");
    let mut count = 0;
    for case in std::fs::read_dir(suite).unwrap() {
        let path = case.unwrap().path();
        let Ok(bytes) = std::fs::read(path.join("trusted_root.json")) else { continue };
        let refused = path.ends_with("trust-root-tlog-missing-validity-start_fail");
        let read = TrustedRoot::from_json(&bytes);
        assert_eq!(read.is_err(), refused, "{}: {read:?}", path.display());
        count += 1;
    }
    assert_eq!(count, 27);
}

/// Editors of one system put it there; every other reader sees the same document.
#[test]
fn a_byte_order_mark_before_a_document_is_skipped() {
    let with_bom = |text: &str| format!("\u{feff}{text}").into_bytes();
    let (root, config) = (TrustedRoot::public_good(), SigningConfig::public_good());
    assert!(TrustedRoot::from_json(&with_bom(&root.to_json())).is_ok());
    assert!(SigningConfig::from_json(&with_bom(&config.to_json())).is_ok());
    let both = ClientTrustConfig { trusted_root: root, signing_config: config };
    assert!(ClientTrustConfig::from_json(&with_bom(&both.to_json())).is_ok());
    assert!(TrustedRoot::from_json(&with_bom("\u{feff}{}")).is_err());
}

#[test]
fn a_reader_may_set_other_limits() {
    let limits = Limits::default();
    let json = TrustedRoot::public_good().to_json();
    assert!(TrustedRoot::from_json_within(json.as_bytes(), &limits).is_ok());
    let few = limits.with_values(50);
    let error = TrustedRoot::from_json_within(json.as_bytes(), &few).unwrap_err();
    assert!(matches!(error, Error::Document { .. }), "{error:?}");
    let small = limits.with_size(json.len() - 1);
    assert!(TrustedRoot::from_json_within(json.as_bytes(), &small).is_err());
    let config = SigningConfig::public_good().to_json();
    assert!(SigningConfig::from_json_within(config.as_bytes(), &few.with_values(10)).is_err());
}
