//! The flags of the image verifier at a node.

use std::path::PathBuf;

use super::groups::RegistryFlags;
use super::values::nonempty;

#[derive(clap::Args)]
pub(crate) struct ImageVerifierFlags {
    /// The image that the container runtime is about to use.
    #[arg(long, value_name = "IMAGE", value_parser = nonempty::<String>)]
    pub(crate) name: String,
    /// The digest of the image.
    #[arg(long, value_name = "DIGEST", value_parser = nonempty::<String>)]
    pub(crate) digest: String,
    /// The media type of what is on stdin: the descriptor of the image, whose digest must be equal.
    #[arg(long, value_name = "TYPE", default_value = "", hide_default_value = true)]
    pub(crate) stdin_media_type: String,
    /// The directory with policy.toml and, where they are needed, trusted_root.json, config.json
    /// (credentials as Docker has them) and credential-provider-config.yaml (as kubelet has it).
    #[arg(long, value_name = "DIR", default_value = "/etc/ambisign")]
    pub(crate) config: PathBuf,
    /// The directory in which admitted images are remembered.
    #[arg(long, value_name = "DIR", default_value = "/var/cache/ambisign")]
    pub(crate) cache: PathBuf,
    /// Admit every image, and only say which would be refused.
    #[arg(long)]
    pub(crate) audit: bool,
    /// kubelet's configuration of credential providers, JSON or YAML [default: in --config].
    #[arg(long, value_name = "FILE")]
    pub(crate) image_credential_provider_config: Option<PathBuf>,
    /// The directory with their programs [default: credential-provider-bin in --config].
    #[arg(long, value_name = "DIR")]
    pub(crate) image_credential_provider_bin_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}
