//! Which signatures are accepted.

use std::path::PathBuf;

use verify::StringMatch;

use super::values::{SignatureFormat, nonempty};

/// The expected signer, and what its signature must prove.
#[derive(clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFlags {
    /// The expected signer: the URI, e-mail address or name in the certificate, exactly.
    #[arg(long, value_name = "NAME", alias = "cert-identity", value_parser = nonempty)]
    #[arg(conflicts_with = "certificate_identity_regexp")]
    pub(crate) certificate_identity: Option<String>,
    /// The expected signer, as a regular expression that must match the whole name, or the beginning
    /// of a URI up to a `/` or `@`.
    #[arg(long, value_name = "REGEXP", alias = "cert-identity-regexp", value_parser = nonempty)]
    pub(crate) certificate_identity_regexp: Option<String>,
    /// The expected signer: any SPIFFE ID in this trust domain.
    #[arg(long, value_name = "DOMAIN", value_parser = nonempty)]
    #[arg(conflicts_with_all = ["certificate_identity", "certificate_identity_regexp"])]
    pub(crate) certificate_spiffe_trust_domain: Option<String>,
    /// The path of the SPIFFE ID begins with these whole segments, such as /ns/ci.
    #[arg(long, value_name = "PATH", value_parser = nonempty)]
    #[arg(requires = "certificate_spiffe_trust_domain")]
    pub(crate) certificate_spiffe_path_prefix: Option<String>,
    /// The OIDC issuer that identified the signer, exactly.
    #[arg(long, value_name = "URL", alias = "cert-oidc-issuer", value_parser = nonempty)]
    #[arg(conflicts_with = "certificate_oidc_issuer_regexp")]
    pub(crate) certificate_oidc_issuer: Option<String>,
    /// The OIDC issuer, as a regular expression that must match all of it.
    #[arg(long, value_name = "REGEXP", alias = "cert-oidc-issuer-regexp", value_parser = nonempty)]
    pub(crate) certificate_oidc_issuer_regexp: Option<String>,
    /// The public key (PEM) of the expected signer, instead of an identity.
    #[arg(long, value_name = "FILE|env://VAR", value_parser = nonempty)]
    #[arg(conflicts_with_all = [
        "certificate_identity", "certificate_identity_regexp", "certificate_spiffe_trust_domain",
        "certificate_oidc_issuer", "certificate_oidc_issuer_regexp", "ExtensionFlags",
    ])]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) extensions: ExtensionFlags,
    /// Require a verified timestamp from a timestamp authority.
    #[arg(long)]
    pub(crate) use_signed_timestamps: bool,
    /// Accept a signature without an entry in a transparency log.
    #[arg(long)]
    pub(crate) insecure_ignore_tlog: bool,
    /// Accept a certificate without proof that it was published in a certificate log.
    #[arg(long)]
    pub(crate) insecure_ignore_sct: bool,
    /// Accept only signatures of this format: Sigstore bundles, or cosign's older formats. With
    /// `bundle`, a signature of a file cannot be passed off as one of an image.
    #[arg(long, value_name = "bundle|legacy|any", hide_possible_values = true)]
    #[arg(default_value = "any")]
    pub(crate) signature_format: SignatureFormat,
    /// cosign's older name of --insecure-ignore-tlog.
    #[arg(long, hide = true)]
    pub(crate) private_infrastructure: bool,
}

/// A file with the expected signers of many images.
#[derive(clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFileFlags {
    /// A policy file (TOML or JSON): which identities may sign which images, and how many of them
    /// must.
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = [
        "certificate_identity", "certificate_identity_regexp", "certificate_spiffe_trust_domain",
        "certificate_oidc_issuer", "certificate_oidc_issuer_regexp", "key", "ExtensionFlags",
    ])]
    pub(crate) identity_policy: Option<PathBuf>,
}

/// Other values that the certificate must have.
#[derive(clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct ExtensionFlags {
    /// The event that started the workflow, such as push.
    #[arg(long, value_name = "EVENT", value_parser = nonempty)]
    certificate_github_workflow_trigger: Option<String>,
    /// The commit of the workflow.
    #[arg(long, value_name = "SHA", value_parser = nonempty)]
    certificate_github_workflow_sha: Option<String>,
    /// The name of the workflow.
    #[arg(long, value_name = "NAME", value_parser = nonempty)]
    certificate_github_workflow_name: Option<String>,
    /// The repository of the workflow, as OWNER/NAME.
    #[arg(long, value_name = "REPOSITORY", value_parser = nonempty)]
    certificate_github_workflow_repository: Option<String>,
    /// The git ref of the workflow, such as refs/heads/main.
    #[arg(long, value_name = "REF", value_parser = nonempty)]
    certificate_github_workflow_ref: Option<String>,
    /// The repository that was built.
    #[arg(long, value_name = "URL", value_parser = nonempty)]
    certificate_source_repository: Option<String>,
    /// The commit that was built.
    #[arg(long, value_name = "SHA", value_parser = nonempty)]
    certificate_source_repository_digest: Option<String>,
    /// The git ref that was built, such as refs/heads/main.
    #[arg(long, value_name = "REF", value_parser = nonempty)]
    certificate_source_repository_ref: Option<String>,
    /// The number of the repository; it stays when the repository is renamed.
    #[arg(long, value_name = "ID", value_parser = nonempty)]
    certificate_source_repository_identifier: Option<String>,
    /// The owner of the repository.
    #[arg(long, value_name = "URL", value_parser = nonempty)]
    certificate_source_repository_owner: Option<String>,
    /// The number of the owner; it stays when the owner is renamed.
    #[arg(long, value_name = "ID", value_parser = nonempty)]
    certificate_source_repository_owner_identifier: Option<String>,
    /// The visibility of the repository at build time: public, private or internal.
    #[arg(long, value_name = "VISIBILITY", value_parser = nonempty)]
    certificate_source_repository_visibility: Option<String>,
    /// The build instructions that signed, such as a reusable workflow.
    #[arg(long, value_name = "URL", value_parser = nonempty)]
    certificate_build_signer: Option<String>,
    /// The commit of the build instructions that signed.
    #[arg(long, value_name = "SHA", value_parser = nonempty)]
    certificate_build_signer_digest: Option<String>,
    /// The top-level build instructions, such as the workflow that called a reusable one.
    #[arg(long, value_name = "URL", value_parser = nonempty)]
    certificate_build_config: Option<String>,
    /// The commit of the top-level build instructions.
    #[arg(long, value_name = "SHA", value_parser = nonempty)]
    certificate_build_config_digest: Option<String>,
    /// The event that started the build, such as push.
    #[arg(long, value_name = "EVENT", value_parser = nonempty)]
    certificate_build_trigger: Option<String>,
    /// Where the build ran, such as github-hosted or self-hosted.
    #[arg(long, value_name = "NAME", value_parser = nonempty)]
    certificate_runner_environment: Option<String>,
    /// The run of the build.
    #[arg(long, value_name = "URL", value_parser = nonempty)]
    certificate_run_invocation: Option<String>,
    /// The environment that is deployed to, such as production.
    #[arg(long, value_name = "NAME", value_parser = nonempty)]
    certificate_deployment_environment: Option<String>,
    /// The subject (sub) of the identity token.
    #[arg(long, value_name = "SUBJECT", value_parser = nonempty)]
    certificate_token_subject: Option<String>,
}

impl ExtensionFlags {
    /// The object identifiers of the extensions, and the values they must have.
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
    /// Whether no flag names the expected signer.
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
