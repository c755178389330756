//! Finding the image and proving that its signature may be stored, in as few requests as can be.

use bytes::Bytes;
use futures_util::future::{join, join_all, join3};
use url::Url;

use crate::blobs::Mount;
use crate::client::Client;
use crate::error::{Access, Error};
use crate::habits::RegistryHabit;
use crate::manifest::{EMPTY_BLOB, empty_descriptor};
use crate::reference::Reference;
use crate::repository::Repository;
use crate::resolved::Resolved;
use crate::upload::{Interrupted, Posted};

impl Client {
    /// Finds the image and proves the right to push, at the same time. What was opened for that is
    /// kept for the first blob, and cancelled if there is no such image. Of a registry that was not
    /// asked for anything before, it is also asked whether it has the referrers API, and an upload is
    /// opened for the other blob.
    pub(crate) async fn prepare(&self, reference: &Reference) -> Result<Resolved, Error> {
        let repository = self.signatures_of(reference.repository());
        let is_new = self.habits.with_registry(repository, RegistryHabit::is_new);
        let (image, opened, other) = join3(
            self.image_to_sign(reference, repository),
            self.prove_by_storing(repository),
            self.get_to_know(repository, is_new),
        )
        .await;
        match (image, opened) {
            (Ok((image, _)), Ok(opened)) => {
                let now = self.host.clock.now();
                self.habits.with(repository, |habit| {
                    if habit.has_empty_blob {
                        other.into_iter().for_each(|upload| habit.keep_upload(upload, now));
                    } else {
                        habit.for_empty_blob = other;
                    }
                    opened.into_iter().for_each(|upload| habit.keep_upload(upload, now));
                });
                Ok(image)
            }
            (Err(error), opened) => {
                let uploads = opened.ok().flatten().into_iter().chain(other);
                join_all(uploads.map(|it| self.cancel_upload(repository, it))).await;
                Err(error)
            }
            (Ok(_), Err(error)) => Err(error),
        }
    }

    /// The image, read with the right to push where its signature is stored beside it: one token
    /// then serves for everything. A user who may only read gets the image with the right to pull; that
    /// the signature may not be stored is found out by [`prove_by_storing`](Self::prove_by_storing).
    async fn image_to_sign(
        &self,
        reference: &Reference,
        signatures: &Repository,
    ) -> Result<(Resolved, Bytes), Error> {
        if reference.repository() == signatures {
            match self.manifest(reference, Access::Push).await {
                Err(Error::Unauthorized { .. } | Error::Denied { .. }) => {}
                answer => return answer,
            }
        }
        self.manifest(reference, Access::Pull).await
    }

    /// Proves the right to push by the request that stores the two bytes `{}`, which every signature
    /// needs, or opens an upload. `None`: nothing had to be opened.
    async fn prove_by_storing(&self, repository: &Repository) -> Result<Option<Url>, Error> {
        let takes_content = self.habits.with_registry(repository, |habit| habit.takes_content);
        let has_empty_blob = self.habits.with(repository, |habit| habit.has_empty_blob);
        match (takes_content, has_empty_blob) {
            // It was proved before, and the bundle needs no upload that is opened before it.
            (Some(true), true) => return Ok(None),
            (Some(true) | None, false) => {}
            (Some(false), _) | (None, true) => return self.open_upload(repository).await.map(Some),
        }
        let bytes = Bytes::from_static(EMPTY_BLOB);
        match self.post_blob(repository, &empty_descriptor().digest, bytes).await? {
            Posted::Opened(upload) => Ok(Some(upload)),
            Posted::Stored => {
                self.note_empty_blob(repository);
                Ok(None)
            }
        }
    }

    /// What a new registry is asked for beside the image.
    async fn get_to_know(&self, repository: &Repository, is_new: bool) -> Option<Url> {
        if !is_new {
            return None;
        }
        // An API that exists answers for every digest.
        let asked = empty_descriptor().digest;
        let denied = self.denies_referrers_api(repository, &asked);
        let (denied, upload) = join(denied, self.open_upload(repository)).await;
        match denied {
            Ok(denied) => self.habits.with_registry(repository, |habit| habit.no_api = denied),
            Err(error) => tracing::debug!(%error, "whether it lists referrers is not known"),
        }
        upload.ok()
    }

    /// Stores the two bytes `{}`, which every artifact without a configuration shares, unless they
    /// are known to be there.
    pub(crate) async fn put_empty_blob(&self, repository: &Repository) -> Result<(), Error> {
        let _alone = self.writers.hold(format!("{repository} the empty blob")).await;
        if self.habits.with(repository, |habit| habit.has_empty_blob) {
            return Ok(());
        }
        // Of several repositories, the others take it from the first.
        let is_first = || {
            self.habits.with_registry(repository, |habit| {
                habit.empty_blob_in.is_none() && habit.takes_content != Some(true)
            })
        };
        let mut _first = None;
        if is_first() {
            let held = self.writers.hold(format!("{} the empty blob", repository.registry())).await;
            _first = is_first().then_some(held);
        }
        let digest = empty_descriptor().digest;
        let bytes = || Bytes::from_static(EMPTY_BLOB);
        let opened = self.habits.with(repository, |habit| habit.for_empty_blob.take());
        let opened = match opened {
            Some(opened) => Some(opened),
            None => match self.mount_empty_blob(repository).await? {
                Mount::Done => None,
                Mount::Session(upload) => Some(upload),
                Mount::Refused => match self.post_blob(repository, &digest, bytes()).await? {
                    Posted::Stored => None,
                    Posted::Opened(upload) => Some(upload),
                },
            },
        };
        if let Some(opened) = opened
            && let Err(Interrupted::For(_, error) | Interrupted::ForGood(error)) =
                self.finish_upload(repository, opened, &digest, |call| call.body(bytes())).await
        {
            tracing::debug!(%error, "the upload of the empty blob failed");
            // It may have arrived although there was no answer.
            if !self.has_blob(repository, &digest).await? {
                self.put_blob(repository, &digest, bytes()).await?;
            }
        }
        self.note_empty_blob(repository);
        Ok(())
    }

    /// Has the registry take the two bytes from another repository, where it is known to have them.
    async fn mount_empty_blob(&self, repository: &Repository) -> Result<Mount, Error> {
        let source = self.habits.with_registry(repository, |habit| {
            let usable = !habit.no_mount && habit.takes_content != Some(true);
            habit.empty_blob_in.clone().filter(|source| usable && source != repository)
        });
        // A token for one repository does not permit to read another.
        let Some(source) = source.filter(|_| !self.auth.has_token(repository)) else {
            return Ok(Mount::Refused);
        };
        let mount = self.mount(repository, &empty_descriptor().digest, &source).await?;
        if !matches!(mount, Mount::Done) {
            self.habits.with_registry(repository, |habit| habit.no_mount = true);
        }
        Ok(mount)
    }

    fn note_empty_blob(&self, repository: &Repository) {
        self.habits.with(repository, |habit| habit.has_empty_blob = true);
        self.habits.with_registry(repository, |habit| {
            habit.empty_blob_in.get_or_insert_with(|| repository.clone());
        });
    }
}
