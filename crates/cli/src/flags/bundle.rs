//! The flags of the commands that make bundles of older material.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand};

use super::groups::TrustFlags;

#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum BundleCommand {
    /// Create a bundle of a signature, its certificate or key, and its log entry.
    Create(CreateBundleFlags),
    /// Convert an older bundle, or cosign's older JSON, into a bundle of the current version.
    Upgrade(UpgradeBundleFlags),
}

#[derive(clap::Args)]
#[command(group(ArgGroup::new("signed").args(["signature", "attestation", "bundle"]).required(true)))]
pub(crate) struct CreateBundleFlags {
    /// The file that was signed, or its digest as sha256:HEX.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["attestation", "bundle"])]
    pub(crate) artifact: Option<PathBuf>,
    /// The signature: a file, raw or in base64, or base64 itself.
    #[arg(long, value_name = "FILE|BASE64")]
    pub(crate) signature: Option<String>,
    /// An attestation: a DSSE envelope.
    #[arg(long, value_name = "FILE", conflicts_with = "rfc3161_timestamp")]
    pub(crate) attestation: Option<PathBuf>,
    /// A bundle in cosign's older JSON.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "rfc3161_timestamp"])]
    pub(crate) bundle: Option<PathBuf>,
    /// The certificate of the signer (PEM).
    #[arg(long, value_name = "FILE", required_unless_present_any = ["key", "bundle"])]
    pub(crate) certificate: Option<PathBuf>,
    /// The public key (PEM) of the signer, for a signature without a certificate.
    #[arg(long, value_name = "FILE|env://VAR", conflicts_with = "certificate")]
    pub(crate) key: Option<String>,
    /// The timestamp of the signature.
    #[arg(long, value_name = "FILE")]
    pub(crate) rfc3161_timestamp: Option<PathBuf>,
    /// Do not look for a log entry: the signature was never logged.
    #[arg(long)]
    pub(crate) ignore_tlog: bool,
    #[command(flatten)]
    pub(crate) made: MadeBundleFlags,
}

#[derive(clap::Args)]
pub(crate) struct UpgradeBundleFlags {
    /// The bundle.
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) made: MadeBundleFlags,
}

// The bundle that is made, and who is asked about the log entry.
#[derive(clap::Args)]
pub(crate) struct MadeBundleFlags {
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
}
