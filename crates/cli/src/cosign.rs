//! Compatibility with cosign: its flags and commands that ambisign does not have.
//!
//! A flag without effect is accepted with a notice, so that scripts written for cosign go on
//! working. A flag that would change the result is refused, and its replacement is named.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::failure::Failure;
use crate::flags::boolean;

/// An outdated flag. It counts only when it is given.
struct Flag {
    name: &'static str,
    commands: &'static [&'static str],
    kind: Kind,
    effect: Effect,
}

#[derive(Clone, Copy)]
enum Kind {
    /// A boolean of which only this value is refused.
    RefusedIf(bool),
    /// A text of which only this value is not refused.
    RefusedUnless(&'static str),
    Switch,
    Text,
}

#[derive(Clone, Copy)]
enum Effect {
    /// Accepted without effect; why.
    None(&'static str),
    /// Refused; what to do instead.
    Refused(&'static str),
}

pub(crate) fn add_flags(mut command: Command) -> Command {
    let name = command.get_name().to_owned();
    for flag in of(&name) {
        let arg = Arg::new(flag.name).long(flag.name).hide(true);
        let arg = match flag.name {
            "certificate" => arg.alias("cert"),
            "certificate-chain" => arg.alias("cert-chain"),
            "output-certificate" => arg.alias("output-cert"),
            _ => arg,
        };
        let arg = match flag.kind {
            Kind::Text | Kind::RefusedUnless(_) => {
                arg.value_name("VALUE").num_args(1).action(clap::ArgAction::Append)
            }
            Kind::RefusedIf(_) | Kind::Switch => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_parser(boolean),
        };
        command = command.arg(arg);
    }
    command
}

/// The notices about the outdated flags that were given, or the refusal of the first that cannot
/// be accepted.
pub(crate) fn judge(command: &str, matches: &ArgMatches) -> Result<Vec<String>, Failure> {
    let mut notices = Vec::new();
    for flag in of(command) {
        let source = match matches.try_contains_id(flag.name) {
            Ok(true) => matches.value_source(flag.name),
            _ => continue,
        };
        let name = match source {
            Some(ValueSource::EnvVariable) => {
                format!("--{} (set by the environment)", flag.name)
            }
            _ => format!("--{}", flag.name),
        };
        // The flag asks for what ambisign does anyway.
        let idle = match flag.kind {
            Kind::RefusedIf(refused) => matches.get_one::<bool>(flag.name) != Some(&refused),
            Kind::RefusedUnless(taken) => matches
                .get_many::<String>(flag.name)
                .is_some_and(|mut values| values.all(|value| value == taken)),
            Kind::Switch | Kind::Text => false,
        };
        match (flag.kind, flag.effect) {
            (_, Effect::Refused(_)) if idle => {
                notices.push(format!("{name} has no effect: ambisign always does this"));
            }
            (_, Effect::None(why)) => notices.push(format!("{name} has no effect: {why}")),
            (_, Effect::Refused(instead)) => {
                let problem = format!("{name} is not supported");
                return Err(Failure::usage(problem).hint(instead));
            }
        }
    }
    Ok(notices)
}

fn of(command: &str) -> impl Iterator<Item = &'static Flag> + '_ {
    FLAGS.iter().filter(move |flag| flag.commands.contains(&command))
}

const fn flag(
    commands: &'static [&'static str],
    name: &'static str,
    kind: Kind,
    effect: Effect,
) -> Flag {
    Flag { name, commands, kind, effect }
}

const SIGN: &[&str] = &["sign", "sign-blob"];
const VERIFY: &[&str] = &["verify", "verify-attestation", "verify-blob", "verify-blob-attestation"];
const IMAGES: &[&str] = &["verify", "verify-attestation"];
const BLOB_ATTESTATION: &[&str] = &["verify-blob-attestation"];
const ALL: &[&str] = &[
    "sign",
    "sign-blob",
    "verify",
    "verify-attestation",
    "verify-blob",
    "verify-blob-attestation",
];
/// The commands that talk to a registry.
const REGISTRY: &[&str] = &["sign", "verify", "verify-attestation", "inspect"];
const EVERY: &[&str] = &[
    "sign",
    "sign-blob",
    "verify",
    "verify-attestation",
    "verify-blob",
    "verify-blob-attestation",
    "inspect",
    "identity",
    "initialize",
    "version",
];
const CLIENT: &str = "ambisign has no client certificates for registries: use a user name and \
                      password, or a token";
const TSA: &str = "set SSL_CERT_FILE for a private certificate authority, and HTTPS_PROXY for a \
                   proxy; they apply to timestamp authorities too";
const KEYLESS: &str = "ambisign signs without keys: sign with an identity, and verify with \
                       --certificate-identity and --certificate-oidc-issuer";
/// Where the signatures of images are.
const ATTACHED: &str = "leave it out: signatures and certificates are read from the bundles in \
                        the registry";
const BUNDLE: &str = "use --bundle FILE: the bundle contains it";
const ROOT: &str = "put the certificates and keys into a trusted root (`ambisign trusted-root \
                    create`) and use --trusted-root FILE";

const FLAGS: &[Flag] = &[
    flag(SIGN, "key", Kind::Text, Effect::Refused(KEYLESS)),
    flag(ALL, "sk", Kind::RefusedIf(true), Effect::Refused(KEYLESS)),
    flag(ALL, "slot", Kind::Text, Effect::Refused(KEYLESS)),
    flag(SIGN, "certificate", Kind::Text, Effect::Refused(KEYLESS)),
    flag(SIGN, "certificate-chain", Kind::Text, Effect::Refused(KEYLESS)),
    flag(SIGN, "new-bundle-format", Kind::RefusedIf(false), Effect::Refused(BUNDLE)),
    flag(
        VERIFY,
        "new-bundle-format",
        Kind::RefusedIf(false),
        Effect::Refused("to accept only cosign's older formats, use --signature-format legacy"),
    ),
    flag(
        SIGN,
        "use-signing-config",
        Kind::Switch,
        Effect::None("ambisign always uses a signing config; URL flags replace its services"),
    ),
    flag(
        SIGN,
        "insecure-skip-verify",
        Kind::Switch,
        Effect::None("ambisign always verifies a new signature"),
    ),
    flag(
        SIGN,
        "issue-certificate",
        Kind::Switch,
        Effect::None("ambisign always requests a certificate"),
    ),
    flag(SIGN, "output-signature", Kind::Text, Effect::Refused(BUNDLE)),
    flag(SIGN, "output-certificate", Kind::Text, Effect::Refused(BUNDLE)),
    flag(&["sign"], "output-payload", Kind::Text, Effect::Refused(BUNDLE)),
    flag(
        &["sign"],
        "payload",
        Kind::Text,
        Effect::Refused("leave it out: the payload is made from the image"),
    ),
    flag(
        &["sign", "verify"],
        "attachment",
        Kind::Text,
        Effect::Refused("name the attachment by its own digest, as the image"),
    ),
    flag(
        REGISTRY,
        "attachment-tag-prefix",
        Kind::Text,
        Effect::Refused("leave it out: signatures are attached as referrers"),
    ),
    flag(
        &["sign"],
        "sign-container-identity",
        Kind::Text,
        Effect::Refused("leave it out: the signature always contains the name of the repository"),
    ),
    flag(
        &["sign"],
        "record-creation-timestamp",
        Kind::Switch,
        Effect::None("ambisign always records the creation time"),
    ),
    flag(
        &["sign"],
        "registry-referrers-mode",
        Kind::Text,
        Effect::None("ambisign detects whether the registry has the referrers API"),
    ),
    flag(&["sign-blob"], "b64", Kind::Switch, Effect::None("the signature is in the bundle")),
    flag(&["sign-blob"], "rfc3161-timestamp", Kind::Text, Effect::Refused(BUNDLE)),
    flag(IMAGES, "certificate", Kind::Text, Effect::Refused(ATTACHED)),
    flag(BLOB_ATTESTATION, "certificate", Kind::Text, Effect::Refused(BUNDLE)),
    flag(VERIFY, "certificate-chain", Kind::Text, Effect::Refused(ROOT)),
    flag(VERIFY, "ca-roots", Kind::Text, Effect::Refused(ROOT)),
    flag(VERIFY, "ca-intermediates", Kind::Text, Effect::Refused(ROOT)),
    flag(VERIFY, "timestamp-certificate-chain", Kind::Text, Effect::Refused(ROOT)),
    flag(
        VERIFY,
        "sct",
        Kind::Text,
        Effect::Refused("leave it out: the SCT is read from the certificate"),
    ),
    flag(IMAGES, "signature", Kind::Text, Effect::Refused(ATTACHED)),
    flag(BLOB_ATTESTATION, "signature", Kind::Text, Effect::Refused(BUNDLE)),
    flag(IMAGES, "rfc3161-timestamp", Kind::Text, Effect::Refused(ATTACHED)),
    flag(BLOB_ATTESTATION, "rfc3161-timestamp", Kind::Text, Effect::Refused(BUNDLE)),
    flag(VERIFY, "rekor-url", Kind::Text, Effect::None("verification sends nothing to the log")),
    flag(VERIFY, "max-workers", Kind::Text, Effect::None("ambisign chooses the number itself")),
    flag(
        IMAGES,
        "policy",
        Kind::Text,
        Effect::Refused(
            "use --identity-policy FILE to say who may sign which image; for rules in CUE or Rego, \
             give the verified statements on stdout to another program",
        ),
    ),
    flag(
        IMAGES,
        "experimental-oci11",
        Kind::Switch,
        Effect::None("ambisign always looks for referrers"),
    ),
    flag(&["verify"], "payload", Kind::Text, Effect::Refused(ATTACHED)),
    flag(
        &["verify", "verify-attestation", "verify-blob-attestation"],
        "check-claims",
        Kind::RefusedIf(false),
        Effect::Refused("leave it out: a signature of something else must not be accepted"),
    ),
    flag(
        VERIFY,
        "signature-digest-algorithm",
        Kind::Text,
        Effect::None("ambisign reads the algorithm from the signature"),
    ),
    flag(
        VERIFY,
        "allow-certificate-chain",
        Kind::RefusedIf(true),
        Effect::Refused(
            "leave it out, and put the intermediate certificates into the --trusted-root",
        ),
    ),
    flag(
        IMAGES,
        "local-image",
        Kind::RefusedIf(true),
        Effect::Refused("push the image to a registry and verify it there"),
    ),
    flag(
        &["sign-blob"],
        "signing-algorithm",
        Kind::RefusedUnless("ecdsa-sha2-256-nistp256"),
        Effect::Refused(
            "leave it out: ambisign makes an ECDSA P-256 key for each signature, which all \
             verifiers accept",
        ),
    ),
    flag(SIGN, "timestamp-client-cacert", Kind::Text, Effect::Refused(TSA)),
    flag(SIGN, "timestamp-client-cert", Kind::Text, Effect::Refused(TSA)),
    flag(SIGN, "timestamp-client-key", Kind::Text, Effect::Refused(TSA)),
    flag(SIGN, "timestamp-server-name", Kind::Text, Effect::Refused(TSA)),
    flag(
        REGISTRY,
        "k8s-keychain",
        Kind::Switch,
        Effect::None(
            "ambisign reads the credential files of Docker and Podman and runs the helpers named \
             there, such as docker-credential-ecr-login",
        ),
    ),
    flag(REGISTRY, "registry-client-cert", Kind::Text, Effect::Refused(CLIENT)),
    flag(REGISTRY, "registry-client-key", Kind::Text, Effect::Refused(CLIENT)),
    flag(
        REGISTRY,
        "registry-server-name",
        Kind::Text,
        Effect::Refused("write the host of the image as it stands in the registry's certificate"),
    ),
    flag(EVERY, "output-file", Kind::Text, Effect::Refused("redirect stdout: ... > FILE")),
];

/// What to do instead of a command that only cosign has.
pub(crate) fn command(name: &str) -> Option<&'static str> {
    Some(match name {
        "attest" | "attest-blob" => "ambisign verifies attestations and does not make them",
        "tree" | "triangulate" | "download" => {
            "show what is attached to an image: ambisign inspect IMAGE"
        }
        "bundle" => "show the content of a bundle: ambisign inspect BUNDLE",
        "debug" => "show the identity sources: ambisign identity",
        "env" => "every flag --foo-bar has the variables AMBISIGN_FOO_BAR and COSIGN_FOO_BAR",
        "completion" => "ambisign has no shell completion; see ambisign --help",
        "clean" => "delete the signatures with a registry client, such as `oras manifest delete`",
        "copy" | "load" | "save" => {
            "copy the image with its referrers by a registry client, such as `oras cp -r`"
        }
        "attach" => {
            "attach the file by a registry client, such as `oras attach`; ambisign sign attaches \
             the signatures it makes"
        }
        "generate" => "sign the image in one step: ambisign sign IMAGE",
        "upload" => "upload files by a registry client, such as `oras push`",
        "dockerfile" | "manifest" => {
            "verify the images named in the file: ambisign verify IMAGE..."
        }
        "generate-key-pair" | "import-key-pair" | "piv-tool" | "pkcs11-tool" | "public-key" => {
            KEYLESS
        }
        "login" => "log in with docker login or podman login: ambisign reads their files",
        _ => return None,
    })
}
