//! Signing images, or attesting something of them: found first, then signed, then attached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_lock::Semaphore;
use bundle::{SIGN_PREDICATE_TYPE, Statement, Subject};
use futures_util::stream::StreamExt as _;
use oci_push::{Registry, Resolved};
use signer::{ApiVersion, Session};
use verify::{Formats, Policy, Purpose};

use crate::attestation::Attestation;
use crate::earlier::{self, Layer};
use crate::error::{Action, Error};
use crate::event::{Event, Listener};
use crate::image::{Image, Parts, Target};
use crate::known::Known;
use crate::replace::Replacing;
use crate::reserved::is_reserved;
use crate::several::{Jobs, Results};
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
    parts: Parts,
    attach: bool,
    earlier: bool,
    known: Option<Arc<Known>>,
    replacing: Option<Arc<Replacing>>,
    jobs: Jobs,
    /// As many signatures are attached at once as there are jobs.
    attaching: Arc<Semaphore>,
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
            parts: Parts::None,
            attach: true,
            earlier: false,
            known: None,
            replacing: None,
            jobs: Jobs::default(),
            attaching: Arc::new(Semaphore::new(Jobs::default().at_once())),
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

    /// Which manifests of an index are signed as well.
    #[must_use]
    pub fn parts(self, parts: Parts) -> Self {
        Self { parts, ..self }
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

    /// How many images are worked on at once. More than that wait for the log.
    #[must_use]
    pub fn jobs(self, jobs: Jobs) -> Self {
        Self { jobs, attaching: Arc::new(Semaphore::new(jobs.at_once())), ..self }
    }

    /// Leaves alone what carries already what would be signed, by the identity or key of `session`:
    /// [`locate`](Self::locate) says of which targets this is so ([`Target::is_signed`]). A signature
    /// must have the format and the annotations that are to be signed, an attestation the predicate
    /// (one of more than 4 MiB byte for byte);
    /// the time in a predicate of cosign's type `custom` may be another. Call it after what is signed
    /// is set.
    ///
    /// Only the identity token is asked for: see [`Session::expectation`].
    ///
    /// # Errors
    /// As of [`Session::expectation`].
    pub async fn skip_signed(self, session: &Session) -> Result<Self, signer::Error> {
        let policy = self.expectation(session).await?;
        let attestation = match &self.content {
            Content::Attestation(attestation) => Some(attestation.clone()),
            Content::Signature(_) => None,
        };
        let known = Known::new(self.registry.clone(), session.signer(), policy, attestation);
        Ok(Self { known: Some(Arc::new(known)), ..self })
    }

    /// Takes away, once a new attestation is attached, those that it replaces: of the same predicate
    /// type, by the identity or key of `session`, in the same format, which the image carried before
    /// the new one was signed. Those of others stay. Call it after what is attested is set; signatures
    /// replace nothing.
    ///
    /// # Errors
    /// As of [`Session::expectation`].
    pub async fn replace_older(self, session: &Session) -> Result<Self, signer::Error> {
        let Content::Attestation(attestation) = &self.content else { return Ok(self) };
        let policy = self.expectation(session).await?;
        let (registry, signer) = (self.registry.clone(), session.signer());
        let predicate_type = attestation.predicate_type();
        let replacing = Replacing::new(registry, signer, policy, self.formats(), predicate_type);
        Ok(Self { replacing: Some(Arc::new(replacing)), ..self })
    }

    /// What someone demands who expects what is to be signed, of `session`.
    async fn expectation(&self, session: &Session) -> Result<Policy, signer::Error> {
        let (purpose, annotations) = match &self.content {
            Content::Signature(annotations) => (Purpose::ImageSignature, Some(annotations)),
            Content::Attestation(attestation) => {
                let predicate_type = attestation.predicate_type().to_owned();
                (Purpose::Attestation { predicate_type }, None)
            }
        };
        let mut policy = session.expectation(purpose).await?.formats(self.formats());
        for (name, value) in annotations.into_iter().flatten() {
            policy = policy.annotation(name, value);
        }
        Ok(policy)
    }

    fn formats(&self) -> Formats {
        if self.earlier { Formats::Legacy } else { Formats::Bundle }
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
        let resolved = match self.attach && self.known.is_none() {
            true => self.registry.prepare(image.reference()).await,
            false => self.registry.resolve(image.reference()).await,
        };
        let target = Target::new(image.clone(), resolved.map_err(failed)?);
        let mut targets = self.parts.of(target, &self.registry).await.map_err(failed)?;
        let Some(known) = &self.known else { return Ok(targets) };
        let looked = self.jobs.run(&targets, |target| known.is_signed(target));
        let looked: Vec<_> = looked.collect().await;
        for (position, is_signed) in looked {
            let is_signed = is_signed?;
            targets.get_mut(position).into_iter().for_each(|it| it.is_signed = is_signed);
        }
        if self.attach
            && let Some(unsigned) = targets.iter().find(|target| !target.is_signed)
        {
            self.registry.prepare(&unsigned.resolved().reference()).await.map_err(failed)?;
        }
        Ok(targets)
    }

    /// As [`locate`](Self::locate), for several images at once; each result with the position of its
    /// image.
    pub fn locate_all<'a>(&'a self, images: &'a [Image]) -> Results<'a, Vec<Target>> {
        self.jobs.run(images, |image| self.locate(image))
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
        let older = match &self.replacing {
            Some(replacing) if self.attach => replacing.older(target).await?,
            _ => BTreeSet::new(),
        };
        let signed = session.sign_statement(&statement).await.map_err(failed)?;
        let layer = self.earlier.then(|| earlier::attestation(&signed, statement.predicate_type()));
        let layer = layer.transpose().map_err(failed)?;
        let signed = SignedImage { older, ..SignedImage::new(target.clone(), signed) };
        Ok(match layer {
            Some(layer) => signed.in_earlier_format(layer),
            None => signed,
        })
    }

    /// Attaches a signature that [`sign`](Self::sign) made.
    ///
    /// # Errors
    /// [`Error::NotAttached`], which holds the signature. [`Error::Registry`] when it is attached, and
    /// what it replaces could not be taken away.
    pub async fn attach_signature(&self, mut signed: SignedImage) -> Result<SignedImage, Error> {
        (self.listener)(&Event::Attaching(&signed));
        let _turn = self.attaching.acquire().await;
        let image = signed.target.resolved();
        let attached = match &signed.layer {
            Some(Layer { kind, digest, body, annotations }) => {
                let (older, payload) = (&signed.older, (digest, body.clone()));
                self.registry.replace_legacy(image, *kind, payload, annotations, older).await
            }
            None => {
                let content = signed.content();
                self.registry.attach_content(image, &content, &BTreeMap::new()).await
            }
        };
        match attached {
            Ok(attached) => {
                let retires = signed.layer.is_none() && !signed.older.is_empty();
                let attached = signed.attached.insert(attached).clone();
                (self.listener)(&Event::Attached(&signed));
                if retires {
                    let retired = self.registry.retire(image, &attached, &signed.older).await;
                    let image = signed.target.name().to_owned();
                    let failed = |source| (Action::Replace, Box::new(source));
                    if let Err((action, source)) = retired.map_err(failed) {
                        return Err(Error::Registry { image, action, source });
                    }
                }
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
    ) -> Results<'a, SignedImage> {
        self.signing_jobs(session).run(targets, |target| self.sign_and_attach(target, session))
    }

    /// How many are signed by `session` at once.
    pub(crate) fn signing_jobs(&self, session: &Session) -> Jobs {
        let logs = &session.services().logs;
        let in_batches = logs.iter().any(|log| log.version == ApiVersion::V2);
        self.jobs.waiting_for_a_log(in_batches)
    }
}

impl fmt::Debug for ImageSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSigner")
            .field("content", &self.content)
            .field("parts", &self.parts)
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
