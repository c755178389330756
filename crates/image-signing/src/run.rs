//! A run of a program over many images: what is found, skipped, done and failed, in order.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bundle::LargeText;
use futures_util::future::{BoxFuture, Either, FutureExt as _, select};
use futures_util::{Stream, StreamExt as _};
use host::{Clock, Env};
use signer::Session;

use crate::accepted::VerifiedImage;
use crate::batch::{Batch, End, FailedImage, Located, Place};
use crate::claim::Claim;
use crate::error::Error;
use crate::image::{Image, Target};
use crate::several::locate_beside;
use crate::sign::ImageSigner;
use crate::signed::SignedImage;
use crate::verify_image::ImageVerifier;

/// What a program shows of a [`Run`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// Work on the image begins.
    Begin(&'a str),
    /// The image needs nothing else.
    End(&'a str),
    /// How far the run is, such as `37/200`, where there are several images.
    Progress(Option<String>),
    /// Half a minute has passed.
    Heartbeat,
    /// What is waited for.
    WaitFor(&'a str),
    /// A line of results.
    Result(&'a LargeText),
    /// Something to know about an image.
    Note(String),
    /// The last line, which counts the images.
    Summary(String),
}

/// Shows each step. It must not block.
pub type View<'a> = &'a (dyn Fn(Step<'_>) + Send + Sync);

/// Many images, and what became of them. The end of a run, also when it is dropped, prints what is
/// known.
pub struct Run<'a> {
    batch: Batch,
    clock: Arc<dyn Clock>,
    /// When the next heartbeat is due; `None` by a clock that stands still.
    heartbeat: Option<SystemTime>,
    view: View<'a>,
}

/// How images are made ready to be signed.
#[derive(Clone, Debug)]
pub struct Preparation {
    skip_signed: bool,
    fail_fast: bool,
    later: bool,
    claim: Option<Claim>,
    replace: bool,
}

impl Preparation {
    /// Says whether what is signed already is left alone, whether nothing is signed when an image was
    /// not found, whether the session begins only after the images were found (because a person is
    /// asked), and what is attested; without it the images are signed.
    pub fn new(skip_signed: bool, fail_fast: bool, later: bool, claim: Option<Claim>) -> Self {
        Self { skip_signed, fail_fast, later, claim, replace: false }
    }

    /// Whether older attestations are replaced: see [`ImageSigner::replace_older`].
    #[must_use]
    pub fn replace(self, replace: bool) -> Self {
        Self { replace, ..self }
    }
}

/// What is signed, and with what.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ready {
    /// Has a certificate, or a key.
    pub session: Session,
    /// Says what is to be said.
    pub signer: ImageSigner,
    /// At least one.
    pub targets: Vec<Located>,
}

impl<'a> Run<'a> {
    /// Nothing of `images` is `done` (`signed`, `verified`). The lines of what fails or is skipped are
    /// JSON, or text.
    pub fn new(
        done: &'static str,
        images: &[Image],
        is_json: bool,
        clock: Arc<dyn Clock>,
        view: View<'a>,
    ) -> Self {
        images.iter().for_each(|image| view(Step::Begin(image.as_str())));
        let now = clock.now();
        let batch = Batch::new(done, images, is_json, now);
        Self { batch, heartbeat: now.checked_add(QUIET), clock, view }
    }

    /// The next of `results`. Shows meanwhile how far the run is.
    pub async fn next<T>(&mut self, results: &mut (impl Stream<Item = T> + Unpin)) -> Option<T> {
        let several = self.batch.total() > 1;
        (self.view)(Step::Progress(several.then(|| self.batch.progress())));
        while let Some(due) = self.heartbeat {
            let left = due.duration_since(self.clock.now()).unwrap_or_default();
            match select(results.next(), self.clock.sleep(left)).await {
                Either::Left((next, _)) => return next,
                Either::Right(_) => {
                    (self.view)(Step::Heartbeat);
                    let now = self.clock.now();
                    self.heartbeat = now.checked_add(QUIET).filter(|_| now >= due);
                }
            }
        }
        results.next().await
    }

    /// The manifests that were `found` for `images`, each with its place. `fail` reports the others.
    pub async fn locate(
        &mut self,
        mut found: impl Stream<Item = (usize, Result<Vec<Target>, Error>)> + Unpin,
        images: &[Image],
        fail: impl Fn(Error) -> FailedImage,
    ) -> Vec<Located> {
        let mut located = Vec::new();
        (self.view)(Step::WaitFor(LOOKING));
        while let Some((position, result)) = self.next(&mut found).await {
            let name = images.get(position).map(Image::as_str).unwrap_or_default();
            match result {
                Ok(targets) => {
                    (self.view)(Step::End(name));
                    targets.iter().for_each(|target| (self.view)(Step::Begin(target.name())));
                    self.batch.set_parts(position, &targets);
                    located.extend((0..).map(|part| (position, part)).zip(targets));
                }
                Err(error) => self.failed((position, 0), name, fail(error), false),
            }
        }
        located.sort_by_key(|(place, _)| *place);
        located
    }

    /// Makes ready to sign: first what can be known without an identity, so that nothing is sent to
    /// Fulcio or Rekor for an image that does not exist or may not be written. The session begins
    /// meanwhile. `None`: there is nothing to sign.
    ///
    /// # Errors
    /// What `session` gives; that there is no certificate, or that the claim cannot be made.
    pub async fn prepare<E: From<signer::Error> + From<Error>>(
        &mut self,
        signer: ImageSigner,
        images: &[Image],
        session: impl Future<Output = Result<Session, E>>,
        how: &Preparation,
        env: &dyn Env,
        fail: impl Fn(Error) -> FailedImage,
    ) -> Result<Option<Ready>, E> {
        if images.is_empty() {
            return Ok(None);
        }
        let both = if how.skip_signed {
            let session = session.await?;
            let signer = with_claim::<E>(&signer, how, &session, env).await?;
            let signer = signer.skip_signed(&session).await?;
            Some((self.locate(signer.locate_all(images), images, fail).await, Ok(session)))
        } else {
            let view = self.view;
            let located = self.locate(signer.locate_all(images), images, fail);
            // What is waited for then, unless the images were found before.
            let session = session.inspect(|_| view(Step::WaitFor(LOOKING)));
            locate_beside(located, session, how.later).await
        };
        let Some((located, session)) = both else { return Ok(None) };
        if how.fail_fast && self.batch.count(End::Failed) > 0 {
            return Ok(None);
        }
        let (targets, others) = Batch::to_sign(located);
        for (place, target) in others {
            (self.view)(Step::End(target.name()));
            let lines = self.batch.skip(place, &target);
            self.print(&lines);
        }
        if targets.is_empty() {
            return Ok(None);
        }
        let session = session?;
        let claimed = how.claim.as_ref().map(Claim::about_size);
        session.prepare_for(claimed.unwrap_or_default()).await?;
        let mut signer = with_claim::<E>(&signer, how, &session, env).await?;
        if how.replace {
            signer = signer.replace_older(&session).await?;
        }
        Ok(Some(Ready { session, signer, targets }))
    }

    /// Signs what is `ready`, many at once, and attaches the signatures. `task` does the work on what
    /// has this name; `report` makes the line of a result, or reports why there is none.
    pub async fn sign<'b, W>(
        &mut self,
        ready: &'b Ready,
        task: impl Fn(&'b str, BoxFuture<'b, Result<SignedImage, Error>>) -> W + Send + 'b,
        report: impl Fn(Result<SignedImage, Error>) -> Result<String, FailedImage>,
    ) where
        W: Future<Output = Result<SignedImage, Error>> + Send + 'b,
    {
        let Ready { session, signer, targets } = ready;
        let notices = targets.iter().filter_map(|(_, target)| target.tag_notice());
        notices.for_each(|notice| (self.view)(Step::Note(notice)));
        let jobs = signer.signing_jobs(session);
        let mut results = jobs.run(targets, move |(_, target)| {
            task(target.name(), signer.sign_and_attach(target, session).boxed())
        });
        while let Some((position, signed)) = self.next(&mut results).await {
            let Some((place, target)) = targets.get(position) else { continue };
            // What is signed and not attached is not done again.
            let is_over = matches!(signed, Ok(_) | Err(Error::NotAttached { .. }));
            match report(signed) {
                Ok(line) => self.end(*place, target.name(), vec![line.into()]),
                Err(failed) => self.failed(*place, target.name(), failed, is_over),
            }
        }
    }

    /// Verifies `images`, and their parts where `verifier` wants those. `report` makes the lines of a
    /// result, or reports why there is none; an image whose exit code is 1 stays among what is not
    /// done.
    pub async fn verify(
        &mut self,
        verifier: &ImageVerifier,
        images: &[Image],
        report: impl Fn(Result<VerifiedImage, Error>) -> Result<Vec<LargeText>, FailedImage>,
    ) {
        let fail = |error| match report(Err(error)) {
            Ok(_) => FailedImage::new("", "", &[], 1),
            Err(failed) => failed,
        };
        let (located, places): (_, Vec<_>);
        let mut results = if verifier.wants_parts() {
            located = self.locate(verifier.locate_all(images), images, fail).await;
            places = located.iter().map(|(place, target)| (*place, target.name())).collect();
            verifier.verify_all_located(&located)
        } else {
            (self.view)(Step::WaitFor("looking for signatures"));
            let names = images.iter().map(Image::as_str).enumerate();
            places = names.map(|(position, name)| ((position, 0), name)).collect();
            verifier.verify_all(images)
        };
        while let Some((position, result)) = self.next(&mut results).await {
            let Some((place, name)) = places.get(position) else { continue };
            match report(result) {
                Ok(lines) => self.end(*place, name, lines),
                Err(failed) => {
                    let is_over = failed.exit != 1;
                    self.failed(*place, name, failed, is_over);
                }
            }
        }
    }

    /// What is at `place` is done: these lines are its result.
    pub fn end(&mut self, place: Place, name: &str, lines: Vec<LargeText>) {
        (self.view)(Step::End(name));
        let lines = self.batch.end(place, End::Done, lines);
        self.print(&lines);
    }

    /// `name` failed. It stays among what is not done, unless `is_over`.
    pub fn failed(&mut self, place: Place, name: &str, failed: FailedImage, is_over: bool) {
        match is_over {
            true => (self.view)(Step::End(name)),
            false => (self.view)(Step::Begin(name)),
        }
        let lines = self.batch.fail(place, &FailedImage { image: name.to_owned(), ..failed });
        self.print(&lines);
    }

    /// Nothing else can be done, because of what `failed` says.
    pub fn abandon(mut self, failed: &FailedImage) {
        let lines = self.batch.fail_the_rest(failed);
        self.print(&lines);
    }

    /// Ends the run, and says whether everything has a result: not after a first failure that ended
    /// it.
    pub fn finish(self) -> bool {
        self.batch.is_whole()
    }

    fn print(&self, lines: &[LargeText]) {
        lines.iter().for_each(|line| (self.view)(Step::Result(line)));
    }
}

async fn with_claim<E: From<signer::Error> + From<Error>>(
    signer: &ImageSigner,
    how: &Preparation,
    session: &Session,
    env: &dyn Env,
) -> Result<ImageSigner, E> {
    let signer = signer.clone();
    let Some(claim) = &how.claim else { return Ok(signer) };
    Ok(signer.with_attestation(claim.attested_by::<E>(session, env).await?))
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        let lines = self.batch.rest();
        self.print(&lines);
        if self.batch.total() != 1 {
            (self.view)(Step::Summary(self.batch.summary(self.clock.now())));
        }
    }
}

/// What is waited for while images are found.
const LOOKING: &str = "looking at the images in their registry";
/// So often a run without a terminal shows how far it is.
const QUIET: Duration = Duration::from_secs(30);
