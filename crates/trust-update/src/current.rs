//! The trusted root and signing config in use, for programs with an async runtime: files are read
//! and written beside it.

use host::Host;
use url::Url;

use crate::apart::apart;
use crate::directories::Directories;
use crate::error::Error;
use crate::mirror::Mirror;
use crate::trust::Trust;
use crate::update::Updates;

/// The trusted root and signing configs in use: those of the mirror that [`initialize`] or the
/// environment chose, refreshed when they are older than a day; else the embedded ones of the
/// public-good instance. `refreshing` is told of the mirror before it may be asked.
///
/// # Errors
/// As [`Directories::mirror`] and [`Updates::current`].
pub async fn current(
    host: &Host,
    refreshing: impl Fn(&Url) + Send + 'static,
) -> Result<Trust, Error> {
    apart(host, async move |host| {
        in_use(&host, async |updates| {
            refreshing(updates.mirror().url());
            updates.current(&host.http, &*host.clock).await
        })
        .await
    })
    .await
}

/// As [`current`], without asking the mirror, and also when the cache has expired.
///
/// # Errors
/// As [`Directories::mirror`] and [`Updates::offline`].
pub async fn offline(host: &Host) -> Result<Trust, Error> {
    apart(host, async |host| {
        in_use(&host, async |updates| updates.offline(&*host.clock).await).await
    })
    .await
}

/// Fetches what `mirror` serves, and makes it the mirror in use.
///
/// # Errors
/// As [`Updates::initialize`]; or the environment names no directory for the files.
pub async fn initialize(mirror: Mirror, host: &Host) -> Result<Trust, Error> {
    let Some(directories) = Directories::from_env(&*host.env) else {
        let reason = "no directory for the cache: set HOME, or TUF_ROOT".to_owned();
        return Err(Error::Root { reason });
    };
    let updates = Updates::new(mirror, directories);
    apart(host, async move |host| updates.initialize(&host.http, &*host.clock).await).await
}

async fn in_use(
    host: &Host,
    load: impl AsyncFnOnce(&Updates) -> Result<Trust, Error>,
) -> Result<Trust, Error> {
    let Some(directories) = Directories::from_env(&*host.env) else { return Ok(Trust::embedded()) };
    let mut choice = directories.mirror(&*host.env).await?;
    let is_public_good = choice.mirror.url() == Mirror::public_good().url();
    let updates = Updates::new(choice.mirror, directories);
    let mut trust = match is_public_good && !updates.is_cached() {
        true => Trust::embedded(),
        false => load(&updates).await?,
    };
    choice.warnings.append(&mut trust.warnings);
    trust.warnings = choice.warnings;
    Ok(trust)
}
