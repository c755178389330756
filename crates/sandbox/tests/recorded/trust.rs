use std::sync::Arc;
use std::time::Duration;

use sigstore_sandbox::{
    Authority, CtLog, Endpoints, Fulcio, RekorV1, RekorV2, RekorVersion, TrustFiles, Tsa,
};
use trust_root::{ClientTrustConfig, SigningConfig, TrustedRoot};

use super::at;
use super::issuer::TestIssuer;

const NOW: u64 = 1_795_359_000;

fn files() -> (TrustFiles, RekorV2) {
    let clock = Arc::new(at(NOW));
    let fulcio = Fulcio::new(
        Authority::generate(*clock).unwrap(),
        Arc::new(CtLog::generate().unwrap()),
        Vec::new(),
        Arc::new(TestIssuer::new()),
        clock.clone(),
    );
    let rekor_v1 = RekorV1::new(RekorV1::generate_key().unwrap(), clock.clone());
    let rekor_v2 = RekorV2::new(RekorV2::generate_key().unwrap(), clock.clone()).unwrap();
    let tsa = Tsa::from_pem(&Tsa::generate_pem(*clock).unwrap(), clock.clone()).unwrap();
    let endpoints = Endpoints {
        fulcio: "http://localhost:1".to_owned(),
        oidc: "http://localhost:2".to_owned(),
        rekor_v1: "http://localhost:3".to_owned(),
        rekor_v2: "http://localhost:4".to_owned(),
        tsa: "http://localhost:5".to_owned(),
    };
    let files = TrustFiles::new(endpoints, &fulcio, &rekor_v1, &rekor_v2, &tsa, *clock).unwrap();
    (files, rekor_v2)
}

#[test]
fn the_trusted_root_holds_every_key_from_an_hour_ago_without_end() {
    let (files, rekor_v2) = files();
    let root = TrustedRoot::from_json(files.trusted_root().to_string().as_bytes()).unwrap();
    assert_eq!(root.certificate_authorities().len(), 1);
    assert_eq!(root.timestamp_authorities().len(), 1);
    assert_eq!(root.certificate_authorities()[0].chain.len(), 2);
    assert_eq!(root.timestamp_authorities()[0].chain.len(), 3);
    assert_eq!((root.ctlogs().len(), root.tlogs().len()), (1, 2));
    assert!(root.tlogs().iter().any(|log| log.log_id() == rekor_v2.note_key().full_id()));
    for log in root.tlogs().iter().chain(root.ctlogs()) {
        assert_eq!(log.valid_for().start, at(NOW) - Duration::from_secs(3600));
        assert_eq!(log.valid_for().end, None);
    }
}

#[test]
fn each_signing_config_leads_to_its_rekor() {
    let (files, _) = files();
    for (version, port, major) in [(RekorVersion::V1, 3, 1), (RekorVersion::V2, 4, 2)] {
        let config = files.signing_config(version).to_string();
        let config = SigningConfig::from_json(config.as_bytes()).unwrap();
        let rekor = config.rekor(at(NOW)).unwrap();
        assert_eq!(rekor.len(), 1);
        assert_eq!((rekor[0].url.port(), rekor[0].major_api_version), (Some(port), major));
        assert_eq!(config.fulcio(at(NOW)).unwrap().url.port(), Some(1));
        assert_eq!(config.tsa(at(NOW)).unwrap()[0].url.path(), "/api/v1/timestamp");
    }
}

#[test]
fn the_client_trust_config_is_both_in_one() {
    let (files, _) = files();
    let config = files.client_trust_config(RekorVersion::V2).to_string();
    ClientTrustConfig::from_json(config.as_bytes()).unwrap();
}
