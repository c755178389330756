//! Keys and signatures that openssl made, and what must not be taken for one.
//!
//! `openssl.json` says how it was made. The published vectors stand beside their tests.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may")]

#[cfg(target_os = "linux")]
mod wiped;
mod wycheproof;

use std::collections::BTreeSet;

use ambisign_keys::{
    Digest, Error, HashAlgorithm, KeyAlgorithm, KeyPair, Payload, PublicKey, Scheme, Sign as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value;

struct Case {
    scheme: Scheme,
    key: PublicKey,
    signature: Vec<u8>,
}

fn openssl() -> Value {
    serde_json::from_str(include_str!("openssl.json")).unwrap()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no {path}"))
}

fn message() -> Vec<u8> {
    text(&openssl(), "/message").as_bytes().to_vec()
}

fn cases(list: &str) -> Vec<Case> {
    let file = openssl();
    let rows = file[list].as_array().unwrap();
    rows.iter()
        .map(|row| {
            let key = PublicKey::from_pem(text(row, "/public_key")).unwrap();
            let bits = row["bits"].as_u64().map(|bits| u16::try_from(bits).unwrap());
            let scheme = match (text(row, "/scheme"), bits) {
                ("PKIX_RSA_PKCS1V5", Some(bits)) => Scheme::RsaPkcs1Sha256 { bits },
                ("PKIX_RSA_PSS", Some(bits)) => Scheme::RsaPssSha256 { bits },
                (name, _) => Scheme::from_key_details(name).unwrap(),
            };
            let signature = STANDARD.decode(text(row, "/signature")).unwrap();
            Case { scheme, key, signature }
        })
        .collect()
}

fn hex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn every_signature_of_openssl_verifies_from_the_message() {
    let message = message();
    for case in cases("signatures") {
        let payload = Payload::Message(&message);
        case.key.verify(case.scheme, payload, &case.signature).unwrap();
    }
}

#[test]
fn every_signature_but_pure_ed25519_verifies_from_the_digest() {
    for case in cases("signatures") {
        let Some(hash) = case.scheme.hash() else {
            let digest = Digest::of(HashAlgorithm::Sha512, &message());
            let error = case
                .key
                .verify(case.scheme, Payload::Digest(&digest), &case.signature)
                .unwrap_err();
            assert_eq!(error, Error::NeedsMessage { scheme: Scheme::Ed25519 });
            continue;
        };
        let digest = Digest::of(hash, &message());
        case.key.verify(case.scheme, Payload::Digest(&digest), &case.signature).unwrap();
    }
}

#[test]
fn another_message_does_not_verify() {
    let mut message = message();
    message[0] ^= 1;
    for case in cases("signatures") {
        let refused = Err(Error::BadSignature { scheme: case.scheme });
        let verify = |payload| case.key.verify(case.scheme, payload, &case.signature);
        assert_eq!(verify(Payload::Message(&message)), refused);
        if let Some(hash) = case.scheme.hash() {
            assert_eq!(verify(Payload::Digest(&Digest::of(hash, &message))), refused);
        }
    }
}

#[test]
fn no_signature_verifies_after_any_one_byte_of_it_is_changed() {
    let message = message();
    for case in cases("signatures") {
        let digest = case.scheme.hash().map(|hash| Digest::of(hash, &message));
        // Every byte of the short ones, one in sixty-four of RSA's.
        let step = if case.signature.len() > 200 { 64 } else { 1 };
        for at in (0..case.signature.len()).step_by(step) {
            let mut signature = case.signature.clone();
            signature[at] ^= 1;
            let refused = Err(Error::BadSignature { scheme: case.scheme });
            let verify = |payload| case.key.verify(case.scheme, payload, &signature);
            assert_eq!(verify(Payload::Message(&message)), refused, "byte {at}");
            if let Some(digest) = &digest {
                assert_eq!(verify(Payload::Digest(digest)), refused, "byte {at}");
            }
        }
    }
}

#[test]
fn a_signature_that_is_cut_off_or_goes_on_does_not_verify() {
    let message = message();
    for case in cases("signatures") {
        let (cut, empty) = (&case.signature[..case.signature.len() - 1], &[][..]);
        let longer = [case.signature.as_slice(), &[0]].concat();
        for signature in [cut, empty, &longer] {
            let refused = Err(Error::BadSignature { scheme: case.scheme });
            let verify = |payload| case.key.verify(case.scheme, payload, signature);
            assert_eq!(verify(Payload::Message(&message)), refused);
            if let Some(hash) = case.scheme.hash() {
                assert_eq!(verify(Payload::Digest(&Digest::of(hash, &message))), refused);
            }
        }
    }
}

#[test]
fn rsa_signatures_with_other_parameters_do_not_verify() {
    let message = message();
    let digest = Digest::sha256(&message);
    for case in cases("refused_signatures") {
        for payload in [Payload::Message(&message), Payload::Digest(&digest)] {
            assert!(case.key.verify(case.scheme, payload, &case.signature).is_err());
        }
    }
}

#[test]
fn a_scheme_of_another_key_is_refused_by_name() {
    for case in cases("signatures") {
        for other in cases("signatures") {
            if other.scheme.key_algorithm() != case.key.algorithm() {
                let payload = Payload::Message(b"");
                let error = case.key.verify(other.scheme, payload, &case.signature).unwrap_err();
                let key = case.key.algorithm();
                assert_eq!(error, Error::SchemeMismatch { scheme: other.scheme, key });
            }
        }
    }
    let key = &cases("signatures")[0].key;
    let scheme = Scheme::RsaPkcs1Sha256 { bits: 3072 };
    assert_eq!(
        key.verify(scheme, Payload::Message(b""), b"").unwrap_err().to_string(),
        "the scheme PKIX_RSA_PKCS1V15_3072_SHA256 does not fit a key of type ECDSA P-256"
    );
}

#[test]
fn a_digest_of_another_algorithm_is_refused_by_every_scheme() {
    for case in cases("signatures") {
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
            let digest = Digest::of(algorithm, &message());
            if case.scheme.hash().is_some_and(|hash| hash != algorithm) {
                let refused =
                    case.key.verify(case.scheme, Payload::Digest(&digest), &case.signature);
                assert!(matches!(refused, Err(Error::DigestMismatch { .. })), "{refused:?}");
            }
        }
    }
}

#[test]
fn a_public_key_survives_its_own_pem() {
    for case in cases("signatures") {
        let pem = case.key.to_pem();
        assert_eq!(PublicKey::from_pem(&pem).unwrap(), case.key);
        assert_eq!(PublicKey::from_spki(case.key.spki()).unwrap(), case.key);
        assert!(!pem.contains('\r') && pem.ends_with("-----END PUBLIC KEY-----\n"), "{pem}");
    }
    // And byte for byte what openssl writes.
    let file = openssl();
    for row in file["signatures"].as_array().unwrap() {
        let pem = text(row, "/public_key");
        assert_eq!(PublicKey::from_pem(pem).unwrap().to_pem(), pem);
    }
}

#[test]
fn a_pkcs1_key_is_the_same_key() {
    let file = openssl();
    let key = PublicKey::from_pem(text(&file, "/rsa_2048_pkcs1")).unwrap();
    assert_eq!(key.algorithm(), KeyAlgorithm::Rsa { bits: 2048 });
    assert!(cases("signatures").iter().any(|case| case.key == key));
}

#[test]
fn keys_of_other_kinds_are_refused_by_name() {
    let file = openssl();
    let refused = |name: &str| {
        let pem = text(&file, &format!("/unsupported_keys/{name}"));
        PublicKey::from_pem(pem).unwrap_err().to_string()
    };
    assert_eq!(
        refused("rsa_1024"),
        "unsupported key: expected an RSA modulus of 2048 to 8192 bits, found one of 1024 bits"
    );
    assert_eq!(
        refused("secp256k1"),
        "unsupported key: expected P-256, P-384 or P-521, found curve 1.3.132.0.10"
    );
    assert_eq!(
        refused("p256_compressed"),
        "not a public key: expected an uncompressed point of the curve"
    );
}

#[test]
fn a_pem_text_holds_one_public_key_and_nothing_else() {
    let file = openssl();
    let key = text(&file, "/signatures/0/public_key");
    let refused = |pem: &str| PublicKey::from_pem(pem).unwrap_err().to_string();
    assert_eq!(refused(&key.repeat(2)), "not a PEM public key: there is more than one block");
    assert_eq!(
        refused(&key.replace("PUBLIC KEY", "CERTIFICATE")),
        "not a PEM public key: expected a block PUBLIC KEY or RSA PUBLIC KEY, found CERTIFICATE"
    );
    assert!(refused("").starts_with("not a PEM public key: "));
    assert!(refused(&key[..key.len() / 2]).starts_with("not a PEM public key: "));
    assert!(refused(&"x".repeat(1 << 20)).contains("longer than"));
    // openssl's `-text` writes the key out before the block.
    let commented = format!("Public-Key: (256 bit)\n{key}\n");
    assert_eq!(PublicKey::from_pem(&commented).unwrap(), PublicKey::from_pem(key).unwrap());
}

#[test]
fn a_broken_pem_text_is_refused_without_its_words() {
    let key = KeyPair::generate().unwrap().to_pkcs8_pem().unwrap();
    let secret = key.lines().nth(1).unwrap();
    // The label runs on into the key: it is none, and must not be shown.
    let run_on = key.replacen("PRIVATE KEY-----", "PRIVATE KEY----", 1);
    let header = key.replacen('\n', "\nProc-Type\u{1b}[2J\n\n", 1);
    for broken in [run_on, header] {
        let error = PublicKey::from_pem(&broken).unwrap_err().to_string();
        assert!(error.starts_with("not a PEM public key: "), "{error}");
        assert!(!error.contains(secret) && !error.contains(char::is_control), "{error}");
    }
}

#[test]
fn nothing_may_follow_or_be_missing_in_a_spki() {
    for case in cases("signatures") {
        let spki = case.key.spki();
        assert!(PublicKey::from_spki(&[spki, &[0]].concat()).is_err());
        assert!(PublicKey::from_spki(&spki[..spki.len() - 1]).is_err());
    }
}

#[test]
fn an_ed25519_key_is_also_read_from_its_32_bytes() {
    // RFC 8032 7.1, test 2: the public key, and the signature of the byte 72.
    let raw: [u8; 32] =
        hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c").try_into().unwrap();
    let signature = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
    let key = PublicKey::from_ed25519_bytes(&raw).unwrap();
    assert_eq!(key.ed25519_bytes(), Some(&raw));
    assert_eq!(key, PublicKey::from_spki(key.spki()).unwrap());
    key.verify(Scheme::Ed25519, Payload::Message(&[0x72]), &signature).unwrap();
}

#[test]
fn ed25519ph_follows_rfc_8032() {
    // RFC 8032 7.3: message "abc".
    let raw: [u8; 32] =
        hex("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf").try_into().unwrap();
    let signature = hex("98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41
         31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406");
    let key = PublicKey::from_ed25519_bytes(&raw).unwrap();
    let digest = Digest::of(HashAlgorithm::Sha512, b"abc");
    key.verify(Scheme::Ed25519ph, Payload::Digest(&digest), &signature).unwrap();
    key.verify(Scheme::Ed25519ph, Payload::Message(b"abc"), &signature).unwrap();
    // The two kinds of Ed25519 do not pass for each other.
    assert!(key.verify(Scheme::Ed25519, Payload::Message(b"abc"), &signature).is_err());
    let wrong = Digest::of(HashAlgorithm::Sha512, b"abd");
    assert!(key.verify(Scheme::Ed25519ph, Payload::Digest(&wrong), &signature).is_err());
}

#[test]
fn an_ed25519_key_of_small_order_verifies_nothing() {
    // The neutral point as key and as R, zero as S: satisfies the equation for every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let signature = [neutral, [0; 32]].concat();
    let refused = PublicKey::from_ed25519_bytes(&neutral)
        .and_then(|key| key.verify(Scheme::Ed25519, Payload::Message(b"any"), &signature));
    assert!(refused.is_err());
}

#[test]
fn what_a_new_key_signs_verifies_and_no_other_key_verifies_it() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519] {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let other = KeyPair::generate_for(algorithm).unwrap();
        let payload = Payload::Message(b"message");
        let signature = pair.sign(payload).unwrap();
        let scheme = pair.scheme();
        assert_eq!(scheme, algorithm.default_scheme());
        pair.public_key().verify(scheme, payload, &signature).unwrap();
        let refused = other.public_key().verify(scheme, payload, &signature);
        assert_eq!(refused, Err(Error::BadSignature { scheme }));
    }
    let rsa = KeyPair::generate_for(KeyAlgorithm::Rsa { bits: 2048 });
    assert_eq!(
        rsa.unwrap_err().to_string(),
        "unsupported key: expected P-256, P-384 or Ed25519, found RSA 2048"
    );
}

#[test]
fn the_signature_of_a_message_is_one_of_its_digest() {
    let pair = KeyPair::generate().unwrap();
    let digest = Digest::sha256(b"message");
    let (digest, message) = (Payload::Digest(&digest), Payload::Message(b"message"));
    for (signed, verified) in [(digest, message), (message, digest)] {
        let signature = pair.sign(signed).unwrap();
        pair.public_key().verify(pair.scheme(), verified, &signature).unwrap();
    }
}

#[test]
fn no_two_signatures_of_one_message_are_the_same() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384] {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let signatures: BTreeSet<_> =
            (0..20).map(|_| pair.sign(Payload::Message(b"message")).unwrap()).collect();
        assert_eq!(signatures.len(), 20);
    }
}

#[test]
fn the_published_signature_of_a_p256_key_verifies() {
    // RFC 6979 A.2.5, SHA-256, message "sample".
    let secret = hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let pkcs8 =
        [hex("3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420"), secret]
            .concat();
    let pair = KeyPair::from_pkcs8_der(&pkcs8).unwrap();
    let published = hex("3046
         022100EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
         022100F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8");
    pair.public_key().verify(pair.scheme(), Payload::Message(b"sample"), &published).unwrap();
    let other = pair.public_key().verify(pair.scheme(), Payload::Message(b"test"), &published);
    assert_eq!(other, Err(Error::BadSignature { scheme: pair.scheme() }));
}

#[test]
fn ed25519_keys_sign_with_either_scheme_but_pure_only_messages() {
    let pair = KeyPair::generate_for(KeyAlgorithm::Ed25519).unwrap();
    let digest = Digest::of(HashAlgorithm::Sha512, b"message");
    let payload = Payload::Digest(&digest);
    assert_eq!(pair.sign(payload), Err(Error::NeedsMessage { scheme: Scheme::Ed25519 }));
    let pair = pair.with_scheme(Scheme::Ed25519ph).unwrap();
    let signature = pair.sign(payload).unwrap();
    pair.public_key().verify(Scheme::Ed25519ph, payload, &signature).unwrap();
    assert!(matches!(pair.with_scheme(Scheme::EcdsaP256Sha256), Err(Error::SchemeMismatch { .. })));
}

#[test]
fn private_keys_of_openssl_are_read_and_written_back() {
    let file = openssl();
    for (name, pem) in file["private_keys"].as_object().unwrap() {
        let pem = pem.as_str().unwrap();
        let Some(scheme) = Scheme::from_key_details(name) else { continue };
        let pair = KeyPair::from_pem(pem).unwrap();
        assert_eq!(pair.scheme(), scheme);
        let case = cases("signatures").into_iter().find(|case| case.scheme == scheme).unwrap();
        assert_eq!(pair.public_key(), &case.key);
        let again = KeyPair::from_pem(&pair.to_pkcs8_pem().unwrap()).unwrap();
        assert_eq!(again.public_key(), &case.key);
    }
}

#[test]
fn what_is_no_private_key_of_ours_is_refused_without_a_word_of_it() {
    let file = openssl();
    let encrypted = text(&file, "/private_keys/encrypted");
    let damaged = include_str!("../../../../tests/fixtures/openssl/ec_private_sec1.pem");
    let cut = damaged.get(..damaged.len() / 2).unwrap();
    for (pem, expected) in [
        (encrypted, "openssl or a similar tool encrypted"),
        (&damaged.replacen('A', "B", 3), "of another kind"),
        (cut, "cut off"),
    ] {
        let error = KeyPair::from_pem(pem).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        let secret_line = pem.lines().nth(1).unwrap();
        assert!(!format!("{error:?} {error}").contains(&secret_line[..8]));
    }
    assert!(KeyPair::from_pem("").is_err());
    assert!(KeyPair::from_pkcs8_der(&[0; 5000]).is_err());
}

#[test]
fn the_older_forms_of_private_keys_are_read() {
    macro_rules! pem {
        ($name:literal) => {
            include_str!(concat!("../../../../tests/fixtures/openssl/", $name, ".pem"))
        };
    }
    for (private, public) in [
        (pem!("ec_private_sec1"), pem!("ec_public")),
        (pem!("ec384_private_sec1"), pem!("ec384_public")),
        (pem!("rsa_private_pkcs1"), pem!("rsa_public")),
        (pem!("rsa_private"), pem!("rsa_public")),
    ] {
        let pair = KeyPair::from_pem(private).unwrap();
        assert_eq!(pair.public_key(), &PublicKey::from_pem(public).unwrap());
        let signature = pair.sign(Payload::Message(b"hello")).unwrap();
        let message = Payload::Message(b"hello");
        pair.public_key().verify(pair.scheme(), message, &signature).unwrap();
        let again = KeyPair::from_pem(&pair.to_pkcs8_pem().unwrap()).unwrap();
        assert_eq!(again.public_key(), pair.public_key());
    }
}

#[test]
fn a_key_pair_shows_its_public_half_only() {
    let pair = KeyPair::generate().unwrap();
    let shown = format!("{pair:?}");
    assert!(shown.starts_with("KeyPair { public: PublicKey(ECDSA P-256, id "), "{shown}");
    assert!(shown.ends_with("), .. }"), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = PublicKey::from_spki(&bytes);
        let _ = PublicKey::from_pkcs1(&bytes);
        let _ = KeyPair::from_pkcs8_der(&bytes);
        let _ = PublicKey::from_pem(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_damaged_key_is_refused_or_another_key(at in any::<prop::sample::Index>(), bit in 0..8) {
        for case in cases("signatures") {
            let mut spki = case.key.spki().to_vec();
            let at = at.index(spki.len());
            spki[at] ^= 1_u8 << bit;
            if let Ok(key) = PublicKey::from_spki(&spki) {
                prop_assert_ne!(&key, &case.key);
                let payload = Payload::Message(b"message");
                prop_assert!(key.verify(key.default_scheme(), payload, &case.signature).is_err());
            }
        }
    }
}
