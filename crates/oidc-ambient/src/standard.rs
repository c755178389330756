//! The standard table.

use std::sync::Arc;

use host::Host;
use id_token::TokenSource;

use crate::sources::{
    AzureFederatedFile, AzureManagedIdentity, AzurePipelines, Buildkite, Chainguard, CircleCi,
    Codefresh, CosignTokenFile, EnvToken, Fly, GitHubActions, GitLab, GoogleImpersonation,
    GoogleMetadata, Kubernetes, NamedTokenFile, PlatformVariable,
};
use crate::table::{Sources, Stage};

impl Sources {
    /// Every source of this crate, in order. Sources of other crates are added at their stages:
    /// the SPIFFE Workload API at [`Stage::Workload`] and [`Stage::Guessed`], those of
    /// `cloud-credentials` by its `add_to`.
    pub fn standard(host: &Host) -> Self {
        let here = || host.clone();
        let table: [(Stage, Arc<dyn TokenSource>); 26] = [
            (Stage::Given, Arc::new(EnvToken::new(here()))),
            (Stage::Given, Arc::new(NamedTokenFile::new(here()))),
            (Stage::Job, Arc::new(GitHubActions::new(here()))),
            (Stage::Job, Arc::new(GitLab::new(here()))),
            (Stage::Job, Arc::new(Buildkite::new(here()))),
            (Stage::Job, Arc::new(CircleCi::new(here()))),
            (Stage::Job, Arc::new(Codefresh::new(here()))),
            (Stage::Job, Arc::new(PlatformVariable::buddy(here()))),
            (Stage::Job, Arc::new(AzurePipelines::new(here()))),
            (Stage::Job, Arc::new(PlatformVariable::bitbucket(here()))),
            (Stage::Job, Arc::new(PlatformVariable::semaphore(here()))),
            (Stage::Job, Arc::new(PlatformVariable::hcp_terraform(here()))),
            (Stage::Job, Arc::new(PlatformVariable::vercel(here()))),
            (Stage::Job, Arc::new(Fly::new(here()))),
            (Stage::Job, Arc::new(PlatformVariable::spacelift(here()))),
            (Stage::Job, Arc::new(PlatformVariable::harness(here()))),
            (Stage::Job, Arc::new(PlatformVariable::jenkins(here()))),
            (Stage::Job, Arc::new(PlatformVariable::teamcity(here()))),
            (Stage::Job, Arc::new(PlatformVariable::nomad(here()))),
            (Stage::Cluster, Arc::new(CosignTokenFile::new(here()))),
            (Stage::Cluster, Arc::new(Kubernetes::new(here()))),
            (Stage::Machine, Arc::new(AzureFederatedFile::new(here()))),
            (Stage::Machine, Arc::new(AzureManagedIdentity::new(here()))),
            (Stage::Machine, Arc::new(GoogleImpersonation::new(here()))),
            (Stage::Machine, Arc::new(GoogleMetadata::new(here()))),
            (Stage::Cache, Arc::new(Chainguard::new(here()))),
        ];
        let mut sources = Self::empty(Arc::clone(&host.clock));
        for (stage, source) in table {
            sources.add(stage, source);
        }
        sources
    }
}
