//! Signatures that are logged and not attached to their image yet. They are public for ever, so
//! they must not be lost, whatever ends the program.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, fs, io};

use crate::event::{Event, Listener};
use crate::file::write_parts_atomically;
use crate::signed::SignedImage;

/// The signatures that would be lost if the program ended now. When this is dropped, they are kept.
pub struct Unattached {
    signatures: Arc<Mutex<Vec<SignedImage>>>,
    bundle: Option<PathBuf>,
    report: Box<Report>,
}

type Report = dyn Fn(&SignedImage, Kept) + Send + Sync;

/// Where a signature is kept that is not attached: in a sentence, by `Display`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Kept {
    /// The file with its bundle, or why it could not be written.
    pub file: io::Result<PathBuf>,
    /// The shell command that attaches it later; `None` without a file, and when a name cannot be
    /// quoted.
    pub command: Option<String>,
    bundle_json: String,
}

impl Unattached {
    /// Nothing is signed yet. The program writes the bundle to `bundle`, if at all. `report` learns of
    /// each signature that was not attached when this is dropped, because a deadline or a signal ended
    /// the work.
    pub fn new(
        bundle: Option<PathBuf>,
        report: impl Fn(&SignedImage, Kept) + Send + Sync + 'static,
    ) -> Self {
        Self { signatures: Arc::default(), bundle, report: Box::new(report) }
    }

    /// Learns of each signature before it is attached and after, and then tells `next`; for
    /// [`ImageSigner::with_listener`](crate::ImageSigner::with_listener).
    pub fn listener(&self, next: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Listener {
        let signatures = Arc::clone(&self.signatures);
        Arc::new(move |event| {
            match event {
                Event::Attaching(signed) => lock(&signatures).push((*signed).clone()),
                Event::Attached(signed) => forget(&signatures, signed),
                _ => {}
            }
            next(event);
        })
    }

    /// Keeps the bundle of `signed`, which is not attached: where the program wrote it, else in a new
    /// file of the current directory.
    pub fn keep(&self, signed: &SignedImage) -> Kept {
        forget(&self.signatures, signed);
        let is_there = |path: &&PathBuf| path.is_file() && signed.is_in(path).unwrap_or_default();
        let file = match self.bundle.as_ref().filter(is_there) {
            Some(path) => Ok(path.clone()),
            None => signed.keep(Path::new("")),
        };
        let command = file.as_ref().ok().and_then(|file| signed.attach_command(file));
        // The bundle is shown only if it could not be written to a file.
        let shown = file.is_err().then(|| signed.bundle_json().to_string());
        Kept { file, command, bundle_json: shown.unwrap_or_default() }
    }
}

impl Drop for Unattached {
    fn drop(&mut self) {
        let left = std::mem::take(&mut *lock(&self.signatures));
        left.iter().for_each(|signed| (self.report)(signed, self.keep(signed)));
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Ok(file) => write!(f, "the signature is not lost: it is in {}", file.display()),
            Err(_) => write!(
                f,
                "the signature could not be written to a file, so here it is: {}",
                self.bundle_json
            ),
        }
    }
}

impl fmt::Debug for Unattached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unattached").field("bundle", &self.bundle).finish_non_exhaustive()
    }
}

fn forget(signatures: &Mutex<Vec<SignedImage>>, signed: &SignedImage) {
    lock(signatures).retain(|other| other.digest != signed.digest);
}

fn lock(signatures: &Mutex<Vec<SignedImage>>) -> MutexGuard<'_, Vec<SignedImage>> {
    signatures.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SignedImage {
    /// Writes the bundle to a new file in `directory`, whose name tells the image, its digest and
    /// the bundle: `app-2d93689cbcdd-6f5902ac.sigstore.json`.
    ///
    /// # Errors
    /// As [`write_parts_atomically`].
    pub fn keep(&self, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join(self.file_name());
        write_parts_atomically(&path, self.text.parts())?;
        Ok(path)
    }

    /// Whether the file at `path` has the bundle and nothing else.
    fn is_in(&self, path: &Path) -> io::Result<bool> {
        let mut file = fs::File::open(path)?;
        let mut found = Vec::new();
        for part in self.text.parts() {
            found.resize(part.len(), 0);
            file.read_exact(&mut found)?;
            if found != part {
                return Ok(false);
            }
        }
        Ok(file.read(&mut [0])? == 0)
    }

    /// The shell command that attaches the bundle in `file` later; `None` when one of the names
    /// cannot be quoted.
    pub fn attach_command(&self, file: &Path) -> Option<String> {
        let reference = host::shell_quote(&self.target.resolved().to_string())?;
        let file = host::shell_quote(&file.display().to_string())?;
        Some(format!("ambisign attach {file} {reference}"))
    }

    fn file_name(&self) -> String {
        let reference = self.target.resolved().to_string();
        let (repository, digest) = reference.split_once('@').unwrap_or((&reference, ""));
        let image = repository.rsplit('/').next().unwrap_or("image");
        let short = |hex: &str, length| hex.chars().take(length).collect::<String>();
        let digest = short(digest.rsplit(':').next().unwrap_or_default(), 12);
        let bundle = short(self.digest.hex(), 8);
        format!("{image}-{digest}-{bundle}.sigstore.json")
    }
}
