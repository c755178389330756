//! Signatures that are logged and not attached to their image yet. They are public for ever, so
//! they must not be lost, whatever ends the program.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use crate::event::{Event, Listener};
use crate::file::write_atomically;
use crate::signed::SignedImage;

/// The signatures that would be lost if the program ended now.
#[derive(Clone, Debug, Default)]
pub struct Unattached(Arc<Mutex<Vec<SignedImage>>>);

impl Unattached {
    /// Learns of each signature before it is attached and after; for
    /// [`ImageSigner::with_listener`](crate::ImageSigner::with_listener).
    pub fn listener(&self) -> Listener {
        let unattached = self.clone();
        Arc::new(move |event| match event {
            Event::Attaching(signed) => unattached.signatures().push((*signed).clone()),
            Event::Attached(signed) => unattached.forget(signed),
            _ => {}
        })
    }

    /// Keeps the bundle of `signed`, which is not attached: in `bundle` if it was written there,
    /// else in a new file of the current directory.
    ///
    /// # Errors
    /// As [`SignedImage::keep`].
    pub fn keep(&self, signed: &SignedImage, bundle: Option<&Path>) -> io::Result<PathBuf> {
        self.forget(signed);
        let is_there = |path: &&Path| {
            path.is_file() && fs::read_to_string(path).is_ok_and(|it| it == signed.bundle_json)
        };
        match bundle.filter(is_there) {
            Some(path) => Ok(path.to_owned()),
            None => signed.keep(Path::new("")),
        }
    }

    fn forget(&self, signed: &SignedImage) {
        self.signatures().retain(|other| other.bundle_json != signed.bundle_json);
    }

    /// Takes the signatures that are not attached.
    pub fn take(&self) -> Vec<SignedImage> {
        std::mem::take(&mut *self.signatures())
    }

    fn signatures(&self) -> MutexGuard<'_, Vec<SignedImage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SignedImage {
    /// Writes the bundle to a new file in `directory`, whose name tells the image, its digest and
    /// the bundle: `app-2d93689cbcdd-6f5902ac.sigstore.json`.
    ///
    /// # Errors
    /// As [`write_atomically`].
    pub fn keep(&self, directory: &Path) -> io::Result<PathBuf> {
        let path = directory.join(self.file_name());
        write_atomically(&path, self.bundle_json.as_bytes())?;
        Ok(path)
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
        let bundle = short(&keys::Digest::sha256(self.bundle_json.as_bytes()).to_hex(), 8);
        format!("{image}-{digest}-{bundle}.sigstore.json")
    }
}
