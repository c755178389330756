//! What real Fulcio issued, compared with what was recorded beside it.

use std::collections::BTreeSet;

use ambisign_x509::{Anchors, Error, Sct, SubjectName, Usage, encode_sct_list, oid};
use serde_json::Value;

use crate::{ct_key, fulcio_chain, issued, seconds};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn recorded_extensions(case: &Value) -> &Vec<Value> {
    case["certificate"]["extensions"].as_array().unwrap()
}

#[test]
fn there_is_a_certificate_of_every_recorded_case() {
    assert_eq!(issued().len(), 22);
}

#[test]
fn every_extension_is_read_in_order_as_it_was_recorded() {
    for (case, certificate) in issued() {
        let recorded = recorded_extensions(&case);
        assert_eq!(certificate.extensions().len(), recorded.len(), "{}", case["case"]);
        for (found, expected) in certificate.extensions().iter().zip(recorded) {
            assert_eq!(found.oid, expected["oid"].as_str().unwrap());
            assert_eq!(found.critical, expected["critical"].as_bool().unwrap());
            if let Some(der) = expected["der"].as_str() {
                assert_eq!(hex(&found.value), der, "{}", found.oid);
            }
        }
    }
}

#[test]
fn every_fulcio_extension_has_its_recorded_value_and_a_name() {
    for (case, certificate) in issued() {
        let recorded: Vec<(&str, &str)> = recorded_extensions(&case)
            .iter()
            .filter_map(|extension| {
                Some((extension["oid"].as_str()?, extension["value"].as_str()?))
            })
            .collect();
        let found = certificate.fulcio_extensions().unwrap();
        let pairs: Vec<(&str, &str)> =
            found.iter().map(|found| (found.oid.as_str(), found.value.as_str())).collect();
        assert_eq!(pairs, recorded, "{}", case["case"]);
        assert!(pairs.len() >= 3, "{}", case["case"]);
        for extension in &found {
            assert_ne!(extension.name, "Unknown", "{}", extension.oid);
        }
    }
}

#[test]
fn the_issuer_is_the_recorded_one() {
    for (case, certificate) in issued() {
        let recorded = recorded_extensions(&case)
            .iter()
            .find(|extension| extension["oid"] == oid::ISSUER_V2)
            .and_then(|extension| extension["value"].as_str());
        assert!(recorded.is_some());
        assert_eq!(certificate.oidc_issuer().unwrap().as_deref(), recorded, "{}", case["case"]);
    }
}

#[test]
fn the_subject_is_the_recorded_name_of_the_kind_of_the_issuer() {
    let mut kinds = BTreeSet::new();
    for (case, certificate) in issued() {
        let name = certificate.subject_name().unwrap();
        let kind = match case["issuer_type"].as_str().unwrap() {
            "email" => "email",
            "username" => "username",
            _ => "uri",
        };
        assert_eq!(name.kind(), kind, "{}", case["case"]);
        kinds.insert(kind);

        // Write the extension again, by hand, and compare it with the recorded bytes.
        let tlv = |tag: u8, content: &[u8]| match u8::try_from(content.len()).unwrap() {
            length @ 0..=127 => [&[tag, length], content].concat(),
            length => [&[tag, 0x81, length], content].concat(),
        };
        let text = name.as_str().as_bytes();
        let general_name = match &name {
            SubjectName::Email(_) => tlv(0x81, text),
            SubjectName::Uri(_) => tlv(0x86, text),
            SubjectName::OtherName(_) => {
                let type_id = [6, 10, 0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 7];
                tlv(0xa0, &[&type_id[..], &tlv(0xa0, &tlv(0x0c, text))].concat())
            }
            other => panic!("{other:?}"),
        };
        let recorded = recorded_extensions(&case)
            .iter()
            .find(|extension| extension["oid"] == "2.5.29.17")
            .unwrap();
        assert_eq!(hex(&tlv(0x30, &general_name)), recorded["der"].as_str().unwrap());
    }
    assert_eq!(kinds.len(), 3, "{kinds:?}");
}

#[test]
fn names_read_well() {
    let name = |case: &str| {
        let (_, certificate) =
            issued().into_iter().find(|(recorded, _)| recorded["case"] == case).unwrap();
        certificate.subject_name().unwrap().to_string()
    };
    assert_eq!(name("email-google-sa"), "ci@proj.iam.gserviceaccount.com");
    assert!(name("spiffe").starts_with("spiffe://"), "{}", name("spiffe"));
    assert!(name("username").contains('!'), "{}", name("username"));
}

#[test]
fn the_leaves_have_no_subject_no_ca_flag_and_the_recorded_validity() {
    for (case, certificate) in issued() {
        assert_eq!(certificate.subject_der(), [0x30, 0]);
        assert!(!certificate.is_ca());
        assert_eq!(certificate.allows_digital_signature(), Some(true));
        assert_eq!(certificate.allows_certificate_signing(), Some(false));
        assert_eq!(certificate.extended_key_usages(), [oid::CODE_SIGNING]);
        assert_eq!(certificate.not_after(), certificate.not_before() + seconds(600));
        // Issued when the token was.
        let issued_at = case["claims"]["iat"].as_u64().map(seconds);
        if let Some(issued_at) = issued_at {
            let not_before =
                certificate.not_before().duration_since(std::time::UNIX_EPOCH).unwrap();
            assert!(not_before.abs_diff(issued_at) < seconds(60), "{}", case["case"]);
        }
        assert_eq!(certificate.issuer_der(), fulcio_chain()[0].subject_der());
    }
}

#[test]
fn every_certificate_has_a_path_to_the_root() {
    let chain = fulcio_chain();
    let anchors = Anchors::new(chain.clone());
    for (case, leaf) in issued() {
        let at = leaf.not_before();
        let path = anchors.verify(&leaf, &[], at, Usage::CodeSigning).unwrap();
        assert_eq!(path, [vec![leaf], chain.clone()].concat(), "{}", case["case"]);
    }
}

#[test]
fn every_sct_verifies() {
    let chain = fulcio_chain();
    for (case, leaf) in issued() {
        let scts = leaf.scts().unwrap();
        let [sct] = scts.as_slice() else { panic!("{}: {} SCTs", case["case"], scts.len()) };
        sct.verify(&leaf, &chain[0], &ct_key()).unwrap();
        assert_eq!(sct.extensions.len(), 8, "the index that static logs write");
        let since = sct.timestamp.duration_since(leaf.not_before());
        assert!(since.unwrap_or_else(|error| error.duration()) < seconds(5), "{}", case["case"]);
    }
}

#[test]
fn an_sct_list_is_written_as_it_was_read() {
    for (_, leaf) in issued() {
        let value = encode_sct_list(&leaf.scts().unwrap()).unwrap();
        assert_eq!(value, leaf.extension(oid::SCT_LIST).unwrap().value);
    }
}

#[test]
fn no_sct_verifies_after_any_one_byte_of_it_is_changed() {
    let (chain, key) = (fulcio_chain(), ct_key());
    // Every byte of the signatures of all certificates, and of everything else of the first one.
    for (number, (case, leaf)) in issued().into_iter().enumerate() {
        let good = leaf.scts().unwrap().remove(0);
        let verify = |sct: &Sct| sct.verify(&leaf, &chain[0], &key);
        // What was found valid is remembered, and serves for nothing else.
        verify(&good).unwrap();
        for at in 0..good.signature.len() {
            let mut sct = good.clone();
            sct.signature[at] ^= 1;
            let refused = verify(&sct);
            assert!(matches!(refused, Err(Error::SctSignature { .. })), "{}, {at}", case["case"]);
        }
        if number == 0 {
            for at in 0..32 {
                let mut sct = good.clone();
                sct.log_id[at] ^= 1;
                assert!(matches!(verify(&sct), Err(Error::Sct { .. })), "log id, {at}");
            }
            for at in 0..good.extensions.len() {
                let mut sct = good.clone();
                sct.extensions[at] ^= 1;
                assert!(matches!(verify(&sct), Err(Error::SctSignature { .. })), "{at}");
            }
            let mut sct = good.clone();
            sct.timestamp += std::time::Duration::from_millis(1);
            assert!(matches!(verify(&sct), Err(Error::SctSignature { .. })));
        }
    }
}

#[test]
fn an_sct_is_of_one_certificate_and_one_issuer() {
    let (chain, key) = (fulcio_chain(), ct_key());
    let certificates = issued();
    let (first, second) = (&certificates[0].1, &certificates[1].1);
    let sct = first.scts().unwrap().remove(0);
    sct.verify(first, &chain[0], &key).unwrap();
    assert!(matches!(sct.verify(second, &chain[0], &key), Err(Error::SctSignature { .. })));
    assert!(matches!(sct.verify(first, &chain[1], &key), Err(Error::SctSignature { .. })));
    let other_log = first.public_key();
    assert_eq!(
        sct.verify(first, &chain[0], other_log).unwrap_err().to_string(),
        "the signed certificate timestamp is not usable: it is of another log than the key"
    );
}

#[test]
fn no_certificate_has_a_path_after_any_one_byte_of_it_is_changed() {
    let anchors = Anchors::new(fulcio_chain());
    let (_, leaf) = issued().remove(0);
    for at in 0..leaf.der().len() {
        let mut der = leaf.der().to_vec();
        der[at] ^= 1;
        if let Ok(changed) = ambisign_x509::Certificate::from_der(&der) {
            let found = anchors.verify(&changed, &[], leaf.not_before(), Usage::CodeSigning);
            assert!(found.is_err(), "byte {at}");
        }
    }
}

#[test]
fn the_recorded_timestamp_authority_has_a_path() {
    let text = crate::recorded("tsa/certchain.pem");
    let mut chain = ambisign_x509::Certificate::chain_from_pem(&text).unwrap();
    let leaf = chain.remove(0);
    let anchors = Anchors::new(chain);
    let at = leaf.not_before() + seconds(3600);
    assert_eq!(anchors.verify(&leaf, &[], at, Usage::TimeStamping).unwrap().len(), 3);
    let error = anchors.verify(&leaf, &[], at, Usage::CodeSigning).unwrap_err();
    assert!(
        error.to_string().ends_with(
            "expected the extended key usage code signing (1.3.6.1.5.5.7.3.3), \
             found 1.3.6.1.5.5.7.3.8"
        ),
        "{error}"
    );
}
