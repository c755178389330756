//! Signatures that are logged and not attached to their image yet: they are kept, whatever ends the
//! command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use image_signing::{Event, Listener, SignedImage};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files;

/// Bundles that would be lost if the command ended now.
pub(super) struct Unattached {
    bundles: Bundles,
    /// The file that the bundle was written to before.
    file: Mutex<Option<PathBuf>>,
    context: Arc<Context>,
}

/// By the text of the bundle: the image, and its reference by digest.
type Bundles = Arc<Mutex<BTreeMap<String, (String, String)>>>;

impl Unattached {
    /// Nothing is signed yet.
    pub(super) fn new(context: &Arc<Context>) -> Self {
        let (bundles, file) = (Bundles::default(), Mutex::default());
        Self { bundles, file, context: Arc::clone(context) }
    }

    /// The bundle is in `file`, and need not be written again.
    pub(super) fn is_in(&self, file: &Path) {
        if !files::is_standard(file) {
            *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file.to_owned());
        }
    }

    /// Hears of each signature before it is attached and after.
    pub(super) fn listener(&self) -> Listener {
        let bundles = Arc::clone(&self.bundles);
        Arc::new(move |event| {
            let mut bundles = bundles.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Event::Attaching(signed) => {
                    let target = &signed.target;
                    let image = (target.name().to_owned(), target.resolved().to_string());
                    bundles.insert(signed.bundle_json.clone(), image);
                }
                Event::Attached(signed) => {
                    bundles.remove(&signed.bundle_json);
                }
                _ => {}
            }
        })
    }

    /// Writes the bundle of `signed`, which could not be attached, and adds to `failure` where it
    /// is and how it is attached later.
    pub(super) fn keep(&self, signed: &SignedImage, failure: Failure) -> Failure {
        let mut bundles = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
        bundles.remove(&signed.bundle_json);
        self.write(&signed.target.resolved().to_string(), &signed.bundle_json, failure)
    }

    fn write(&self, reference: &str, bundle: &str, failure: Failure) -> Failure {
        let before = self.file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let written = match before {
            Some(file) => Ok(file),
            None => {
                let file = PathBuf::from(name(reference, bundle));
                files::write_atomically(&file, bundle.as_bytes()).map(|()| file)
            }
        };
        match written {
            Ok(file) => {
                let file = file.display().to_string();
                let failure = failure
                    .cause(format!("the signature is not lost: it is in {}", host::escape(&file)));
                let layer = host::shell_quote(&format!("{file}:{MEDIA_TYPE}"));
                match (host::shell_quote(reference), layer) {
                    (Some(reference), Some(layer)) => failure.hint(format!(
                        "attach it later: `oras attach --artifact-type {MEDIA_TYPE} {reference} {layer}`"
                    )),
                    _ => failure,
                }
            }
            Err(error) => failure.because(&error).cause(format!(
                "the signature could not be written to a file, so here it is: {bundle}"
            )),
        }
    }
}

/// A deadline or a signal ended the command.
impl Drop for Unattached {
    fn drop(&mut self) {
        let bundles =
            std::mem::take(&mut *self.bundles.lock().unwrap_or_else(PoisonError::into_inner));
        for (bundle, (image, reference)) in bundles {
            let problem =
                format!("{image} was signed and logged, but the signature is not attached");
            let failure = Failure::new(Exit::Failed, problem);
            self.context.fail(&self.write(&reference, &bundle, failure));
        }
    }
}

/// `app-2d93689cbcdd-6f5902ac.sigstore.json`: the image, its digest and that of the bundle.
fn name(reference: &str, bundle: &str) -> String {
    let (repository, digest) = reference.split_once('@').unwrap_or((reference, ""));
    let image = repository.rsplit('/').next().unwrap_or("image");
    let short = |hex: &str, length| hex.chars().take(length).collect::<String>();
    let digest = short(digest.rsplit(':').next().unwrap_or_default(), 12);
    let bundle = short(&keys::Digest::sha256(bundle.as_bytes()).to_hex(), 8);
    format!("{image}-{digest}-{bundle}.sigstore.json")
}

const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
