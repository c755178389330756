//! Turns flags into objects: images, registry, trusted root, signing config.

use std::collections::BTreeMap;
use std::path::Path;
use std::slice;
use std::sync::Arc;

use http_client::{Settings, danger};
use image_signing::cloud_credentials::Keychain;
use image_signing::node::CredentialProviders;
use image_signing::{Image, MistakenPath, Shard, ambient_credentials, image_list};
use oci_push::{Credentials, Event, Options, Registry, Repository};
use secrecy::ExposeSecret as _;
use trust_root::{SigningConfig, TrustedRoot};

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::flags::{ManyFlags, RegistryFlags, ServiceFlags, TrustFlags};
use crate::{files, trust};

/// The annotations, each key once.
pub(crate) fn annotations(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>> {
    let twice = |key| Failure::usage(format!("--annotations gives {key:?} two values"));
    image_signing::unique(pairs).map_err(twice)
}

/// The images of a command: this process's part of those named, and of the file's.
pub(crate) async fn many(flags: &ManyFlags, context: &Context) -> Result<Vec<Image>> {
    let mut images = images(&flags.images)?;
    if let Some(path) = &flags.from_file {
        let read = |text: &[u8]| image_list(text).or_usage(WRONG_IMAGE);
        images.extend(files::parse("--from-file", path, CAP, context, read).await?);
    }
    if images.is_empty() {
        return Err(Failure::usage("--from-file names no image"));
    }
    let (shard, a_list) = (flags.shard.as_deref(), flags.from_file.is_some());
    let part = Shard::select(shard, a_list, &*context.env, images);
    part.or_usage("--shard cannot be used")
}

/// The images named.
pub(crate) fn images(texts: &[String]) -> Result<Vec<Image>> {
    texts.iter().map(|text| parse(text)).collect()
}

fn parse(text: &str) -> Result<Image> {
    if let Some(MistakenPath { problem, hint, .. }) = MistakenPath::of(text) {
        return Err(Failure::usage(problem).hint(hint));
    }
    Image::parse(text).or_usage(WRONG_IMAGE)
}

/// The image named, and access to its registry.
pub(crate) fn image(
    text: &str,
    flags: &RegistryFlags,
    signature_tags: Option<bool>,
    context: &Context,
) -> Result<(Image, Registry)> {
    let image = parse(text)?;
    let registry = registry(flags, slice::from_ref(&image), signature_tags, context)?;
    Ok((image, registry))
}

/// Refuses an image without a digest where one is `required`.
pub(crate) fn check_digests(required: bool, images: &[Image]) -> Result {
    let named = |image: &&Image| image.reference().digest().is_none();
    match images.iter().find(named).filter(|_| required) {
        Some(image) => Err(Failure::usage(format!("{image} is named without a digest"))
            .hint(format!("name it as NAME@sha256:...: see `ambisign tree {image}`"))),
        None => Ok(()),
    }
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
    let config = match &flags.signing_config {
        None => trust::signing_config(offline, context).await?,
        Some(path) => signing_config_file("--signing-config", path, context).await?,
    };
    let config = flags.fulcio_url.iter().cloned().fold(config, SigningConfig::with_fulcio_url);
    let stamped = flags.timestamp_server_url.iter().map(|url| vec![url.clone()]);
    let config = stamped.fold(config, SigningConfig::with_tsa_urls);
    let no_log = (!flags.tlog_upload).then(Vec::new);
    let logged = no_log.or_else(|| flags.rekor_url.clone().map(|url| vec![url]));
    Ok(logged.into_iter().fold(config, SigningConfig::with_rekor_urls))
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
    let (console, deadline) = (Arc::clone(&context.console), Arc::clone(&context.deadline));
    let mut options = Options::new()
        .with_http(flags.allow_http_registry || flags.allow_insecure_registry)
        .with_internal_addresses(flags.insecure_registry_redirects)
        .with_signature_tags(signature_tags.unwrap_or(true))
        .with_mirrors(signature_tags.is_none())
        .with_patience(context.deadline.most_left())
        .with_retry_for(context.retry_for())
        .with_listener(move |event| match event {
            Event::Waiting { pause, .. } => {
                deadline.allow_for(*pause);
                console.note(&event.to_string());
            }
            _ => console.warning(&event.to_string()),
        });
    // They are for one registry, and go to no other.
    let first = images.first().map(|image| image.reference().repository().registry());
    if let (Some(token), Some(first)) = (&flags.registry_token, first) {
        options = options.with_credentials(first, Credentials::token(token.expose_secret()));
    }
    if let (Some(user), Some(password)) = (&flags.registry_username, &flags.registry_password) {
        options = options.with_login(first, user, password.expose_secret());
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
    Registry::new(host, options).or_usage(UNUSABLE)
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
    let mut tls = flags.registry_server_name.clone();
    if let (Some(certificate), Some(key)) =
        (&flags.registry_client_cert, &flags.registry_client_key)
    {
        let with = tls.unwrap_or_default().with_client_certificate(certificate, key);
        tls = Some(with.or_fail(|| "cannot use --registry-client-cert".to_owned())?);
    }
    let registries = images.iter().map(|image| image.reference().repository());
    if let Some(tls) = tls {
        for registry in registries.clone().map(Repository::registry) {
            settings = settings.with_server(registry, tls.clone());
        }
    }
    if flags.allow_insecure_registry {
        // Signatures may be in another one.
        let stored = oci_push::signature_repository(&*context.env);
        let stored = stored.or_usage(UNUSABLE)?;
        for registry in registries.chain(&stored).map(Repository::registry) {
            context.console.warning(&format!(
                "the identity of the registry {registry} is not checked \
                 (--allow-insecure-registry): whoever is on the way can read the credentials"
            ));
            settings = danger::skip_certificate_checks(settings, registry);
        }
    }
    Ok(settings)
}

const UNUSABLE: &str = "the registry cannot be used";
const WRONG_IMAGE: &str = "wrong image reference";

/// The largest configuration file, in bytes.
const CAP: usize = 16 << 20;
