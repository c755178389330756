//! Lists of certificate timestamps that are malformed, and promises made on the spot.

use ambisign_x509::{
    Certificate, Error, Sct, Usage, encode_sct_list, oid, precert_tbs, sct_signed_data,
};
use keys::{KeyAlgorithm, KeyPair, Payload, Sign as _};

use crate::made::{Made, Plan, extended_key_usage, extension};
use crate::{issued, then};

/// An OCTET STRING of fewer than 128 bytes or more.
fn octets(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    match length {
        [0, short @ 0..=127] => [&[4, short], content].concat(),
        [0, long] => [&[4, 0x81, long], content].concat(),
        [high, low] => [&[4, 0x82, high, low], content].concat(),
    }
}

fn vector(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat()
}

/// The bytes of one good timestamp, without the lengths around it.
fn good() -> Vec<u8> {
    let value = issued().remove(0).1.extension(oid::SCT_LIST).unwrap().value.clone();
    value[3 + 2 + 2..].to_vec()
}

fn reading(value: &[u8]) -> Result<Vec<Sct>, Error> {
    Plan::leaf().with(extension(oid::SCT_LIST, false, value)).self_signed().certificate.scts()
}

fn reason(value: &[u8]) -> String {
    match reading(value) {
        Err(Error::Sct { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_holds_one_or_several() {
    let list = |scts: &[Vec<u8>]| {
        let scts: Vec<u8> = scts.iter().flat_map(|sct| vector(sct)).collect();
        octets(&vector(&scts))
    };
    assert_eq!(reading(&list(&[good()])).unwrap().len(), 1);
    let three = reading(&list(&[good(), good(), good()])).unwrap();
    assert_eq!(three.len(), 3);
    assert_eq!(encode_sct_list(&three).unwrap(), list(&[good(), good(), good()]));
    assert_eq!(reason(&list(&[])), "the list is empty");
}

#[test]
fn a_certificate_without_a_list_has_none() {
    let leaf = Plan::leaf().self_signed().certificate;
    assert_eq!(leaf.scts().unwrap(), []);
    assert_eq!(
        precert_tbs(&leaf).unwrap_err().to_string(),
        "the signed certificate timestamp is not usable: the certificate has none"
    );
}

#[test]
fn every_length_must_be_exact() {
    let inner = vector(&vector(&good()));
    assert!(reading(&octets(&inner)).is_ok());
    assert!(reason(&inner).starts_with("the list is not an OCTET STRING"));
    assert!(
        reason(&[octets(&inner), vec![0]].concat()).starts_with("the list is not an OCTET STRING")
    );
    assert_eq!(reason(&octets(&[inner.as_slice(), &[0]].concat())), "something follows it");
    assert_eq!(reason(&octets(&inner[..inner.len() - 1])), "it is cut off");
    let sct = good();
    let of = |sct: &[u8]| octets(&vector(&vector(sct)));
    assert_eq!(reason(&of(&[sct.as_slice(), &[0]].concat())), "something follows it");
    for length in 0..sct.len() {
        assert_eq!(reason(&of(&sct[..length])), "it is cut off", "{length}");
    }
    assert_eq!(reason(&octets(&vector(&[&vector(&sct)[..], &[0]].concat()))), "it is cut off");
}

#[test]
fn only_version_1_with_sha256_and_ecdsa_or_rsa_is_known() {
    let changed = |at: usize, to: u8| {
        let mut sct = good();
        sct[at] = to;
        octets(&vector(&vector(&sct)))
    };
    // 1 version, 32 log id, 8 time, 2 + 8 extensions.
    let hash = 1 + 32 + 8 + 2 + 8;
    assert_eq!(reason(&changed(0, 1)), "expected version 0 (which is v1), found 1");
    assert_eq!(reason(&changed(hash, 5)), "expected hash algorithm 4 (SHA-256), found 5");
    assert_eq!(reason(&changed(hash + 1, 2)), "expected signature algorithm 1 or 3, found 2");
    // RSA is known, but the key is not an RSA key.
    let sct = reading(&changed(hash + 1, 1)).unwrap().remove(0);
    let leaf = issued().remove(0).1;
    let error = sct.verify(&leaf, &crate::fulcio_chain()[0], &crate::ct_key()).unwrap_err();
    assert!(
        error.to_string().ends_with("it is signed with Rsa, the key is ECDSA P-256"),
        "{error}"
    );
}

#[test]
fn a_precertificate_has_no_timestamps() {
    let plan = Plan::leaf().with(extension(oid::PRECERT_POISON, false, &[5, 0]));
    let error = plan.self_signed().certificate.scts().unwrap_err();
    assert!(error.to_string().ends_with("the certificate is a precertificate"), "{error}");
}

/// Issues a leaf as a CA with a CT log does: first without, then with the log's promise.
fn promised(issuer: &Made, log: &KeyPair) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let before = Certificate::from_der(&Plan::leaf().der(&key, issuer)).unwrap();
    let issuer_id = issuer.certificate.public_key().id();
    let data = sct_signed_data(then(), b"words", &issuer_id, before.tbs()).unwrap();
    let signature = log.sign(Payload::Message(&data)).unwrap();
    let sct = Sct::new(log.public_key(), then(), b"words", signature);
    let list = encode_sct_list(&[sct]).unwrap();
    let plan = Plan::leaf().with(extension(oid::SCT_LIST, false, &list));
    Certificate::from_der(&plan.der(&key, issuer)).unwrap()
}

#[test]
fn a_promise_made_as_a_log_makes_it_verifies() {
    let log = KeyPair::generate().unwrap();
    let issuer = Plan::ca("CN=root", None).self_signed();
    let leaf = promised(&issuer, &log);
    let sct = leaf.scts().unwrap().remove(0);
    sct.verify(&leaf, &issuer.certificate, log.public_key()).unwrap();
    let path = ambisign_x509::Anchors::new(vec![issuer.certificate]);
    path.verify(&leaf, &[], then(), Usage::CodeSigning).unwrap();
}

#[test]
fn an_issuer_of_precertificates_only_is_refused() {
    let log = KeyPair::generate().unwrap();
    let plan = Plan::ca("CN=pre", None).with(extended_key_usage(&[oid::PRECERT_SIGNING], false));
    let issuer = plan.self_signed();
    let leaf = promised(&issuer, &log);
    let sct = leaf.scts().unwrap().remove(0);
    let error = sct.verify(&leaf, &issuer.certificate, log.public_key()).unwrap_err();
    assert!(error.to_string().ends_with("is a precertificate signing certificate"), "{error}");
}

#[test]
fn a_log_key_is_of_p256_or_rsa() {
    let log = KeyPair::generate_for(KeyAlgorithm::EcdsaP384).unwrap();
    let issuer = Plan::ca("CN=root", None).self_signed();
    let leaf = promised(&issuer, &log);
    let sct = leaf.scts().unwrap().remove(0);
    let error = sct.verify(&leaf, &issuer.certificate, log.public_key()).unwrap_err();
    assert!(
        error.to_string().ends_with("it is signed with Ecdsa, the key is ECDSA P-384"),
        "{error}"
    );
}

#[test]
fn what_does_not_fit_its_field_is_refused() {
    let data = |extensions: &[u8], tbs: &[u8]| sct_signed_data(then(), extensions, &[0; 32], tbs);
    assert!(data(&vec![0; 65_535], &[0; 3]).is_ok());
    assert!(data(&vec![0; 65_536], &[0; 3]).is_err());
    assert!(data(&[], &vec![0; (1 << 24) - 1]).is_ok());
    assert!(data(&[], &vec![0; 1 << 24]).is_err());
    let before_1970 = std::time::UNIX_EPOCH - std::time::Duration::from_millis(1);
    assert!(sct_signed_data(before_1970, &[], &[0; 32], &[]).is_err());
}
