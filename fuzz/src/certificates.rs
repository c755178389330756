//! What is in DER: certificates, their lists of timestamps, RFC 3161.

use std::sync::OnceLock;

use keys::PublicKey;
use tsa_client::{Authority, Timestamp};
use x509::{Anchors, Certificate, Usage, encode_sct_list, oid, precert_tbs};

use super::read;

/// A certificate: its PEM is the same certificate, and a path holds only what was valid.
pub fn certificate(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        read(Certificate::chain_from_pem(text));
        read(PublicKey::from_pem(text));
    }
    if let Some(key) = read(PublicKey::from_spki(data)) {
        assert_eq!(PublicKey::from_pem(&key.to_pem()).as_ref().ok(), Some(&key));
    }
    let Some(certificate) = read(Certificate::from_der(data)) else { return };
    assert_eq!(certificate.der(), data);
    assert_eq!(Certificate::from_pem(&certificate.to_pem()).as_ref().ok(), Some(&certificate));
    read(certificate.subject_name());
    read(certificate.oidc_issuer());
    read(certificate.fulcio_extensions());
    read(certificate.scts());
    read(precert_tbs(&certificate));
    let _ = format!("{certificate:?}");
    let (from, to) = (certificate.not_before(), certificate.not_after());
    assert_eq!(certificate.is_valid_at(from), from <= to);

    let alone = Anchors::new(vec![certificate.clone()]);
    let beside = [certificate.clone(), leaf().clone()];
    for at in [from, to, leaf().not_before()] {
        for usage in [Usage::CodeSigning, Usage::TimeStamping, Usage::Workload] {
            // Under an authority that did not make it, and as one that made nothing.
            for (anchors, leaf) in [(fulcio(), &certificate), (&alone, leaf())] {
                let Some(path) = read(anchors.verify(leaf, &beside, at, usage)) else { continue };
                assert_eq!(path.first(), Some(leaf));
                assert_eq!(path.last(), anchors.certificates().last());
                assert!(path.iter().all(|certificate| certificate.is_valid_at(at)));
                assert!(path.iter().skip(1).all(Certificate::is_ca));
            }
        }
    }
}

/// The value of the extension that lists a certificate's SCTs: what is read is written as the very
/// same bytes, and none of it is a promise over this certificate.
pub fn sct(data: &[u8]) {
    let Some(certificate) = read(Certificate::from_der(&with_scts(data))) else { return };
    let Some(scts) = read(certificate.scts()) else { return };
    assert_eq!(encode_sct_list(&scts).expect("it was in a certificate"), data);
    let tbs = precert_tbs(&certificate).expect("it has a list");
    assert!(tbs.len() < certificate.tbs().len());
    let key = PublicKey::from_pem(CT_KEY).expect("the log's key");
    for sct in &scts {
        assert!(sct.verify(&certificate, &certificate, &key).is_err());
    }
}

/// A timestamp: kept as it is, and an authority stamps one message only.
pub fn timestamp(data: &[u8]) {
    let Some(timestamp) = read(Timestamp::from_der(data)) else { return };
    assert_eq!(timestamp.der(), data);
    let _ = (timestamp.nonce(), timestamp.imprint(), timestamp.certificates().count());
    let authority = authority();
    for message in [b"".as_slice(), b"a signature"] {
        assert!(timestamp.verify(message, authority).is_err(), "that was not stamped");
    }
    if let Some(time) = read(timestamp.verify(stamped(), authority)) {
        assert!(timestamp.is_by(authority));
        assert_eq!(time, timestamp.gen_time());
        assert!(authority.leaf().is_some_and(|leaf| leaf.is_valid_at(time)));
    }
}

/// A certificate of few words around the extension.
fn with_scts(value: &[u8]) -> Vec<u8> {
    let algorithm = tlv(0x30, &[&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]]);
    let time = tlv(0x17, &[b"260101000000Z"]);
    let oid = [0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02];
    let extension = tlv(0x30, &[&oid, &tlv(0x04, &[value])]);
    let tbs = tlv(
        0x30,
        &[
            &[0xa0, 0x03, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01],
            &algorithm,
            &tlv(0x30, &[]),
            &tlv(0x30, &[&time, &time]),
            &tlv(0x30, &[]),
            leaf().public_key().spki(),
            &tlv(0xa3, &[&tlv(0x30, &[&extension])]),
        ],
    );
    tlv(0x30, &[&tbs, &algorithm, &tlv(0x03, &[&[0, 0]])])
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let used = length.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &length[at..]);
    let mut bytes = vec![tag];
    match used {
        [] => bytes.push(0),
        [short] if *short < 0x80 => bytes.push(*short),
        long => {
            bytes.push(0x80 | u8::try_from(long.len()).expect("eight at most"));
            bytes.extend(long);
        }
    }
    bytes.extend(content);
    bytes
}

/// A leaf that Fulcio issued, with an SCT.
fn leaf() -> &'static Certificate {
    static LEAF: OnceLock<Certificate> = OnceLock::new();
    LEAF.get_or_init(|| {
        let json: serde_json::Value =
            serde_json::from_str(FULCIO_ANSWER).expect("a recorded answer");
        let pem = json["signedCertificateEmbeddedSct"]["chain"]["certificates"][0].as_str();
        let leaf = Certificate::from_pem(pem.expect("a leaf")).expect("a leaf");
        assert!(leaf.extension(oid::SCT_LIST).is_some());
        leaf
    })
}

fn fulcio() -> &'static Anchors {
    static FULCIO: OnceLock<Anchors> = OnceLock::new();
    FULCIO.get_or_init(|| {
        Anchors::new(Certificate::chain_from_pem(FULCIO_CHAIN).expect("Fulcio's chain"))
    })
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let chain = Certificate::chain_from_pem(TSA_CHAIN).expect("the authority's chain");
        Authority::new(chain).expect("the authority")
    })
}

/// What the recorded authority stamped.
fn stamped() -> &'static [u8] {
    static STAMPED: OnceLock<Vec<u8>> = OnceLock::new();
    STAMPED.get_or_init(|| {
        let json: serde_json::Value = serde_json::from_str(TSA_ANSWERS).expect("recorded answers");
        let text = json["signature_b64"].as_str().expect("what was stamped");
        bundle::proto_json::decode_base64(text).expect("base64")
    })
}

const CT_KEY: &str = include_str!("../../tests/fixtures/captures/ct/public-key.pem");
const FULCIO_ANSWER: &str =
    include_str!("../../tests/fixtures/captures/fulcio/signingCert-response.json");
const FULCIO_CHAIN: &str = include_str!("../../tests/fixtures/captures/ct/fulcio-chain.pem");
const TSA_ANSWERS: &str = include_str!("../../tests/fixtures/captures/tsa/answers.json");
const TSA_CHAIN: &str = include_str!("../../tests/fixtures/captures/tsa/certchain.pem");
