//! `ambisign initialize`.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use trust_update::{Checksum, Directories, Mirror, Trust};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{InitializeFlags, Output};
use crate::output::rfc3339;
use crate::trust;

pub(crate) async fn initialize(
    flags: &InitializeFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let directories = trust::directories(&*context.env)?;
    let host = context.host(&context.settings());
    let unusable = |error| Failure::of(Exit::Usage, "cannot start from this TUF root", &error);
    let public_good = Mirror::public_good();
    let url = flags.mirror.as_ref().unwrap_or_else(|| public_good.url()).clone();
    let mirror = match &flags.root {
        Some(location) => {
            let checksum = flags.root_checksum.as_deref().map(str::parse::<Checksum>);
            let checksum = checksum.transpose().map_err(unusable)?;
            context.console.wait_for(&format!("reading {location}"));
            let root =
                trust_update::read_root(location, checksum.as_ref(), &*host.env, &*host.http).await;
            Mirror::new(url, &root.map_err(unusable)?).map_err(unusable)?
        }
        None if flags.staging => Mirror::staging(),
        None => Mirror::of_public_good(url).map_err(unusable)?,
    };
    let url = mirror.url().to_string();
    context.console.wait_for(&format!("fetching the trusted root from {url}"));
    let cache = directories.clone();
    let fetch = move || async move {
        trust_update::initialize(mirror, &cache, &host.http, &*host.clock).await
    };
    let trust = trust::apart(false, fetch).await?;
    context.console.settle();
    let trust = trust.map_err(|error| trust::failure(&error))?;
    match flags.output {
        Output::Json => context.console.json(&status(&url, &trust, &directories)),
        Output::Text => {
            for metadata in trust.metadata().iter().take(1) {
                let version = metadata.version;
                let targets: Vec<_> = trust.targets().collect();
                context.console.data(&format!(
                    "trusting {url}: root {version}, valid until {}, with {}",
                    rfc3339(metadata.expires),
                    targets.join(", ")
                ));
            }
        }
    }
    Ok(())
}

/// In the format of cosign's older versions, which scripts may read.
fn status(url: &str, trust: &Trust, directories: &Directories) -> Value {
    let of_role = |it: &trust_update::Metadata| {
        let status = json!({
            "version": it.version,
            "len": it.length,
            "expiration": rfc3339(it.expires),
            "error": "",
        });
        (it.name.to_owned(), status)
    };
    json!({
        "local": directories.cache(),
        "remote": url,
        "metadata": trust.metadata().iter().map(of_role).collect::<Map<_, _>>(),
        "targets": trust.targets().collect::<Vec<_>>(),
    })
}
