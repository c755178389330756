//! Content digests as registries write them.

use std::fmt;
use std::str::FromStr;

use keys::HashAlgorithm;
use serde::{Serialize, Serializer};

use crate::error::Error;

/// A content digest, `sha256:<64 hex>` or `sha512:<128 hex>`, in lower case.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest {
    text: String,
    algorithm_len: usize,
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self {
            text: format!("sha256:{}", base16ct::lower::encode_string(&keys::sha256(bytes))),
            algorithm_len: 6,
        }
    }

    /// The SHA-256 digest of `parts`, one after the other.
    pub fn sha256_of(parts: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let digest = keys::Digest::of_pieces(HashAlgorithm::Sha256, parts);
        Self { text: digest.to_string(), algorithm_len: 6 }
    }

    /// The whole text, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        &self.text[..self.algorithm_len]
    }

    /// The part after the colon.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm_len + 1..]
    }

    /// Whether this is the digest of `bytes`.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let algorithm = match self.algorithm() {
            "sha512" => HashAlgorithm::Sha512,
            _ => HashAlgorithm::Sha256,
        };
        keys::Digest::of(algorithm, bytes).to_hex() == self.hex()
    }

    /// The tag under which a registry without the referrers API lists the referrers of this
    /// digest (distribution specification, "Referrers Tag Schema"): both parts are cut to 32 and
    /// 64 characters.
    pub fn fallback_tag(&self) -> String {
        let hex = self.hex();
        format!("{}-{}", self.algorithm(), hex.get(..64).unwrap_or(hex))
    }

    /// The tag under which cosign kept signatures (`sig`) or attestations (`att`) before referrers.
    /// `None` for SHA-512: the name would be longer than a tag may be.
    pub(crate) fn legacy_tag(&self, suffix: &str) -> Option<String> {
        (self.algorithm() == "sha256").then(|| format!("sha256-{}.{suffix}", self.hex()))
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // A registry may have written it, at any length.
        let shown = || text.chars().take(LONGEST_SHOWN).collect();
        let bad = |reason: String| Error::Reference { text: shown(), reason };
        let Some((algorithm, hex)) = text.split_once(':') else {
            return Err(bad("a digest is written <algorithm>:<hex>".to_owned()));
        };
        let expected = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => {
                return Err(bad("the digest algorithm must be sha256 or sha512".to_owned()));
            }
        };
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) || hex.len() != expected {
            let found = hex.chars().count();
            return Err(bad(format!(
                "a {algorithm} digest needs {expected} hex characters, found {found} characters"
            )));
        }
        if hex.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(bad("the hex characters of a digest must be lower case".to_owned()));
        }
        Ok(Self { text: text.to_owned(), algorithm_len: algorithm.len() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

const LONGEST_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_the_empty_object_is_the_well_known_one() {
        let digest = Digest::sha256(b"{}");
        let text = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(digest.as_str(), text);
        assert_eq!(text.parse::<Digest>().unwrap(), digest);
        assert!(digest.matches(b"{}"));
        assert!(!digest.matches(b"{ }"));
    }

    #[test]
    fn the_fallback_tag_of_a_long_digest_is_cut() {
        let digest: Digest = format!("sha512:{}", "ab".repeat(64)).parse().unwrap();
        assert_eq!(digest.fallback_tag(), format!("sha512-{}", "ab".repeat(32)));
    }

    #[test]
    fn there_is_no_earlier_tag_of_a_sha512_digest() {
        let digest: Digest = format!("sha512:{}", "ab".repeat(64)).parse().unwrap();
        assert_eq!(digest.legacy_tag("sig"), None);
        let digest = Digest::sha256(b"x");
        assert_eq!(digest.legacy_tag("sig"), Some(format!("sha256-{}.sig", digest.hex())));
    }

    #[test]
    fn a_sha512_digest_is_compared_by_its_own_algorithm() {
        let hex = keys::Digest::of(HashAlgorithm::Sha512, b"x").to_hex();
        let digest: Digest = format!("sha512:{hex}").parse().unwrap();
        assert!(digest.matches(b"x"));
        assert!(!digest.matches(b"y"));
    }

    #[test]
    fn what_is_wrong_with_a_digest_is_said_in_few_words() {
        let error = "x".repeat(4 << 20).parse::<Digest>().unwrap_err();
        assert!(error.to_string().len() < 300, "{}", error.to_string().len());
    }

    #[test]
    fn what_is_not_a_digest_is_explained() {
        for (text, part) in [
            ("sha256:abc", "needs 64 hex characters, found 3"),
            ("md5:abc", "must be sha256 or sha512"),
            ("abc", "<algorithm>:<hex>"),
            (&format!("sha256:{}", "AB".repeat(32)), "lower case"),
            (&format!("sha256:{}", "zz".repeat(32)), "hex characters"),
        ] {
            let error = text.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
