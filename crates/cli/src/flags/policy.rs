//! Whose signature is wanted.

use std::path::PathBuf;

use verify::StringMatch;

/// Whose signature is wanted.
#[derive(clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFlags {
    /// The signer: the certificate's URI, e-mail address or name, exactly.
    #[arg(long, value_name = "NAME", alias = "cert-identity")]
    pub(crate) certificate_identity: Option<String>,
    /// The signer, as a regular expression that must match the whole name.
    #[arg(long, value_name = "REGEXP", alias = "cert-identity-regexp")]
    pub(crate) certificate_identity_regexp: Option<String>,
    /// The signer: any SPIFFE ID of this trust domain.
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) certificate_spiffe_trust_domain: Option<String>,
    /// The SPIFFE ID's path begins with these whole segments, such as /ns/ci.
    #[arg(long, value_name = "PATH")]
    pub(crate) certificate_spiffe_path_prefix: Option<String>,
    /// Who vouched for the signer: the OIDC issuer, exactly.
    #[arg(long, value_name = "URL", alias = "cert-oidc-issuer")]
    pub(crate) certificate_oidc_issuer: Option<String>,
    /// The OIDC issuer, as a regular expression that must match the whole of it.
    #[arg(long, value_name = "REGEXP", alias = "cert-oidc-issuer-regexp")]
    pub(crate) certificate_oidc_issuer_regexp: Option<String>,
    /// Signed with this public key (PEM) instead of an identity.
    #[arg(long, value_name = "FILE|env://VAR")]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) extensions: ExtensionFlags,
    /// Demand a verified timestamp of a timestamp authority.
    #[arg(long)]
    pub(crate) use_signed_timestamps: bool,
    /// Do not demand an entry in a transparency log.
    #[arg(long)]
    pub(crate) insecure_ignore_tlog: bool,
    /// Do not demand that the certificate was published.
    #[arg(long)]
    pub(crate) insecure_ignore_sct: bool,
    /// cosign's older name of --insecure-ignore-tlog.
    #[arg(long, hide = true)]
    pub(crate) private_infrastructure: bool,
}

/// A file that says whose signature is wanted on which image.
#[derive(clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFileFlags {
    /// A file (TOML or JSON) that says which identities may sign which images, and how many of
    /// them it takes.
    #[arg(long, value_name = "FILE")]
    pub(crate) identity_policy: Option<PathBuf>,
}

/// What else the certificate must say.
#[derive(clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct ExtensionFlags {
    /// The workflow's trigger, such as push.
    #[arg(long, value_name = "EVENT")]
    certificate_github_workflow_trigger: Option<String>,
    /// The workflow's commit.
    #[arg(long, value_name = "SHA")]
    certificate_github_workflow_sha: Option<String>,
    /// The workflow's name.
    #[arg(long, value_name = "NAME")]
    certificate_github_workflow_name: Option<String>,
    /// The workflow's repository, as OWNER/NAME.
    #[arg(long, value_name = "REPOSITORY")]
    certificate_github_workflow_repository: Option<String>,
    /// The workflow's git ref, such as refs/heads/main.
    #[arg(long, value_name = "REF")]
    certificate_github_workflow_ref: Option<String>,
    /// The repository the build was of.
    #[arg(long, value_name = "URL")]
    certificate_source_repository: Option<String>,
    /// The commit the build was of.
    #[arg(long, value_name = "SHA")]
    certificate_source_repository_digest: Option<String>,
    /// The git ref the build was of, such as refs/heads/main.
    #[arg(long, value_name = "REF")]
    certificate_source_repository_ref: Option<String>,
    /// The number of the repository, which outlives its name.
    #[arg(long, value_name = "ID")]
    certificate_source_repository_identifier: Option<String>,
    /// The owner of the repository.
    #[arg(long, value_name = "URL")]
    certificate_source_repository_owner: Option<String>,
    /// The number of the owner, which outlives its name.
    #[arg(long, value_name = "ID")]
    certificate_source_repository_owner_identifier: Option<String>,
    /// Whether the repository was public, private or internal at that time.
    #[arg(long, value_name = "VISIBILITY")]
    certificate_source_repository_visibility: Option<String>,
    /// The build instructions that signed: a reusable workflow, for instance.
    #[arg(long, value_name = "URL")]
    certificate_build_signer: Option<String>,
    /// The commit of the build instructions that signed.
    #[arg(long, value_name = "SHA")]
    certificate_build_signer_digest: Option<String>,
    /// The top-level build instructions: the workflow that called a reusable one, for instance.
    #[arg(long, value_name = "URL")]
    certificate_build_config: Option<String>,
    /// The commit of the top-level build instructions.
    #[arg(long, value_name = "SHA")]
    certificate_build_config_digest: Option<String>,
    /// What started the build, such as push.
    #[arg(long, value_name = "EVENT")]
    certificate_build_trigger: Option<String>,
    /// Where the build ran: github-hosted or self-hosted, for instance.
    #[arg(long, value_name = "NAME")]
    certificate_runner_environment: Option<String>,
    /// The run of the build.
    #[arg(long, value_name = "URL")]
    certificate_run_invocation: Option<String>,
    /// Where the build is deployed, such as production.
    #[arg(long, value_name = "NAME")]
    certificate_deployment_environment: Option<String>,
    /// The token's subject, unchanged.
    #[arg(long, value_name = "SUBJECT")]
    certificate_token_subject: Option<String>,
}

impl ExtensionFlags {
    /// Object identifiers of extensions, and the values they must have.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (String, StringMatch)> {
        let flags = [
            (2, &self.certificate_github_workflow_trigger),
            (3, &self.certificate_github_workflow_sha),
            (4, &self.certificate_github_workflow_name),
            (5, &self.certificate_github_workflow_repository),
            (6, &self.certificate_github_workflow_ref),
            (9, &self.certificate_build_signer),
            (10, &self.certificate_build_signer_digest),
            (11, &self.certificate_runner_environment),
            (12, &self.certificate_source_repository),
            (13, &self.certificate_source_repository_digest),
            (14, &self.certificate_source_repository_ref),
            (15, &self.certificate_source_repository_identifier),
            (16, &self.certificate_source_repository_owner),
            (17, &self.certificate_source_repository_owner_identifier),
            (18, &self.certificate_build_config),
            (19, &self.certificate_build_config_digest),
            (20, &self.certificate_build_trigger),
            (21, &self.certificate_run_invocation),
            (22, &self.certificate_source_repository_visibility),
            (23, &self.certificate_deployment_environment),
            (24, &self.certificate_token_subject),
        ];
        flags.into_iter().filter_map(|(arc, value)| {
            let value = StringMatch::exact(value.as_ref()?);
            Some((format!("1.3.6.1.4.1.57264.1.{arc}"), value))
        })
    }
}

impl PolicyFlags {
    /// Whether no flag says who the signer should be.
    pub(crate) fn names_nobody(&self) -> bool {
        let Self { certificate_identity, certificate_identity_regexp, .. } = self;
        let Self { certificate_oidc_issuer, certificate_oidc_issuer_regexp, key, .. } = self;
        let Self { certificate_spiffe_trust_domain, certificate_spiffe_path_prefix, .. } = self;
        [
            certificate_identity,
            certificate_identity_regexp,
            certificate_oidc_issuer,
            certificate_oidc_issuer_regexp,
            certificate_spiffe_trust_domain,
            certificate_spiffe_path_prefix,
            key,
        ]
        .into_iter()
        .all(Option::is_none)
    }
}
