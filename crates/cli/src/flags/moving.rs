//! The flags of the commands that move images, and read or change what is attached to them.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use oci_push::AttachmentKind;

use super::groups::RegistryFlags;
use super::values::{Output, argument, predicate_type};

#[derive(clap::Args)]
pub(crate) struct CopyFlags {
    /// The image, by digest or by tag.
    #[arg(value_name = "SRC", value_parser = argument::<String>)]
    pub(crate) source: String,
    /// Where it goes, with its new tag.
    #[arg(value_name = "DST", value_parser = argument::<String>)]
    pub(crate) destination: String,
    /// Copy only these attachments, to an image that is at DST; separated by commas.
    #[arg(long, value_name = "sig|att|sbom", value_delimiter = ',', hide_possible_values = true)]
    #[arg(value_parser = kinds(["sig", "att", "sbom"]), conflicts_with = "all_referrers")]
    pub(crate) only: Vec<&'static [AttachmentKind]>,
    #[command(flatten)]
    pub(crate) parts: PartFlags,
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

#[derive(clap::Args)]
pub(crate) struct SaveFlags {
    /// The directory; it is made if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) parts: PartFlags,
    #[command(flatten)]
    pub(crate) image: ImageFlags,
}

#[derive(clap::Args)]
pub(crate) struct LoadFlags {
    /// The directory that cosign, oras or `ambisign save` wrote; of several images one by DIR:NAME.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) parts: PartFlags,
    #[command(flatten)]
    pub(crate) target: TargetFlags,
    #[command(flatten)]
    pub(crate) image: ImageFlags,
}

// The image, and access to its registry.
#[derive(clap::Args)]
pub(crate) struct ImageFlags {
    /// The image, by digest or by tag.
    #[arg(required = true, value_name = "IMAGE", value_parser = argument::<String>)]
    pub(crate) image: String,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

// What of an image is moved, and how that is reported.
#[derive(clap::Args)]
pub(crate) struct PartFlags {
    /// Take along everything that refers to the image, and what refers to that.
    #[arg(long)]
    pub(crate) all_referrers: bool,
    /// Take only this platform, with its own signatures.
    #[arg(long, value_name = "OS/ARCH")]
    pub(crate) platform: Option<String>,
    /// The format of the result.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
}

// How a registry is written to.
#[derive(clap::Args)]
pub(crate) struct TargetFlags {
    /// Replace another image under the tag, and send again what is there.
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) tags: TagFlags,
}

// How signatures are listed.
#[derive(clap::Args)]
pub(crate) struct TagFlags {
    /// `false` gives signatures no tags of their own where the registry lacks the referrers API: a
    /// slow writer can then erase them from the list.
    #[arg(long, default_value_t = true, help_heading = "Registry")]
    pub(crate) signature_tags: bool,
}

#[derive(clap::Args)]
pub(crate) struct TreeFlags {
    /// The format of the report.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) image: ImageFlags,
}

/// What is downloaded.
#[derive(clap::Subcommand)]
#[command(defer = true)]
pub(crate) enum DownloadCommand {
    /// Print the signatures of an image, one bundle a line.
    Signature(ImageFlags),
    /// Print the attestations of an image, one bundle a line.
    Attestation(DownloadAttestationFlags),
}

#[derive(clap::Args)]
pub(crate) struct DownloadAttestationFlags {
    /// Print only attestations of this type: a URI, or one of cosign's short names.
    #[arg(long, value_name = "TYPE", value_parser = predicate_type)]
    pub(crate) predicate_type: Option<String>,
    #[command(flatten)]
    pub(crate) image: ImageFlags,
}

#[derive(clap::Args)]
pub(crate) struct AttachFlags {
    /// Bundles of signatures or attestations of the image; `-` is stdin.
    #[arg(required = true, value_name = "BUNDLE", value_parser = argument::<PathBuf>)]
    pub(crate) bundles: Vec<PathBuf>,
    /// The format of the results.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) image: ImageFlags,
    #[command(flatten)]
    pub(crate) tags: TagFlags,
}

#[derive(clap::Args)]
pub(crate) struct CleanFlags {
    /// What is removed.
    #[arg(long, value_name = "signature|attestation|sbom|all", hide_possible_values = true)]
    #[arg(value_parser = kinds(["signature", "attestation", "sbom", "all"]), default_value = "all")]
    pub(crate) r#type: &'static [AttachmentKind],
    /// Do not ask first.
    #[arg(short, long)]
    pub(crate) force: bool,
    /// The format of the results.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) image: ImageFlags,
}

/// What cosign calls kinds of attachments, by any of `names`.
fn kinds<const N: usize>(
    names: [&'static str; N],
) -> impl TypedValueParser<Value = &'static [AttachmentKind]> {
    PossibleValuesParser::new(names).map(|name| AttachmentKind::named(&name))
}
