//! What clouds authenticate requests with. Sigstore signatures are not made here.

use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use zeroize::Zeroizing;

use crate::error::Error;

/// HMAC with SHA-256 (RFC 2104) of `message` under `key`, of any length.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
    bytes
}

/// RSASSA-PKCS1-v1_5 with SHA-256 of `message`: the `RS256` of a JWT that a service account signs
/// for itself. `pkcs8_pem` is an unencrypted `PRIVATE KEY` block with a modulus of 2048 to 4096
/// bits.
///
/// # Errors
/// The text is not such a key. The error quotes nothing of it.
pub fn sign_rs256(pkcs8_pem: &str, message: &[u8]) -> Result<Vec<u8>, Error> {
    let wrong = |reason: &str| Error::Malformed {
        expected: "PEM private key of RSA",
        reason: reason.to_owned(),
    };
    if pkcs8_pem.len() > KEY_CAP {
        return Err(wrong("it is too long"));
    }
    let block = pem::parse(pkcs8_pem).map_err(|_| wrong("there is no readable PEM block"))?;
    if block.tag() != "PRIVATE KEY" {
        return Err(wrong("the PEM block is not labelled PRIVATE KEY"));
    }
    let der = Zeroizing::new(block.into_contents());
    let pair = RsaKeyPair::from_pkcs8(&der)
        .map_err(|_| wrong("expected an RSA key of 2048 to 4096 bits"))?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .map_err(|_| Error::NoRandomness)?;
    Ok(signature)
}

const KEY_CAP: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyPair, Payload, PublicKey, Scheme};

    #[test]
    fn the_vectors_of_rfc_4231_hold() {
        let case_1 = hmac_sha256(&[0x0b; 20], b"Hi There");
        assert_eq!(
            base16ct::lower::encode_string(&case_1),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        let case_6 =
            hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(
            base16ct::lower::encode_string(&case_6),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn what_an_rsa_key_signs_its_public_half_verifies() {
        let signature =
            sign_rs256(include_str!("../../../tests/fixtures/openssl/rsa_private.pem"), b"hello")
                .unwrap();
        let public =
            PublicKey::from_pem(include_str!("../../../tests/fixtures/openssl/rsa_public.pem"))
                .unwrap();
        let scheme = Scheme::RsaPkcs1Sha256 { bits: 2048 };
        public.verify(scheme, Payload::Message(b"hello"), &signature).unwrap();
        assert!(public.verify(scheme, Payload::Message(b"hallo"), &signature).is_err());
    }

    #[test]
    fn another_key_is_refused_and_not_shown() {
        let ec = KeyPair::generate().unwrap().to_pkcs8_pem().unwrap();
        for text in [
            ec.as_str(),
            "hunter2",
            "-----BEGIN RSA PRIVATE KEY-----\naHVudGVyMg==\n-----END RSA PRIVATE KEY-----\n",
        ] {
            let error = sign_rs256(text, b"x").unwrap_err().to_string();
            assert!(error.starts_with("not a PEM private key of RSA"), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("aHVud"), "{error}");
        }
    }
}
