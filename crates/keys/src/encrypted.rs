//! Private keys encrypted with a password, in the form of cosign's key files: a PEM block around a
//! JSON document, whose content is a PKCS #8 key under NaCl's secretbox and a key from scrypt.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::XSalsa20Poly1305;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use pem::{EncodeConfig, LineEnding, Pem};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::pair::KeyPair;
use crate::private_pem::private_block;
use crate::random::random;

impl KeyPair {
    /// Whether `text` has the form that [`from_encrypted_pem`](Self::from_encrypted_pem) reads, so
    /// that a password is needed.
    pub fn is_encrypted_pem(text: &str) -> bool {
        private_block(text).is_ok_and(|(label, _)| LABELS.contains(&label))
    }

    /// Reads a private key file of cosign: an `ENCRYPTED SIGSTORE PRIVATE KEY` block, or the older
    /// `ENCRYPTED COSIGN PRIVATE KEY`. It takes as long as the file's scrypt parameters say, at
    /// most a few seconds and 1 GiB.
    ///
    /// # Errors
    /// [`Error::WrongPassword`]; [`Error::Malformed`] when the file is damaged;
    /// [`Error::UnsupportedKey`] when it is encrypted in another way, or with parameters that cost
    /// more than the limits above. No error quotes the file or the password.
    pub fn from_encrypted_pem(text: &str, password: &[u8]) -> Result<Self, Error> {
        let (label, block) = private_block(text)?;
        if !LABELS.contains(&label) {
            return Err(malformed("its PEM block is not labelled ENCRYPTED SIGSTORE PRIVATE KEY"));
        }
        let damaged = |_| malformed("the content of the PEM block is damaged");
        let block = pem::parse(block).map_err(damaged)?;
        let file = File::parse(block.contents())?;
        let key = derive(password, &file.salt, &file.cost)?;
        let der = cipher(&key)?
            .decrypt(&file.nonce.into(), file.ciphertext.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| Error::WrongPassword)?;
        Self::from_pkcs8_der(&der)
    }

    /// The key as an `ENCRYPTED SIGSTORE PRIVATE KEY` block, which cosign reads.
    ///
    /// # Errors
    /// The operating system gave no random bytes.
    pub fn to_encrypted_pem(&self, password: &[u8]) -> Result<String, Error> {
        let (salt, nonce) = (random::<32>()?, random::<NONCE>()?);
        let key = derive(password, &salt, &Cost::OURS)?;
        let der = self.to_pkcs8_der()?;
        let ciphertext = cipher(&key)?
            .encrypt(&nonce.into(), der.as_slice())
            .map_err(|_| malformed("it cannot be encrypted"))?;
        let Cost { log_n, r, p } = Cost::OURS;
        let file = json!({
            "kdf": {
                "name": SCRYPT,
                "params": { "N": 1_u64 << log_n, "r": r, "p": p },
                "salt": STANDARD.encode(salt),
            },
            "cipher": { "name": SECRETBOX, "nonce": STANDARD.encode(nonce) },
            "ciphertext": STANDARD.encode(ciphertext),
        });
        let block = Pem::new(LABELS[0], file.to_string());
        Ok(pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF)))
    }
}

/// What a key file says, with the sizes checked.
struct File {
    cost: Cost,
    salt: Vec<u8>,
    nonce: [u8; NONCE],
    ciphertext: Vec<u8>,
}

/// The parameters of scrypt (RFC 7914, section 2).
struct Cost {
    log_n: u8,
    r: u32,
    p: u32,
}

impl Cost {
    /// What cosign uses: 64 MiB, and some tenths of a second.
    const OURS: Self = Self { log_n: 16, r: 8, p: 1 };

    fn parse(params: &Value) -> Result<Self, Error> {
        let number = |name: &str| {
            params
                .get(name)
                .and_then(Value::as_u64)
                .filter(|number| *number > 0)
                .ok_or_else(|| malformed("a parameter of scrypt is not a positive number"))
        };
        let (n, r, p) = (number("N")?, number("r")?, number("p")?);
        if !n.is_power_of_two() || n < 2 {
            return Err(malformed("the parameter N of scrypt is not a power of two"));
        }
        // Its memory is 128 * N * r bytes, and its time is proportional to N * r * p.
        let work = n.checked_mul(r).and_then(|it| it.checked_mul(p));
        if work.is_none_or(|work| work > WORK_CAP) {
            return Err(Error::UnsupportedKey {
                expected: "scrypt parameters with N * r * p of at most 8388608 (1 GiB)",
                found: format!("N {n}, r {r}, p {p}"),
            });
        }
        let small = |number: u64| u32::try_from(number).map_err(|_| malformed("too large"));
        Ok(Self { log_n: n.ilog2() as u8, r: small(r)?, p: small(p)? })
    }
}

impl File {
    fn parse(json: &[u8]) -> Result<Self, Error> {
        let file: Value =
            serde_json::from_slice(json).map_err(|_| malformed("its content is not JSON"))?;
        let text = |pointer: &str, what: &str| {
            file.pointer(pointer).and_then(Value::as_str).ok_or_else(|| malformed(what))
        };
        let bytes = |pointer: &str, what: &str| {
            STANDARD.decode(text(pointer, what)?).map_err(|_| malformed(what))
        };
        let named = |pointer: &str, expected: &'static str| match text(pointer, NO_NAME)? {
            found if found == expected => Ok(()),
            found => {
                let found = found.chars().filter(char::is_ascii_graphic).take(40).collect();
                Err(Error::UnsupportedKey { expected, found })
            }
        };
        named("/kdf/name", SCRYPT)?;
        named("/cipher/name", SECRETBOX)?;
        let ciphertext = bytes("/ciphertext", "the ciphertext is missing or is not base64")?;
        // After the tag of 16 bytes.
        if ciphertext.len() <= 16 {
            return Err(malformed("its ciphertext is cut off"));
        }
        let nonce = bytes("/cipher/nonce", "the nonce is missing or is not base64")?;
        let nonce = nonce.try_into().map_err(|_| malformed("the nonce is not 24 bytes long"))?;
        Ok(Self {
            cost: Cost::parse(file.pointer("/kdf/params").unwrap_or(&Value::Null))?,
            salt: bytes("/kdf/salt", "the salt is missing or is not base64")?,
            nonce,
            ciphertext,
        })
    }
}

fn derive(password: &[u8], salt: &[u8], cost: &Cost) -> Result<Zeroizing<[u8; 32]>, Error> {
    let params = scrypt::Params::new(cost.log_n, cost.r, cost.p, 32)
        .map_err(|_| malformed("the parameters of scrypt do not fit together"))?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password, salt, &params, key.as_mut_slice())
        .map_err(|_| malformed("the parameters of scrypt do not fit together"))?;
    Ok(key)
}

fn cipher(key: &[u8; 32]) -> Result<XSalsa20Poly1305, Error> {
    XSalsa20Poly1305::new_from_slice(key).map_err(|_| malformed("the key is not 32 bytes long"))
}

fn malformed(reason: &str) -> Error {
    Error::Malformed { expected: "encrypted private key", reason: reason.to_owned() }
}

/// The label that is written, and the one of older files.
const LABELS: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];

const SCRYPT: &str = "scrypt";
const SECRETBOX: &str = "nacl/secretbox";
const NO_NAME: &str = "it does not say how it is encrypted";
const NONCE: usize = 24;

/// The largest `N * r * p`: sixteen times what cosign asks for.
const WORK_CAP: u64 = 1 << 23;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyAlgorithm, PublicKey, Sign as _};

    const COSIGN_KEY: &str = include_str!("../../../tests/fixtures/peers/cosign-encrypted.key");
    const COSIGN_PUB: &str = include_str!("../../../tests/fixtures/peers/cosign-encrypted.pub");

    /// cosign's file with another text in its JSON document.
    fn changed(from: &str, to: &str) -> String {
        let json = pem::parse(COSIGN_KEY).unwrap();
        let json = std::str::from_utf8(json.contents()).unwrap();
        assert!(json.contains(from));
        pem::encode(&Pem::new(LABELS[0], json.replacen(from, to, 1)))
    }

    #[test]
    fn a_key_file_of_cosign_gives_the_key_that_cosign_published() {
        assert!(KeyPair::is_encrypted_pem(COSIGN_KEY));
        let key = KeyPair::from_encrypted_pem(COSIGN_KEY, b"hunter2").unwrap();
        assert_eq!(key.public_key(), &PublicKey::from_pem(COSIGN_PUB).unwrap());
        let older = COSIGN_KEY.replace("SIGSTORE", "COSIGN");
        assert!(KeyPair::from_encrypted_pem(&older, b"hunter2").is_ok());
    }

    #[test]
    fn what_was_encrypted_here_is_decrypted_with_the_same_password_only() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let text = key.to_encrypted_pem(b"a password").unwrap();
            let read = KeyPair::from_encrypted_pem(&text, b"a password").unwrap();
            assert_eq!(read.public_key(), key.public_key());
            assert_eq!(
                KeyPair::from_encrypted_pem(&text, b"another").unwrap_err(),
                Error::WrongPassword
            );
        }
    }

    #[test]
    fn a_damaged_file_is_told_apart_from_a_wrong_password() {
        let half = &COSIGN_KEY[..COSIGN_KEY.len() / 2];
        for text in [
            half.to_owned(),
            changed("\"salt\":\"", "\"salt\":\"?"),
            changed("\"nonce\":\"", "\"nonce\":\"AAAA"),
            changed("{\"kdf\"", "{\"kdf"),
            changed("65536", "65537"),
            changed("65536", "-1"),
            changed("\"ciphertext\"", "\"text\""),
        ] {
            let error = KeyPair::from_encrypted_pem(&text, b"hunter2").unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{error}");
        }
        for (from, to, said) in [
            ("\"ciphertext\"", "\"text\"", "the ciphertext is missing or is not base64"),
            ("\"salt\":\"", "\"salt\":\"?", "the salt is missing or is not base64"),
            ("\"nonce\":\"", "\"nonce\":\"?", "the nonce is missing or is not base64"),
        ] {
            let error = KeyPair::from_encrypted_pem(&changed(from, to), b"hunter2").unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn parameters_that_cost_too_much_are_refused_before_any_work() {
        for (from, to) in
            [("65536", "16777216"), ("\"r\":8", "\"r\":8000"), ("\"p\":1", "\"p\":99")]
        {
            let error = KeyPair::from_encrypted_pem(&changed(from, to), b"hunter2").unwrap_err();
            assert!(matches!(error, Error::UnsupportedKey { .. }), "{error}");
        }
        let enormous = changed("65536", "18446744073709551615");
        assert!(KeyPair::from_encrypted_pem(&enormous, b"hunter2").is_err());
    }

    #[test]
    fn another_kind_of_encryption_is_named() {
        let error = KeyPair::from_encrypted_pem(&changed("scrypt", "argon2"), b"x").unwrap_err();
        assert_eq!(error.to_string(), "unsupported key: expected scrypt, found argon2");
    }
}
