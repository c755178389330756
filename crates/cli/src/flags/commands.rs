//! The flags of the commands that sign, attest, verify and show.

use std::path::{Path, PathBuf};

use image_signing::{ClaimInput, is_remote_key};
use keys::{Digest, HashAlgorithm, KeyAlgorithm};
use secrecy::{ExposeSecret as _, SecretString};

use super::groups::{IdentityFlags, LoginFlags, RegistryFlags, ServiceFlags, TrustFlags};
use super::many::ManyFlags;
use super::moving::TagFlags;
use super::policy::PolicyFlags;
use super::values::{
    Output, algorithm, annotation, argument, nonempty, predicate_type, sha256, signing_algorithm,
};

#[derive(clap::Args)]
pub(crate) struct SignFlags {
    /// Sign this claim about the image too; repeatable, or separated by commas.
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = annotation)]
    pub(crate) annotations: Vec<(String, String)>,
    /// Attach the signature to the image [default: true]. `--upload=false` needs --bundle.
    #[arg(long, default_value_t = true)]
    pub(crate) upload: bool,
    #[command(flatten)]
    pub(crate) images: ImagesFlags,
}

#[derive(clap::Args)]
pub(crate) struct AttestFlags {
    #[command(flatten)]
    pub(crate) claim: ClaimFlags,
    /// Do not attach the attestation to the image. Needs --bundle.
    #[arg(long)]
    pub(crate) no_upload: bool,
    /// Once the new attestation is attached, remove older ones of this type by this identity or key.
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) images: ImagesFlags,
}

// The images that are signed or attested.
#[derive(clap::Args)]
pub(crate) struct ImagesFlags {
    #[command(flatten)]
    pub(crate) many: ManyFlags,
    /// Skip what this identity or key has signed, or attested in the same way, already.
    #[arg(long)]
    pub(crate) skip_signed: bool,
    /// Refuse an image that is named by a tag alone, which can move to another image.
    #[arg(long)]
    pub(crate) require_digest: bool,
    /// Also write the bundle to this file; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// `false` attaches cosign's earlier formats, under the tags .sig and .att, for verifiers that
    /// know no bundles, such as Podman and Skopeo. Needs a log of version 1, or none.
    #[arg(long, default_value_t = true)]
    pub(crate) new_bundle_format: bool,
    #[command(flatten)]
    pub(crate) signing: SigningFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
    #[command(flatten)]
    pub(crate) tags: TagFlags,
}

// What is attested.
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
    #[arg(long, value_name = "TYPE", default_value = "custom", value_parser = predicate_type)]
    pub(crate) r#type: String,
    /// A JSON object whose members are added to the parameters of the provenance.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["predicate", "statement"])]
    pub(crate) provenance_parameters: Option<PathBuf>,
    /// Give the log the digest of the attestation only, however large it is. Logs of version 2 get no
    /// more; with one of version 1, verifiers have to be told: `verify-attestation --log-digest-only`.
    #[arg(long)]
    pub(crate) log_digest_only: bool,
}

impl ClaimFlags {
    /// What is in the file that is read, its flag and its path.
    pub(crate) fn input(&self) -> Option<(ClaimInput, &'static str, &Path)> {
        let parameters = &self.provenance_parameters;
        let files = [
            (ClaimInput::Predicate, "--predicate", &self.predicate),
            (ClaimInput::Statement, "--statement", &self.statement),
            (ClaimInput::ProvenanceParameters, "--provenance-parameters", parameters),
        ];
        files.into_iter().find_map(|(kind, flag, path)| Some((kind, flag, path.as_deref()?)))
    }
}

#[derive(clap::Args)]
pub(crate) struct SignBlobFlags {
    /// Files; `-` is stdin.
    #[arg(required = true, value_name = "FILE", value_parser = argument::<PathBuf>)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the bundle to this file instead of FILE.sigstore.json; `-` is stdout.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// `false` writes cosign's older JSON to --bundle. Needs a log of version 1, or none.
    #[arg(long, default_value_t = true)]
    pub(crate) new_bundle_format: bool,
    /// Write the signature alone, in base64. Without --bundle no bundle is written.
    #[arg(long, value_name = "FILE")]
    pub(crate) output_signature: Option<PathBuf>,
    /// Write the certificate of the signer alone to this file, or the public key of --key.
    #[arg(long, value_name = "FILE", alias = "output-cert")]
    pub(crate) output_certificate: Option<PathBuf>,
    /// Write the timestamp alone to this file, in cosign's JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) rfc3161_timestamp: Option<PathBuf>,
    /// The kind of key: ecdsa-sha2-256-nistp256 (the default) or ecdsa-sha2-384-nistp384; with
    /// --key also rsa-sign-pkcs1-2048-sha256, -3072- or -4096-.
    #[arg(long, value_name = "NAME", value_parser = signing_algorithm)]
    pub(crate) signing_algorithm: Option<KeyAlgorithm>,
    /// Sign content whose signature could be used as another kind of signature: a DSSE encoding,
    /// or a simple-signing document.
    #[arg(long)]
    pub(crate) danger_sign_foreign_format: bool,
    #[command(flatten)]
    pub(crate) signing: SigningFlags,
}

#[derive(clap::Args)]
pub(crate) struct AttestBlobFlags {
    /// Files, each a subject of the one attestation; `-` is stdin.
    #[arg(required = true, value_name = "FILE", value_parser = argument::<PathBuf>)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) claim: ClaimFlags,
    /// The SHA-256 digest of the one file in hex, instead of reading it.
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub(crate) hash: Option<Digest>,
    /// Write the bundle to this file; `-` is stdout.
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) signing: SigningFlags,
}

// Flags of the commands that sign and attest.
#[derive(clap::Args)]
pub(crate) struct SigningFlags {
    /// No effect, because ambisign asks no yes-or-no questions. Accepted because cosign has it.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The format of the results [default: text].
    #[arg(short, long)]
    pub(crate) output: Option<Output>,
    /// Sign with this private key (PEM) instead of an identity. If it is encrypted, the password is
    /// taken from AMBISIGN_PASSWORD or COSIGN_PASSWORD, or asked for at a terminal.
    #[arg(long, value_name = "FILE|env://VAR", value_parser = nonempty::<String>)]
    #[arg(conflicts_with_all = ["identity_token", "oidc_provider", "SpiffeFlags"])]
    #[arg(conflicts_with = "fulcio_auth_flow")]
    pub(crate) key: Option<String>,
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
        self.identity.identity_token.as_ref().is_some_and(|token| token.expose_secret() == "-")
    }

    /// The files that these flags have read, and what they are.
    pub(crate) fn inputs(&self) -> Vec<(&'static str, PathBuf)> {
        let path = |secret: &Option<SecretString>| Some(secret.as_ref()?.expose_secret().into());
        let files = [
            ("the trusted root", self.trust.trusted_root.clone()),
            ("the signing config", self.services.signing_config.clone()),
            ("the secret of the OAuth client", path(&self.login.oidc_client_secret_file)),
            ("the identity token", path(&self.identity.identity_token)),
            ("the private key", self.key.as_ref().map(PathBuf::from)),
        ];
        let named = files.into_iter().filter_map(|(what, path)| Some((what, path?)));
        named.filter(|(_, path)| path.is_file()).collect()
    }
}

#[derive(clap::Args)]
pub(crate) struct VerifyFlags {
    /// Accept only signatures with this claim; repeatable, or separated by commas.
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = annotation)]
    pub(crate) annotations: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) images: VerifyImagesFlags,
}

#[derive(clap::Args)]
pub(crate) struct VerifyAttestationFlags {
    #[command(flatten)]
    pub(crate) attestation: AttestationFlags,
    #[command(flatten)]
    pub(crate) images: VerifyImagesFlags,
}

// Which attestations are accepted.
#[derive(clap::Args)]
pub(crate) struct AttestationFlags {
    /// The predicate type of the attestation: a URI, or one of cosign's short names.
    #[arg(long, value_name = "TYPE", default_value = "custom", value_parser = predicate_type)]
    pub(crate) r#type: String,
    /// Accept an attestation that a log of version 1 has by its digest: it may be that of a file.
    #[arg(long)]
    pub(crate) log_digest_only: bool,
}

// Flags of both commands that verify images.
#[derive(clap::Args)]
pub(crate) struct VerifyImagesFlags {
    #[command(flatten)]
    pub(crate) many: ManyFlags,
    /// Accept an image that this index lists, when an expected signer has signed the index.
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["recursive", "local_image"])]
    #[arg(value_parser = nonempty::<String>)]
    pub(crate) index: Option<String>,
    /// Name directories instead of images: OCI layouts, as `ambisign save` writes them, or DIR:NAME.
    #[arg(long, conflicts_with_all = ["from_file", "recursive", "shard"])]
    pub(crate) local_image: bool,
    /// With --local-image: a bundle that came beside the directory; repeatable.
    #[arg(long, value_name = "FILE", requires = "local_image")]
    pub(crate) bundle: Vec<PathBuf>,
    /// The format of the results.
    #[arg(short, long, default_value = "json")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

#[derive(clap::Args)]
pub(crate) struct VerifyBlobFlags {
    /// Files, or their digests as sha256:HEX; `-` is stdin.
    #[arg(required = true, value_name = "FILE", value_parser = argument::<PathBuf>)]
    pub(crate) files: Vec<PathBuf>,
    /// A detached signature: a file, or base64. Its log entry is looked up in the log.
    #[arg(long, value_name = "FILE|BASE64", conflicts_with = "bundle")]
    pub(crate) signature: Option<String>,
    /// The certificate of the signer, for --signature.
    #[arg(long, value_name = "FILE", alias = "cert", requires = "signature")]
    pub(crate) certificate: Option<PathBuf>,
    /// A timestamp of the signature, for --signature.
    #[arg(long, value_name = "FILE", requires = "signature")]
    pub(crate) rfc3161_timestamp: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) verify: VerifyFileFlags,
}

#[derive(clap::Args)]
pub(crate) struct VerifyBlobAttestationFlags {
    /// The file; `-` is stdin.
    #[arg(value_name = "FILE", value_parser = argument::<PathBuf>)]
    #[arg(required_unless_present = "digest")]
    pub(crate) file: Option<PathBuf>,
    /// The digest of the file in hex, instead of the file.
    #[arg(long, value_name = "HEX", conflicts_with = "file", requires = "bundle")]
    pub(crate) digest: Option<String>,
    /// The algorithm of --digest: sha256, sha384 or sha512.
    #[arg(long = "digestAlg", value_name = "NAME", default_value = "sha256")]
    #[arg(value_parser = algorithm)]
    pub(crate) digest_alg: HashAlgorithm,
    #[command(flatten)]
    pub(crate) attestation: AttestationFlags,
    #[command(flatten)]
    pub(crate) verify: VerifyFileFlags,
}

// Flags of both commands that verify a file.
#[derive(clap::Args)]
pub(crate) struct VerifyFileFlags {
    /// The bundle; repeatable. A file may hold many (JSON Lines) [default: FILE.sigstore.json].
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Vec<PathBuf>,
    /// The format of the result.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
}

impl VerifyFileFlags {
    /// Whether the trusted root is refreshed, or a key comes over the network.
    pub(crate) fn opens_sockets(&self) -> bool {
        !self.trust.offline || self.policy.key.as_deref().is_some_and(is_remote_key)
    }
}

#[derive(clap::Args)]
pub(crate) struct InspectFlags {
    /// Files with a bundle or many (JSON Lines), or images.
    #[arg(required_unless_present = "bundle", value_name = "BUNDLE|IMAGE")]
    #[arg(value_parser = argument::<String>)]
    pub(crate) what: Vec<String>,
    /// A file with one or more bundles, even if its name looks like an image; repeatable.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Vec<PathBuf>,
    /// The signed file. Of many bundles, those of other files are passed over.
    #[arg(long, value_name = "FILE")]
    pub(crate) artifact: Option<PathBuf>,
    /// The public key (PEM) of a signature without a certificate.
    #[arg(long, value_name = "FILE|env://VAR")]
    pub(crate) key: Option<String>,
    /// The format of the report.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

#[derive(clap::Args)]
pub(crate) struct IdentityCommandFlags {
    /// The format of the report.
    #[arg(short, long, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
    /// A JSON file with the OIDC issuers of a private certificate authority and what its
    /// certificates say of them, where it does not publish that.
    #[arg(long, value_name = "FILE")]
    pub(crate) issuer_profiles: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) services: ServiceFlags,
}
