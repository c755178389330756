//! Signatures that are logged and not attached to their image are kept in a file, whatever ends
//! the command.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image_signing::{Event, Listener, SignedImage};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::write;

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
        let bundle = bundle.map(Path::to_owned);
        Self { signatures: Default::default(), bundle, context: Arc::clone(context) }
    }

    /// Learns of each signature before it is attached and after. A bundle that goes to a file is
    /// written before it is attached.
    pub(super) fn listener(&self) -> Listener {
        let (keep, path, context) =
            (self.signatures.listener(), self.bundle.clone(), Arc::clone(&self.context));
        Arc::new(move |event| {
            keep(event);
            if let (Event::Attaching(signed), Some(path)) = (event, &path)
                && let Err(failure) = write(path, &signed.bundle_json, &context.console)
            {
                // It is logged: attaching it is still worth while.
                context.fail(&failure);
            }
        })
    }

    /// Writes the bundle of `signed`, which could not be attached, and adds to `failure` where it
    /// is and how it is attached later.
    pub(super) fn keep(&self, signed: &SignedImage, failure: Failure) -> Failure {
        match self.signatures.keep(signed, self.bundle.as_deref()) {
            Ok(file) => {
                let failure = failure
                    .cause(format!("the signature is not lost: it is in {}", file.display()));
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
            self.context.console.waits.end(image);
            let problem =
                format!("{image} was signed and logged, but the signature is not attached");
            let failure = Failure::new(Exit::Failed, problem);
            self.context.fail(&self.keep(&signed, failure));
        }
    }
}
