//! Signatures that are logged and not attached to their image are kept in a file, whatever ends
//! the command.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use image_signing::{Listener, SignedImage};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files;

/// Signatures that would be lost if the command ended now.
pub(super) struct Unattached {
    signatures: image_signing::Unattached,
    /// The file that the bundle was written to before.
    file: Mutex<Option<PathBuf>>,
    context: Arc<Context>,
}

impl Unattached {
    /// Nothing is signed yet.
    pub(super) fn new(context: &Arc<Context>) -> Self {
        let (signatures, file) = Default::default();
        Self { signatures, file, context: Arc::clone(context) }
    }

    /// The bundle is in `file`, and need not be written again.
    pub(super) fn is_in(&self, file: &Path) {
        if !files::is_standard(file) {
            *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file.to_owned());
        }
    }

    /// Hears of each signature before it is attached and after.
    pub(super) fn listener(&self) -> Listener {
        self.signatures.listener()
    }

    /// Writes the bundle of `signed`, which could not be attached, and adds to `failure` where it
    /// is and how it is attached later.
    pub(super) fn keep(&self, signed: &SignedImage, failure: Failure) -> Failure {
        self.signatures.forget(signed);
        let before = self.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match before.map_or_else(|| signed.keep(Path::new("")), Ok) {
            Ok(file) => {
                let shown = host::escape(&file.display().to_string());
                let failure = failure.cause(format!("the signature is not lost: it is in {shown}"));
                let command = signed.attach_command(&file).into_iter();
                command
                    .fold(failure, |it, command| it.hint(format!("attach it later: `{command}`")))
            }
            Err(error) => failure.because(&error).cause(format!(
                "the signature could not be written to a file, so here it is: {}",
                signed.bundle_json
            )),
        }
    }
}

/// A deadline or a signal ended the command.
impl Drop for Unattached {
    fn drop(&mut self) {
        for signed in self.signatures.take() {
            let image = signed.target.name();
            let problem =
                format!("{image} was signed and logged, but the signature is not attached");
            let failure = Failure::new(Exit::Failed, problem);
            self.context.fail(&self.keep(&signed, failure));
        }
    }
}
