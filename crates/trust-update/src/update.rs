use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use host::{Clock, Transport};
use jiff::Timestamp;
use sigstore_tuf::metadata::Role;
use sigstore_tuf::{Repository, Updater, UpdaterConfig};
use trust_root::TrustedRoot;

use crate::cache::{Cache, Lock, lock};
use crate::directories::Directories;
use crate::error::{Error, chain, reason};
use crate::files::{self, Owner};
use crate::mirror::Mirror;
use crate::provider;
use crate::repository::{CacheRepository, MirrorRepository};
use crate::root_metadata::check_keys;
use crate::trust::{Metadata, SIGNING_CONFIG, SIGNING_CONFIG_V2, TRUSTED_ROOT, Trust};
use crate::warning::Warning;

/// Keeps the files of one mirror current, in a cache on disk. Files are read and written on the
/// thread that polls: [`current`](crate::current) and the like do that beside an async runtime.
#[derive(Clone, Debug)]
pub struct Updates {
    mirror: Mirror,
    directories: Directories,
}

impl Updates {
    /// The files of `mirror`, cached in `directories`.
    pub fn new(mirror: Mirror, directories: Directories) -> Self {
        Self { mirror, directories }
    }

    /// The mirror.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Whether there are cached files. Whether they can be used shows when they are read.
    pub fn is_cached(&self) -> bool {
        let directory = self.directory();
        ["timestamp.json", "targets/trusted_root.json"]
            .iter()
            .all(|name| directory.join(name).is_file())
    }

    /// The cached files, if they verify, have not expired and were refreshed within a day; else
    /// what the mirror serves. When the refresh fails, for whatever reason, a cache that has not
    /// expired is used with a warning: a captive portal or a broken mirror must not stop a
    /// verification that needs nothing from it.
    ///
    /// # Errors
    /// There is no cache that can be used, and the mirror cannot be reached or what it serves fails
    /// a check.
    pub async fn current(
        &self,
        http: &Arc<dyn Transport>,
        clock: &dyn Clock,
    ) -> Result<Trust, Error> {
        let now = clock.now();
        let _lock = self.lock(clock).await?;
        let cached =
            if self.is_cached() { self.cached(&instant(now)?).await } else { Err(self.nothing()) };
        match cached {
            Ok(trust) if is_fresh(trust.refreshed, now) => Ok(trust),
            Ok(mut trust) => self.fetch(&self.cache(), http, clock, now).await.or_else(|source| {
                trust.warnings.push(Warning::Stale { refreshed: trust.refreshed, source });
                Ok(trust)
            }),
            Err(_) => self.fetch(&self.cache(), http, clock, now).await,
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
        let _lock = self.lock(clock).await?;
        self.fetch(&self.cache(), http, clock, now).await
    }

    /// The cached files, verified again, without any request. That they have expired is a warning:
    /// working offline was a decision.
    ///
    /// # Errors
    /// There are no cached files, or they do not verify.
    pub async fn offline(&self, clock: &dyn Clock) -> Result<Trust, Error> {
        if !self.is_cached() {
            return Err(self.nothing());
        }
        let _lock = self.lock(clock).await?;
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

    /// Starts again and makes the mirror the one that is asked from now on: its cached files are
    /// removed, and its root becomes the configured one. On failure everything stays as it was.
    ///
    /// # Errors
    /// As [`Updates::refresh`]; or the directories cannot be written.
    pub async fn initialize(
        &self,
        http: &Arc<dyn Transport>,
        clock: &dyn Clock,
    ) -> Result<Trust, Error> {
        let now = clock.now();
        let (directories, trusted, cached) = (&self.directories, self.trusted(), self.directory());
        let _lock = self.lock(clock).await?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Directory { path, source }
        };
        let parent = directories.cache();
        files::create_directory(parent, trusted).map_err(failed(parent))?;
        // Removed when it is dropped, unless it has taken the place of the cache by then.
        let fresh = files::new_directory(parent, ".new-").map_err(failed(parent))?;
        let cache = Arc::new(Cache::new(fresh.path().to_owned(), trusted));
        let mut trust = self.fetch(&cache, http, clock, now).await?;
        // Without its files, nothing was initialized.
        if let Some(Warning::NotKept { path, source }) = trust.warnings.pop() {
            return Err(Error::Directory { path, source });
        }
        directories.choose(&self.mirror)?;
        files::remove_directory(&cached).map_err(failed(&cached))?;
        std::fs::rename(fresh.path(), &cached).map_err(failed(&cached))?;
        Ok(trust)
    }

    fn directory(&self) -> PathBuf {
        self.directories.of(&self.mirror)
    }

    fn trusted(&self) -> Owner {
        self.directories.trusted(self.directories.cache())
    }

    async fn lock(&self, clock: &dyn Clock) -> Result<Lock, Error> {
        lock(&self.directories.lock_of(&self.mirror), self.trusted(), clock).await
    }

    fn cache(&self) -> Arc<Cache> {
        Arc::new(Cache::new(self.directory(), self.trusted()))
    }

    fn nothing(&self) -> Error {
        Error::NotCached { mirror: self.mirror.url().to_string() }
    }

    async fn cached(&self, instant: &Timestamp) -> Result<Trust, Error> {
        let cache = self.cache();
        let url = self.mirror.url().as_str();
        for directory in [self.directories.cache(), &self.directory()] {
            files::check_directory(directory, self.trusted()).map_err(|error| {
                let text = format!("{}: {error}", directory.display());
                Error::Damaged { mirror: url.to_owned(), source: reason(&text) }
            })?;
        }
        let repository = CacheRepository(Arc::clone(&cache));
        let read = self.run(repository, &cache, *instant, false).await;
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
        let served = MirrorRepository::new(url, Arc::clone(http));
        let run = self.run(served, cache, instant(now)?, true);
        let parts = within(DEADLINE, clock, run).await.ok_or_else(|| Error::Unreachable {
            mirror: url.to_string(),
            source: reason(&format!("not done within {DEADLINE:?}")),
        })?;
        let trust = parts
            .map_err(|error| Error::from_tuf(url.as_str(), error))
            .and_then(|parts| self.trust(parts, cache));
        let mut trust = match trust {
            Ok(trust) => trust,
            Err(error) => {
                // Why the refresh failed matters more than that its roots are not kept.
                cache.commit_roots();
                return Err(error);
            }
        };
        cache.set_refreshed(now);
        trust.refreshed = Some(now);
        trust.warnings.extend(cache.commit());
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
        // Only the role `targets` is read, not what it delegates to.
        config.max_delegations = 1;
        let mut updater = Updater::new(repository, self.mirror.root())?
            .with_config(config)
            .with_store(Arc::clone(cache));
        updater.refresh(instant).await?;
        check_keys(updater.trusted().root())?;

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
            directory: Some(self.directories.cache().to_owned()),
            refreshed: None,
            warnings: Vec::new(),
        })
    }
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

/// A time for `sigstore-tuf`, for which metadata expires just after the instant it names; for TUF it
/// expires at that instant.
fn instant(now: SystemTime) -> Result<Timestamp, Error> {
    now.checked_add(Duration::from_nanos(1))
        .and_then(|now| Timestamp::try_from(now).ok())
        .ok_or_else(|| Error::Root { reason: "the clock's time is out of range".to_owned() })
}

/// A time in the future comes from a wrong clock.
fn is_fresh(refreshed: Option<SystemTime>, now: SystemTime) -> bool {
    let age = refreshed.and_then(|refreshed| now.duration_since(refreshed).ok());
    age.is_some_and(|age| age < DAY)
}

/// The result of `work`, unless `limit` passes before.
async fn within<T>(limit: Duration, clock: &dyn Clock, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    // Work that is ready at once needs no timer.
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
/// The limit for one refresh, all requests together.
const DEADLINE: Duration = Duration::from_secs(50);
/// How many roles may have expired.
const ROLES: usize = 4;
