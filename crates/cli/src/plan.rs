//! Turns flags into objects: images, registry, trusted root, signing config, files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use http_client::{Settings, danger};
use image_signing::Image;
use oci_push::{Credentials, Options, Registry};
use trust_root::{SigningConfig, TrustedRoot};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::flags::{RegistryFlags, ServiceFlags, TrustFlags};
use crate::output::Console;
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
    let parse = |text: &String| {
        // Without a registry in its name it would be looked up in Docker Hub.
        if !text.contains('/') && Path::new(text).is_file() {
            return Err(Failure::usage(format!("{text} is a file, not an image")).hint(
                "for a file, use `ambisign sign-blob` or `ambisign verify-blob`; name an image \
                 with its registry",
            ));
        }
        Image::parse(text).map_err(wrong)
    };
    texts.iter().map(parse).collect()
}

/// The trusted root of `--trusted-root`, or the current one.
pub(crate) async fn trusted_root(
    flags: &TrustFlags,
    context: &Context,
) -> Result<TrustedRoot, Failure> {
    let Some(path) = &flags.trusted_root else {
        return trust::trusted_root(flags.offline, context).await;
    };
    let problem = || format!("--trusted-root {} cannot be used", path.display());
    let bytes = files::read(path, DOCUMENT_CAP).await;
    let bytes = bytes.map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    TrustedRoot::from_json(&bytes).map_err(|error| Failure::of(Exit::Failed, problem(), &error))
}

/// The signing config of `--signing-config`, or the current one, with the services that flags name
/// in place of its own.
pub(crate) async fn signing_config(
    flags: &ServiceFlags,
    offline: bool,
    context: &Context,
) -> Result<SigningConfig, Failure> {
    let mut config = match &flags.signing_config {
        None => trust::signing_config(offline, context).await?,
        Some(path) => signing_config_file("--signing-config", path).await?,
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
pub(crate) async fn signing_config_file(flag: &str, path: &Path) -> Result<SigningConfig, Failure> {
    let problem = || format!("{flag} {} cannot be used", path.display());
    let bytes = files::read(path, DOCUMENT_CAP).await;
    let bytes = bytes.map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    SigningConfig::from_json(&bytes).map_err(|error| Failure::of(Exit::Failed, problem(), &error))
}

/// The predicate type of `--type`: one of cosign's short names, or the type itself.
pub(crate) fn predicate_type(name: &str) -> Result<String, Failure> {
    bundle::predicate_type::resolve(name).map(str::to_owned).ok_or_else(|| {
        let names = bundle::predicate_type::SHORT_NAMES.iter().map(|(name, _)| *name);
        Failure::usage(format!("--type: {name:?} is not a predicate type"))
            .hint(format!("give a URI, or one of {}", names.collect::<Vec<_>>().join(", ")))
    })
}

/// Access to the registries of `images`.
pub(crate) fn registry(
    flags: &RegistryFlags,
    images: &[Image],
    context: &Context,
) -> Result<Registry, Failure> {
    let settings = registry_settings(flags, images, context)?;
    let mut options =
        Options::new().with_http(flags.allow_http_registry || flags.allow_insecure_registry);
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
        options = options.with_internal_addresses(true);
    }
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

/// The credentials that flags give, and the registry they are for if it is named.
fn credentials(flags: &RegistryFlags) -> Option<(Option<&str>, Credentials)> {
    if let Some(token) = &flags.registry_token {
        return Some((None, Credentials::token(token.reveal())));
    }
    let (name, password) = (flags.registry_username.as_ref()?, flags.registry_password.as_ref()?);
    // A user name may contain `=`; what looks like a host before it is one.
    let (host, name) = match name.split_once('=') {
        Some((host, name)) if host.contains(['.', ':']) || host == "localhost" => {
            (Some(host), name)
        }
        _ => (None, name.as_str()),
    };
    Some((host, Credentials::basic(name, password.reveal())))
}

/// Files that a command reads, and what it calls them.
pub(crate) type Inputs<'a> = Vec<(&'static str, &'a Path)>;

/// The files to sign, each with the path of its bundle.
///
/// A run must not sign its own output: a bundle that lies beside its file is skipped, because a
/// wildcard named it, and every other overlap is refused.
pub(crate) fn files_and_bundles(
    named: &[PathBuf],
    bundle: Option<&Path>,
    inputs: &Inputs<'_>,
    console: &Console,
) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let is_leftover = |file: &&PathBuf| {
        let file = files::file_of_bundle(file).filter(|_| named.len() > 1);
        if let Some(file) = &file {
            let file = file.display();
            console.warning(&format!("not signing the bundle of {file}, which lies beside it"));
        }
        file.is_some()
    };
    let files: Vec<_> = named.iter().filter(|file| !is_leftover(file)).cloned().collect();
    let pairs: Vec<_> = bundle_paths(&files, bundle)?
        .into_iter()
        .zip(files)
        .map(|(bundle, file)| (file, bundle))
        .collect();
    for (index, (file, output)) in pairs.iter().enumerate() {
        if pairs.iter().skip(index + 1).any(|(other, _)| files::is_same(file, other)) {
            let problem = format!("{} is named twice", file.display());
            return Err(Failure::usage(problem).hint("name each file once"));
        }
        if files::is_standard(output) {
            continue;
        }
        let signed = pairs.iter().map(|(file, _)| ("the file to sign", file.as_path()));
        let inputs = inputs.iter().copied().chain(signed);
        for (what, input) in inputs.filter(|(_, input)| !files::is_standard(input)) {
            if files::is_same(output, input) {
                let problem = format!("the bundle would overwrite {what}: {}", input.display());
                return Err(Failure::usage(problem).hint("use another --bundle FILE"));
            }
        }
    }
    Ok(pairs)
}

/// Where the bundle of each file is.
pub(crate) fn bundle_paths(
    files: &[PathBuf],
    bundle: Option<&Path>,
) -> Result<Vec<PathBuf>, Failure> {
    match (files, bundle) {
        ([], _) => Err(Failure::usage("no file to sign is left")),
        ([_], Some(path)) => Ok(vec![path.to_owned()]),
        (_, Some(_)) => Err(Failure::usage(format!(
            "--bundle names one file, and {} files are to be signed",
            files.len()
        ))
        .hint("leave --bundle out: each bundle is written to FILE.sigstore.json")),
        (files, None) => {
            if files.iter().any(|file| files::is_standard(file)) {
                return Err(Failure::usage("stdin has no file name for its bundle")
                    .hint("name the bundle: --bundle FILE"));
            }
            Ok(files.iter().map(|file| files::bundle_path(file)).collect())
        }
    }
}

/// The largest configuration file, in bytes.
const DOCUMENT_CAP: usize = 16 << 20;
