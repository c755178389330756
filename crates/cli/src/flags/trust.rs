//! The flags of the commands about whom to trust.

use std::path::PathBuf;

use clap::Subcommand;
use url::Url;

use super::values::{Output, output};

#[derive(clap::Args)]
pub(crate) struct InitializeFlags {
    /// The TUF repository to keep the trusted root by: http, https or file. The public Sigstore's
    /// when absent.
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<Url>,
    /// The root to begin with, for a repository of one's own: a file or a URL.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) root: Option<String>,
    /// What --root must hash to; required for a URL. SHA-256 unless `sha512:` stands before it.
    #[arg(long, value_name = "HEX", requires = "root")]
    pub(crate) root_checksum: Option<String>,
    /// Use the public Sigstore's staging instance.
    #[arg(long)]
    pub(crate) staging: bool,
    /// How to print what is trusted now.
    #[arg(short, long, value_name = "json|text", value_parser = output, default_value = "text")]
    pub(crate) output: Output,
}

#[derive(clap::Args)]
pub(crate) struct TrustedRootFlags {
    #[command(subcommand)]
    pub(crate) command: TrustedRootCommand,
}

#[derive(Subcommand)]
pub(crate) enum TrustedRootCommand {
    /// Put a trusted root together from certificates and keys.
    Create(CreateTrustedRootFlags),
}

#[derive(clap::Args)]
pub(crate) struct CreateTrustedRootFlags {
    /// Certificate authorities.
    #[arg(long, value_name = "SPEC")]
    #[arg(help = "url=URL,certificate-chain=FILE[,start-time=T][,end-time=T]; repeatable")]
    pub(crate) fulcio: Vec<String>,
    /// Transparency logs.
    #[arg(long, value_name = "SPEC")]
    #[arg(help = "url=URL,public-key=FILE,start-time=T[,end-time=T][,origin=NAME]; repeatable")]
    pub(crate) rekor: Vec<String>,
    /// Certificate transparency logs.
    #[arg(long, value_name = "SPEC")]
    #[arg(help = "url=URL,public-key=FILE,start-time=T[,end-time=T]; repeatable")]
    pub(crate) ctfe: Vec<String>,
    /// Timestamp authorities.
    #[arg(long, value_name = "SPEC")]
    #[arg(help = "url=URL,certificate-chain=FILE[,start-time=T][,end-time=T]; repeatable")]
    pub(crate) tsa: Vec<String>,
    /// Begin with the trusted root at hand.
    #[arg(long)]
    pub(crate) with_default_services: bool,
    /// Leave its certificate authorities out.
    #[arg(long)]
    pub(crate) no_default_fulcio: bool,
    /// Leave its logs out.
    #[arg(long)]
    pub(crate) no_default_rekor: bool,
    /// Leave its certificate logs out.
    #[arg(long)]
    pub(crate) no_default_ctfe: bool,
    /// Leave its timestamp authorities out.
    #[arg(long)]
    pub(crate) no_default_tsa: bool,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct SigningConfigFlags {
    #[command(subcommand)]
    pub(crate) command: SigningConfigCommand,
}

#[derive(Subcommand)]
pub(crate) enum SigningConfigCommand {
    /// Put a signing config together from URLs.
    Create(CreateSigningConfigFlags),
}

#[derive(clap::Args)]
pub(crate) struct CreateSigningConfigFlags {
    /// Certificate authorities.
    #[arg(long, value_name = "SPEC")]
    #[arg(help = "url=URL,api-version=N,start-time=T,operator=NAME[,end-time=T]; repeatable")]
    pub(crate) fulcio: Vec<String>,
    /// As --fulcio.
    #[arg(long, value_name = "SPEC")]
    pub(crate) rekor: Vec<String>,
    /// As --fulcio.
    #[arg(long, value_name = "SPEC")]
    pub(crate) oidc_provider: Vec<String>,
    /// As --fulcio.
    #[arg(long, value_name = "SPEC")]
    pub(crate) tsa: Vec<String>,
    /// How many logs are used: ANY, ALL or EXACT:N. Required with --rekor.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) rekor_config: Option<String>,
    /// How many timestamp authorities are used. Required with --tsa.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) tsa_config: Option<String>,
    /// Begin with the signing config at hand.
    #[arg(long)]
    pub(crate) with_default_services: bool,
    /// Begin with the one that leads to Rekor v2.
    #[arg(long)]
    pub(crate) with_default_rekor_v2: bool,
    /// Begin with this signing config.
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["with_default_services", "with_default_rekor_v2"])]
    pub(crate) base_config: Option<PathBuf>,
    /// Leave the certificate authorities it begins with out.
    #[arg(long)]
    pub(crate) no_default_fulcio: bool,
    /// Leave the logs it begins with out.
    #[arg(long)]
    pub(crate) no_default_rekor: bool,
    /// Leave the OIDC issuers it begins with out.
    #[arg(long)]
    pub(crate) no_default_oidc: bool,
    /// Leave the timestamp authorities it begins with out.
    #[arg(long)]
    pub(crate) no_default_tsa: bool,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
