//! RSA public keys. ring verifies messages and takes no digests, so digests are verified here, as
//! RFC 8017 says: one modular power of public numbers, and a comparison.

use crypto_bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use crypto_bigint::{U64, Uint, Word};
use der::asn1::UintRef;
use der::{Decode as _, Reader as _};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey,
};

use crate::algorithm::HashAlgorithm;
use crate::digest::{Digest, sha256};
use crate::error::Error;

/// An RSA key with an odd modulus of 2048 to 8192 bits.
#[derive(Clone)]
pub(crate) struct RsaKey {
    /// The key as RFC 8017 encodes it.
    pkcs1: Vec<u8>,
    modulus: Vec<u8>,
    exponent: u64,
    bits: u16,
}

impl RsaKey {
    /// Reads a DER RSAPublicKey (RFC 8017 A.1.1).
    pub(crate) fn from_pkcs1(pkcs1: &[u8]) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Malformed { expected: "public RSA key", reason };
        let (modulus, exponent) = parse(pkcs1).map_err(|error| wrong(error.to_string()))?;
        let bits = modulus
            .first()
            .map_or(0, |first| (8 * modulus.len()).saturating_sub(first.leading_zeros() as usize));
        let bits = match u16::try_from(bits) {
            Ok(bits) if (2048..=8192).contains(&bits) => bits,
            _ => {
                return Err(Error::UnsupportedKey {
                    expected: "an RSA modulus of 2048 to 8192 bits",
                    found: format!("one of {bits} bits"),
                });
            }
        };
        if modulus.last().is_none_or(|last| last & 1 == 0) {
            return Err(wrong("the modulus is even".into()));
        }
        // ring's limits: odd, at least 3, at most 33 bits.
        let exponent = match exponent.len() {
            0..=8 => exponent.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
            _ => 0,
        };
        if exponent < 3 || exponent & 1 == 0 || exponent >> 33 != 0 {
            return Err(wrong("the exponent is not an odd number from 3 to 2^33 - 1".into()));
        }
        Ok(Self { pkcs1: pkcs1.to_vec(), modulus, exponent, bits })
    }

    /// The size of the modulus.
    pub(crate) fn bits(&self) -> u16 {
        self.bits
    }

    /// RSASSA-PKCS1-v1_5.
    pub(crate) fn verify_pkcs1(
        &self,
        hash: HashAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let parameters = match hash {
            HashAlgorithm::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            HashAlgorithm::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
            HashAlgorithm::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        };
        self.ring(parameters, message, signature)
    }

    /// RSASSA-PSS with one hash throughout and a salt as long as its digests.
    pub(crate) fn verify_pss(&self, hash: HashAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let parameters = match hash {
            HashAlgorithm::Sha256 => &RSA_PSS_2048_8192_SHA256,
            HashAlgorithm::Sha384 => &RSA_PSS_2048_8192_SHA384,
            HashAlgorithm::Sha512 => &RSA_PSS_2048_8192_SHA512,
        };
        self.ring(parameters, message, signature)
    }

    /// [`Self::verify_pkcs1`] of a message with this `digest` (RFC 8017 8.2.2).
    pub(crate) fn verify_pkcs1_digest(&self, digest: &Digest, signature: &[u8]) -> bool {
        // The encoding is rebuilt and compared whole, never parsed: nothing can be hidden in it.
        let info = digest_info(digest.algorithm());
        let tail = [&[0][..], &info, digest.as_bytes()].concat();
        let filler = self.modulus.len().saturating_sub(2 + tail.len());
        let expected = [&[0, 1][..], &vec![0xff; filler], &tail].concat();
        self.power(signature).is_some_and(|encoded| encoded == expected)
    }

    /// [`Self::verify_pss`] of a message with this `digest` (RFC 8017 8.1.2 and 9.1.2).
    pub(crate) fn verify_pss_digest(&self, digest: &Digest, signature: &[u8]) -> bool {
        self.power(signature).is_some_and(|encoded| {
            // The encoded message has one bit less than the modulus: for a modulus of 8k + 1 bits
            // that is a byte less, which must then be zero.
            let bits = usize::from(self.bits) - 1;
            let (zeros, encoded) = encoded.split_at(encoded.len() - bits.div_ceil(8));
            let unused = 8 * encoded.len() - bits;
            zeros.iter().all(|byte| *byte == 0) && pss_fits(encoded, unused, digest)
        })
    }

    fn ring(&self, how: &'static RsaParameters, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(how, &self.pkcs1).verify(message, signature).is_ok()
    }

    /// RSAVP1 (RFC 8017 5.2.2): the encoded message, as long as the modulus.
    fn power(&self, signature: &[u8]) -> Option<Vec<u8>> {
        if signature.len() != self.modulus.len() {
            return None;
        }
        const WORD: usize = Word::BITS as usize;
        match self.bits {
            0..=2048 => self.power_in::<{ 2048 / WORD }>(signature),
            2049..=3072 => self.power_in::<{ 3072 / WORD }>(signature),
            3073..=4096 => self.power_in::<{ 4096 / WORD }>(signature),
            _ => self.power_in::<{ 8192 / WORD }>(signature),
        }
    }

    fn power_in<const LIMBS: usize>(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let modulus = number::<LIMBS>(&self.modulus);
        let signature = number::<LIMBS>(signature);
        if signature >= modulus {
            return None;
        }
        // Needs an odd modulus, which `from_pkcs1` checked.
        let ring = DynResidueParams::new(&modulus);
        let power = DynResidue::new(&signature, ring).pow(&U64::from_u64(self.exponent)).retrieve();
        let bytes: Vec<u8> =
            power.as_words().iter().rev().flat_map(|word| word.to_be_bytes()).collect();
        Some(bytes.get(bytes.len() - self.modulus.len()..)?.to_vec())
    }
}

impl std::fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "RsaKey({} bits, {})",
            self.bits,
            base16ct::lower::encode_string(&sha256(&self.pkcs1))
        )
    }
}

/// DigestInfo up to the digest (RFC 8017 9.2, note 1): the hashes differ in the last arc of their
/// identifier and in their length.
fn digest_info(hash: HashAlgorithm) -> [u8; 19] {
    let (whole, arc, length) = match hash {
        HashAlgorithm::Sha256 => (0x31, 1, 0x20),
        HashAlgorithm::Sha384 => (0x41, 2, 0x30),
        HashAlgorithm::Sha512 => (0x51, 3, 0x40),
    };
    [
        0x30, whole, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc,
        0x05, 0x00, 0x04, length,
    ]
}

/// Modulus and exponent, as big-endian numbers without leading zeros.
fn parse(pkcs1: &[u8]) -> der::Result<(Vec<u8>, Vec<u8>)> {
    let mut reader = der::SliceReader::new(pkcs1)?;
    let numbers = reader.sequence(|reader| {
        let modulus = UintRef::decode(reader)?;
        let exponent = UintRef::decode(reader)?;
        Ok((modulus.as_bytes().to_vec(), exponent.as_bytes().to_vec()))
    })?;
    reader.finish(numbers)
}

/// EMSA-PSS-VERIFY (RFC 8017 9.1.2) after the first steps; `unused` bits lead the encoding.
fn pss_fits(encoded: &[u8], unused: usize, digest: &Digest) -> bool {
    // The salt is as long.
    let length = digest.algorithm().len();
    let Some((masked, [hash @ .., 0xbc])) =
        encoded.len().checked_sub(length + 1).and_then(|middle| encoded.split_at_checked(middle))
    else {
        return false;
    };
    let keep = 0xff_u8 >> unused;
    if masked.first().is_none_or(|first| first & !keep != 0) {
        return false;
    }
    let mut block: Vec<u8> =
        masked.iter().zip(mask(digest.algorithm(), hash)).map(|(a, b)| a ^ b).collect();
    if let Some(first) = block.first_mut() {
        *first &= keep;
    }
    let Some((padding, salt)) =
        block.len().checked_sub(length).and_then(|middle| block.split_at_checked(middle))
    else {
        return false;
    };
    let padded = matches!(padding, [zeros @ .., 1] if zeros.iter().all(|byte| *byte == 0));
    let again = Digest::of(digest.algorithm(), &[&[0; 8], digest.as_bytes(), salt].concat());
    padded && again.as_bytes() == hash
}

/// MGF1 (RFC 8017 B.2.1), endless.
fn mask(hash: HashAlgorithm, seed: &[u8]) -> impl Iterator<Item = u8> {
    (0_u32..).flat_map(move |counter| {
        Digest::of(hash, &[seed, &counter.to_be_bytes()].concat()).as_bytes().to_vec()
    })
}

/// A big-endian number of at most `LIMBS` words.
fn number<const LIMBS: usize>(bytes: &[u8]) -> Uint<LIMBS> {
    const WORD: usize = size_of::<Word>();
    let mut words = [0; LIMBS];
    for (word, chunk) in words.iter_mut().zip(bytes.rchunks(WORD)) {
        *word = chunk.iter().fold(0, |word: Word, byte| word << 8 | Word::from(*byte));
    }
    Uint::from_words(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of the form, with this modulus, whose factors are unknown.
    fn pkcs1(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let integer = |bytes: &[u8]| raw(0x02, bytes);
        raw(0x30, &[integer(modulus), integer(exponent)].concat())
    }

    fn raw(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let head = match length {
            [0, short @ 0..=127] => vec![tag, short],
            [0, long] => vec![tag, 0x81, long],
            [high, low] => vec![tag, 0x82, high, low],
        };
        [head, content.to_vec()].concat()
    }

    fn refused(modulus: &[u8], exponent: &[u8]) -> String {
        RsaKey::from_pkcs1(&pkcs1(modulus, exponent)).unwrap_err().to_string()
    }

    #[test]
    fn the_size_of_the_modulus_is_counted_in_bits() {
        let mut modulus = vec![0xff; 257];
        for (first, bits) in [(0, 2048), (1, 2049), (0x7f, 2055)] {
            modulus[0] = first;
            assert_eq!(RsaKey::from_pkcs1(&pkcs1(&modulus, &[3])).unwrap().bits(), bits);
        }
        modulus[0] = 0;
        modulus[1] = 0x7f;
        assert!(refused(&modulus[1..], &[3]).ends_with("found one of 2047 bits"));
        assert!(refused(&[&[0], &[0xff; 1025][..]].concat(), &[3]).contains("8200 bits"));
    }

    #[test]
    fn a_modulus_is_odd_and_an_exponent_odd_and_within_bounds() {
        let modulus = [&[0], &[0xff; 256][..]].concat();
        let even = [&[0], &[0xff; 255][..], &[0xfe]].concat();
        assert!(refused(&even, &[3]).ends_with("the modulus is even"));
        for exponent in [&[1][..], &[4], &[2, 0, 0, 0, 1], &[1; 9]] {
            assert!(refused(&modulus, exponent).contains("the exponent"), "{exponent:?}");
        }
        assert!(RsaKey::from_pkcs1(&pkcs1(&modulus, &[1, 0, 1])).is_ok());
        // Negative, and with a byte too many.
        assert!(RsaKey::from_pkcs1(&pkcs1(&modulus[1..], &[3])).is_err());
        assert!(RsaKey::from_pkcs1(&[pkcs1(&modulus, &[3]), vec![0]].concat()).is_err());
    }

    #[test]
    fn a_signature_is_a_number_below_the_modulus_and_as_long() {
        let modulus = [&[0], &[0xff; 256][..]].concat();
        let key = RsaKey::from_pkcs1(&pkcs1(&modulus, &[3])).unwrap();
        assert_eq!(key.power(&[0xff; 256]), None);
        assert_eq!(key.power(&[1; 255]), None);
        assert_eq!(key.power(&[1; 257]), None);
        // Two to the third is eight, whatever the modulus.
        let two = [&[0; 255][..], &[2]].concat();
        let eight = [&[0; 255][..], &[8]].concat();
        assert_eq!(key.power(&two), Some(eight));
    }

    #[test]
    fn a_power_is_the_same_in_every_size_of_number() {
        for bytes in [256, 300, 384, 400, 512, 700, 1024] {
            let modulus = [&[0], &vec![0xff; bytes][..]].concat();
            let key = RsaKey::from_pkcs1(&pkcs1(&modulus, &[1, 0, 1])).unwrap();
            // Modulo 2^k - 1, 2^65537 is 2^(65537 mod k).
            let exponent = 65537 % (8 * bytes);
            let mut two = vec![0; bytes];
            two[bytes - 1] = 2;
            let mut expected = vec![0; bytes];
            expected[bytes - 1 - exponent / 8] = 1 << (exponent % 8);
            assert_eq!(key.power(&two), Some(expected), "{bytes}");
        }
    }

    #[test]
    fn a_pss_encoding_too_short_to_be_one_does_not_fit() {
        let sha256 = Digest::sha256(b"");
        for length in [0, 1, 32, 33, 34, 65] {
            assert!(!pss_fits(&vec![0xbc; length], 0, &sha256), "{length}");
        }
    }
}
