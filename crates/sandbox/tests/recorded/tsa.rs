use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::asn1::OctetString;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use sigstore_sandbox::Tsa;
use x509_tsp::TstInfo;

use super::{at, get, json, json_recording, send, text};

const NOW: u64 = 1_795_358_993;
const PATH: &str = "/api/v1/timestamp";

fn tsa() -> Tsa {
    Tsa::from_pem(&Tsa::generate_pem(at(NOW)).unwrap(), Arc::new(at(NOW))).unwrap()
}

/// The token of a whole response, which must be granted and nothing else.
fn token(response: &[u8]) -> (SignedData, TstInfo) {
    let mut reader = SliceReader::new(response).unwrap();
    let content = reader
        .sequence(|reader| {
            assert_eq!(reader.tlv_bytes()?, [0x30, 3, 2, 1, 0]);
            ContentInfo::decode(reader)
        })
        .unwrap();
    assert!(reader.is_finished());
    let signed: SignedData = content.content.decode_as().unwrap();
    let content = signed.encap_content_info.econtent.as_ref().unwrap();
    let content: OctetString = content.decode_as().unwrap();
    let info = TstInfo::from_der(content.as_bytes()).unwrap();
    (signed, info)
}

#[test]
fn recorded_requests_get_the_recorded_answers() {
    let tsa = tsa();
    let recorded = json_recording("tsa/answers.json");
    let message = STANDARD.decode(text(&recorded, "/signature_b64")).unwrap();
    let chain: Vec<x509::Certificate> = tsa
        .chain_der()
        .unwrap()
        .iter()
        .map(|der| x509::Certificate::from_der(der).unwrap())
        .collect();
    let authority = tsa_client::Authority::new(chain).unwrap();
    for case in recorded["cases"].as_array().unwrap() {
        let name = text(case, "/case");
        let request = match name {
            "2 MiB" => vec![0x30; 2 << 20],
            _ => STANDARD.decode(text(case, "/request_b64")).unwrap(),
        };
        let content_type = match name {
            "content-type octet-stream" => "application/octet-stream",
            "JSON request" => "application/json",
            _ => "application/timestamp-query",
        };
        let response = send(&tsa, "POST", PATH, &[("content-type", content_type)], request);
        let shown = String::from_utf8_lossy(response.body()).into_owned();
        assert_eq!(response.status(), case["status"].as_u64().unwrap() as u16, "{name}: {shown}");
        let found = response.headers()["content-type"].to_str().unwrap();
        assert_eq!(found, text(case, "/content_type"), "{name}");
        if response.status() != 200 {
            let recorded: serde_json::Value = serde_json::from_str(text(case, "/body")).unwrap();
            assert_eq!(json(&response), recorded, "{name}");
            continue;
        }

        let timestamp = tsa_client::Timestamp::from_der(response.body()).unwrap();
        assert_eq!(timestamp.verify(&message, &authority).unwrap(), at(NOW), "{name}");

        // All that the recorded token says, but for names, keys, times and numbers.
        let (found, found_info) = token(response.body());
        let recorded = STANDARD.decode(text(case, "/response_b64")).unwrap();
        let (recorded, recorded_info) = token(&recorded);
        assert_eq!(found.version, recorded.version, "{name}");
        assert_eq!(found.digest_algorithms, recorded.digest_algorithms, "{name}");
        let certificates = |data: &SignedData| data.certificates.as_ref().map(|set| set.0.len());
        assert_eq!(certificates(&found), certificates(&recorded), "{name}");
        let (signer, recorded_signer) =
            (&found.signer_infos.0.as_slice()[0], &recorded.signer_infos.0.as_slice()[0]);
        assert_eq!(signer.version, recorded_signer.version, "{name}");
        assert_eq!(signer.digest_alg, recorded_signer.digest_alg, "{name}");
        assert_eq!(signer.signature_algorithm, recorded_signer.signature_algorithm, "{name}");
        let attributes = |signer: &cms::signed_data::SignerInfo| -> Vec<_> {
            signer.signed_attrs.iter().flat_map(|set| set.iter()).map(|a| a.oid).collect()
        };
        assert_eq!(attributes(signer), attributes(recorded_signer), "{name}");
        let comparable = |info: TstInfo| TstInfo {
            serial_number: recorded_info.serial_number.clone(),
            gen_time: recorded_info.gen_time,
            tsa: None,
            ..info
        };
        assert_eq!(found_info.gen_time.to_system_time(), at(NOW), "{name}");
        assert_eq!(comparable(found_info.clone()), comparable(recorded_info.clone()), "{name}");
    }
}

#[test]
fn the_chain_is_handed_out_leaf_first() {
    let tsa = tsa();
    let response = get(&tsa, "/api/v1/timestamp/certchain");
    assert_eq!(response.headers()["content-type"], "application/pem-certificate-chain");
    let chain = pem::parse_many(response.body()).unwrap();
    let found: Vec<&[u8]> = chain.iter().map(pem::Pem::contents).collect();
    assert_eq!(found, tsa.chain_der().unwrap());
    let leaf = x509_cert::Certificate::from_der(found[0]).unwrap();
    let issuer = x509_cert::Certificate::from_der(found[1]).unwrap();
    let (issued, issuing) = (leaf.tbs_certificate.issuer, issuer.tbs_certificate.subject);
    assert_eq!(issued.to_der().unwrap(), issuing.to_der().unwrap());
}

#[test]
fn a_request_with_an_extension_is_refused() {
    // SHA-256 of nothing, and an extension 1.2.3.4.
    let digest = keys::sha256(b"");
    let imprint = [
        &[0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20][..],
        &digest,
    ]
    .concat();
    let extension = [0xa0, 9, 0x30, 7, 6, 3, 0x2a, 3, 4, 4, 0];
    let request = [&[0x30, 3 + 0x33 + 11, 2, 1, 1][..], &imprint, &extension].concat();
    let headers = [("content-type", "application/timestamp-query")];
    let response = send(&tsa(), "POST", PATH, &headers, request);
    let message = text(&json(&response), "/message").to_owned();
    assert!(message.starts_with("unaccepted extension"), "{message}");
}
