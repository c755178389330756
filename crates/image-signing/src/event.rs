//! What a signer or verifier of images reports while it works.

use std::sync::Arc;

use crate::image::{Image, Target};
use crate::signed::SignedImage;

/// A step that begins or ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The signature is in the registry.
    Attached(&'a SignedImage),
    /// The signature is about to be attached. It is logged and cannot be taken back: a program that
    /// may be interrupted keeps the bundle until [`Event::Attached`].
    Attaching(&'a SignedImage),
    /// The registry is asked for the image.
    Locating(&'a Image),
    /// The manifest is about to be signed.
    Signing(&'a Target),
    /// The image's signatures are looked for.
    Verifying(&'a Image),
}

/// Is called with every [`Event`]. It must not block.
pub type Listener = Arc<dyn Fn(&Event<'_>) + Send + Sync>;
