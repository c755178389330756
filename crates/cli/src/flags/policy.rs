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

/// Other values that the certificate must have: flags made of the table [`EXTENSIONS`].
pub(crate) struct ExtensionFlags(Vec<(String, StringMatch)>);

impl ExtensionFlags {
    /// The object identifiers of the extensions, and the values they must have.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = (String, StringMatch)> {
        self.0.iter().cloned()
    }
}

impl clap::Args for ExtensionFlags {
    fn group_id() -> Option<clap::Id> {
        Some("ExtensionFlags".into())
    }

    fn augment_args(command: clap::Command) -> clap::Command {
        let ids = EXTENSIONS.map(|(_, name, ..)| name);
        let group = clap::ArgGroup::new("ExtensionFlags").multiple(true).args(ids);
        let arguments = EXTENSIONS.map(|(_, name, value, help)| {
            let arg = clap::Arg::new(name).long(format!("certificate-{name}")).value_name(value);
            arg.help(help).help_heading("Policy").value_parser(nonempty)
        });
        command.args(arguments).group(group)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for ExtensionFlags {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let values = EXTENSIONS.into_iter().filter_map(|(arc, name, ..)| {
            let value = StringMatch::exact(matches.get_one::<String>(name)?);
            Some((format!("1.3.6.1.4.1.57264.1.{arc}"), value))
        });
        Ok(Self(values.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Fulcio's extensions: the last arc of the object identifier, the flag after `--certificate-`,
/// its value and its help text.
#[rustfmt::skip]
const EXTENSIONS: [(u8, &str, &str, &str); 21] = [
    (2, "github-workflow-trigger", "EVENT", "The event that started the workflow, such as push"),
    (3, "github-workflow-sha", "SHA", "The commit of the workflow"),
    (4, "github-workflow-name", "NAME", "The name of the workflow"),
    (5, "github-workflow-repository", "REPOSITORY",
        "The repository of the workflow, as OWNER/NAME"),
    (6, "github-workflow-ref", "REF", "The git ref of the workflow, such as refs/heads/main"),
    (12, "source-repository", "URL", "The repository that was built"),
    (13, "source-repository-digest", "SHA", "The commit that was built"),
    (14, "source-repository-ref", "REF", "The git ref that was built, such as refs/heads/main"),
    (15, "source-repository-identifier", "ID",
        "The number of the repository; it stays when the repository is renamed"),
    (16, "source-repository-owner", "URL", "The owner of the repository"),
    (17, "source-repository-owner-identifier", "ID",
        "The number of the owner; it stays when the owner is renamed"),
    (22, "source-repository-visibility", "VISIBILITY",
        "The visibility of the repository at build time: public, private or internal"),
    (9, "build-signer", "URL", "The build instructions that signed, such as a reusable workflow"),
    (10, "build-signer-digest", "SHA", "The commit of the build instructions that signed"),
    (18, "build-config", "URL",
        "The top-level build instructions, such as the workflow that called a reusable one"),
    (19, "build-config-digest", "SHA", "The commit of the top-level build instructions"),
    (20, "build-trigger", "EVENT", "The event that started the build, such as push"),
    (11, "runner-environment", "NAME", "Where the build ran, such as github-hosted or self-hosted"),
    (21, "run-invocation", "URL", "The run of the build"),
    (23, "deployment-environment", "NAME",
        "The environment that is deployed to, such as production"),
    (24, "token-subject", "SUBJECT", "The subject (sub) of the identity token"),
];

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
