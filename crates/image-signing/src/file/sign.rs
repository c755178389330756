//! Signing files.

use std::io;
use std::path::Path;

use host::FileError;
use keys::KeyAlgorithm;
use serde::Serialize;
use signer::{FileDigest, FileHasher, ForeignFormat, Session, Signed};

use crate::file::argument::FileArgument;
use crate::file::error::Error;
use crate::file::write::{check_writable, write_atomically};
use crate::signed::SignatureReport;

/// A file that was read and whose bundle can be written: everything that can be known before a
/// service is asked.
#[derive(Clone, Debug)]
pub struct FileToSign {
    file: FileArgument,
    bundle: FileArgument,
    digest: FileDigest,
}

impl FileToSign {
    /// Reads `file` once, as a stream. Its bundle will go to `bundle`.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`] and [`Error::Content`].
    pub async fn read(file: FileArgument, bundle: FileArgument) -> Result<Self, Error> {
        Self::read_for(KeyAlgorithm::EcdsaP256, file, bundle).await
    }

    /// As [`read`](Self::read), to be signed by a key of the kind `algorithm`. Keys of RSA sign
    /// whole files, which are kept in memory.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`Error::Whole`] when the file is too large to be kept.
    pub async fn read_for(
        algorithm: KeyAlgorithm,
        file: FileArgument,
        bundle: FileArgument,
    ) -> Result<Self, Error> {
        Self::hash(algorithm, file, bundle, FileHasher::finish).await
    }

    async fn hash(
        algorithm: KeyAlgorithm,
        file: FileArgument,
        bundle: FileArgument,
        finish: impl FnOnce(FileHasher) -> Result<FileDigest, ForeignFormat> + Send + 'static,
    ) -> Result<Self, Error> {
        let path = file.as_path().to_owned();
        let work = move || {
            let failed = |source| FileError::from_io(file.as_path(), source);
            if !file.is_standard() && !file.as_path().exists() {
                return Err(failed(io::ErrorKind::NotFound.into()).into());
            }
            if let FileArgument::File(path) = &bundle {
                check_writable(path).map_err(|error| cannot_write(path, error))?;
            }
            let mut hasher = FileHasher::for_key(algorithm);
            file.feed(|chunk| hasher.update(chunk)).map_err(failed)?;
            let refused = |source| Error::Content { file: file.as_path().to_owned(), source };
            let digest = finish(hasher).map_err(refused)?;
            if !digest.fits(algorithm) {
                let path = file.as_path().to_owned();
                let source = FileError::TooLarge { path: path.clone(), cap: MESSAGE_CAP };
                return Err(Error::Whole { file: path, source });
            }
            Ok(Self { file, bundle, digest })
        };
        let done = host::off_thread(work).await;
        done.unwrap_or_else(|source| Err(FileError::from_io(&path, source).into()))
    }

    /// The file.
    pub fn file(&self) -> &FileArgument {
        &self.file
    }

    /// Signs the file: the result is logged and verified, and not written yet.
    ///
    /// # Errors
    /// [`Error::Signing`].
    pub async fn sign(&self, session: &Session) -> Result<SignedFile, Error> {
        let signed = session.sign_file(&self.digest).await.map_err(|source| {
            let file = self.file.as_path().to_owned();
            Error::Signing { file, source: Box::new(source) }
        })?;
        let bundle_json = signed.bundle.to_json();
        Ok(SignedFile { target: self.clone(), signed, bundle_json })
    }
}

/// What switches a check off. Every use of it deserves a warning.
pub mod danger {
    use super::{Error, FileArgument, FileToSign, KeyAlgorithm};

    /// As [`FileToSign::read_for`], whatever the content is: its signature may be usable as one of
    /// another kind.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Write`].
    pub async fn any_content(
        algorithm: KeyAlgorithm,
        file: FileArgument,
        bundle: FileArgument,
    ) -> Result<FileToSign, Error> {
        let finish = |hasher| Ok(signer::danger::finish(hasher));
        FileToSign::hash(algorithm, file, bundle, finish).await
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
}

impl SignedFile {
    /// Where the bundle goes.
    pub fn bundle(&self) -> &FileArgument {
        &self.target.bundle
    }

    /// Writes the bundle to its file. One that goes to stdout is left to the program.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self) -> Result<(), Error> {
        let FileArgument::File(path) = self.bundle() else { return Ok(()) };
        let written = write_atomically(path, self.bundle_json.as_bytes());
        written.map_err(|error| cannot_write(path, error))
    }

    /// What `ambisign sign-blob --output json` prints.
    pub fn report(&self) -> FileSigningReport {
        let bundle_digest = keys::Digest::sha256(self.bundle_json.as_bytes()).to_hex();
        FileSigningReport {
            file: self.target.file.to_string(),
            digest: self.target.digest.digest().to_string(),
            bundle: self.target.bundle.to_string(),
            bundle_digest: format!("sha256:{bundle_digest}"),
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
    /// Where the bundle is.
    pub bundle: String,
    /// The digest of the bundle.
    pub bundle_digest: String,
    /// What is reported of any signature.
    #[serde(flatten)]
    pub signature: SignatureReport,
}

fn cannot_write(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}

/// The largest file that is kept in memory, in bytes.
const MESSAGE_CAP: usize = 128 << 20;
