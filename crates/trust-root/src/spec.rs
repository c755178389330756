//! Services as the flags of `cosign trusted-root create` and `cosign signing-config create`
//! describe them: `url=https://rekor.example,start-time=2026-01-01T00:00:00Z`.

use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use keys::{KeyAlgorithm, PublicKey};
use url::Url;

use crate::document::quote;
use crate::error::Error;
use crate::log::Log;
use crate::root::CertificateAuthority;
use crate::service::Service;
use crate::window::Window;

/// How the files that a description names are read. The reader has the limit on their size.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>;

impl CertificateAuthority {
    /// A Fulcio: `url=URL,certificate-chain=FILE[,start-time=T][,end-time=T]`, with the defaults
    /// of [`CertificateAuthority::fulcio`].
    ///
    /// # Errors
    ///
    /// When the description is incomplete or malformed, or the file cannot be read or used.
    pub fn fulcio_from_spec(spec: &str, read: ReadFile<'_>) -> Result<Self, Error> {
        let spec = Spec::parse(spec, AUTHORITY)?;
        let (start, end) = (spec.time("start-time")?, spec.time("end-time")?);
        Self::fulcio(spec.url()?.0, &spec.file("certificate-chain", read)?, start, end)
    }

    /// A timestamp authority: as [`CertificateAuthority::fulcio_from_spec`], with the defaults of
    /// [`CertificateAuthority::timestamp`].
    ///
    /// # Errors
    ///
    /// The same.
    pub fn timestamp_from_spec(spec: &str, read: ReadFile<'_>) -> Result<Self, Error> {
        let spec = Spec::parse(spec, AUTHORITY)?;
        let (start, end) = (spec.time("start-time")?, spec.time("end-time")?);
        Self::timestamp(spec.url()?.0, &spec.file("certificate-chain", read)?, start, end)
    }
}

impl Log {
    /// A Rekor log: `url=URL,public-key=FILE,start-time=T[,end-time=T][,origin=NAME]`.
    ///
    /// # Errors
    ///
    /// When the description is incomplete or malformed, or the file cannot be read or used.
    pub fn rekor_from_spec(spec: &str, read: ReadFile<'_>) -> Result<Self, Error> {
        let spec = Spec::parse(spec, REKOR)?;
        let (url, window) = (spec.url()?.0, spec.window()?);
        Self::rekor_with_origin(url, spec.key(read)?, window, spec.get("origin"))
    }

    /// A log of certificates: `url=URL,public-key=FILE,start-time=T[,end-time=T]`.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn ctlog_from_spec(spec: &str, read: ReadFile<'_>) -> Result<Self, Error> {
        let spec = Spec::parse(spec, CTLOG)?;
        let (url, window) = (spec.url()?.0, spec.window()?);
        Ok(Self::certificates(url, spec.key(read)?, window))
    }

    /// The warning that its `origin` was probably forgotten, so that no entry of it will be found: it
    /// has the id of a Rekor v1 log and the kind of key that Rekor v2 logs have.
    pub fn missing_origin(&self) -> Option<String> {
        let key = self.key();
        let is_suspect = key.algorithm() == KeyAlgorithm::Ed25519 && self.log_id() == key.id();
        let (url, name) = (self.base_url(), self.host_name().unwrap_or_default());
        is_suspect.then(|| {
            format!(
                "{url}: an Ed25519 key usually belongs to a Rekor v2 log, whose entries also state \
                 its name: add origin={name}"
            )
        })
    }
}

impl Service {
    /// A service to sign with: `url=URL,api-version=N,start-time=T,operator=NAME[,end-time=T]`.
    ///
    /// # Errors
    ///
    /// When the description is incomplete or malformed.
    pub fn from_spec(spec: &str) -> Result<Self, Error> {
        let spec = Spec::parse(spec, SERVICE)?;
        let version = spec.require("api-version")?;
        let version = version.parse().ok().filter(|version| *version > 0);
        let major_api_version =
            version.ok_or_else(|| wrong("api-version: expected a number from 1 on"))?;
        let operator = spec.require("operator")?.to_owned();
        Ok(Self { url: spec.url()?.1, major_api_version, operator, valid_for: spec.window()? })
    }
}

struct Spec<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Spec<'a> {
    /// Reads `text`, in which only the keys `known` may stand, each once.
    fn parse(text: &'a str, known: &[&str]) -> Result<Self, Error> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for pair in text.split(',') {
            let (key, value) = pair
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()))
                .filter(|(key, value)| !key.is_empty() && !value.is_empty())
                .ok_or_else(|| wrong(format!("expected KEY=VALUE, found {}", quote(pair))))?;
            if !known.contains(&key) {
                let known = known.join(", ");
                return Err(wrong(format!("expected one of {known}, found {}", quote(key))));
            }
            if pairs.iter().any(|(other, _)| *other == key) {
                return Err(wrong(format!("{key} is given twice")));
            }
            pairs.push((key, value));
        }
        Ok(Self { pairs })
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(other, _)| *other == key).map(|(_, value)| *value)
    }

    fn require(&self, key: &str) -> Result<&'a str, Error> {
        self.get(key).ok_or_else(|| wrong(format!("{key} is missing")))
    }

    /// The URL, as it was written and parsed.
    fn url(&self) -> Result<(&'a str, Url), Error> {
        let text = self.require("url")?;
        let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let found = || wrong(format!("expected an http or https URL, found {}", quote(text)));
        Ok((text, url.ok_or_else(found)?))
    }

    fn window(&self) -> Result<Window, Error> {
        let start = self.time("start-time")?;
        let start = start.ok_or_else(|| wrong("start-time is missing"))?;
        Window::new(start, self.time("end-time")?)
    }

    fn time(&self, key: &str) -> Result<Option<SystemTime>, Error> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let time = text.parse::<Timestamp>().map_err(|_| {
            let found = quote(text);
            wrong(format!("{key}: expected a time such as 2026-01-31T00:00:00Z, found {found}"))
        })?;
        Ok(Some(time.into()))
    }

    fn key(&self, read: ReadFile<'_>) -> Result<PublicKey, Error> {
        let pem = self.file("public-key", read)?;
        let path = "public-key".to_owned();
        PublicKey::from_pem(&pem).map_err(|source| Error::Key { path, source })
    }

    /// The text of the file that `key` names. What is not UTF-8 is not PEM either.
    fn file(&self, key: &str, read: ReadFile<'_>) -> Result<String, Error> {
        let path = Path::new(self.require(key)?);
        let failed = |source| Error::File { path: path.to_owned(), source };
        Ok(String::from_utf8_lossy(&read(path).map_err(failed)?).into_owned())
    }
}

fn wrong(problem: impl Into<String>) -> Error {
    Error::Spec { problem: problem.into() }
}

const AUTHORITY: &[&str] = &["url", "certificate-chain", "start-time", "end-time"];
const REKOR: &[&str] = &["url", "public-key", "start-time", "end-time", "origin"];
const CTLOG: &[&str] = &["url", "public-key", "start-time", "end-time"];
const SERVICE: &[&str] = &["url", "api-version", "start-time", "end-time", "operator"];

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Service::from_spec(text).map_or_else(|error| error.to_string(), |_| "none".to_owned())
    }

    #[test]
    fn a_description_is_read_whole_or_refused() {
        let good =
            "url=https://r.example, api-version=1,operator=me,start-time=2026-01-01T00:00:00Z";
        assert_eq!(problem(good), "none");
        let with = |from: &str, to: &str| problem(&good.replace(from, to));
        for (found, expected) in [
            (problem(""), "expected KEY=VALUE, found \"\""),
            (problem("url=https://r.example,api-version=1,operator=me"), "start-time is missing"),
            (with("https://", ""), "expected an http or https URL, found \"r.example\""),
            (problem("url=https://r.example,url=https://r.example"), "url is given twice"),
            (
                problem("url=https://r.example,until=now"),
                "expected one of url, api-version, start-time, end-time, operator, found \"until\"",
            ),
            (with("=1,", "=0,"), "api-version: expected a number from 1 on"),
            (
                with("2026-01-01T00:00:00Z", "now"),
                "start-time: expected a time such as 2026-01-31T00:00:00Z, found \"now\"",
            ),
            (
                problem(&format!("{good},end-time=2025-01-01T00:00:00Z")),
                "validFor: the window ends before it starts",
            ),
        ] {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_or_used_is_named() {
        let spec = "url=https://f.example,certificate-chain=chain.pem";
        let missing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        let error = CertificateAuthority::fulcio_from_spec(spec, &missing).unwrap_err();
        assert_eq!(error.to_string(), "cannot read chain.pem");
        let junk = |_: &Path| Ok(b"junk".to_vec());
        let error = CertificateAuthority::fulcio_from_spec(spec, &junk).unwrap_err();
        assert_eq!(error.to_string(), "certificate-chain: not a certificate");
        let spec = "url=https://f.example,public-key=key.pem,start-time=2026-01-01T00:00:00Z";
        let error = Log::rekor_from_spec(spec, &junk).unwrap_err();
        assert_eq!(error.to_string(), "public-key: not a usable public key");
        let origin = format!("{spec},origin=f.example");
        assert!(matches!(Log::ctlog_from_spec(&origin, &junk), Err(Error::Spec { .. })));
    }

    #[test]
    fn an_ed25519_log_without_an_origin_is_told_apart() {
        use keys::Sign as _;
        let pair = keys::KeyPair::generate_for(KeyAlgorithm::Ed25519).unwrap();
        let read = |_: &Path| Ok(pair.public_key().to_pem().into_bytes());
        let spec = "url=https://r.example,public-key=k,start-time=2026-01-01T00:00:00Z";
        assert!(Log::rekor_from_spec(spec, &read).unwrap().missing_origin().is_some());
        let named = format!("{spec},origin=r.example");
        assert_eq!(Log::rekor_from_spec(&named, &read).unwrap().missing_origin(), None);
    }
}
