//! The flags of each command.

use std::path::PathBuf;

use clap::ArgAction;
use keys::HashAlgorithm;

use super::groups::{AttachingFlags, IdentityFlags, RegistryFlags, ServiceFlags, TrustFlags};
use super::login::LoginFlags;
use super::policy::{PolicyFileFlags, PolicyFlags};
use super::values::{Output, annotation, boolean, digest_algorithm, file, image};

#[derive(clap::Args)]
pub(crate) struct SignFlags {
    /// Images, by digest or by tag.
    #[arg(required = true, value_name = "IMAGE", value_parser = image)]
    pub(crate) images: Vec<String>,
    /// Sign this claim about the image too; repeatable, or separated by commas.
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',')]
    #[arg(value_parser = annotation)]
    pub(crate) annotations: Vec<(String, String)>,
    /// Sign every image that an index lists (one for each platform) as well.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Attach the signature to the image. `--upload=false` needs --bundle.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "true", default_missing_value = "true", value_parser = boolean)]
    #[arg(value_name = "BOOL", hide_possible_values = true)]
    pub(crate) upload: bool,
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
pub(crate) struct SignBlobFlags {
    /// Files; `-` is stdin.
    #[arg(required = true, value_name = "FILE", value_parser = file)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the bundle to this file instead of FILE.sigstore.json; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// Sign content whose signature could be used as one of another kind: a DSSE encoding, or a
    /// simple-signing document.
    #[arg(long)]
    pub(crate) danger_sign_foreign_format: bool,
    #[command(flatten)]
    pub(crate) signing: SigningFlags,
}

/// Flags of both signing commands.
#[derive(clap::Args)]
pub(crate) struct SigningFlags {
    /// No effect: ambisign asks no yes-or-no questions. Accepted because cosign has it.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The format of the results [default: text].
    #[arg(short, long, value_name = "json|text", hide_possible_values = true)]
    pub(crate) output: Option<Output>,
    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
    #[command(flatten)]
    pub(crate) login: LoginFlags,
    #[command(flatten)]
    pub(crate) services: ServiceFlags,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
}

impl SigningFlags {
    /// The format of the results.
    pub(crate) fn output(&self) -> Output {
        self.output.unwrap_or(Output::Text)
    }

    /// Whether the identity token comes from stdin.
    pub(crate) fn token_is_stdin(&self) -> bool {
        self.identity.identity_token.as_ref().is_some_and(|token| token.reveal() == "-")
    }

    /// The files that these flags have read, and what they are.
    pub(crate) fn inputs(&self) -> Vec<(&'static str, PathBuf)> {
        let token = self.identity.identity_token.as_ref();
        let files = [
            ("the trusted root", self.trust.trusted_root.clone()),
            ("the signing config", self.services.signing_config.clone()),
            ("the secret of the OAuth client", self.login.client_secret_file()),
            ("the identity token", token.map(|token| PathBuf::from(token.reveal()))),
        ];
        files
            .into_iter()
            .filter_map(|(what, path)| Some((what, path?)))
            .filter(|(_, path)| path.is_file())
            .collect()
    }
}

#[derive(clap::Args)]
pub(crate) struct VerifyFlags {
    /// Accept only signatures with this claim; repeatable, or separated by commas.
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',')]
    #[arg(value_parser = annotation)]
    pub(crate) annotations: Vec<(String, String)>,
    /// The format of the results.
    #[arg(short, long, value_name = "json|text", hide_possible_values = true)]
    #[arg(default_value = "json")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) images: VerifyImagesFlags,
}

#[derive(clap::Args)]
pub(crate) struct VerifyAttestationFlags {
    /// The predicate type of the attestation: a URI, or one of cosign's short names.
    #[arg(long, value_name = "TYPE", default_value = "custom")]
    pub(crate) r#type: String,
    /// The format of the results: the verified envelopes, or a line for each.
    #[arg(short, long, value_name = "json|text", hide_possible_values = true)]
    #[arg(default_value = "json")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) images: VerifyImagesFlags,
}

/// Flags of both commands that verify images.
#[derive(clap::Args)]
pub(crate) struct VerifyImagesFlags {
    /// Images, by digest or by tag.
    #[arg(required = true, value_name = "IMAGE", value_parser = image)]
    pub(crate) images: Vec<String>,
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,
    #[command(flatten)]
    pub(crate) file: PolicyFileFlags,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

#[derive(clap::Args)]
pub(crate) struct VerifyBlobFlags {
    /// The file, or its digest as sha256:HEX; `-` is stdin.
    #[arg(value_name = "FILE", value_parser = file)]
    pub(crate) file: PathBuf,
    /// The bundle of the file [default: FILE.sigstore.json]. cosign's older JSON is accepted too.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// A detached signature: a file, or base64. It proves less than a bundle.
    #[arg(long, value_name = "FILE|BASE64", conflicts_with = "bundle")]
    pub(crate) signature: Option<String>,
    /// The certificate of the signer, for --signature.
    #[arg(long, value_name = "FILE", alias = "cert", requires = "signature")]
    pub(crate) certificate: Option<PathBuf>,
    /// A timestamp of the signature, for --signature.
    #[arg(long, value_name = "FILE", requires = "signature")]
    pub(crate) rfc3161_timestamp: Option<PathBuf>,
    /// The format of the result.
    #[arg(short, long, value_name = "json|text", hide_possible_values = true)]
    #[arg(default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
}

#[derive(clap::Args)]
pub(crate) struct VerifyBlobAttestationFlags {
    /// The file; `-` is stdin.
    #[arg(value_name = "FILE", value_parser = file, required_unless_present = "digest")]
    pub(crate) file: Option<PathBuf>,
    /// The digest of the file in hex, instead of the file.
    #[arg(long, value_name = "HEX", conflicts_with = "file", requires = "bundle")]
    pub(crate) digest: Option<String>,
    /// The algorithm of --digest.
    #[arg(long = "digestAlg", value_name = "sha256|sha384|sha512", hide_possible_values = true)]
    #[arg(default_value = "sha256", value_parser = digest_algorithm())]
    pub(crate) digest_alg: HashAlgorithm,
    /// The predicate type of the attestation: a URI, or one of cosign's short names.
    #[arg(long, value_name = "TYPE", default_value = "custom")]
    pub(crate) r#type: String,
    /// The bundle of the file [default: FILE.sigstore.json].
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// The format of the result.
    #[arg(short, long, value_name = "json|text", hide_possible_values = true)]
    #[arg(default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
}

#[derive(clap::Args)]
pub(crate) struct InspectFlags {
    /// Bundle files, or images.
    #[arg(required = true, value_name = "BUNDLE|IMAGE", value_parser = image)]
    pub(crate) what: Vec<String>,
    /// The signed file, to check the signature of a bundle.
    #[arg(long, value_name = "FILE")]
    pub(crate) artifact: Option<PathBuf>,
    /// The public key (PEM) of a signature without a certificate.
    #[arg(long, value_name = "FILE|env://VAR")]
    pub(crate) key: Option<String>,
    /// The format of the report.
    #[arg(short, long, value_name = "json|text", hide_possible_values = true)]
    #[arg(default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

#[derive(clap::Args)]
pub(crate) struct IdentityCommandFlags {
    /// The format of the report.
    #[arg(short, long, value_name = "json|text", hide_possible_values = true)]
    #[arg(default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
    /// How the certificate authority makes certificates for its OIDC issuers, where it does not
    /// publish that: {"issuers": [{"issuer_url": URL, "type": TYPE, "ci_provider": NAME, ...}]}. The
    /// public Sigstore's issuers are built in.
    #[arg(long, value_name = "FILE")]
    pub(crate) issuer_profiles: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) services: ServiceFlags,
}

#[derive(clap::Args)]
pub(crate) struct VersionFlags {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
