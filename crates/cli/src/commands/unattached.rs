//! Signatures that are logged and not attached to their image are kept in a file, whatever ends
//! the command.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use image_signing::{Listener, SignedImage};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files;

/// Signatures that would be lost if the command ended now.
pub(super) struct Unattached {
    signatures: image_signing::Unattached,
    /// Where the bundle is written to before it is attached.
    bundle: Option<PathBuf>,
    context: Arc<Context>,
}

impl Unattached {
    /// Nothing is signed yet.
    pub(super) fn new(bundle: Option<&Path>, context: &Arc<Context>) -> Self {
        let bundle = bundle.filter(|path| !files::is_standard(path)).map(Path::to_owned);
        Self { signatures: Default::default(), bundle, context: Arc::clone(context) }
    }

    /// Hears of each signature before it is attached and after.
    pub(super) fn listener(&self) -> Listener {
        self.signatures.listener()
    }

    /// Writes the bundle of `signed`, which could not be attached, and adds to `failure` where it
    /// is and how it is attached later.
    pub(super) fn keep(&self, signed: &SignedImage, failure: Failure) -> Failure {
        self.signatures.forget(signed);
        let is_there = |path: &&PathBuf| {
            path.is_file() && fs::read_to_string(path).is_ok_and(|it| it == signed.bundle_json)
        };
        let written = self.bundle.as_ref().filter(is_there).cloned();
        match written.map_or_else(|| signed.keep(Path::new("")), Ok) {
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
