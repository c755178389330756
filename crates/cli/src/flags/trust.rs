//! The flags of the commands about trusted roots and signing configs.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use trust_root::{CertificateAuthority, Error, Log, ReadFile, Selector, Service};
use url::Url;

use super::values::Output;

#[derive(clap::Args)]
pub(crate) struct InitializeFlags {
    /// The TUF repository (http, https or file) [default: the public Sigstore's].
    #[arg(long, value_name = "URL")]
    pub(crate) mirror: Option<Url>,
    /// The first TUF root, for a repository other than the public Sigstore's: a file or a URL.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) root: Option<String>,
    /// The digest of --root, required for a URL: SHA-256, or SHA-512 with the prefix `sha512:`.
    #[arg(long, value_name = "HEX", requires = "root")]
    pub(crate) root_checksum: Option<String>,
    /// Use the staging instance of the public Sigstore.
    #[arg(long, conflicts_with_all = ["mirror", "root"])]
    pub(crate) staging: bool,
    /// The format of the result.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
}

#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum TrustedRootCommand {
    /// Create a trusted root from certificates and keys.
    Create(CreateTrustedRootFlags),
}

#[derive(clap::Args)]
pub(crate) struct CreateTrustedRootFlags {
    /// Certificate authorities: url=URL,certificate-chain=FILE[,start-time=T][,end-time=T].
    #[arg(long, value_name = "SPEC")]
    #[arg(value_parser = described(CertificateAuthority::fulcio_from_spec))]
    pub(crate) fulcio: Vec<CertificateAuthority>,
    /// Logs: url=URL,public-key=FILE,start-time=T[,end-time=T][,origin=NAME].
    #[arg(long, value_name = "SPEC", value_parser = described(Log::rekor_from_spec))]
    pub(crate) rekor: Vec<Log>,
    /// Certificate logs: url=URL,public-key=FILE,start-time=T[,end-time=T].
    #[arg(long, value_name = "SPEC", value_parser = described(Log::ctlog_from_spec))]
    pub(crate) ctfe: Vec<Log>,
    /// Timestamp authorities, written as for --fulcio.
    #[arg(long, value_name = "SPEC")]
    #[arg(value_parser = described(CertificateAuthority::timestamp_from_spec))]
    pub(crate) tsa: Vec<CertificateAuthority>,
    /// Leave out its certificate logs.
    #[arg(long)]
    pub(crate) no_default_ctfe: bool,
    #[command(flatten)]
    pub(crate) create: CreateFlags,
}

#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum SigningConfigCommand {
    /// Create a signing config from URLs.
    Create(CreateSigningConfigFlags),
}

#[derive(clap::Args)]
pub(crate) struct CreateSigningConfigFlags {
    /// Certificate authorities: url=URL,api-version=N,start-time=T,operator=NAME[,end-time=T].
    #[arg(long, value_name = "SPEC", value_parser = Service::from_spec)]
    pub(crate) fulcio: Vec<Service>,
    /// Transparency logs, written as for --fulcio.
    #[arg(long, value_name = "SPEC", value_parser = Service::from_spec)]
    #[arg(requires = "rekor_config")]
    pub(crate) rekor: Vec<Service>,
    /// OIDC issuers, written as for --fulcio.
    #[arg(long, value_name = "SPEC", value_parser = Service::from_spec)]
    pub(crate) oidc_provider: Vec<Service>,
    /// Timestamp authorities, written as for --fulcio.
    #[arg(long, value_name = "SPEC", value_parser = Service::from_spec, requires = "tsa_config")]
    pub(crate) tsa: Vec<Service>,
    /// How many logs to use: ANY, ALL or EXACT:N.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) rekor_config: Option<Selector>,
    /// How many timestamp authorities to use: ANY, ALL or EXACT:N.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) tsa_config: Option<Selector>,
    /// Start from the current signing config with Rekor v2.
    #[arg(long)]
    pub(crate) with_default_rekor_v2: bool,
    /// Start from this signing config.
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["with_default_services", "with_default_rekor_v2"])]
    pub(crate) base_config: Option<PathBuf>,
    /// Leave out its OIDC issuers.
    #[arg(long)]
    pub(crate) no_default_oidc: bool,
    #[command(flatten)]
    pub(crate) create: CreateFlags,
}

// Flags of both commands that create a file.
#[derive(clap::Args)]
pub(crate) struct CreateFlags {
    /// Start from the current file.
    #[arg(long)]
    pub(crate) with_default_services: bool,
    /// Leave out its certificate authorities.
    #[arg(long)]
    pub(crate) no_default_fulcio: bool,
    /// Leave out its transparency logs.
    #[arg(long)]
    pub(crate) no_default_rekor: bool,
    /// Leave out its timestamp authorities.
    #[arg(long)]
    pub(crate) no_default_tsa: bool,
    /// Write to this file instead of stdout.
    #[arg(long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub(crate) out: PathBuf,
}

/// What a description says, with the content of the files that it names.
fn described<T>(
    read: fn(&str, ReadFile<'_>) -> Result<T, Error>,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    let file = |path: &Path| host::read_file(path, FILE_CAP).map_err(std::io::Error::other);
    move |spec| read(spec, &file).map_err(|error| host::with_causes(&error))
}

/// The largest file with certificates or a key, in bytes.
const FILE_CAP: usize = 1 << 20;
