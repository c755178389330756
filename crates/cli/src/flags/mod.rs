//! What can be written on the command line. Nothing here is judged beyond its syntax; `plan` does.
//!
//! Every flag `--foo-bar` can also be given as `AMBISIGN_FOO_BAR` or, after that, `COSIGN_FOO_BAR`.
//! The command line wins, and an empty variable counts as unset.

mod groups;
mod login;
mod obsolete;
mod policy;
mod trust;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use host::Env;

use self::values::{boolean, duration, output};

pub(crate) use self::groups::{IdentityFlags, RegistryFlags, ServiceFlags, TrustFlags};
pub(crate) use self::login::{AuthFlow, LoginFlags};
pub(crate) use self::policy::{PolicyFileFlags, PolicyFlags};
pub(crate) use self::trust::{
    CreateSigningConfigFlags, CreateTrustedRootFlags, InitializeFlags, SigningConfigCommand,
    SigningConfigFlags, TrustedRootCommand, TrustedRootFlags,
};
pub(crate) use self::values::{Output, Secret};

/// Sign container images and files with the identity this workload already has, and verify such
/// signatures.
#[derive(Parser)]
#[command(name = "ambisign", max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Every flag --foo-bar can be set by AMBISIGN_FOO_BAR or COSIGN_FOO_BAR.")]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) root: RootFlags,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(clap::Args)]
pub(crate) struct RootFlags {
    /// Give up after this long, such as 90s or 3m.
    #[arg(short, long, global = true, value_name = "DURATION", value_parser = duration)]
    #[arg(display_order = 900)]
    #[arg(default_value = "3m")]
    pub(crate) timeout: Duration,
    /// Say on stderr what is being done. Secrets are left out.
    #[arg(short = 'd', long, global = true, display_order = 901)]
    pub(crate) verbose: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Sign images in a registry and attach the signatures to them.
    Sign(SignFlags),
    /// Verify the signatures of images in a registry.
    Verify(VerifyFlags),
    /// Verify the attestations of images in a registry.
    VerifyAttestation(VerifyAttestationFlags),
    /// Sign files and write a bundle beside each.
    SignBlob(SignBlobFlags),
    /// Verify a file with the bundle beside it.
    VerifyBlob(VerifyBlobFlags),
    /// Verify an attestation about a file.
    VerifyBlobAttestation(VerifyBlobAttestationFlags),
    /// Show what a signature says and what of it holds, whoever signed.
    Inspect(InspectFlags),
    /// Show which identity would sign here, where it was looked for, and its certificate.
    ///
    /// The certificate authority (--fulcio-url, else the signing config's) is asked which
    /// issuers it accepts; the token is not sent to it.
    Identity(IdentityCommandFlags),
    /// Choose whom to trust, and keep it current from now on.
    Initialize(InitializeFlags),
    /// Make a file that says whom to trust.
    TrustedRoot(TrustedRootFlags),
    /// Make a file that says which services sign.
    SigningConfig(SigningConfigFlags),
    /// Print the version.
    Version(VersionFlags),
}

impl Command {
    /// Whether it needs any socket at all: not for a file, offline.
    pub(crate) fn opens_sockets(&self) -> bool {
        match self {
            Self::VerifyBlob(flags) => !flags.trust.offline,
            Self::VerifyBlobAttestation(flags) => !flags.trust.offline,
            Self::Version(_) => false,
            _ => true,
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct SignFlags {
    /// Images, by digest or by tag.
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    /// Claim this of the image, signed along; repeatable, or separated by commas.
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub(crate) annotations: Vec<String>,
    /// Sign what an index lists as well: each platform's image.
    #[arg(short, long)]
    pub(crate) recursive: bool,
    /// Attach the signature to the image; without, --bundle says where it goes.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "true", default_missing_value = "true", value_parser = boolean)]
    #[arg(value_name = "BOOL", hide_possible_values = true)]
    pub(crate) upload: bool,
    /// Write the bundle to this file as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) signing: SigningFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

#[derive(clap::Args)]
pub(crate) struct SignBlobFlags {
    /// Files; `-` is stdin.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Write the bundle to this file instead of FILE.sigstore.json.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) signing: SigningFlags,
}

/// What both signing commands take.
#[derive(clap::Args)]
pub(crate) struct SigningFlags {
    /// Answer yes to all questions. There are none; taken for cosign's sake.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// How to print results.
    #[arg(short, long, value_name = "json|text", value_parser = output, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
    #[command(flatten)]
    pub(crate) login: LoginFlags,
    #[command(flatten)]
    pub(crate) services: ServiceFlags,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
}

#[derive(clap::Args)]
pub(crate) struct VerifyFlags {
    /// Accept only signatures that claim this; repeatable, or separated by commas.
    #[arg(short, long, value_name = "KEY=VALUE", value_delimiter = ',')]
    pub(crate) annotations: Vec<String>,
    /// How to print results.
    #[arg(short, long, value_name = "json|text", value_parser = output, default_value = "json")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) images: VerifyImagesFlags,
}

#[derive(clap::Args)]
pub(crate) struct VerifyAttestationFlags {
    /// What is attested: a predicate type, or one of cosign's short names.
    #[arg(long, value_name = "TYPE", default_value = "custom")]
    pub(crate) r#type: String,
    /// How to print results: the envelopes that were verified, or a line for each.
    #[arg(short, long, value_name = "json|text", value_parser = output, default_value = "json")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) images: VerifyImagesFlags,
}

/// What both commands that verify images take.
#[derive(clap::Args)]
pub(crate) struct VerifyImagesFlags {
    /// Images, by digest or by tag.
    #[arg(required = true, value_name = "IMAGE")]
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
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Its bundle, instead of FILE.sigstore.json. cosign's earlier JSON is taken as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// A signature that stands alone, in a file or in base64. It proves less than a bundle.
    #[arg(long, value_name = "FILE|BASE64")]
    pub(crate) signature: Option<String>,
    /// The signer's certificate, for --signature.
    #[arg(long, value_name = "FILE", alias = "cert", requires = "signature")]
    pub(crate) certificate: Option<PathBuf>,
    /// A timestamp of the signature, for --signature.
    #[arg(long, value_name = "FILE", requires = "signature")]
    pub(crate) rfc3161_timestamp: Option<PathBuf>,
    /// How to print the result.
    #[arg(short, long, value_name = "json|text", value_parser = output, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
}

#[derive(clap::Args)]
pub(crate) struct VerifyBlobAttestationFlags {
    /// The file; `-` is stdin.
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The file's digest, in hex, instead of the file.
    #[arg(long, value_name = "HEX")]
    pub(crate) digest: Option<String>,
    /// By which algorithm --digest is.
    #[arg(long = "digestAlg", value_name = "NAME", default_value = "sha256")]
    pub(crate) digest_alg: String,
    /// What is attested: a predicate type, or one of cosign's short names.
    #[arg(long, value_name = "TYPE", default_value = "custom")]
    pub(crate) r#type: String,
    /// The bundle, instead of FILE.sigstore.json.
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Option<PathBuf>,
    /// How to print the result.
    #[arg(short, long, value_name = "json|text", value_parser = output, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) policy: PolicyFlags,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
}

#[derive(clap::Args)]
pub(crate) struct InspectFlags {
    /// Files with bundles, or images.
    #[arg(required = true, value_name = "BUNDLE|IMAGE")]
    pub(crate) what: Vec<String>,
    /// The file that was signed, to check a bundle's signature against.
    #[arg(long, value_name = "FILE")]
    pub(crate) artifact: Option<PathBuf>,
    /// The public key (PEM) of a signature without a certificate.
    #[arg(long, value_name = "FILE|env://VAR")]
    pub(crate) key: Option<String>,
    /// How to print the report.
    #[arg(short, long, value_name = "json|text", value_parser = output, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) trust: TrustFlags,
    #[command(flatten)]
    pub(crate) registry: RegistryFlags,
}

#[derive(clap::Args)]
pub(crate) struct IdentityCommandFlags {
    /// How to print the answer.
    #[arg(short, long, value_name = "json|text", value_parser = output, default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) identity: IdentityFlags,
    /// What the certificate authority does not tell of its issuers: which template (ci_provider) or
    /// claim (issuer_claim) makes the certificate. JSON: {"issuers": [{"issuer_url", "type",
    /// "ci_provider", ...}]}. Known of the public issuers.
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

/// The command line, or what to say about it.
pub(crate) enum Parsed {
    /// What was asked for, and a notice for each outdated flag that was taken.
    Flags(Box<Flags>, Vec<String>),
    /// A help text, or a syntax error that clap explains.
    Message(clap::Error),
    /// A flag or a command of cosign's that cannot be taken.
    Refused { problem: String, replacement: String },
}

/// Reads the command line `args`, the program's name first, and the variables in `env`.
pub(crate) fn parse(args: &[OsString], env: &dyn Env) -> Parsed {
    let matches = match parser(args, env).try_get_matches_from(args) {
        Ok(matches) => matches,
        // Help shows `--yes` and not the `--yes[=<BOOL>]` that is also taken.
        Err(error) if !error.use_stderr() => {
            return Parsed::Message(
                Flags::command().try_get_matches_from(args).err().unwrap_or(error),
            );
        }
        Err(error) => {
            return match unknown(&error).and_then(|name| Some((name, obsolete::command(name)?))) {
                Some((name, instead)) => Parsed::Refused {
                    problem: format!("there is no command {name}"),
                    replacement: instead.to_owned(),
                },
                None => Parsed::Message(error),
            };
        }
    };
    let notices = match matches.subcommand().map(|(name, matches)| obsolete::judge(name, matches)) {
        Some(Err((problem, replacement))) => return Parsed::Refused { problem, replacement },
        Some(Ok(notices)) => notices,
        None => Vec::new(),
    };
    match Flags::from_arg_matches(&matches) {
        Ok(flags) => Parsed::Flags(Box::new(flags), notices),
        Err(error) => Parsed::Message(error),
    }
}

/// The name that stands where a command should.
fn unknown(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidSubcommand)? {
        ContextValue::String(name) => Some(name),
        _ => None,
    }
}

/// The parser behind the help texts: with variables, `--flag=false`, and cosign's outdated flags,
/// for the commands that `args` may mean: most of a short run would go into the others.
fn parser(args: &[OsString], env: &dyn Env) -> clap::Command {
    let mut command = Flags::command().mut_args(|arg| enrich(arg, env));
    let names: Vec<String> =
        command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names.into_iter().filter(|name| args.iter().any(|arg| arg == name.as_str())) {
        command = command.mut_subcommand(name, |command| {
            let command = obsolete::add(command).mut_args(|arg| enrich(arg, env));
            command.mut_subcommands(|command| command.mut_args(|arg| enrich(arg, env)))
        });
    }
    command
}

fn enrich(arg: clap::Arg, env: &dyn Env) -> clap::Arg {
    let Some(long) = arg.get_long().filter(|long| !["help", "json"].contains(long)) else {
        return arg;
    };
    let suffix = long.to_uppercase().replace('-', "_");
    let variable = ["AMBISIGN", "COSIGN"]
        .map(|prefix| format!("{prefix}_{suffix}"))
        .into_iter()
        .find(|name| env.var(name).is_some());
    let arg = match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .value_parser(boolean)
            .value_name("BOOL"),
        _ => arg,
    };
    match variable {
        Some(variable) => arg.env(variable).hide_env(true).hide_env_values(true),
        None => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str], env: &'static [(&'static str, &'static str)]) -> Flags {
        let args = std::iter::once("ambisign").chain(args.iter().copied());
        match parse(&args.map(OsString::from).collect::<Vec<_>>(), env_of(env)) {
            Parsed::Flags(flags, _) => *flags,
            Parsed::Message(error) => panic!("{error}"),
            Parsed::Refused { problem, .. } => panic!("{problem}"),
        }
    }

    fn env_of(env: &'static [(&'static str, &'static str)]) -> &'static dyn Env {
        Box::leak(Box::new(
            env.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<std::collections::BTreeMap<_, _>>(),
        ))
    }

    /// Every command.
    fn all() -> Vec<OsString> {
        Flags::command().get_subcommands().map(|command| command.get_name().into()).collect()
    }

    #[test]
    fn the_parser_is_consistent() {
        Flags::command().debug_assert();
        parser(&all(), &[("", "")]).debug_assert();
    }

    #[test]
    fn each_flag_reads_its_two_variables_ours_first_and_an_empty_one_is_none() {
        const REGISTRY: [&str; 6] = [
            "allow-http-registry",
            "allow-insecure-registry",
            "registry-cacert",
            "registry-username",
            "registry-password",
            "registry-token",
        ];
        const SIGN: [&str; 11] = [
            "signing-config",
            "trusted-root",
            "identity-token",
            "oidc-provider",
            "oidc-disable-ambient-providers",
            "fulcio-url",
            "rekor-url",
            "timestamp-server-url",
            "bundle",
            "yes",
            "output",
        ];
        const VERIFY: [&str; 9] = [
            "trusted-root",
            "certificate-identity",
            "certificate-identity-regexp",
            "certificate-oidc-issuer",
            "certificate-oidc-issuer-regexp",
            "insecure-ignore-tlog",
            "insecure-ignore-sct",
            "use-signed-timestamps",
            "output",
        ];
        let of = |command: &str, flags: &[&'static str]| {
            flags.iter().map(|flag| (command.to_owned(), *flag)).collect::<Vec<_>>()
        };
        let flags = [
            of("sign", &REGISTRY),
            of("sign", &SIGN),
            of("sign", &["annotations", "recursive", "upload"]),
            of("sign-blob", &SIGN),
            of("verify", &REGISTRY),
            of("verify", &VERIFY),
            of("verify", &["annotations"]),
            of("verify-blob", &VERIFY),
            of("verify-blob", &["bundle"]),
            of("", &["timeout", "verbose"]),
        ];
        for (command, flag) in flags.concat() {
            let suffix = flag.to_uppercase().replace('-', "_");
            let ours = format!("AMBISIGN_{suffix}");
            let cosigns = format!("COSIGN_{suffix}");
            let read = |env: &dyn Env| {
                let parser = parser(&all(), env);
                let parser = match command.as_str() {
                    "" => &parser,
                    command => parser.find_subcommand(command).unwrap(),
                };
                let arg = parser.get_arguments().find(|arg| arg.get_long() == Some(flag));
                arg.unwrap_or_else(|| panic!("{command} --{flag}"))
                    .get_env()
                    .map(|name| name.to_str().unwrap().to_owned())
            };
            assert_eq!(read(&[(&*ours, "x")]).as_ref(), Some(&ours));
            assert_eq!(read(&[(&*cosigns, "x")]).as_ref(), Some(&cosigns));
            assert_eq!(read(&[(&*ours, "x"), (&*cosigns, "x")]).as_ref(), Some(&ours));
            assert_eq!(read(&[(&*ours, ""), (&*cosigns, "")]), None, "{ours} is empty");
        }
    }

    #[test]
    fn every_flag_of_cosigns_is_taken_or_refused_by_name() {
        for (command, flags) in COSIGN {
            let parser = parser(&all(), &[("", "")]);
            let command = parser.find_subcommand(command).unwrap();
            for flag in flags.split_whitespace() {
                let known = command.get_arguments().any(|arg| {
                    arg.get_long() == Some(flag)
                        || arg.get_all_aliases().is_some_and(|names| names.contains(&flag))
                });
                assert!(known, "{} --{flag}", command.get_name());
            }
        }
    }

    /// The flags of cosign 3.1 beside those in every command.
    const COSIGN: [(&str, &str); 6] = [
        (
            "sign",
            "allow-http-registry allow-insecure-registry annotations attachment \
             attachment-tag-prefix bundle certificate certificate-chain fulcio-auth-flow \
             fulcio-url identity-token insecure-skip-verify issue-certificate k8s-keychain key \
             new-bundle-format oidc-client-id oidc-client-secret-file \
             oidc-disable-ambient-providers oidc-issuer oidc-provider oidc-redirect-url \
             output-certificate output-file output-payload output-signature payload \
             record-creation-timestamp recursive registry-cacert registry-client-cert \
             registry-client-key registry-password registry-referrers-mode registry-server-name \
             registry-token registry-username rekor-url sign-container-identity signing-config sk \
             slot timestamp-client-cacert timestamp-client-cert timestamp-client-key \
             timestamp-server-name timestamp-server-url tlog-upload trusted-root upload \
             use-signing-config yes",
        ),
        (
            "sign-blob",
            "b64 bundle certificate certificate-chain fulcio-auth-flow fulcio-url identity-token \
             insecure-skip-verify issue-certificate key new-bundle-format oidc-client-id \
             oidc-client-secret-file oidc-disable-ambient-providers oidc-issuer oidc-provider \
             oidc-redirect-url output output-certificate output-file output-signature rekor-url \
             rfc3161-timestamp signing-algorithm signing-config sk slot timestamp-client-cacert \
             timestamp-client-cert timestamp-client-key timestamp-server-name \
             timestamp-server-url tlog-upload trusted-root use-signing-config yes",
        ),
        (
            "verify",
            "allow-certificate-chain allow-http-registry allow-insecure-registry annotations \
             attachment attachment-tag-prefix ca-intermediates ca-roots cert cert-chain \
             cert-identity cert-oidc-issuer certificate certificate-chain \
             certificate-github-workflow-name certificate-github-workflow-ref \
             certificate-github-workflow-repository certificate-github-workflow-sha \
             certificate-github-workflow-trigger certificate-identity certificate-identity-regexp \
             certificate-oidc-issuer certificate-oidc-issuer-regexp check-claims \
             experimental-oci11 insecure-ignore-sct insecure-ignore-tlog k8s-keychain key \
             local-image max-workers new-bundle-format offline output output-file payload \
             private-infrastructure registry-cacert registry-client-cert registry-client-key \
             registry-password registry-server-name registry-token registry-username rekor-url \
             sct signature signature-digest-algorithm sk slot timestamp-certificate-chain \
             trusted-root use-signed-timestamps",
        ),
        (
            "verify-attestation",
            "allow-certificate-chain attachment-tag-prefix certificate certificate-chain \
             certificate-identity check-claims insecure-ignore-tlog k8s-keychain key local-image \
             max-workers new-bundle-format offline output output-file policy rekor-url sk slot \
             trusted-root type use-signed-timestamps",
        ),
        (
            "verify-blob",
            "allow-certificate-chain bundle ca-intermediates ca-roots cert certificate \
             certificate-chain certificate-identity insecure-ignore-sct insecure-ignore-tlog key \
             max-workers new-bundle-format offline output-file private-infrastructure rekor-url \
             rfc3161-timestamp sct signature sk slot timestamp-certificate-chain trusted-root \
             use-signed-timestamps",
        ),
        (
            "verify-blob-attestation",
            "allow-certificate-chain bundle certificate certificate-chain certificate-identity \
             check-claims digest digestAlg key max-workers new-bundle-format offline output-file \
             rekor-url rfc3161-timestamp signature sk slot trusted-root type \
             use-signed-timestamps",
        ),
    ];

    #[test]
    fn booleans_are_written_as_go_writes_them() {
        let Command::Sign(sign) = flags(&["sign", "--upload=false", "--yes", "i"], &[]).command
        else {
            panic!("not sign")
        };
        assert!(!sign.upload && sign.signing.yes);
        let Command::Sign(sign) = flags(&["sign", "--yes=0", "i"], &[]).command else {
            panic!("not sign")
        };
        assert!(sign.upload && !sign.signing.yes);
    }
}
