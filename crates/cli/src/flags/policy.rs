//! Which signatures are accepted.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use verify::{Formats, StringMatch};

use super::values::nonempty;

// The expected signer, and what its signature must prove.
#[derive(clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyFlags {
    #[command(flatten)]
    pub(crate) signer: Option<SignerFlags>,
    /// The public key (PEM) of the expected signer, instead of an identity; also https://URL, or
    /// k8s://NAMESPACE/SECRET in a pod of that cluster.
    #[arg(long, value_name = "FILE|env://VAR", value_parser = nonempty::<String>)]
    #[arg(conflicts_with_all = ["SignerFlags", "ExtensionFlags"])]
    pub(crate) key: Option<String>,
    #[command(flatten)]
    pub(crate) extensions: ExtensionFlags,
    /// Require a verified timestamp from a timestamp authority.
    #[arg(long)]
    pub(crate) use_signed_timestamps: bool,
    /// Accept a signature without an entry in a transparency log.
    #[arg(long, alias = "private-infrastructure", overrides_with = "insecure_ignore_tlog")]
    pub(crate) insecure_ignore_tlog: bool,
    /// Accept a certificate without proof that it was published in a certificate log.
    #[arg(long)]
    pub(crate) insecure_ignore_sct: bool,
    /// Accept only signatures of this format: Sigstore bundles, or cosign's older formats. With
    /// `bundle`, a signature of a file cannot be passed off as one of an image.
    #[arg(long, value_name = "bundle|legacy|any", hide_possible_values = true, default_value = "any", value_parser = formats())]
    pub(crate) signature_format: Formats,
    /// A policy file (TOML or JSON): which identities may sign which images and files, and how many
    /// of them must.
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["SignerFlags", "ExtensionFlags", "key"])]
    pub(crate) identity_policy: Option<PathBuf>,
}

fn formats() -> impl TypedValueParser<Value = Formats> {
    let names = PossibleValuesParser::new(["bundle", "legacy", "any"]);
    names.map(|name| Formats::from_name(&name).unwrap_or(Formats::Any))
}

// The identity of the expected signer.
#[derive(clap::Args, Default)]
pub(crate) struct SignerFlags {
    /// The expected signer: the URI, e-mail address or name in the certificate, exactly.
    #[arg(long, value_name = "NAME", alias = "cert-identity", value_parser = nonempty::<String>)]
    #[arg(conflicts_with = "certificate_identity_regexp")]
    pub(crate) certificate_identity: Option<String>,
    /// The expected signer, as a regular expression that must match the whole name, or the beginning
    /// of a URI up to a `/` or `@`.
    #[arg(long, value_name = "REGEXP", alias = "cert-identity-regexp", value_parser = regexp)]
    pub(crate) certificate_identity_regexp: Option<StringMatch>,
    /// The expected signer: any SPIFFE ID in this trust domain.
    #[arg(long, value_name = "DOMAIN", value_parser = nonempty::<String>)]
    #[arg(conflicts_with_all = ["certificate_identity", "certificate_identity_regexp"])]
    pub(crate) certificate_spiffe_trust_domain: Option<String>,
    /// The path of the SPIFFE ID begins with these whole segments, such as /ns/ci.
    #[arg(long, value_name = "PATH", value_parser = nonempty::<String>)]
    #[arg(requires = "certificate_spiffe_trust_domain")]
    pub(crate) certificate_spiffe_path_prefix: Option<String>,
    /// The OIDC issuer that identified the signer, exactly.
    #[arg(long, value_name = "URL", alias = "cert-oidc-issuer", value_parser = nonempty::<String>)]
    #[arg(conflicts_with = "certificate_oidc_issuer_regexp")]
    pub(crate) certificate_oidc_issuer: Option<String>,
    /// The OIDC issuer, as a regular expression that must match all of it.
    #[arg(long, value_name = "REGEXP", alias = "cert-oidc-issuer-regexp", value_parser = regexp)]
    pub(crate) certificate_oidc_issuer_regexp: Option<StringMatch>,
}

fn regexp(text: &str) -> Result<StringMatch, Box<dyn std::error::Error + Send + Sync>> {
    Ok(StringMatch::regexp(&nonempty::<String>(text)?)?)
}

/// Other values that the certificate must have: the object identifiers of extensions, and their
/// values. The flags are the lines of `data/extensions.txt`.
pub(crate) struct ExtensionFlags(pub(crate) Vec<(String, StringMatch)>);

impl PolicyFlags {
    /// Whether no flag names the expected signer.
    pub(crate) fn names_nobody(&self) -> bool {
        self.signer.is_none() && self.key.is_none() && self.identity_policy.is_none()
    }
}

impl clap::Args for ExtensionFlags {
    fn group_id() -> Option<clap::Id> {
        Some("ExtensionFlags".into())
    }

    fn augment_args(command: clap::Command) -> clap::Command {
        let arguments = extensions().map(|(_, flag, value, help)| {
            let arg = clap::Arg::new(flag).long(flag).value_name(value).help(help);
            arg.group("ExtensionFlags").help_heading("Policy").value_parser(nonempty::<String>)
        });
        let group = clap::ArgGroup::new("ExtensionFlags").multiple(true);
        command.group(group).args(arguments)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for ExtensionFlags {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let values = extensions().filter_map(|(arc, flag, ..)| {
            let value = StringMatch::exact(matches.get_one::<String>(flag)?);
            Some((format!("1.3.6.1.4.1.57264.1.{arc}"), value))
        });
        Ok(Self(values.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The last arc of the object identifier, the flag, the name of its value, and its help text.
type Extension = (&'static str, &'static str, &'static str, &'static str);

fn extensions() -> impl Iterator<Item = Extension> {
    include_str!("../../data/extensions.txt").lines().filter_map(|line| {
        let mut words = line.splitn(4, ' ').filter(|_| !line.starts_with('#'));
        Some((words.next()?, words.next()?, words.next()?, words.next()?))
    })
}
