//! The flags of the commands that attest.

use std::path::{Path, PathBuf};

use super::commands::SigningFlags;
use super::groups::{AttachingFlags, RegistryFlags};
use super::values::{file, image};

#[derive(clap::Args)]
pub(crate) struct AttestFlags {
    /// Images, by digest or by tag.
    #[arg(required = true, value_name = "IMAGE", value_parser = image)]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) claim: ClaimFlags,
    /// Attest every image that an index lists (one for each platform) as well.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Do not attach the attestation to the image. Needs --bundle.
    #[arg(long)]
    pub(crate) no_upload: bool,
    /// Also write the bundle to this file; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) signing: SigningFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
    #[command(flatten)]
    pub(crate) attaching: AttachingFlags,
}

#[derive(clap::Args)]
pub(crate) struct AttestBlobFlags {
    /// Files, each a subject of the one attestation; `-` is stdin.
    #[arg(required = true, value_name = "FILE", value_parser = file)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) claim: ClaimFlags,
    /// The SHA-256 digest of the one file in hex, instead of reading it.
    #[arg(long, value_name = "HEX")]
    pub(crate) hash: Option<String>,
    /// Write the bundle to this file; `-` is stdout.
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) signing: SigningFlags,
}

/// What is attested.
#[derive(clap::Args)]
pub(crate) struct ClaimFlags {
    /// The predicate: a JSON file, or any text for the type `custom`; `-` is stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "statement")]
    pub(crate) predicate: Option<PathBuf>,
    /// A whole in-toto statement, which must be about what is attested; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) statement: Option<PathBuf>,
    /// The predicate type: a URI, or one of cosign's short names. `slsaprovenance1` without
    /// --predicate attests the provenance of this job.
    #[arg(long, value_name = "TYPE", default_value = "custom")]
    pub(crate) r#type: String,
    /// A JSON object whose members are added to the parameters of the provenance.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["predicate", "statement"])]
    pub(crate) provenance_parameters: Option<PathBuf>,
}

impl ClaimFlags {
    /// The file that is read, and its flag.
    pub(crate) fn input(&self) -> Option<(&'static str, &Path)> {
        let files = [
            ("--predicate", &self.predicate),
            ("--statement", &self.statement),
            ("--provenance-parameters", &self.provenance_parameters),
        ];
        files.into_iter().find_map(|(flag, path)| Some((flag, path.as_deref()?)))
    }
}
