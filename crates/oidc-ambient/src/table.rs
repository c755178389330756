//! The table of sources, in the order in which they are asked.

use std::sync::Arc;

use host::Clock;
use id_token::TokenSource;

use crate::error::Error;

/// The ordered table of sources.
///
/// `Sources::standard` fills it; [`Sources::empty`] and [`Sources::add`] make a table of single
/// ones, whose types are in [`sources`](crate::sources).
#[derive(Clone)]
pub struct Sources {
    table: Vec<(Stage, Arc<dyn TokenSource>)>,
    clock: Arc<dyn Clock>,
    named: bool,
    watcher: Option<Arc<Watcher>>,
}

/// Is told the name of each source before it is asked.
type Watcher = dyn Fn(&str) + Send + Sync;

/// Where a source stands in the order. What was set for this purpose comes before the job, the job
/// before the workload, and the workload before the machine it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// Set for this very purpose: `SIGSTORE_ID_TOKEN`, `SIGSTORE_OIDC_TOKEN_FILE`.
    Given,
    /// The user's own declared sources.
    Declared,
    /// The CI job.
    Job,
    /// A workload identity whose place is named, as by `SPIFFE_ENDPOINT_SOCKET`.
    Workload,
    /// A token that a cluster mounts or gives on request.
    Cluster,
    /// A workload identity at a place that is only guessed, as the default SPIFFE socket.
    Guessed,
    /// AWS. Its source signs requests and lives in `cloud-credentials`.
    Aws,
    /// The machine: Azure, Google.
    Machine,
    /// Credentials in a file, such as Google's Application Default Credentials. Their source signs
    /// requests and lives in `cloud-credentials`.
    CredentialFile,
    /// What another program has fetched and kept.
    Cache,
}

impl Sources {
    /// No sources; `clock` tells which tokens have expired.
    pub fn empty(clock: Arc<dyn Clock>) -> Self {
        Self { table: Vec::new(), clock, named: false, watcher: None }
    }

    /// Adds `source` at the end of its stage.
    pub fn add(&mut self, stage: Stage, source: Arc<dyn TokenSource>) {
        let end = self.table.partition_point(|(there, _)| *there <= stage);
        self.table.insert(end, (stage, source));
    }

    /// Puts `source` in the place of the first one of the same name, and says whether there is one.
    pub fn replace(&mut self, source: Arc<dyn TokenSource>) -> bool {
        let mut entries = self.table.iter_mut();
        let Some((_, there)) = entries.find(|(_, there)| there.name() == source.name()) else {
            return false;
        };
        *there = source;
        true
    }

    /// Calls `watcher` with the name of each source before it is asked, so that a caller whose
    /// deadline passes can name the one that was waited for.
    #[must_use]
    pub fn watched(self, watcher: Arc<dyn Fn(&str) + Send + Sync>) -> Self {
        Self { watcher: Some(watcher), ..self }
    }

    /// Only the sources called `name`, and no others: the one that gives no token is then an error.
    ///
    /// The names are cosign's where cosign has one. `google` means all of Google's.
    ///
    /// # Errors
    /// [`Error::UnknownProvider`] when no source has that name.
    pub fn named(&self, name: &str) -> Result<Self, Error> {
        let is_meant = |source: &dyn TokenSource| {
            source.name() == name || name == "google" && source.name().starts_with("google-")
        };
        let table: Vec<_> =
            self.table.iter().filter(|(_, source)| is_meant(source.as_ref())).cloned().collect();
        if table.is_empty() {
            return Err(Error::UnknownProvider { name: name.to_owned(), known: self.names() });
        }
        Ok(Self { table, named: true, ..self.clone() })
    }

    /// The names there are, in order, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (_, source) in self.staged() {
            if !names.iter().any(|name| name == source.name()) {
                names.push(source.name().to_owned());
            }
        }
        names
    }

    pub(crate) fn staged(&self) -> impl Iterator<Item = (Stage, &Arc<dyn TokenSource>)> {
        self.table.iter().map(|(stage, source)| (*stage, source))
    }

    pub(crate) fn tell(&self, name: &str) {
        if let Some(watcher) = &self.watcher {
            watcher(name);
        }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn is_named(&self) -> bool {
        self.named
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.staged().map(|(_, source)| source.name())).finish()
    }
}
