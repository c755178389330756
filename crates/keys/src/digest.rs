//! Hash algorithms, digests, and hashing as a stream.

use std::fmt;

use ring::digest;

use crate::algorithm::HashAlgorithm;
use crate::error::Error;

/// The digest of some bytes, always of its algorithm's length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: HashAlgorithm,
    bytes: Vec<u8>,
}

impl Digest {
    /// A digest that was computed elsewhere.
    ///
    /// # Errors
    /// `bytes` is not as long as a digest of `algorithm`.
    pub fn new(algorithm: HashAlgorithm, bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let bytes = bytes.into();
        if bytes.len() != algorithm.len() {
            return Err(Error::DigestLength {
                algorithm,
                expected: algorithm.len(),
                found: format!("{} bytes", bytes.len()),
            });
        }
        Ok(Self { algorithm, bytes })
    }

    /// A digest that is written in hexadecimal, in either case.
    ///
    /// # Errors
    /// The text is not hexadecimal, or not as long as a digest of `algorithm`.
    pub fn from_hex(algorithm: HashAlgorithm, hex: &str) -> Result<Self, Error> {
        let wrong =
            |found: String| Error::DigestLength { algorithm, expected: algorithm.len(), found };
        if hex.len() != 2 * algorithm.len() {
            return Err(wrong(format!("{} characters", hex.len())));
        }
        let bytes = base16ct::mixed::decode_vec(hex)
            .map_err(|_| wrong("text that is not hexadecimal".into()))?;
        Ok(Self { algorithm, bytes })
    }

    /// Hashes `data`.
    pub fn of(algorithm: HashAlgorithm, data: &[u8]) -> Self {
        let bytes = digest::digest(implementation(algorithm), data).as_ref().to_vec();
        Self { algorithm, bytes }
    }

    /// Hashes `pieces`, one after the other.
    pub fn of_pieces(
        algorithm: HashAlgorithm,
        pieces: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Self {
        let mut hasher = Hasher::new(algorithm);
        pieces.into_iter().for_each(|piece| hasher.update(piece.as_ref()));
        hasher.finish()
    }

    /// Hashes `data` with SHA-256.
    pub fn sha256(data: &[u8]) -> Self {
        Self::of(HashAlgorithm::Sha256, data)
    }

    /// The algorithm it was made with.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest in lower-case hexadecimal, without the algorithm.
    pub fn to_hex(&self) -> String {
        base16ct::lower::encode_string(&self.bytes)
    }
}

/// As OCI writes it: `sha256:…`.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// Hashes a stream, in constant memory.
#[derive(Clone)]
pub struct Hasher {
    algorithm: HashAlgorithm,
    context: digest::Context,
}

impl Hasher {
    /// A hasher without any input yet.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Self { algorithm, context: digest::Context::new(implementation(algorithm)) }
    }

    /// Hashes the next part of the stream.
    pub fn update(&mut self, data: &[u8]) {
        self.context.update(data);
    }

    /// The digest of the whole stream.
    pub fn finish(self) -> Digest {
        Digest { algorithm: self.algorithm, bytes: self.context.finish().as_ref().to_vec() }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

fn implementation(algorithm: HashAlgorithm) -> &'static digest::Algorithm {
    match algorithm {
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
    }
}

/// The SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-4, the digests of "abc".
    const ABC: [(HashAlgorithm, &str); 3] = [
        (HashAlgorithm::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            HashAlgorithm::Sha384,
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
             8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            HashAlgorithm::Sha512,
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
    ];

    #[test]
    fn the_published_digests_come_out() {
        for (algorithm, hex) in ABC {
            assert_eq!(Digest::of(algorithm, b"abc").to_hex(), hex);
            assert_eq!(Digest::of(algorithm, b"abc"), Digest::from_hex(algorithm, hex).unwrap());
        }
        assert_eq!(sha256(b"abc"), Digest::sha256(b"abc").as_bytes());
    }

    #[test]
    fn a_stream_in_pieces_has_the_digest_of_the_whole() {
        for (algorithm, hex) in ABC {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"a");
            hasher.update(b"");
            hasher.update(b"bc");
            assert_eq!(hasher.finish().to_hex(), hex);
        }
    }

    #[test]
    fn a_digest_has_its_algorithms_length() {
        let error = Digest::new(HashAlgorithm::Sha384, vec![0; 32]).unwrap_err();
        assert_eq!(error.to_string(), "expected a sha384 digest of 48 bytes, found 32 bytes");
        let error = Digest::from_hex(HashAlgorithm::Sha256, "abc").unwrap_err();
        assert_eq!(error.to_string(), "expected a sha256 digest of 32 bytes, found 3 characters");
        let error = Digest::from_hex(HashAlgorithm::Sha256, &"+1".repeat(32)).unwrap_err();
        assert!(error.to_string().ends_with("found text that is not hexadecimal"), "{error}");
    }

    #[test]
    fn a_digest_is_shown_as_oci_writes_it() {
        let digest = Digest::sha256(b"abc");
        assert_eq!(digest.to_string(), format!("sha256:{}", ABC[0].1));
    }
}
