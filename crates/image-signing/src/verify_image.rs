//! Verifying the signatures or attestations of images.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::try_join;
use host::Clock;
use host::bytes::Bytes;
use oci_push::{Layout, Registry, Resolved, Store};
use trust_root::TrustedRoot;
use verify::{Policy, PolicyFile, Purpose, Rule};

use crate::accepted::VerifiedImage;
use crate::batch::Located;
use crate::error::{Action, Error};
use crate::event::{Event, Listener};
use crate::examiner::Examiner;
use crate::file;
use crate::image::{Image, Parts, Target, digest};
use crate::judge::{Judge, Judged};
use crate::refusal::{Reason, Refusal};
use crate::several::{Jobs, Results};
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
                    let nearest = file.nearest(&repository).map(str::to_owned);
                    let image = image.as_str().to_owned();
                    return Err(Error::NoRule { image, repository, nearest });
                }
            },
        };
        Ok((self.adjust)(Policy::new(purpose, rule.clone())))
    }

    /// The policy for the file at `path`.
    ///
    /// # Errors
    /// [`NoRule`](file::Error::NoRule).
    pub fn file_policy(&self, purpose: Purpose, path: &Path) -> Result<Policy, file::Error> {
        let rule = match &self.signers {
            Signers::Rule(rule) => rule,
            Signers::File(file) => file.file_rule(path).ok_or_else(|| file::Error::NoRule {
                file: path.to_owned(),
                nearest: file.nearest_of_files(path).map(str::to_owned),
            })?,
        };
        Ok((self.adjust)(Policy::new(purpose, rule.clone())))
    }

    fn layout_policy(&self, purpose: Purpose, directory: &Path) -> Result<Policy, Error> {
        // Without a slash at its end, which shells add.
        let directory: &Path = &directory.components().collect::<PathBuf>();
        self.file_policy(purpose, directory).map_err(|_| {
            let shown = directory.display().to_string();
            let nearest = match &self.signers {
                Signers::File(file) => file.nearest_of_files(directory).map(str::to_owned),
                Signers::Rule(_) => None,
            };
            Error::NoRule { image: shown.clone(), repository: shown, nearest }
        })
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
    parts: Parts,
    index: Option<Image>,
    jobs: Jobs,
    listener: Listener,
}

impl ImageVerifier {
    /// Verifies that images have signatures of `signers`, trusting the authorities of `root`. Where
    /// `root` is of an instance without logs, policies are [suited to it](Policy::suited_to).
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
            parts: Parts::None,
            index: None,
            jobs: Jobs::default(),
            listener: Arc::new(|_| ()),
        }
    }

    /// Verifies attestations with this predicate type instead of signatures.
    #[must_use]
    pub fn attestations(self, predicate_type: impl Into<String>) -> Self {
        Self { purpose: Purpose::Attestation { predicate_type: predicate_type.into() }, ..self }
    }

    /// Which manifests of an index must be signed as well: see [`locate`](Self::locate).
    #[must_use]
    pub fn parts(self, parts: Parts) -> Self {
        Self { parts, ..self }
    }

    /// Accepts an image when `index` lists it and is signed by who must have signed the image.
    /// Signatures of the image itself do not count then.
    #[must_use]
    pub fn by_index(self, index: Image) -> Self {
        Self { index: Some(index), ..self }
    }

    /// How many images are verified at once.
    #[must_use]
    pub fn jobs(self, jobs: Jobs) -> Self {
        Self { jobs, ..self }
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
        let policy = self.policy(image)?;
        (self.listener)(&Event::Verifying(image));
        let failed = |source| Error::registry(image.as_str(), Action::Verify, source);
        let examiner = self.examiner(&policy);
        if let Some(index) = &self.index {
            return self.verify_by(index, image, &examiner).await;
        }
        let search = examiner.search();
        let (resolved, found) =
            self.registry.look_up_and_find(image.reference(), &search).await.map_err(failed)?;
        examiner.judge(image, &resolved, found).await
    }

    /// As [`verify_layout`](Self::verify_layout), of the layout in `directory`.
    ///
    /// # Errors
    /// As [`verify_layout`](Self::verify_layout); [`Error::Registry`]: the directory is not an OCI
    /// layout.
    pub async fn verify_directory(
        &self,
        directory: &str,
        bundles: &[Bytes],
    ) -> Result<VerifiedImage, Error> {
        let failed = |source| Error::registry(directory, Action::Verify, source);
        self.verify_layout(&Layout::open(directory).await.map_err(failed)?, bundles).await
    }

    /// Verifies the image of an OCI layout by what is attached to it there and by `bundles`, which
    /// came beside it. Of a policy file the rules for files apply, to the path of the directory: the
    /// name that a layout gives its image is what its writer says.
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
        let policy = self.signers.layout_policy(self.purpose.clone(), layout.directory())?;
        let policy = Arc::new(policy.suited_to(&self.root));
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
        judge.all(found, &mut judged).await;
        for bundle in bundles {
            judge.one("the bundle beside it", bundle.clone(), &mut judged).await;
        }
        self.examiner(&policy).conclude(&image, &resolved, judged).map_err(|error| match error {
            Error::NoSignature(none) => {
                Error::NoSignature(Box::new(NoSignature { repository: shown.clone(), ..*none }))
            }
            error => error,
        })
    }

    /// As [`verify`](Self::verify), for several images at once; each result with the position of its
    /// image.
    pub fn verify_all<'a>(&'a self, images: &'a [Image]) -> Results<'a, VerifiedImage> {
        self.jobs.run(images, |image| self.verify(image))
    }

    /// Finds `image`, and the parts of it that must be signed as well.
    ///
    /// # Errors
    /// [`Error::ImageNotFound`] and [`Error::Registry`].
    pub async fn locate(&self, image: &Image) -> Result<Vec<Target>, Error> {
        let failed = |source| Error::registry(image.as_str(), Action::Verify, source);
        let resolved = self.registry.resolve(image.reference()).await.map_err(failed)?;
        self.parts.of(Target::new(image.clone(), resolved), &self.registry).await.map_err(failed)
    }

    /// As [`locate`](Self::locate), for several images at once; each result with the position of its
    /// image.
    pub fn locate_all<'a>(&'a self, images: &'a [Image]) -> Results<'a, Vec<Target>> {
        self.jobs.run(images, |image| self.locate(image))
    }

    /// As [`verify`](Self::verify), for what [`locate`](Self::locate) found.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn verify_located(&self, target: &Target) -> Result<VerifiedImage, Error> {
        let image = target.image();
        let policy = self.policy(image)?;
        (self.listener)(&Event::Verifying(image));
        self.examiner(&policy).find_and_judge(image, target.resolved(), Action::Verify).await
    }

    /// As [`verify_located`](Self::verify_located), for several targets at once; each result with the
    /// position of its target.
    pub(crate) fn verify_all_located<'a>(
        &'a self,
        located: &'a [Located],
    ) -> Results<'a, VerifiedImage> {
        self.jobs.run(located, |(_, target)| self.verify_located(target))
    }

    pub(crate) fn wants_parts(&self) -> bool {
        self.parts != Parts::None
    }

    /// Verifies `image` by the signatures of `index`. It is the image's policy that they must meet:
    /// the index is only where the signatures are.
    async fn verify_by(
        &self,
        index: &Image,
        image: &Image,
        examiner: &Examiner<'_>,
    ) -> Result<VerifiedImage, Error> {
        let of = |image: &Image| {
            let image = image.as_str().to_owned();
            move |source| Error::registry(&image, Action::Verify, source)
        };
        let look_up = async { self.registry.look_up(image.reference()).await.map_err(of(image)) };
        let resolve = async { self.registry.resolve(index.reference()).await.map_err(of(index)) };
        let (found, signed) = try_join(look_up, resolve).await?;
        let is_listed = found.digest() == signed.digest()
            || self.registry.lists(&signed, found.digest()).await.map_err(of(index))?;
        if !is_listed {
            return Err(not_listed(image, &found, &signed, examiner.policy));
        }
        let verified = examiner.find_and_judge(index, &signed, Action::Verify).await?;
        let index = Some(Target::new(index.clone(), signed));
        Ok(VerifiedImage { image: image.clone(), resolved: found, index, ..verified })
    }

    fn policy(&self, image: &Image) -> Result<Arc<Policy>, Error> {
        let policy = self.signers.policy(self.purpose.clone(), image)?;
        Ok(Arc::new(policy.suited_to(&self.root)))
    }

    fn examiner<'a>(&'a self, policy: &'a Arc<Policy>) -> Examiner<'a> {
        Examiner { registry: &self.registry, root: &self.root, clock: &self.clock, policy }
    }
}

fn not_listed(image: &Image, found: &Resolved, index: &Resolved, policy: &Policy) -> Error {
    let reason =
        format!("the index does not list {}, so that it says nothing of it", found.digest());
    Error::NotAcceptable(Box::new(NotAcceptable {
        image: image.as_str().to_owned(),
        purpose: policy.purpose().clone(),
        found: 0,
        required: policy.rule().threshold(),
        accepted: Vec::new(),
        refused: vec![Refusal::new(index.to_string(), Reason::Unusable(reason))],
    }))
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
            .field("parts", &self.parts)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
