use std::path::Path;
use std::str::FromStr;

use host::{Env, Host, Transport};
use keys::{Digest, HashAlgorithm};
use url::Url;

use crate::directories::ROOT_CAP;
use crate::error::{Error, chain};
use crate::fetch::get;
use crate::mirror::Mirror;

/// The expected checksum of a root: hexadecimal digits, of SHA-256 unless `sha512:` stands before
/// them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum(Digest);

impl FromStr for Checksum {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (algorithm, digits) = match text.split_once(':') {
            None => (HashAlgorithm::Sha256, text),
            Some(("sha256", digits)) => (HashAlgorithm::Sha256, digits),
            Some(("sha512", digits)) => (HashAlgorithm::Sha512, digits),
            Some((other, _)) => {
                let reason = format!("expected a checksum of sha256 or sha512, found {other:?}");
                return Err(Error::Root { reason });
            }
        };
        Digest::from_hex(algorithm, &digits.to_ascii_lowercase())
            .map(Self)
            .map_err(|error| Error::Root { reason: format!("the checksum: {error}") })
    }
}

/// The mirror at `url`, else that of the public Sigstore. Its root metadata is read from `root` as
/// [`read_root`] does, with the text of a [`Checksum`]; without it, it is that of the public Sigstore.
///
/// # Errors
/// As of [`read_root`], [`Mirror::new`] and [`Mirror::of_public_good`]; the checksum cannot be read.
pub async fn mirror_with_root(
    url: Option<Url>,
    root: Option<&str>,
    checksum: Option<&str>,
    host: &Host,
) -> Result<Mirror, Error> {
    let url = url.unwrap_or_else(|| Mirror::public_good().url().clone());
    let Some(location) = root else { return Mirror::of_public_good(url) };
    let checksum = checksum.map(str::parse::<Checksum>).transpose()?;
    let root = read_root(location, checksum.as_ref(), &*host.env, &*host.http).await?;
    Mirror::new(url, &root)
}

/// Reads root metadata from a file or from an http or https URL. From a URL it is taken only with
/// a checksum: nothing else shows that it is the right one.
///
/// # Errors
/// It cannot be read, is larger than 512 kB, or has another checksum.
pub async fn read_root(
    location: &str,
    checksum: Option<&Checksum>,
    env: &dyn Env,
    http: &dyn Transport,
) -> Result<Vec<u8>, Error> {
    let url = Url::parse(location).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let bytes = match url {
        None => env
            .read(Path::new(location), ROOT_CAP)
            .await
            .map_err(|error| Error::Root { reason: chain(&error) })?,
        Some(_) if checksum.is_none() => {
            let reason = "a root from the network needs a checksum".to_owned();
            return Err(Error::Root { reason });
        }
        Some(url) => get(&url, ROOT_CAP, http)
            .await
            .map_err(|error| Error::Unreachable {
                mirror: url.to_string(),
                source: Box::new(error),
            })?
            .ok_or_else(|| Error::Root { reason: format!("there is nothing at {url}") })?,
    };
    if let Some(Checksum(expected)) = checksum {
        let found = Digest::of(expected.algorithm(), &bytes);
        if found != *expected {
            return Err(Error::Root {
                reason: format!(
                    "expected the {} {}, found {}",
                    expected.algorithm().name(),
                    expected.to_hex(),
                    found.to_hex()
                ),
            });
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_sha256_unless_it_says_otherwise() {
        let sha256 = Digest::sha256(b"root").to_hex();
        let sha512 = Digest::of(HashAlgorithm::Sha512, b"root").to_hex();
        let parsed = |text: &str| text.parse::<Checksum>();
        assert_eq!(parsed(&sha256).unwrap(), parsed(&format!("sha256:{sha256}")).unwrap());
        assert_eq!(parsed(&sha256.to_uppercase()).unwrap(), parsed(&sha256).unwrap());
        parsed(&format!("sha512:{sha512}")).unwrap();
        for wrong in ["", "sha1:00", &sha512, &sha256[1..]] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
