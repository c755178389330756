//! From raw flags to what will be done. Everything that can be known to be wrong without a network
//! is found here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::Env;
use http_client::{Settings, danger};
use image_signing::Image;
use oci_push::{Credentials, Options, Registry};
use trust_root::{SigningConfig, TrustedRoot};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files::is_standard;
use crate::flags::{RegistryFlags, ServiceFlags, TrustFlags};
use crate::trust;

/// The annotations, each key once.
pub(crate) fn annotations(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut annotations = BTreeMap::new();
    for (key, value) in pairs {
        if annotations.insert(key.clone(), value.clone()).is_some_and(|old| old != *value) {
            return Err(Failure::usage(format!("--annotations gives {key:?} two values")));
        }
    }
    Ok(annotations)
}

/// The images named.
pub(crate) fn images(texts: &[String]) -> Result<Vec<Image>, Failure> {
    let wrong = |error| Failure::of(Exit::Usage, "wrong image reference", &error);
    texts.iter().map(|text| Image::parse(text).map_err(wrong)).collect()
}

/// The trusted root of `--trusted-root`, or the one at hand.
pub(crate) async fn trusted_root(
    flags: &TrustFlags,
    context: &Context,
) -> Result<TrustedRoot, Failure> {
    let Some(path) = &flags.trusted_root else {
        return trust::trusted_root(flags.offline, context).await;
    };
    let env = &*context.env;
    let problem = || format!("--trusted-root {} cannot be used", path.display());
    let bytes = read(path, env).map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    TrustedRoot::from_json(&bytes).map_err(|error| Failure::of(Exit::Failed, problem(), &error))
}

/// The signing config of `--signing-config`, or the one at hand, with the services that flags name
/// in place of its own.
pub(crate) async fn signing_config(
    flags: &ServiceFlags,
    offline: bool,
    context: &Context,
) -> Result<SigningConfig, Failure> {
    let mut config = match &flags.signing_config {
        None => trust::signing_config(offline, context).await?,
        Some(path) => signing_config_file("--signing-config", path, &*context.env)?,
    };
    if let Some(url) = &flags.fulcio_url {
        config = config.with_fulcio_url(url.clone());
    }
    if let Some(url) = &flags.rekor_url {
        config = config.with_rekor_urls(vec![url.clone()]);
    }
    if let Some(url) = &flags.timestamp_server_url {
        config = config.with_tsa_urls(vec![url.clone()]);
    }
    if !flags.tlog_upload {
        config = config.with_rekor_urls(Vec::new());
    }
    Ok(config)
}

/// The signing config in the file that `flag` names.
pub(crate) fn signing_config_file(
    flag: &str,
    path: &Path,
    env: &dyn Env,
) -> Result<SigningConfig, Failure> {
    let problem = || format!("{flag} {} cannot be used", path.display());
    let bytes = read(path, env).map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    SigningConfig::from_json(&bytes).map_err(|error| Failure::of(Exit::Failed, problem(), &error))
}

/// The predicate type of `--type`: one of cosign's short names, or the type itself.
pub(crate) fn predicate_type(name: &str) -> Result<String, Failure> {
    Ok(match name {
        "custom" => "https://cosign.sigstore.dev/attestation/v1",
        "cyclonedx" => "https://cyclonedx.org/bom",
        "link" => "https://in-toto.io/Link/v1",
        "openvex" => "https://openvex.dev/ns",
        "slsaprovenance" | "slsaprovenance02" => "https://slsa.dev/provenance/v0.2",
        "slsaprovenance1" => "https://slsa.dev/provenance/v1",
        "spdx" | "spdxjson" => "https://spdx.dev/Document",
        "vuln" => "https://cosign.sigstore.dev/attestation/vuln/v1",
        uri if uri.contains(':') => uri,
        _ => {
            return Err(Failure::usage(format!("--type: {name:?} is no predicate type")).hint(
                "expected a URI, or one of custom, cyclonedx, link, openvex, slsaprovenance, \
                 slsaprovenance02, slsaprovenance1, spdx, spdxjson and vuln",
            ));
        }
    }
    .to_owned())
}

/// Access to the registries of `images`.
pub(crate) fn registry(
    flags: &RegistryFlags,
    images: &[Image],
    context: &Context,
) -> Result<Registry, Failure> {
    let settings = registry_settings(flags, images, context)?;
    let options = Options {
        allow_http: flags.allow_http_registry || flags.allow_insecure_registry,
        credentials: credentials(flags),
        signature_repository: None,
    };
    Registry::new(context.host(&settings), options)
        .map_err(|error| Failure::of(Exit::Usage, "the registry cannot be used", &error))
}

fn registry_settings(
    flags: &RegistryFlags,
    images: &[Image],
    context: &Context,
) -> Result<Settings, Failure> {
    let mut settings = context.settings();
    if let Some(path) = &flags.registry_cacert {
        settings = settings.with_ca_file(path).map_err(|error| {
            let problem = format!("--registry-cacert {} cannot be used", path.display());
            Failure::of(Exit::Failed, problem, &error)
        })?;
    }
    if flags.allow_insecure_registry {
        for image in images {
            let registry = image.reference().repository().registry();
            context.console.warning(&format!(
                "the identity of the registry {registry} is not checked \
                 (--allow-insecure-registry): whoever is on the way can read the credentials"
            ));
            settings = danger::skip_certificate_checks(settings, registry);
        }
    }
    Ok(settings)
}

fn credentials(flags: &RegistryFlags) -> Option<Credentials> {
    if let Some(token) = &flags.registry_token {
        return Some(Credentials::token(token.reveal()));
    }
    let (name, password) = (flags.registry_username.as_ref()?, flags.registry_password.as_ref()?);
    Some(Credentials::basic(name, password.reveal()))
}

/// Where each file's bundle goes.
pub(crate) fn bundle_paths(
    files: &[PathBuf],
    bundle: Option<&Path>,
) -> Result<Vec<PathBuf>, Failure> {
    match (files, bundle) {
        ([file], Some(path)) if crate::files::is_same(file, path) && !is_standard(path) => {
            Err(Failure::usage("--bundle names the file that is to be signed"))
        }
        ([_], Some(path)) => Ok(vec![path.to_owned()]),
        (_, Some(_)) => Err(Failure::usage(format!(
            "--bundle names one file, and {} files are to be signed",
            files.len()
        ))
        .hint("leave --bundle out: each bundle is written to FILE.sigstore.json")),
        (files, None) => {
            if files.iter().any(|file| is_standard(file)) {
                return Err(Failure::usage("stdin has no name for its bundle")
                    .hint("say where it goes: --bundle FILE"));
            }
            Ok(files.iter().map(|file| crate::files::bundle_path(file)).collect())
        }
    }
}

fn read(path: &Path, env: &dyn Env) -> Result<Vec<u8>, host::FileError> {
    crate::files::read_now(env, path, DOCUMENT_CAP)
}

/// The largest configuration file, in bytes.
const DOCUMENT_CAP: usize = 16 << 20;
