//! What one client learned of each repository, so that it is not asked again.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use url::Url;

use crate::locks::guard;
use crate::repository::Repository;

/// What is known of all repositories, and of the registries that hold them.
#[derive(Debug, Default)]
pub(crate) struct Habits {
    repositories: Mutex<HashMap<Repository, Habit>>,
    registries: Mutex<HashMap<String, RegistryHabit>>,
}

/// What is known of one registry.
#[derive(Debug, Default)]
pub(crate) struct RegistryHabit {
    /// There is no referrers API.
    pub(crate) no_api: bool,
    /// It acknowledged a manifest with a subject, and then the referrers API listed that manifest.
    pub(crate) has_api: bool,
    /// It acknowledged such a manifest, and did not list it.
    pub(crate) has_acknowledged_falsely: bool,
    /// A signature's own tag was stored, and then it was in the list of tags.
    pub(crate) lists_own_tags: bool,
    /// Whether it stores a blob that comes with the request that opens an upload; `None` before that
    /// was tried.
    pub(crate) takes_content: Option<bool>,
    /// A repository that has the two bytes `{}` as a blob.
    pub(crate) empty_blob_in: Option<Repository>,
    /// It does not take a blob from another repository.
    pub(crate) no_mount: bool,
    /// Whether it was asked for things that are asked once.
    is_known: bool,
}

/// What is known of one repository.
#[derive(Debug, Default)]
pub(crate) struct Habit {
    /// A manifest with a subject was stored and not acknowledged: there is no referrers API.
    pub(crate) no_api: bool,
    /// A tag of a signature's own was refused, or is not in the list of tags.
    pub(crate) no_own_tags: bool,
    /// A list of its tags was long.
    pub(crate) has_many_tags: bool,
    /// The two bytes `{}` are a blob of it.
    pub(crate) has_empty_blob: bool,
    /// Uploads that were opened to prove the right to push, and when.
    uploads: Vec<(Url, SystemTime)>,
    /// An upload that was opened for those two bytes.
    pub(crate) for_empty_blob: Option<Url>,
}

impl Habits {
    pub(crate) fn with<T>(&self, repository: &Repository, read: impl FnOnce(&mut Habit) -> T) -> T {
        read(guard(&self.repositories).entry(repository.clone()).or_default())
    }

    /// The same of the registry of `repository`.
    pub(crate) fn with_registry<T>(
        &self,
        repository: &Repository,
        read: impl FnOnce(&mut RegistryHabit) -> T,
    ) -> T {
        read(guard(&self.registries).entry(repository.registry().to_owned()).or_default())
    }

    /// Whether there is no referrers API, as far as is known.
    pub(crate) fn lacks_api(&self, repository: &Repository) -> bool {
        self.with(repository, |habit| habit.no_api)
            || self.with_registry(repository, |habit| habit.no_api)
    }
}

impl RegistryHabit {
    /// Whether this is the first call.
    pub(crate) fn is_new(&mut self) -> bool {
        !std::mem::replace(&mut self.is_known, true)
    }
}

impl Habit {
    /// Keeps an upload for the next blob.
    pub(crate) fn keep_upload(&mut self, upload: Url, now: SystemTime) {
        if self.uploads.len() < MOST_UPLOADS {
            self.uploads.push((upload, now));
        }
    }

    /// An upload that was opened not long ago.
    pub(crate) fn take_upload(&mut self, now: SystemTime) -> Option<Url> {
        let fresh = |since: &SystemTime| now.duration_since(*since).unwrap_or_default() < USABLE;
        self.uploads.retain(|(_, since)| fresh(since));
        self.uploads.pop().map(|(upload, _)| upload)
    }
}

const MOST_UPLOADS: usize = 256;
/// Registries keep an upload for hours; what is in its address may be signed for less.
const USABLE: Duration = Duration::from_secs(240);
