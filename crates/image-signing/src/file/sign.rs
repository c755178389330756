//! Signing files.

use std::io;
use std::path::{Path, PathBuf};

use host::FileError;
use keys::KeyAlgorithm;
use serde::Serialize;
use signer::{FileDigest, FileHasher, ForeignFormat, Session, Signed};

use crate::file::argument::FileArgument;
use crate::file::error::Error;
use crate::file::outputs::Outputs;
use crate::file::write::{kept, write_atomically};
use crate::signed::SignatureReport;

/// A file that was read and whose signature can be written: everything that can be known before a
/// service is asked.
#[derive(Clone, Debug)]
pub struct FileToSign {
    file: FileArgument,
    outputs: Outputs,
    digest: FileDigest,
}

impl FileToSign {
    /// Reads `file` once, as a stream. Its signature will go to `outputs`: a bundle, say.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`], and [`Error::Signing`] by a [`ForeignFormat`].
    pub async fn read(file: FileArgument, outputs: impl Into<Outputs>) -> Result<Self, Error> {
        Self::read_for(KeyAlgorithm::EcdsaP256, file, outputs).await
    }

    /// As [`read`](Self::read), to be signed by a key of the kind `algorithm`. Keys of RSA sign
    /// whole files, which are kept in memory.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::Whole`] when the file is too large to be kept.
    pub async fn read_for(
        algorithm: KeyAlgorithm,
        file: FileArgument,
        outputs: impl Into<Outputs>,
    ) -> Result<Self, Error> {
        Self::hash(algorithm, file, outputs.into(), FileHasher::finish).await
    }

    async fn hash(
        algorithm: KeyAlgorithm,
        file: FileArgument,
        outputs: Outputs,
        finish: impl FnOnce(FileHasher) -> Result<FileDigest, ForeignFormat> + Send + 'static,
    ) -> Result<Self, Error> {
        let path = file.as_path().to_owned();
        let work = move || {
            let failed = |source| FileError::from_io(file.as_path(), source);
            if !file.is_standard() && !file.as_path().exists() {
                return Err(failed(io::ErrorKind::NotFound.into()).into());
            }
            for (_, output) in outputs.files() {
                output.check_writable()?;
            }
            let mut hasher = FileHasher::for_key(algorithm);
            file.feed(|chunk| hasher.update(chunk)).map_err(failed)?;
            let refused = |error: ForeignFormat| {
                let (file, source) = (file.as_path().to_owned(), Box::new(error));
                Error::Signing { file, source }
            };
            let digest = finish(hasher).map_err(refused)?;
            if !digest.fits(algorithm) {
                let path = file.as_path().to_owned();
                let source = FileError::TooLarge { path: path.clone(), cap: MESSAGE_CAP };
                return Err(Error::Whole { file: path, source });
            }
            Ok(Self { file, outputs, digest })
        };
        let done = host::off_thread(work).await;
        done.unwrap_or_else(|source| Err(FileError::from_io(&path, source).into()))
    }

    /// The file.
    pub fn file(&self) -> &FileArgument {
        &self.file
    }

    /// As [`sign`](Self::sign), and writes the signature to its files.
    ///
    /// # Errors
    /// [`Error::Signing`] and [`Error::Write`].
    pub async fn sign_and_write(&self, session: &Session) -> Result<SignedFile, Error> {
        let signed = self.sign(session).await?;
        signed.write()?;
        Ok(signed)
    }

    /// Signs the file: the result is logged and verified, and not written yet.
    ///
    /// # Errors
    /// [`Error::Signing`].
    pub async fn sign(&self, session: &Session) -> Result<SignedFile, Error> {
        let failed = |source| {
            let file = self.file.as_path().to_owned();
            Error::Signing { file, source: Box::new(source) }
        };
        let signed = session.sign_file(&self.digest).await.map_err(failed)?;
        let bundle_json = self.outputs.bundle_text(&signed).map_err(failed)?;
        let parts = self.outputs.parts(&signed).map_err(failed)?;
        let parts = parts.into_iter().map(|(path, text)| (path.to_owned(), text)).collect();
        Ok(SignedFile { target: self.clone(), signed, bundle_json, parts })
    }
}

/// What switches a check off. Every use of it deserves a warning.
pub mod danger {
    use super::{Error, FileArgument, FileToSign, KeyAlgorithm, Outputs};

    /// As [`FileToSign::read_for`], whatever the content is: its signature may be usable as one of
    /// another kind.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Write`].
    pub async fn any_content(
        algorithm: KeyAlgorithm,
        file: FileArgument,
        outputs: impl Into<Outputs>,
    ) -> Result<FileToSign, Error> {
        let finish = |hasher| Ok(signer::danger::finish(hasher));
        FileToSign::hash(algorithm, file, outputs.into(), finish).await
    }
}

/// A signature of a file: made, logged and verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SignedFile {
    /// What was signed.
    pub target: FileToSign,
    /// The signature, its signer and its log entries.
    pub signed: Signed,
    /// The bundle: JSON of one line.
    pub bundle_json: String,
    /// What goes to other files.
    parts: Vec<(PathBuf, String)>,
}

impl SignedFile {
    /// Where the bundle goes, if one is written.
    pub fn bundle(&self) -> Option<&FileArgument> {
        self.target.outputs.bundle.as_ref()
    }

    /// The first file that is written: the bundle, if there is one.
    pub fn output(&self) -> String {
        self.target.outputs.first().map_or_else(String::new, |file| file.to_string())
    }

    /// Writes the signature to its files. A bundle that goes to stdout is left to the program.
    ///
    /// # Errors
    /// [`Error::Write`], whose source says where the signature is kept, as of
    /// [`write_or_keep`](crate::file::write_or_keep).
    pub fn write(&self) -> Result<(), Error> {
        let bundle = match self.bundle() {
            Some(FileArgument::File(path)) => Some((path, &self.bundle_json)),
            _ => None,
        };
        for (path, text) in self.parts.iter().map(|(path, text)| (path, text)).chain(bundle) {
            let written = write_atomically(path, text.as_bytes());
            written.map_err(|error| {
                let bundle = self.bundle_json.as_str().into();
                cannot_write(path, kept(path, &bundle, error))
            })?;
        }
        Ok(())
    }

    /// What `ambisign sign-blob --output json` prints.
    pub fn report(&self) -> FileSigningReport {
        let digest = keys::Digest::sha256(self.bundle_json.as_bytes()).to_hex();
        let bundle = self.bundle();
        FileSigningReport {
            file: self.target.file.to_string(),
            digest: self.target.digest.digest().to_string(),
            bundle: bundle.map(ToString::to_string),
            bundle_digest: bundle.map(|_| format!("sha256:{digest}")),
            signature: SignatureReport::new(&self.signed),
        }
    }
}

/// What is reported of a signed file.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FileSigningReport {
    /// The file as it was named.
    pub file: String,
    /// Its digest.
    pub digest: String,
    /// Where the bundle is, if one is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// The digest of the bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle_digest: Option<String>,
    /// What is reported of any signature.
    #[serde(flatten)]
    pub signature: SignatureReport,
}

fn cannot_write(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}

/// The largest file that is kept in memory, in bytes.
const MESSAGE_CAP: usize = 128 << 20;
