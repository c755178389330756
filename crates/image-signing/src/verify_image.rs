//! Verifying the signatures or attestations of images.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use host::Clock;
use host::bytes::Bytes;
use oci_push::{Layout, Registry, Resolved, Search, Store};
use trust_root::TrustedRoot;
use verify::{Policy, PolicyFile, Purpose, Rule};

use crate::accepted::VerifiedImage;
use crate::error::{Action, Error};
use crate::event::{Event, Listener};
use crate::image::{Image, digest};
use crate::judge::{Judge, Judged};
use crate::refusal::{Reason, Refusal};
use crate::several::several;
use crate::verdict::{NoSignature, NotAcceptable};

/// Who must have signed an image, and how strictly it is checked.
#[derive(Clone)]
pub struct AcceptedSigners {
    signers: Signers,
    adjust: Arc<dyn Fn(Policy) -> Policy + Send + Sync>,
}

#[derive(Clone)]
enum Signers {
    Rule(Rule),
    File(Arc<PolicyFile>),
}

impl AcceptedSigners {
    /// The same for every image: one [`verify::AcceptedSigner`], or a rule with several.
    pub fn rule(rule: impl Into<Rule>) -> Self {
        Self { signers: Signers::Rule(rule.into()), adjust: Arc::new(|policy| policy) }
    }

    /// What `file` says of the image's repository. An image that no rule of it matches is refused.
    pub fn file(file: PolicyFile) -> Self {
        Self { signers: Signers::File(Arc::new(file)), adjust: Arc::new(|policy| policy) }
    }

    /// Changes each policy before it is applied: demands timestamps or annotations, say, or leaves
    /// checks out with what is in [`verify::danger`].
    #[must_use]
    pub fn adjust(self, change: impl Fn(Policy) -> Policy + Send + Sync + 'static) -> Self {
        let first = self.adjust;
        Self { adjust: Arc::new(move |policy| change(first(policy))), ..self }
    }

    fn policy(&self, purpose: Purpose, image: &Image) -> Result<Policy, Error> {
        let repository = image.reference().repository().to_string();
        let rule = match &self.signers {
            Signers::Rule(rule) => rule,
            Signers::File(file) => match file.rule(&repository) {
                Some(rule) => rule,
                None => {
                    return Err(Error::NoRule { image: image.as_str().to_owned(), repository });
                }
            },
        };
        Ok((self.adjust)(Policy::new(purpose, rule.clone())))
    }
}

/// Verifies images of one registry client.
#[derive(Clone)]
pub struct ImageVerifier {
    registry: Registry,
    root: Arc<TrustedRoot>,
    clock: Arc<dyn Clock>,
    signers: AcceptedSigners,
    purpose: Purpose,
    in_order: bool,
    listener: Listener,
}

impl ImageVerifier {
    /// Verifies that images have signatures of `signers`, trusting the authorities of `root`.
    pub fn new(
        registry: Registry,
        root: Arc<TrustedRoot>,
        clock: Arc<dyn Clock>,
        signers: AcceptedSigners,
    ) -> Self {
        Self {
            registry,
            root,
            clock,
            signers,
            purpose: Purpose::ImageSignature,
            in_order: false,
            listener: Arc::new(|_| ()),
        }
    }

    /// Verifies attestations with this predicate type instead of signatures.
    #[must_use]
    pub fn attestations(self, predicate_type: impl Into<String>) -> Self {
        Self { purpose: Purpose::Attestation { predicate_type: predicate_type.into() }, ..self }
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

    /// Verifies `image`. Everything that is attached is judged, so that the result names every
    /// acceptable signature.
    ///
    /// # Errors
    /// The four outcomes: [`Error::ImageNotFound`]; [`Error::Registry`], when the registry gave no
    /// answer that says anything about signatures; [`Error::NoSignature`];
    /// [`Error::NotAcceptable`]. And [`Error::NoRule`], before anything is sent.
    pub async fn verify(&self, image: &Image) -> Result<VerifiedImage, Error> {
        let policy = Arc::new(self.signers.policy(self.purpose.clone(), image)?);
        (self.listener)(&Event::Verifying(image));
        let failed = |source| Error::registry(image.as_str(), Action::Verify, source);
        let search = match policy.purpose() {
            Purpose::Attestation { predicate_type } => Search::prefer(predicate_type),
            _ => Search::default(),
        };
        let (resolved, found) =
            self.registry.look_up_and_find(image.reference(), &search).await.map_err(failed)?;
        let Some(digest) = digest(&resolved) else {
            let digest = resolved.digest().to_string();
            return Err(Error::Digest { image: image.as_str().to_owned(), digest });
        };
        let (root, clock) = (Arc::clone(&self.root), Arc::clone(&self.clock));
        let judge = Judge { policy: Arc::clone(&policy), root, clock, image: digest };
        let mut judged = Judged::default();
        judge.all(&found, &mut judged).await;
        // A slow writer may have erased an entry from the list: the signature's own tag remains.
        if !judged.is_enough(&policy) {
            let more = self.registry.find_more(&resolved, &found).await;
            judge.all(&more, &mut judged).await;
        }
        // Earlier formats are looked for last: they count only when the bundles are not enough.
        if !judged.is_enough(&policy) && !found.bundles.is_empty() {
            match self.registry.find_legacy(&resolved).await {
                Ok(found) => judge.all(&found, &mut judged).await,
                Err(error) => judged.refused.push(Refusal::new(
                    format!("cosign's earlier formats in {}", self.place(&resolved)),
                    Reason::Unreachable(Box::new(error)),
                )),
            }
        }
        self.conclude(image, resolved, &policy, judged)
    }

    /// Verifies the image of an OCI layout by what is attached to it there and by `bundles`, which
    /// came beside it. A rule for repositories does not apply: a directory is none.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn verify_layout(
        &self,
        layout: &Layout,
        bundles: &[Bytes],
    ) -> Result<VerifiedImage, Error> {
        let shown = layout.directory().display().to_string();
        let failed = |source| Error::registry(&shown, Action::Verify, source);
        let descriptor = layout.image(None).map_err(failed)?;
        let image = Image::in_layout(&shown, &descriptor.digest).map_err(failed)?;
        let policy = Arc::new(self.signers.policy(self.purpose.clone(), &image)?);
        let resolved = Resolved::new(image.reference().repository().clone(), descriptor);
        // The manifest is there and has this digest.
        let store = Store::Layout(layout.clone());
        self.registry.members(&store, resolved.digest()).await.map_err(failed)?;
        let found =
            self.registry.find_in_layout(layout, resolved.digest()).await.map_err(failed)?;
        let Some(digest) = digest(&resolved) else {
            let digest = resolved.digest().to_string();
            return Err(Error::Digest { image: shown, digest });
        };
        let (root, clock) = (Arc::clone(&self.root), Arc::clone(&self.clock));
        let judge = Judge { policy: Arc::clone(&policy), root, clock, image: digest };
        let mut judged = Judged::default();
        judge.all(&found, &mut judged).await;
        for bundle in bundles {
            judge.one("the bundle beside it", bundle.clone(), &mut judged).await;
        }
        self.conclude(&image, resolved, &policy, judged).map_err(|error| match error {
            Error::NoSignature(none) => {
                Error::NoSignature(Box::new(NoSignature { repository: shown.clone(), ..*none }))
            }
            error => error,
        })
    }

    /// As [`verify`](Self::verify), for several images at once; each result with the position of its
    /// image.
    pub fn verify_all<'a>(
        &'a self,
        images: &'a [Image],
    ) -> BoxStream<'a, (usize, Result<VerifiedImage, Error>)> {
        let work = |image| -> BoxFuture<'a, _> { Box::pin(self.verify(image)) };
        several(images, AT_ONCE, self.in_order, work)
    }

    fn conclude(
        &self,
        image: &Image,
        resolved: Resolved,
        policy: &Policy,
        judged: Judged,
    ) -> Result<VerifiedImage, Error> {
        let Judged { accepted, refused, others } = judged;
        let decision = policy.rule().decide(accepted.iter().map(|accepted| &accepted.verified));
        if decision.is_enough() {
            return Ok(VerifiedImage {
                image: image.clone(),
                resolved,
                signatures: accepted,
                refused,
            });
        }
        let (name, purpose) = (image.as_str().to_owned(), policy.purpose().clone());
        if accepted.is_empty() && refused.is_empty() {
            let (digest, repository) = (resolved.digest().to_string(), self.place(&resolved));
            let others = unique(others);
            let none = NoSignature { image: name, digest, repository, purpose, others };
            return Err(Error::NoSignature(Box::new(none)));
        }
        Err(Error::NotAcceptable(Box::new(NotAcceptable {
            image: name,
            purpose,
            found: decision.matches.len(),
            required: decision.required,
            accepted,
            refused,
        })))
    }

    /// Where the image's signatures are.
    fn place(&self, image: &Resolved) -> String {
        self.registry.signatures_of(image.repository()).to_string()
    }
}

impl fmt::Debug for AcceptedSigners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.signers {
            Signers::Rule(rule) => rule.fmt(f),
            Signers::File(file) => file.fmt(f),
        }
    }
}

impl fmt::Debug for ImageVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageVerifier")
            .field("signers", &self.signers)
            .field("purpose", &self.purpose)
            .finish_non_exhaustive()
    }
}

fn unique(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}

/// How many images are verified at once.
const AT_ONCE: usize = 8;
