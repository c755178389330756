//! The command line as clap types. Nothing here is judged beyond its syntax.
//!
//! A group of flags has no doc comment: clap would take it for the description of the command.

mod bundle;
mod commands;
mod groups;
mod keys;
mod many;
mod moving;
mod node;
mod policy;
mod trust;
mod values;

use std::time::Duration;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use http_client::Deadline;

pub(crate) use self::bundle::*;
pub(crate) use self::commands::*;
pub(crate) use self::groups::*;
pub(crate) use self::keys::*;
pub(crate) use self::many::*;
pub(crate) use self::moving::*;
pub(crate) use self::node::*;
pub(crate) use self::policy::*;
pub(crate) use self::trust::*;
pub(crate) use self::values::{AuthFlow, Output, boolean};

/// Sign container images and files with the identity this workload already has, and verify such
/// signatures.
#[derive(Parser)]
#[command(name = "ambisign", max_term_width = 100, version = version())]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) root: RootFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// Flags of every command.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct RootFlags {
    /// Stop after this time, such as 90s or 3m [default: 3m, longer if a service is down].
    #[arg(short, long, global = true, display_order = 900, value_name = "DURATION")]
    #[arg(value_parser = Deadline::parse, allow_hyphen_values = true)]
    pub(crate) timeout: Option<Duration>,
    /// Wait this long for a service or registry that is down; 0s: report it at once.
    #[arg(long, global = true, display_order = 901, value_name = "DURATION")]
    #[arg(default_value = "5m", value_parser = Deadline::parse_or_zero)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) retry_for: Duration,
    /// Log every step to stderr, without secrets.
    #[arg(short = 'd', long, global = true, display_order = 902)]
    pub(crate) verbose: bool,
    /// Use plain http to the services of Sigstore, of clouds and of CI platforms where their URLs
    /// say so: others can read the tokens.
    #[arg(long, global = true, display_order = 903)]
    pub(crate) allow_insecure_service: bool,
}

#[derive(clap::Args)]
pub(crate) struct EnvFlags {
    /// Only those that are set here.
    #[arg(long)]
    pub(crate) set: bool,
    /// The format of the list.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
}

/// The commands.
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Sign images in a registry and attach the signatures to them.
    Sign(SignFlags),
    /// Verify the signatures of images in a registry.
    Verify(VerifyFlags),
    /// Attest a claim about images in a registry, such as an SBOM or their provenance.
    Attest(AttestFlags),
    /// Verify the attestations of images in a registry.
    VerifyAttestation(VerifyAttestationFlags),
    /// Sign files and write a bundle beside each.
    SignBlob(SignBlobFlags),
    /// Verify the signature of a file with its bundle.
    VerifyBlob(VerifyBlobFlags),
    /// Attest a claim about files and write a bundle.
    AttestBlob(AttestBlobFlags),
    /// Verify an attestation about a file.
    VerifyBlobAttestation(VerifyBlobAttestationFlags),
    /// Show the content of signatures and the result of every check, for any signer.
    Inspect(InspectFlags),
    /// Copy an image with its signatures, to any registry.
    Copy(CopyFlags),
    /// Save an image with its signatures to a directory, as an OCI layout.
    Save(SaveFlags),
    /// Load an image with its signatures from a directory into a registry.
    Load(LoadFlags),
    /// List what is attached to an image and to its platforms.
    Tree(TreeFlags),
    /// Print the signatures or attestations of an image, without a check.
    #[command(subcommand)]
    Download(DownloadCommand),
    /// Attach bundles to the image that they are about.
    Attach(AttachFlags),
    /// Remove what is attached to an image.
    Clean(CleanFlags),
    /// Show the identity that would sign here, the sources searched, and the certificate.
    ///
    /// Asks the certificate authority (--fulcio-url, else the signing config's) which OIDC issuers
    /// it accepts. The token is not sent to it.
    Identity(IdentityCommandFlags),
    /// Say whether a container runtime may use an image: containerd's image verifier.
    ///
    /// containerd runs it as ambisign-image-verifier, with -name, -digest and -stdin-media-type. It
    /// admits the image with exit code 0 and blocks it with any other; stdout has the reason.
    ImageVerifier(ImageVerifierFlags),
    /// Make a key pair for --key, and write it to files.
    GenerateKeyPair(GenerateKeyPairFlags),
    /// Encrypt a private key, and write the key pair to files.
    ImportKeyPair(ImportKeyPairFlags),
    /// Print the public key of a private key.
    PublicKey(PublicKeyFlags),
    /// Convert older signatures and bundles into bundles.
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// Fetch and cache the trusted root of a Sigstore instance, and keep it current from now on.
    Initialize(InitializeFlags),
    /// Create a trusted root file.
    #[command(subcommand)]
    TrustedRoot(TrustedRootCommand),
    /// Create a signing config file.
    #[command(subcommand)]
    SigningConfig(SigningConfigCommand),
    /// Print the completions of commands and flags for a shell.
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// List the variables that are read, with their meanings; never their values.
    Env(EnvFlags),
    /// Print the version.
    Version {
        /// The format of the result.
        #[arg(short, long, default_value = "text")]
        output: Output,
        /// The same as --output json.
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// Whether the command needs a socket: not for a file with --offline.
    pub(crate) fn opens_sockets(&self) -> bool {
        match self {
            Self::VerifyBlob(flags) => flags.verify.opens_sockets(),
            Self::VerifyBlobAttestation(flags) => flags.verify.opens_sockets(),
            Self::GenerateKeyPair(_) | Self::ImportKeyPair(_) | Self::PublicKey(_) => false,
            Self::Version { .. } | Self::Completion { .. } | Self::Env(_) => false,
            _ => true,
        }
    }
}

/// The version and the platform.
pub(crate) fn version() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{} ({os}/{arch})", env!("CARGO_PKG_VERSION"))
}

const AFTER_HELP: &str = "\
Every flag --foo-bar can be set by the variable AMBISIGN_FOO_BAR or COSIGN_FOO_BAR. The command line
wins over both. An empty variable counts as unset, but not where it names an identity, a policy, a
service or a trusted root: there it is an error.";
