//! Turns flags into objects: images, registry, trusted root, signing config.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use http_client::{ServerTls, Settings, danger};
use image_signing::cloud_credentials::Keychain;
use image_signing::node::CredentialProviders;
use image_signing::{Image, ambient_credentials};
use oci_push::{Credentials, Event, Options, Registry, Repository};
use secrecy::ExposeSecret as _;
use trust_root::{SigningConfig, TrustedRoot};

use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Result};
use crate::flags::{RegistryFlags, ServiceFlags, TrustFlags};
use crate::{files, trust};

/// The annotations, each key once.
pub(crate) fn annotations(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>> {
    let mut annotations = BTreeMap::new();
    for (key, value) in pairs {
        if annotations.insert(key.clone(), value.clone()).is_some_and(|old| old != *value) {
            return Err(Failure::usage(format!("--annotations gives {key:?} two values")));
        }
    }
    Ok(annotations)
}

/// The images named.
pub(crate) fn images(texts: &[String]) -> Result<Vec<Image>> {
    let parse = |text: &String| {
        // Without a registry in its name it would be looked up in Docker Hub.
        if !text.contains('/') && Path::new(text).is_file() {
            return Err(Failure::usage(format!("{text} is a file, not an image")).hint(
                "for a file, use `ambisign sign-blob` or `ambisign verify-blob`; name an image \
                 with its registry",
            ));
        }
        let image = Image::parse(text);
        image.map_err(|error| Failure::of(Exit::Usage, "wrong image reference", &error))
    };
    texts.iter().map(parse).collect()
}

/// The trusted root of `--trusted-root`, or the current one.
pub(crate) async fn trusted_root(flags: &TrustFlags, context: &Context) -> Result<TrustedRoot> {
    let Some(path) = &flags.trusted_root else {
        return trust::trusted_root(flags.offline, context).await;
    };
    files::parse("--trusted-root", path, CAP, context, TrustedRoot::from_json).await
}

/// The trusted root to verify with.
pub(crate) async fn verifying_root(
    flags: &TrustFlags,
    context: &Context,
) -> Result<Arc<TrustedRoot>> {
    let root = trusted_root(flags, context).await?;
    if verify::is_without_logs(&root) {
        context.console.warning("the trusted root names no logs: timestamps are required instead");
    }
    Ok(Arc::new(root))
}

/// The signing config of `--signing-config`, or the current one, with the services that flags name
/// in place of its own.
pub(crate) async fn signing_config(
    flags: &ServiceFlags,
    offline: bool,
    context: &Context,
) -> Result<SigningConfig> {
    let mut config = match &flags.signing_config {
        None => trust::signing_config(offline, context).await?,
        Some(path) => signing_config_file("--signing-config", path, context).await?,
    };
    if let Some(url) = &flags.fulcio_url {
        config = config.with_fulcio_url(url.clone());
    }
    if let Some(url) = &flags.timestamp_server_url {
        config = config.with_tsa_urls(vec![url.clone()]);
    }
    match &flags.rekor_url {
        _ if !flags.tlog_upload => Ok(config.with_rekor_urls(Vec::new())),
        Some(url) => Ok(config.with_rekor_urls(vec![url.clone()])),
        None => Ok(config),
    }
}

/// The signing config in the file that `flag` names.
pub(crate) async fn signing_config_file(
    flag: &str,
    path: &Path,
    context: &Context,
) -> Result<SigningConfig> {
    files::parse(flag, path, CAP, context, SigningConfig::from_json).await
}

/// Access to the registries of `images`: to attach, with or without `signature_tags`, or to read.
pub(crate) fn registry(
    flags: &RegistryFlags,
    images: &[Image],
    signature_tags: Option<bool>,
    context: &Context,
) -> Result<Registry> {
    let settings = registry_settings(flags, images, context)?;
    let console = Arc::clone(&context.console);
    let mut options = Options::new()
        .with_http(flags.allow_http_registry || flags.allow_insecure_registry)
        .with_internal_addresses(flags.insecure_registry_redirects)
        .with_signature_tags(signature_tags.unwrap_or(true))
        .with_mirrors(signature_tags.is_none())
        .with_patience(context.deadline.left())
        .with_listener(move |event| match event {
            Event::Waiting { .. } => console.note(&event.to_string()),
            _ => console.warning(&event.to_string()),
        });
    // They are for one registry, and go to no other.
    let first = images.first().map(|image| image.reference().repository().registry());
    if let Some((named, credentials)) = credentials(flags)
        && let Some(registry) = named.or(first)
    {
        options = options.with_credentials(registry, credentials);
    }
    if flags.insecure_registry_redirects {
        context.console.warning(
            "the registry may lead to any address, also to services inside this network \
             (--insecure-registry-redirects)",
        );
    }
    let host = context.host(&settings);
    let keychain = if flags.k8s_keychain { Keychain::Everything } else { Keychain::Place };
    let mut ambient = ambient_credentials(&host, keychain);
    if let (Some((config, programs)), Some(image)) = (&context.providers, images.first()) {
        ambient = Arc::new(CredentialProviders::new(&host, config, programs, image, ambient));
    }
    let options = options.with_ambient_credentials(ambient);
    Registry::new(host, options).map_err(|error| unusable(&error))
}

fn registry_settings(
    flags: &RegistryFlags,
    images: &[Image],
    context: &Context,
) -> Result<Settings> {
    let mut settings = context.settings();
    if let Some(path) = &flags.registry_cacert {
        let problem = || format!("cannot use --registry-cacert {}", path.display());
        settings = settings.with_ca_file(path).or_fail(problem)?;
    }
    if let Some(tls) = server_tls(flags)? {
        for image in images {
            settings = settings.with_server(image.reference().repository().registry(), tls.clone());
        }
    }
    if flags.allow_insecure_registry {
        // Signatures may be in another one.
        let stored = oci_push::signature_repository(&*context.env);
        let stored = stored.map_err(|error| unusable(&error))?;
        let repositories = images.iter().map(|image| image.reference().repository());
        for registry in repositories.chain(&stored).map(Repository::registry) {
            context.console.warning(&format!(
                "the identity of the registry {registry} is not checked \
                 (--allow-insecure-registry): whoever is on the way can read the credentials"
            ));
            settings = danger::skip_certificate_checks(settings, registry);
        }
    }
    Ok(settings)
}

/// What the flags say of TLS with the registries of the images.
fn server_tls(flags: &RegistryFlags) -> Result<Option<ServerTls>> {
    let mut tls = None;
    if let (Some(certificate), Some(key)) =
        (&flags.registry_client_cert, &flags.registry_client_key)
    {
        let with = ServerTls::new().with_client_certificate(certificate, key);
        tls = Some(with.or_fail(|| "cannot use --registry-client-cert".to_owned())?);
    }
    if let Some(name) = &flags.registry_server_name {
        let problem = "cannot use --registry-server-name";
        let with = tls.unwrap_or_default().with_name(name);
        tls = Some(with.map_err(|error| Failure::of(Exit::Usage, problem, &error))?);
    }
    Ok(tls)
}

fn unusable(error: &oci_push::Error) -> Failure {
    Failure::of(Exit::Usage, "the registry cannot be used", error)
}

/// The credentials that flags give, and the registry they are for if it is named.
fn credentials(flags: &RegistryFlags) -> Option<(Option<&str>, Credentials)> {
    if let Some(token) = &flags.registry_token {
        return Some((None, Credentials::token(token.expose_secret())));
    }
    let (name, password) = (flags.registry_username.as_ref()?, flags.registry_password.as_ref()?);
    Some(Credentials::named(name, password.expose_secret()))
}

/// The largest configuration file, in bytes.
const CAP: usize = 16 << 20;
