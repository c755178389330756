//! Signatures that are logged and not attached to their image are kept in a file, whatever ends
//! the command.

use std::path::Path;
use std::sync::Arc;

use image_signing::{Event, Kept, Listener, Unattached};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::write;

/// Signatures that would be lost if the command ended now.
pub(super) fn unattached(bundle: Option<&Path>, context: &Arc<Context>) -> Unattached {
    let context = Arc::clone(context);
    Unattached::new(bundle.map(Path::to_owned), move |signed, kept| {
        let image = signed.target.name();
        context.console.waits.end(image);
        let problem = format!("{image} was signed and logged, but the signature is not attached");
        context.fail(&with_signature(Failure::new(Exit::Undecided, problem), &kept));
    })
}

/// Learns of each signature. A bundle that goes to a file is written before it is attached.
pub(super) fn listener(
    unattached: &Unattached,
    bundle: Option<&Path>,
    context: &Arc<Context>,
) -> Listener {
    let (path, context) = (bundle.map(Path::to_owned), Arc::clone(context));
    unattached.listener(move |event| {
        if let Event::Attaching(_) = event {
            context.console.wait_for("storing the signature in the registry");
        }
        if let (Event::Attaching(signed), Some(path)) = (event, &path)
            && let Err(failure) = write(path, signed.bundle_json(), &context.console)
        {
            // It is logged: attaching it is still worth while.
            context.fail(&failure);
        }
    })
}

/// Adds to `failure` where the signature is, and how it is attached later.
pub(super) fn with_signature(failure: Failure, kept: &Kept) -> Failure {
    let failure = kept.file.as_ref().err().into_iter().fold(failure, |it, error| it.because(error));
    let hint = kept.command.iter().map(|command| format!("attach it later: `{command}`"));
    hint.fold(failure.cause(kept.to_string()), Failure::hint)
}
