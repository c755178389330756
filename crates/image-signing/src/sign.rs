//! Signing images, or attesting something of them: found first, then signed, then attached.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bundle::{SIGN_PREDICATE_TYPE, Statement, Subject};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use oci_push::{Registry, Resolved};
use signer::Session;

use crate::attestation::Attestation;
use crate::earlier::{self, Layer};
use crate::error::{Action, Error};
use crate::event::{Event, Listener};
use crate::image::{Image, Target};
use crate::reserved::is_reserved;
use crate::several::several;
use crate::signed::SignedImage;

/// Signs images and attaches the signatures.
///
/// The order of work is the caller's: [`locate`](Self::locate) every image before a certificate is
/// asked for, so that nothing is sent to Fulcio or Rekor for an image that does not exist or whose
/// signature could not be stored.
#[derive(Clone)]
pub struct ImageSigner {
    registry: Registry,
    content: Content,
    recursive: bool,
    attach: bool,
    earlier: bool,
    in_order: bool,
    listener: Listener,
}

/// What is said about each image.
#[derive(Clone, Debug)]
enum Content {
    /// That it is approved, with annotations.
    Signature(BTreeMap<String, String>),
    Attestation(Attestation),
}

impl ImageSigner {
    /// Signs images of `registry` and attaches the signatures there.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            content: Content::Signature(BTreeMap::new()),
            recursive: false,
            attach: true,
            earlier: false,
            in_order: false,
            listener: Arc::new(|_| ()),
        }
    }

    /// Writes these annotations into the signed statement.
    ///
    /// # Errors
    /// [`Error::Statement`]: a name is one under which verified facts are reported, as
    /// `SourceRepositoryURI` is. A reader could take the annotation for the fact.
    pub fn with_annotations(self, annotations: BTreeMap<String, String>) -> Result<Self, Error> {
        if let Some(name) = annotations.keys().find(|name| is_reserved(name)) {
            let reason = "verified facts are reported under this name; choose another one";
            let what = format!("the annotation {name:?}");
            return Err(Error::Statement { what, reason: reason.to_owned() });
        }
        Ok(Self { content: Content::Signature(annotations), ..self })
    }

    /// Makes attestations that say `attestation`, instead of signatures.
    #[must_use]
    pub fn with_attestation(self, attestation: Attestation) -> Self {
        Self { content: Content::Attestation(attestation), ..self }
    }

    /// Whether the manifests that an index lists are signed as well.
    #[must_use]
    pub fn recursive(self, recursive: bool) -> Self {
        Self { recursive, ..self }
    }

    /// Whether signatures are attached, which they are by default.
    #[must_use]
    pub fn attach(self, attach: bool) -> Self {
        Self { attach, ..self }
    }

    /// Whether signatures are attached in cosign's earlier formats, under the tags `.sig` and
    /// `.att`, for verifiers that know no others. See [`check_earlier`](crate::check_earlier).
    #[must_use]
    pub fn earlier_format(self, earlier: bool) -> Self {
        Self { earlier, ..self }
    }

    /// Whether several images are answered for in the order given, rather than each when it is
    /// done.
    #[must_use]
    pub fn in_order(self, in_order: bool) -> Self {
        Self { in_order, ..self }
    }

    /// Calls `listener` with each step.
    #[must_use]
    pub fn with_listener(self, listener: Listener) -> Self {
        Self { listener, ..self }
    }

    /// Finds `image`, and its parts where they are to be signed. When signatures will be attached,
    /// the right to do so is proved as well.
    ///
    /// # Errors
    /// [`Error::ImageNotFound`] and [`Error::Registry`].
    pub async fn locate(&self, image: &Image) -> Result<Vec<Target>, Error> {
        (self.listener)(&Event::Locating(image));
        let failed = |source| Error::registry(image.as_str(), Action::Sign, source);
        let resolved = match self.attach {
            true => self.registry.prepare(image.reference()).await,
            false => self.registry.resolve(image.reference()).await,
        };
        let resolved = resolved.map_err(failed)?;
        let parts = match self.recursive {
            true => self.registry.parts(&resolved).await.map_err(failed)?,
            false => Vec::new(),
        };
        let parts = parts.into_iter().map(|part| Target::new(part.to_string(), part));
        Ok(std::iter::once(Target::new(image.as_str(), resolved)).chain(parts).collect())
    }

    /// As [`locate`](Self::locate), for several images at once; each result with the position of its
    /// image.
    pub fn locate_all<'a>(
        &'a self,
        images: &'a [Image],
    ) -> BoxStream<'a, (usize, Result<Vec<Target>, Error>)> {
        let work = |image| -> BoxFuture<'a, _> { Box::pin(self.locate(image)) };
        several(images, LOCATED_AT_ONCE, self.in_order, work)
    }

    /// Signs `target`: the result is logged and verified, and not attached yet.
    ///
    /// # Errors
    /// [`Error::Signing`]; [`Error::Statement`] when the attestation is a whole statement about other
    /// images.
    pub async fn sign(&self, target: &Target, session: &Session) -> Result<SignedImage, Error> {
        (self.listener)(&Event::Signing(target));
        let failed = |source| {
            let image = target.name().to_owned();
            Error::Signing { image, source: Box::new(source) }
        };
        if self.earlier {
            earlier::check_earlier(session.services()).map_err(failed)?;
        }
        if let (true, Content::Signature(annotations)) = (self.earlier, &self.content) {
            let (signed, layer) =
                earlier::sign(target.resolved(), annotations, session).await.map_err(failed)?;
            return Ok(SignedImage::new(target.clone(), signed).in_earlier_format(layer));
        }
        let statement = self.content.statement(target.resolved())?;
        let signed = session.sign_statement(&statement).await.map_err(failed)?;
        let layer = self.earlier.then(|| earlier::attestation(&signed, statement.predicate_type()));
        let layer = layer.transpose().map_err(failed)?;
        let signed = SignedImage::new(target.clone(), signed);
        Ok(match layer {
            Some(layer) => signed.in_earlier_format(layer),
            None => signed,
        })
    }

    /// Attaches a signature that [`sign`](Self::sign) made.
    ///
    /// # Errors
    /// [`Error::NotAttached`], which holds the signature.
    pub async fn attach_signature(&self, mut signed: SignedImage) -> Result<SignedImage, Error> {
        (self.listener)(&Event::Attaching(&signed));
        let (image, bundle) = (signed.target.resolved(), signed.bundle_json.as_bytes());
        let attached = match &signed.layer {
            Some(Layer { kind, payload, annotations }) => {
                self.registry.attach_legacy(image, *kind, payload, annotations).await
            }
            None => self.registry.attach(image, bundle, &BTreeMap::new()).await,
        };
        match attached {
            Ok(attached) => {
                signed.attached = Some(attached);
                (self.listener)(&Event::Attached(&signed));
                Ok(signed)
            }
            Err(source) => {
                let (signed, source) = (Box::new(signed), Box::new(source));
                Err(Error::NotAttached { signed, source })
            }
        }
    }

    /// Signs `target`, and attaches the signature unless told not to.
    ///
    /// # Errors
    /// As [`sign`](Self::sign) and [`attach_signature`](Self::attach_signature).
    pub async fn sign_and_attach(
        &self,
        target: &Target,
        session: &Session,
    ) -> Result<SignedImage, Error> {
        let signed = self.sign(target, session).await?;
        if self.attach { self.attach_signature(signed).await } else { Ok(signed) }
    }

    /// As [`sign_and_attach`](Self::sign_and_attach), for several manifests at once; each result
    /// with the position of its target.
    pub fn sign_all<'a>(
        &'a self,
        targets: &'a [Target],
        session: &'a Session,
    ) -> BoxStream<'a, (usize, Result<SignedImage, Error>)> {
        let work =
            move |target| -> BoxFuture<'a, _> { Box::pin(self.sign_and_attach(target, session)) };
        several(targets, SIGNED_AT_ONCE, self.in_order, work)
    }
}

impl fmt::Debug for ImageSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSigner")
            .field("content", &self.content)
            .field("recursive", &self.recursive)
            .field("attach", &self.attach)
            .finish_non_exhaustive()
    }
}

impl Content {
    /// The same statement as cosign's, with the repository's name in addition.
    fn statement(&self, resolved: &Resolved) -> Result<Statement, Error> {
        let digest = resolved.digest();
        let mut subject = Subject {
            name: Some(resolved.repository().to_string()),
            digests: BTreeMap::from([(digest.algorithm().to_owned(), digest.hex().to_owned())]),
            annotations: BTreeMap::new(),
        };
        match self {
            Self::Signature(annotations) => {
                subject.annotations.clone_from(annotations);
                let predicate = serde_json::json!({});
                Ok(Statement::new(vec![subject], SIGN_PREDICATE_TYPE, &predicate))
            }
            Self::Attestation(attestation) => attestation.statement(vec![subject]),
        }
    }
}

/// How many images are looked up at once.
const LOCATED_AT_ONCE: usize = 8;

/// How many images are signed at once. A log answers all entries of one checkpoint together, so
/// that waiting for them together is what counts.
const SIGNED_AT_ONCE: usize = 32;
