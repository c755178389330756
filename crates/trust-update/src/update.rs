use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use host::{Clock, Transport};
use jiff::Timestamp;
use sigstore_tuf::metadata::Role;
use sigstore_tuf::{Repository, Updater, UpdaterConfig};
use trust_root::TrustedRoot;

use crate::cache::{Cache, lock};
use crate::error::{chain, reason};
use crate::mirror::no_key_twice;
use crate::repository::{Cached, Served};
use crate::trust::{SIGNING_CONFIG, SIGNING_CONFIG_V2, TRUSTED_ROOT};
use crate::{Directories, Error, Metadata, Mirror, Trust, Warning, provider};

/// Keeps what one mirror serves current, in a cache on disk.
#[derive(Clone, Debug)]
pub struct Updates {
    mirror: Mirror,
    directories: Directories,
}

impl Updates {
    /// Of `mirror`, cached in `directories`.
    pub fn new(mirror: Mirror, directories: Directories) -> Self {
        Self { mirror, directories }
    }

    /// The mirror.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Whether anything was fetched before. What it is worth shows when it is read.
    pub fn is_cached(&self) -> bool {
        let directory = self.directory();
        ["timestamp.json", "targets/trusted_root.json"]
            .iter()
            .all(|name| directory.join(name).is_file())
    }

    /// What is cached, if it verifies, has not expired and was refreshed within a day; else what
    /// the mirror serves. When the mirror cannot be reached, an older cache serves with a warning
    /// until it expires.
    ///
    /// # Errors
    /// The mirror cannot be reached and no cache serves; or it can, and what it serves fails a
    /// check.
    pub async fn current(
        &self,
        http: &Arc<dyn Transport>,
        clock: &dyn Clock,
    ) -> Result<Trust, Error> {
        let now = clock.now();
        let _lock = lock(&self.directories.lock_of(&self.mirror), clock).await?;
        let cached =
            if self.is_cached() { self.cached(&instant(now)?).await } else { Err(self.nothing()) };
        match cached {
            Ok(trust) if is_fresh(trust.refreshed, now) => Ok(trust),
            Ok(mut trust) => match self.fetch(&self.cache(true), http, clock, now).await {
                Err(source @ Error::Unreachable { .. }) => {
                    trust.warnings.push(Warning::Stale { refreshed: trust.refreshed, source });
                    Ok(trust)
                }
                result => result,
            },
            Err(_) => self.fetch(&self.cache(true), http, clock, now).await,
        }
    }

    /// What the mirror serves now.
    ///
    /// # Errors
    /// The mirror cannot be reached, or what it serves fails a check.
    pub async fn refresh(
        &self,
        http: &Arc<dyn Transport>,
        clock: &dyn Clock,
    ) -> Result<Trust, Error> {
        let now = clock.now();
        let _lock = lock(&self.directories.lock_of(&self.mirror), clock).await?;
        self.fetch(&self.cache(true), http, clock, now).await
    }

    /// What is cached, verified anew, without a look at the network. That it has expired is a
    /// warning: who works offline decided to.
    ///
    /// # Errors
    /// Nothing is cached, or what is cached does not verify.
    pub async fn offline(&self, clock: &dyn Clock) -> Result<Trust, Error> {
        if !self.is_cached() {
            return Err(self.nothing());
        }
        let _lock = lock(&self.directories.lock_of(&self.mirror), clock).await?;
        let mut instant = instant(clock.now())?;
        let mut expired = Vec::new();
        loop {
            match self.cached(&instant).await {
                // One role after the other, back to a time at which none had expired.
                Err(Error::Expired { role, at, .. }) if expired.len() < ROLES => {
                    instant = Timestamp::try_from(at).map_err(|_| self.nothing())?;
                    expired.push(Warning::Expired { role, at });
                }
                Ok(mut trust) => {
                    trust.warnings.append(&mut expired);
                    return Ok(trust);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn directory(&self) -> PathBuf {
        self.directories.of(&self.mirror)
    }

    fn cache(&self, writable: bool) -> Arc<Cache> {
        Arc::new(Cache::new(self.directory(), writable))
    }

    fn nothing(&self) -> Error {
        Error::NotCached { mirror: self.mirror.url().to_string() }
    }

    async fn cached(&self, instant: &Timestamp) -> Result<Trust, Error> {
        let cache = self.cache(false);
        let url = self.mirror.url().as_str();
        let read = self.run(Cached(Arc::clone(&cache)), &cache, *instant, false).await;
        let mut trust = read
            .map_err(|error| Error::from_cache(url, error))
            .and_then(|parts| self.trust(parts, &cache))?;
        trust.refreshed = cache.refreshed();
        Ok(trust)
    }

    async fn fetch(
        &self,
        cache: &Arc<Cache>,
        http: &Arc<dyn Transport>,
        clock: &dyn Clock,
        now: SystemTime,
    ) -> Result<Trust, Error> {
        let url = self.mirror.url();
        let served = Served::new(url, Arc::clone(http));
        let run = self.run(served, cache, instant(now)?, true);
        let parts = within(DEADLINE, clock, run).await.ok_or_else(|| Error::Unreachable {
            mirror: url.to_string(),
            source: reason(&format!("not done within {DEADLINE:?}")),
        })?;
        let parts = parts.map_err(|error| Error::from_tuf(url.as_str(), error))?;
        let mut trust = self.trust(parts, cache)?;
        cache.set_refreshed(now);
        trust.refreshed = Some(now);
        trust.warnings.extend(cache.take_failure());
        Ok(trust)
    }

    /// The workflow of TUF, then the targets.
    async fn run(
        &self,
        repository: impl Repository + 'static,
        cache: &Arc<Cache>,
        instant: Timestamp,
        download: bool,
    ) -> sigstore_tuf::Result<Parts> {
        provider::install();
        let mut config = UpdaterConfig::default();
        // Only the role `targets` is asked; what it delegates is not ours.
        config.max_delegations = 1;
        let mut updater = Updater::new(repository, self.mirror.root())?
            .with_config(config)
            .with_store(Arc::clone(cache));
        updater.refresh(instant).await?;
        no_key_twice(updater.trusted().root())?;

        let mut files = Vec::new();
        for name in [TRUSTED_ROOT, SIGNING_CONFIG, SIGNING_CONFIG_V2] {
            let Some(target) = updater.get_target_info(name, instant).await? else { continue };
            match updater.find_cached_target(&target, name) {
                Some(bytes) => files.push((name, bytes)),
                None if download => {
                    files.push((name, updater.download_target(&target, name).await?));
                }
                None => {}
            }
        }
        if !files.iter().any(|(name, _)| *name == TRUSTED_ROOT) {
            return Err(sigstore_tuf::Error::TargetNotFound(TRUSTED_ROOT.to_owned()));
        }
        Ok((updater, files))
    }

    fn trust(&self, (updater, files): Parts, cache: &Cache) -> Result<Trust, Error> {
        let mirror = self.mirror.url().to_string();
        let root = files.iter().find(|(name, _)| *name == TRUSTED_ROOT);
        let root = root.map_or(&[][..], |(_, bytes)| bytes);
        let trusted_root = TrustedRoot::from_json(root).map_err(|error| Error::Untrusted {
            mirror: mirror.clone(),
            source: reason(&format!("{TRUSTED_ROOT}: {}", chain(&error))),
        })?;
        let set = updater.trusted();
        let metadata = [
            Some(entry("root.json", set.root(), cache)),
            set.timestamp().map(|role| entry("timestamp.json", role, cache)),
            set.snapshot().map(|role| entry("snapshot.json", role, cache)),
            set.targets_role("targets").map(|role| entry("targets.json", role, cache)),
        ];
        Ok(Trust {
            mirror,
            trusted_root,
            files,
            metadata: metadata.into_iter().flatten().collect(),
            refreshed: None,
            warnings: Vec::new(),
        })
    }
}

/// Begins anew with `mirror` and makes it the one that is asked from now on: whatever was cached
/// from it is forgotten, and its root is kept as the one to believe. On failure everything stays
/// as it was.
///
/// # Errors
/// As [`Updates::refresh`]; or the directories cannot be written.
pub async fn initialize(
    mirror: Mirror,
    directories: &Directories,
    http: &Arc<dyn Transport>,
    clock: &dyn Clock,
) -> Result<Trust, Error> {
    let now = clock.now();
    let _lock = lock(&directories.lock_of(&mirror), clock).await?;
    let place = directories.of(&mirror);
    let fresh = directories.cache().join(format!(".new-{}", mirror.name()));
    let failed = |path: &PathBuf| {
        let path = path.clone();
        move |source| Error::Directory { path, source }
    };
    remove(&fresh).map_err(failed(&fresh))?;
    let updates = Updates::new(mirror, directories.clone());
    let cache = Arc::new(Cache::new(fresh.clone(), true));
    let result = updates.fetch(&cache, http, clock, now).await.and_then(|mut trust| {
        // Keeping it was the point of it all.
        if let Some(Warning::NotKept { path, source }) = trust.warnings.pop() {
            return Err(Error::Directory { path, source });
        }
        Ok(trust)
    });
    let trust = match result {
        Ok(trust) => trust,
        Err(error) => {
            drop(remove(&fresh));
            return Err(error);
        }
    };
    directories.choose(updates.mirror())?;
    remove(&place).map_err(failed(&place))?;
    std::fs::rename(&fresh, &place).map_err(failed(&place))?;
    Ok(trust)
}

type Parts = (Updater, Vec<(&'static str, Vec<u8>)>);

fn entry(name: &'static str, role: &impl Role, cache: &Cache) -> Metadata {
    Metadata {
        name,
        version: role.version(),
        length: cache.read(name).map_or(0, |bytes| bytes.len()),
        expires: role.expires().into(),
    }
}

/// A time for `sigstore-tuf`, to which metadata has not expired at the very instant it names; TUF
/// says it has.
fn instant(now: SystemTime) -> Result<Timestamp, Error> {
    now.checked_add(Duration::from_nanos(1))
        .and_then(|now| Timestamp::try_from(now).ok())
        .ok_or_else(|| Error::Root { reason: "the clock tells a time out of range".to_owned() })
}

/// A time in the future is one that a wrong clock told.
fn is_fresh(refreshed: Option<SystemTime>, now: SystemTime) -> bool {
    let age = refreshed.and_then(|refreshed| now.duration_since(refreshed).ok());
    age.is_some_and(|age| age < DAY)
}

fn remove(directory: &PathBuf) -> std::io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The result of `work`, unless `limit` passes before.
async fn within<T>(limit: Duration, clock: &dyn Clock, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    // What is ready at once needs no timer.
    let mut alarm = None;
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => {
            let alarm = alarm.get_or_insert_with(|| clock.sleep(limit));
            alarm.as_mut().poll(context).map(|()| None)
        }
    })
    .await
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The limit for one refresh, all requests together: a mirror that trickles is as good as none.
const DEADLINE: Duration = Duration::from_secs(50);
/// How many roles may have expired.
const ROLES: usize = 4;
