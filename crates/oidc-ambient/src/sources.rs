//! The table of places, in the order in which they are asked.

mod aws;
mod azure;
mod azure_pipelines;
mod buildkite;
mod chainguard;
mod circleci;
mod codefresh;
mod declared;
mod env_token;
mod fly;
mod github;
mod gitlab;
mod google;
mod kubernetes;
mod platform;
mod token_file;

use std::sync::Arc;

use host::{Clock, Host};
use id_token::TokenSource;

use crate::error::Error;
use crate::sources::platform::PlatformToken;

/// The ordered table of places.
#[derive(Clone)]
pub struct Sources {
    table: Vec<(Stage, Arc<dyn TokenSource>)>,
    clock: Arc<dyn Clock>,
    named: bool,
}

/// Where in the order a source stands. What was set for us comes before the job, the job before the
/// workload, and that before the machine it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The machine.
    Machine,
}

impl Sources {
    /// No sources; `clock` tells which tokens have expired.
    pub fn empty(clock: Arc<dyn Clock>) -> Self {
        Self { table: Vec::new(), clock, named: false }
    }

    /// Every source of this crate, in order.
    pub fn standard(host: &Host) -> Self {
        let mut sources = Self::empty(Arc::clone(&host.clock));
        let (here, env) = (|| host.clone(), || Arc::clone(&host.env));
        sources.add(Stage::Given, Arc::new(env_token::EnvToken::new(env())));
        sources.add(Stage::Given, Arc::new(token_file::NamedFile::new(env())));
        sources.add(Stage::Job, Arc::new(github::GitHub::new(here())));
        sources.add(Stage::Job, Arc::new(gitlab::GitLab::new(env())));
        sources.add(Stage::Job, Arc::new(buildkite::Buildkite::new(here())));
        sources.add(Stage::Job, Arc::new(circleci::CircleCi::new(here())));
        sources.add(Stage::Job, Arc::new(codefresh::Codefresh::new(here())));
        sources.add(Stage::Job, Arc::new(PlatformToken::new(env(), &platform::BUDDY)));
        sources.add(Stage::Job, Arc::new(azure_pipelines::AzurePipelines::new(here())));
        sources.add(Stage::Job, Arc::new(PlatformToken::new(env(), &platform::BITBUCKET)));
        sources.add(Stage::Job, Arc::new(PlatformToken::new(env(), &platform::SEMAPHORE)));
        sources.add(Stage::Job, Arc::new(PlatformToken::new(env(), &platform::TERRAFORM)));
        sources.add(Stage::Job, Arc::new(PlatformToken::new(env(), &platform::VERCEL)));
        sources.add(Stage::Job, Arc::new(fly::Fly::new(here())));
        sources.add(Stage::Cluster, Arc::new(token_file::CosignFile::new(env())));
        sources.add(Stage::Cluster, Arc::new(kubernetes::Kubernetes::new(here())));
        sources.add(Stage::Machine, Arc::new(aws::Aws::new(here())));
        sources.add(Stage::Machine, Arc::new(azure::AzureFile::new(env())));
        sources.add(Stage::Machine, Arc::new(azure::AzureManaged::new(here())));
        sources.add(Stage::Machine, Arc::new(google::GoogleImpersonation::new(here())));
        sources.add(Stage::Machine, Arc::new(google::GoogleMetadata::new(here())));
        sources.add(Stage::Machine, Arc::new(google::GoogleFile::new(here())));
        sources.add(Stage::Machine, Arc::new(chainguard::Chainguard::new(here())));
        sources
    }

    /// Adds `source` at the end of its stage.
    pub fn add(&mut self, stage: Stage, source: Arc<dyn TokenSource>) {
        let end = self.table.partition_point(|(there, _)| *there <= stage);
        self.table.insert(end, (stage, source));
    }

    /// Only the sources called `name`, which must then work: whoever names a source wants no other.
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
        Ok(Self { table, clock: Arc::clone(&self.clock), named: true })
    }

    /// The names there are, in order, each once.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for source in self.iter() {
            if !names.iter().any(|name| name == source.name()) {
                names.push(source.name().to_owned());
            }
        }
        names
    }

    pub(crate) fn staged(&self) -> impl Iterator<Item = (Stage, &Arc<dyn TokenSource>)> {
        self.table.iter().map(|(stage, source)| (*stage, source))
    }

    fn iter(&self) -> impl Iterator<Item = &Arc<dyn TokenSource>> {
        self.table.iter().map(|(_, source)| source)
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
        f.debug_list().entries(self.iter().map(|source| source.name())).finish()
    }
}

#[cfg(test)]
pub(crate) mod testing;
