//! cosign's flags that mean nothing here, or that ask for what this program does not do.
//!
//! What has no effect is taken with a notice, so that scripts written for cosign go on working;
//! what would change the result is refused with the replacement named.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::values::boolean;

/// An outdated flag. It counts only when it is given.
struct Flag {
    name: &'static str,
    commands: &'static [&'static str],
    kind: Kind,
    fate: Fate,
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
enum Fate {
    /// Taken without effect; why.
    NoEffect(&'static str),
    /// Not taken; what to do instead.
    Refused(&'static str),
}

pub(super) fn add(mut command: Command) -> Command {
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

/// The notices for the outdated flags that were given, or the first that is refused and its
/// replacement.
pub(super) fn judge(command: &str, matches: &ArgMatches) -> Result<Vec<String>, (String, String)> {
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
        // Given, and asking for what is so anyway.
        let idle = match flag.kind {
            Kind::RefusedIf(refused) => matches.get_one::<bool>(flag.name) != Some(&refused),
            Kind::RefusedUnless(taken) => matches
                .get_many::<String>(flag.name)
                .is_some_and(|mut values| values.all(|value| value == taken)),
            Kind::Switch | Kind::Text => false,
        };
        match (flag.kind, flag.fate) {
            (_, Fate::Refused(_)) if idle => {
                notices.push(format!("{name} is outdated: this is always so here"));
            }
            (_, Fate::NoEffect(why)) => notices.push(format!("{name} has no effect: {why}")),
            (_, Fate::Refused(instead)) => {
                return Err((format!("{name} is not supported"), instead.to_owned()));
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
    fate: Fate,
) -> Flag {
    Flag { name, commands, kind, fate }
}

const SIGN: &[&str] = &["sign", "sign-blob"];
const VERIFY: &[&str] = &["verify", "verify-attestation", "verify-blob", "verify-blob-attestation"];
const IMAGES: &[&str] = &["verify", "verify-attestation"];
/// All but verify-blob, which takes what stands alone.
const BUNDLES: &[&str] = &["verify", "verify-attestation", "verify-blob-attestation"];
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
const CLIENT: &str = "no client certificate is shown to registries: log in with a user name and \
                      password, or with a token";
const TSA: &str = "a timestamp authority is reached as every other service is: SSL_CERT_FILE \
                   names whom to trust, HTTPS_PROXY the way";
const KEYLESS: &str = "ambisign works without keys: sign with an identity, and verify with \
                       --certificate-identity and --certificate-oidc-issuer";
const BUNDLE: &str = "everything is in the bundle: use --bundle";
const ROOT: &str = "put the certificates and keys into a file for --trusted-root";

const FLAGS: &[Flag] = &[
    flag(SIGN, "key", Kind::Text, Fate::Refused(KEYLESS)),
    flag(ALL, "sk", Kind::Switch, Fate::Refused(KEYLESS)),
    flag(ALL, "slot", Kind::Text, Fate::Refused(KEYLESS)),
    flag(SIGN, "certificate", Kind::Text, Fate::Refused(KEYLESS)),
    flag(SIGN, "certificate-chain", Kind::Text, Fate::Refused(KEYLESS)),
    flag(ALL, "new-bundle-format", Kind::RefusedIf(false), Fate::Refused(BUNDLE)),
    flag(
        SIGN,
        "use-signing-config",
        Kind::Switch,
        Fate::NoEffect("--signing-config and the URL flags say it all"),
    ),
    flag(
        SIGN,
        "insecure-skip-verify",
        Kind::Switch,
        Fate::NoEffect("every signature is verified before it is handed out"),
    ),
    flag(SIGN, "issue-certificate", Kind::Switch, Fate::NoEffect("a certificate is always issued")),
    flag(SIGN, "output-signature", Kind::Text, Fate::Refused(BUNDLE)),
    flag(SIGN, "output-certificate", Kind::Text, Fate::Refused(BUNDLE)),
    flag(&["sign"], "output-payload", Kind::Text, Fate::Refused(BUNDLE)),
    flag(&["sign"], "payload", Kind::Text, Fate::Refused("name the image: it says what is signed")),
    flag(
        &["sign", "verify"],
        "attachment",
        Kind::Text,
        Fate::Refused("name the attachment's own digest as the image"),
    ),
    flag(
        REGISTRY,
        "attachment-tag-prefix",
        Kind::Text,
        Fate::Refused("signatures are attached as referrers"),
    ),
    flag(
        &["sign"],
        "sign-container-identity",
        Kind::Text,
        Fate::Refused("the repository's name is signed as it is"),
    ),
    flag(
        &["sign"],
        "record-creation-timestamp",
        Kind::Switch,
        Fate::NoEffect("the time is always recorded"),
    ),
    flag(
        &["sign"],
        "registry-referrers-mode",
        Kind::Text,
        Fate::NoEffect("the registry is asked what it can do"),
    ),
    flag(&["sign-blob"], "b64", Kind::Switch, Fate::NoEffect("the signature is in the bundle")),
    flag(&["sign-blob"], "rfc3161-timestamp", Kind::Text, Fate::Refused(BUNDLE)),
    flag(BUNDLES, "certificate", Kind::Text, Fate::Refused(BUNDLE)),
    flag(VERIFY, "certificate-chain", Kind::Text, Fate::Refused(ROOT)),
    flag(VERIFY, "ca-roots", Kind::Text, Fate::Refused(ROOT)),
    flag(VERIFY, "ca-intermediates", Kind::Text, Fate::Refused(ROOT)),
    flag(VERIFY, "timestamp-certificate-chain", Kind::Text, Fate::Refused(ROOT)),
    flag(VERIFY, "sct", Kind::Text, Fate::Refused("the SCT is read from the certificate")),
    flag(BUNDLES, "signature", Kind::Text, Fate::Refused(BUNDLE)),
    flag(BUNDLES, "rfc3161-timestamp", Kind::Text, Fate::Refused(BUNDLE)),
    flag(VERIFY, "rekor-url", Kind::Text, Fate::NoEffect("verification never asks the log")),
    flag(VERIFY, "max-workers", Kind::Text, Fate::NoEffect("there is nothing to tune")),
    flag(
        IMAGES,
        "policy",
        Kind::Text,
        Fate::Refused(
            "rules in CUE and Rego are not read; --identity-policy FILE says who may sign which \
             image, and the verified statements on stdout can be given to any other program",
        ),
    ),
    flag(
        IMAGES,
        "experimental-oci11",
        Kind::Switch,
        Fate::NoEffect("referrers are always looked at"),
    ),
    flag(&["verify"], "payload", Kind::Text, Fate::Refused(BUNDLE)),
    flag(
        &["verify", "verify-attestation", "verify-blob-attestation"],
        "check-claims",
        Kind::RefusedIf(false),
        Fate::Refused("a signature of something else is no signature of this image"),
    ),
    flag(VERIFY, "signature-digest-algorithm", Kind::Text, Fate::NoEffect("the bundle names it")),
    flag(
        VERIFY,
        "allow-certificate-chain",
        Kind::RefusedIf(true),
        Fate::Refused("issuers are believed only when they are in the --trusted-root"),
    ),
    flag(
        IMAGES,
        "local-image",
        Kind::RefusedIf(true),
        Fate::Refused("images are verified where they are, in a registry"),
    ),
    flag(
        &["sign-blob"],
        "signing-algorithm",
        Kind::RefusedUnless("ecdsa-sha2-256-nistp256"),
        Fate::Refused(
            "keys live for one signature and are ECDSA on P-256, which all verifiers take",
        ),
    ),
    flag(SIGN, "timestamp-client-cacert", Kind::Text, Fate::Refused(TSA)),
    flag(SIGN, "timestamp-client-cert", Kind::Text, Fate::Refused(TSA)),
    flag(SIGN, "timestamp-client-key", Kind::Text, Fate::Refused(TSA)),
    flag(SIGN, "timestamp-server-name", Kind::Text, Fate::Refused(TSA)),
    flag(
        REGISTRY,
        "k8s-keychain",
        Kind::Switch,
        Fate::NoEffect(
            "credentials are those of Docker's and Podman's files and of the helpers named there, \
             such as docker-credential-ecr-login",
        ),
    ),
    flag(REGISTRY, "registry-client-cert", Kind::Text, Fate::Refused(CLIENT)),
    flag(REGISTRY, "registry-client-key", Kind::Text, Fate::Refused(CLIENT)),
    flag(
        REGISTRY,
        "registry-server-name",
        Kind::Text,
        Fate::Refused("name the registry in the image as its certificate does"),
    ),
    flag(EVERY, "output-file", Kind::Text, Fate::Refused("redirect stdout: ... > FILE")),
];

/// What does the work of a command of cosign's that is none here.
pub(super) fn command(name: &str) -> Option<&'static str> {
    Some(match name {
        "attest" | "attest-blob" => "attestations are verified here and not made",
        "bundle" | "download" | "env" | "tree" | "triangulate" => {
            "ambisign inspect IMAGE|BUNDLE shows what is attached, and what of it holds"
        }
        "debug" => "ambisign identity shows where an identity was looked for",
        "clean" | "copy" | "load" | "save" => {
            "any registry client moves and removes referrers, such as `oras cp -r`"
        }
        "attach" | "generate" | "upload" => "ambisign sign IMAGE signs and attaches in one step",
        "dockerfile" | "manifest" => "ambisign verify IMAGE...",
        "generate-key-pair" | "import-key-pair" | "piv-tool" | "pkcs11-tool" | "public-key" => {
            KEYLESS
        }
        "login" => "docker login or podman login: their files are read",
        _ => return None,
    })
}
