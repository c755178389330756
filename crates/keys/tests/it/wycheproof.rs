//! The vectors of Project Wycheproof: signatures that careless implementations accept, and valid
//! ones that careless implementations refuse.

use ambisign_keys::{Digest, HashAlgorithm, KeyAlgorithm, Payload, PublicKey, Scheme};
use wycheproof::TestResult;

/// What a test set came to: how many valid and how many invalid signatures it held.
#[derive(Default)]
struct Count {
    valid: usize,
    invalid: usize,
}

impl Count {
    /// Verifies one signature. RSA is verified from the message and from its digest, which are two
    /// implementations and must agree, also about what is only `Acceptable`.
    fn check(
        &mut self,
        name: &str,
        key: &PublicKey,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
        expected: TestResult,
    ) {
        let verified = key.verify(scheme, Payload::Message(message), signature).is_ok();
        let is_rsa = matches!(key.algorithm(), KeyAlgorithm::Rsa { .. });
        if let Some(hash) = scheme.hash().filter(|_| is_rsa) {
            let digest = Digest::of(hash, message);
            let from_digest = key.verify(scheme, Payload::Digest(&digest), signature).is_ok();
            assert_eq!(from_digest, verified, "{name}: message and digest disagree");
        }
        match expected {
            TestResult::Valid => {
                assert!(verified, "{name}: a valid signature is refused");
                self.valid += 1;
            }
            TestResult::Invalid => {
                assert!(!verified, "{name}: an invalid signature is accepted");
                self.invalid += 1;
            }
            TestResult::Acceptable => {}
        }
    }

    fn assert_covers(&self, name: &str) {
        assert!(self.valid > 5 && self.invalid > 5, "{name}: {} {}", self.valid, self.invalid);
    }
}

#[test]
fn ecdsa() {
    use wycheproof::ecdsa::{TestName, TestSet};

    for (name, scheme) in [
        (TestName::EcdsaSecp256r1Sha256, Scheme::EcdsaP256Sha256),
        (TestName::EcdsaSecp384r1Sha384, Scheme::EcdsaP384Sha384),
        (TestName::EcdsaSecp384r1Sha256, Scheme::EcdsaP384Sha256),
        (TestName::EcdsaSecp521r1Sha512, Scheme::EcdsaP521Sha512),
    ] {
        let set = TestSet::load(name).unwrap();
        let mut count = Count::default();
        for group in set.test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            assert_eq!(PublicKey::from_pem(&group.pem).unwrap(), key);
            assert_eq!(key.algorithm(), scheme.key_algorithm());
            let point = group.key.key.as_ref();
            assert_eq!(PublicKey::from_ec_point(key.algorithm(), point).unwrap(), key);
            for test in group.tests {
                let case = format!("{scheme} {}: {}", test.tc_id, test.comment);
                count.check(&case, &key, scheme, &test.msg, &test.sig, test.result);
            }
        }
        count.assert_covers(&scheme.to_string());
    }
}

/// The form of JOSE: both halves of the signature side by side.
#[test]
fn ecdsa_of_json_web_signatures() {
    use wycheproof::ecdsa::{TestName, TestSet};

    for (name, algorithm) in [
        (TestName::EcdsaSecp256r1Sha256P1363, "ES256"),
        (TestName::EcdsaSecp384r1Sha384P1363, "ES384"),
        (TestName::EcdsaSecp521r1Sha512P1363, "ES512"),
    ] {
        let mut count = Count::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            for test in group.tests {
                let verified = key.verify_jws(algorithm, &test.msg, &test.sig).is_ok();
                let case = format!("{algorithm} {}: {}", test.tc_id, test.comment);
                match test.result {
                    TestResult::Valid => count.valid += usize::from(verified),
                    TestResult::Invalid => {
                        assert!(!verified, "{case}");
                        count.invalid += 1;
                    }
                    TestResult::Acceptable => {}
                }
                assert!(verified || test.result != TestResult::Valid, "{case}");
            }
        }
        count.assert_covers(algorithm);
    }
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};

    let mut count = Count::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::from_spki(&group.der).unwrap();
        assert_eq!(key.algorithm(), KeyAlgorithm::Ed25519);
        for test in group.tests {
            let case = format!("Ed25519 {}: {}", test.tc_id, test.comment);
            count.check(&case, &key, Scheme::Ed25519, &test.msg, &test.sig, test.result);
        }
    }
    count.assert_covers("Ed25519");
}

fn pkcs1(hash: HashAlgorithm, bits: u16) -> Scheme {
    match hash {
        HashAlgorithm::Sha256 => Scheme::RsaPkcs1Sha256 { bits },
        HashAlgorithm::Sha384 => Scheme::RsaPkcs1Sha384 { bits },
        HashAlgorithm::Sha512 => Scheme::RsaPkcs1Sha512 { bits },
    }
}

#[test]
fn rsa_with_pkcs1_padding() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

    for (name, hash, bits) in [
        (TestName::Rsa2048Sha256, HashAlgorithm::Sha256, 2048),
        (TestName::Rsa2048Sha384, HashAlgorithm::Sha384, 2048),
        (TestName::Rsa2048Sha512, HashAlgorithm::Sha512, 2048),
        (TestName::Rsa3072Sha256, HashAlgorithm::Sha256, 3072),
        (TestName::Rsa4096Sha512, HashAlgorithm::Sha512, 4096),
    ] {
        let mut count = Count::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            assert_eq!(PublicKey::from_pkcs1(&group.asn_key).unwrap(), key);
            for test in group.tests {
                let case = format!("RSA {bits} {hash} {}: {}", test.tc_id, test.comment);
                let scheme = pkcs1(hash, bits);
                count.check(&case, &key, scheme, &test.msg, &test.sig, test.result);
            }
        }
        count.assert_covers(&format!("RSA {bits} {hash}"));
    }
}

#[test]
fn rsa_with_pss_padding() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};

    for (name, scheme) in [
        (TestName::RsaPss2048Sha256Mgf1SaltLen32, Scheme::RsaPssSha256 { bits: 2048 }),
        (TestName::RsaPss2048Sha384Mgf1SaltLen48, Scheme::RsaPssSha384 { bits: 2048 }),
        (TestName::RsaPss3072Sha256Mgf1SaltLen32, Scheme::RsaPssSha256 { bits: 3072 }),
        (TestName::RsaPss4096Sha512Mgf1SaltLen64, Scheme::RsaPssSha512 { bits: 4096 }),
    ] {
        let mut count = Count::default();
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            for test in group.tests {
                let case = format!("{scheme:?} {}: {}", test.tc_id, test.comment);
                count.check(&case, &key, scheme, &test.msg, &test.sig, test.result);
            }
        }
        count.assert_covers(&format!("{scheme:?}"));
    }
}

/// Salts of other lengths than the digest's are refused: no Sigstore key makes them.
#[test]
fn rsa_with_pss_padding_and_another_salt() {
    use wycheproof::rsa_pss_verify::{TestName, TestSet};

    for name in [TestName::RsaPss2048Sha256Mgf1SaltLen0, TestName::RsaPss2048Sha256Mgf1Sha1_20] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PublicKey::from_spki(&group.der).unwrap();
            let scheme = Scheme::RsaPssSha256 { bits: 2048 };
            // Some invalid ones are so because their salt is of the right length for us.
            for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                let verified = key.verify(scheme, Payload::Message(&test.msg), &test.sig);
                assert!(verified.is_err(), "{}: {}", test.tc_id, test.comment);
            }
        }
    }
}
