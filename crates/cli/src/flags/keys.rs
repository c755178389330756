//! The flags of the commands for key files.

use std::path::PathBuf;

use image_signing::PrivateKey;

use super::values::nonempty;

#[derive(clap::Args)]
pub(crate) struct GenerateKeyPairFlags {
    /// Where cosign would store the key, which is refused with the reason.
    #[arg(hide = true, value_parser = PrivateKey::refuse_elsewhere)]
    pub(crate) elsewhere: Option<String>,
    /// Write PREFIX.key and PREFIX.pub, which must not exist.
    #[arg(long, value_name = "PREFIX", default_value = "cosign", value_parser = nonempty::<String>)]
    pub(crate) output_key_prefix: String,
}

#[derive(clap::Args)]
pub(crate) struct ImportKeyPairFlags {
    /// The private key (PEM) to encrypt.
    #[arg(short, long, value_name = "FILE|env://VAR", value_parser = nonempty::<String>)]
    pub(crate) key: String,
    /// Write PREFIX.key and PREFIX.pub.
    #[arg(short, long, value_name = "PREFIX", default_value = "import-cosign")]
    #[arg(value_parser = nonempty::<String>)]
    pub(crate) output_key_prefix: String,
    /// Overwrite these files.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(clap::Args)]
pub(crate) struct PublicKeyFlags {
    /// The private key (PEM). If it is encrypted, the password is taken from AMBISIGN_PASSWORD or
    /// COSIGN_PASSWORD, or asked for at a terminal.
    #[arg(long, value_name = "FILE|env://VAR", value_parser = nonempty::<String>)]
    pub(crate) key: String,
    /// Write the public key to this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) outfile: Option<PathBuf>,
}
