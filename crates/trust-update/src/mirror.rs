use sigstore_tuf::TrustedMetadataSet;
use url::Url;

use crate::error::{Error, chain, reason};
use crate::provider;
use crate::root_metadata::check_keys;

/// A TUF repository, and the root to begin with when asking it.
#[derive(Clone, Debug)]
pub struct Mirror {
    url: Url,
    root: Vec<u8>,
}

impl Mirror {
    /// The public-good instance of Sigstore.
    pub fn public_good() -> Self {
        Self { url: known_url(PUBLIC_GOOD), root: PUBLIC_GOOD_ROOT.to_vec() }
    }

    /// Its staging instance, for trying things out.
    pub fn staging() -> Self {
        Self { url: known_url(STAGING), root: STAGING_ROOT.to_vec() }
    }

    /// The repository at `url` (http, https or file), whose root metadata is `root` or descends
    /// from it. The root may have expired.
    ///
    /// # Errors
    /// The URL is of another kind, or the root is not valid: not signed by the threshold of its own
    /// keys, or with a role that has one key twice.
    pub fn new(url: Url, root: &[u8]) -> Result<Self, Error> {
        let usable = match url.scheme() {
            "http" | "https" => url.has_host(),
            "file" => true,
            _ => false,
        };
        if !usable || url.query().is_some() || url.fragment().is_some() {
            let reason = format!("expected a mirror at an http, https or file URL, found {url}");
            return Err(Error::Root { reason });
        }
        // It would be part of file names, messages and requests.
        if !url.username().is_empty() || url.password().is_some() {
            let reason = "the mirror's URL holds a user name or a password".to_owned();
            return Err(Error::Root { reason });
        }
        provider::install();
        let unusable =
            |error: &sigstore_tuf::Error| Error::Root { reason: reason(&chain(error)).to_string() };
        let set = TrustedMetadataSet::from_root(root).map_err(|error| unusable(&error))?;
        check_keys(set.root()).map_err(|error| unusable(&error))?;
        Ok(Self { url, root: root.to_vec() })
    }

    /// A copy of the public-good instance at `url`: its metadata is signed, wherever it is served.
    /// At the URL of the staging instance, that one.
    ///
    /// # Errors
    /// As [`Mirror::new`].
    pub fn of_public_good(url: Url) -> Result<Self, Error> {
        Self::known(&url).map_or_else(|| Self::new(url, PUBLIC_GOOD_ROOT), Ok)
    }

    /// The instance at `url`, if its root is embedded.
    pub(crate) fn known(url: &Url) -> Option<Self> {
        let same = |known: &Self| directory_url(known.url()) == directory_url(url);
        [Self::public_good(), Self::staging()].into_iter().find(same)
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The root metadata that an update begins with.
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// The name of this mirror's files: its URL, percent-encoded, or the hash of a long one.
    pub(crate) fn name(&self) -> String {
        name_of(&self.url)
    }
}

/// Two URLs have the same name if and only if they are the same but for slashes at the end.
pub(crate) fn name_of(url: &Url) -> String {
    let text = directory_url(url);
    let mut name = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    if name.len() <= 200 { name } else { keys::Digest::sha256(text.as_bytes()).to_hex() }
}

fn directory_url(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

#[expect(clippy::expect_used, reason = "constants, and a test reads them")]
fn known_url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

const PUBLIC_GOOD: &str = "https://tuf-repo-cdn.sigstore.dev";
const STAGING: &str = "https://tuf-repo-cdn.sigstage.dev";
const PUBLIC_GOOD_ROOT: &[u8] = include_bytes!("../data/public_good.root.json");
const STAGING_ROOT: &[u8] = include_bytes!("../data/staging.root.json");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_roots_are_signed_by_their_own_keys() {
        for mirror in [Mirror::public_good(), Mirror::staging()] {
            Mirror::new(mirror.url().clone(), mirror.root()).unwrap();
        }
    }

    #[test]
    fn every_mirror_has_a_name_of_its_own_that_is_no_path() {
        let name = |url: &str| name_of(&Url::parse(url).unwrap());
        assert_eq!(name("https://tuf.example"), "https%3A%2F%2Ftuf.example");
        assert_eq!(name("https://tuf.example/"), name("https://tuf.example"));
        assert_ne!(name("https://tuf.example/a-b"), name("https://tuf.example/a/b"));
        assert!(!name("file:///../../etc").contains('/'));
        assert_eq!(name(&format!("https://tuf.example/{}", "a".repeat(300))).len(), 64);
    }

    #[test]
    fn a_root_that_was_touched_is_refused() {
        let url = Url::parse("https://tuf.example").unwrap();
        let text = String::from_utf8(PUBLIC_GOOD_ROOT.to_vec()).unwrap();
        let touched = text.replace("\"version\": 16", "\"version\": 17");
        assert_ne!(touched, text);
        let error = Mirror::new(url.clone(), touched.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("threshold not met for role root: 0/3"), "{error}");
        assert!(Mirror::new(url, b"{}").is_err());
    }

    #[test]
    fn a_mirror_is_at_a_url_that_can_be_asked() {
        for url in ["ftp://tuf.example", "https://tuf.example/?v=1", "data:,x"] {
            let url = Url::parse(url).unwrap();
            assert!(Mirror::new(url, PUBLIC_GOOD_ROOT).is_err());
        }
        let url = Url::parse("https://user:hunter2@tuf.example").unwrap();
        let error = Mirror::new(url, PUBLIC_GOOD_ROOT).unwrap_err().to_string();
        assert!(error.contains("user name") && !error.contains("hunter2"), "{error}");
    }
}
