//! What one client learned of each repository, so that it is not asked again.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use url::Url;

use crate::locks::guard;
use crate::repository::Repository;

/// What is known of all repositories.
#[derive(Debug, Default)]
pub(crate) struct Habits(Mutex<HashMap<Repository, Habit>>);

/// What is known of one repository.
#[derive(Debug, Default)]
pub(crate) struct Habit {
    /// A manifest with a subject was stored and not acknowledged: there is no referrers API.
    pub(crate) no_api: bool,
    /// A tag of a signature's own was refused, or is not in the list of tags.
    pub(crate) no_own_tags: bool,
    /// Whether the two bytes `{}` are a blob of it.
    pub(crate) has_empty_blob: Option<bool>,
    /// Uploads that were opened to prove the right to push, and when.
    uploads: Vec<(Url, SystemTime)>,
}

impl Habits {
    pub(crate) fn with<T>(&self, repository: &Repository, read: impl FnOnce(&mut Habit) -> T) -> T {
        read(guard(&self.0).entry(repository.clone()).or_default())
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
