//! The trusted root and signing config when no flag names a file: the ones that TUF keeps current
//! after `ambisign initialize`, else the embedded ones.

use std::sync::Arc;

use host::Env;
use trust_root::{SigningConfig, TrustedRoot};
use trust_update::{Directories, Error, Mirror, Trust, Updates};

use crate::context::{Context, runtime};
use crate::failure::{Exit, Failure, causes};
use crate::output::Console;

/// The current trusted root.
pub(crate) async fn trusted_root(offline: bool, context: &Context) -> Result<TrustedRoot, Failure> {
    let kept = kept(offline, context).await?;
    Ok(kept.map_or_else(TrustedRoot::public_good, |trust| trust.trusted_root().clone()))
}

/// The current signing config.
pub(crate) async fn signing_config(
    offline: bool,
    context: &Context,
) -> Result<SigningConfig, Failure> {
    let Some(trust) = kept(offline, context).await? else {
        return Ok(SigningConfig::public_good());
    };
    trust.signing_config().map_err(|error| failure(&error))?.ok_or_else(|| {
        Failure::new(Exit::Failed, "the TUF repository has no signing config")
            .hint("name the services: --signing-config FILE")
    })
}

/// The current signing config with Rekor v2.
pub(crate) async fn signing_config_with_rekor_v2(
    context: &Context,
) -> Result<SigningConfig, Failure> {
    let Some(trust) = kept(false, context).await? else {
        return Ok(trust_update::public_good_with_rekor_v2());
    };
    let config = trust.signing_config_with_rekor_v2().map_err(|error| failure(&error))?;
    config.ok_or_else(|| {
        Failure::new(Exit::Failed, "the TUF repository has no signing config for Rekor v2")
    })
}

/// The cache of TUF, refreshed unless `offline`; `None` where the embedded files are used. Loaded
/// once.
pub(crate) async fn kept(offline: bool, context: &Context) -> Result<Option<Arc<Trust>>, Failure> {
    if let Some(trust) = context.trust() {
        return Ok(Some(trust));
    }
    let Some(directories) = Directories::from_env(&*context.env) else { return Ok(None) };
    let host = context.host(&context.settings());
    let console = Arc::clone(&context.console);
    let load = move || async move {
        let Some(updates) = updates(directories, &*host.env, &console).await? else {
            return Ok(None);
        };
        if offline {
            return updates.offline(&*host.clock).await.map(Some);
        }
        console.wait_for(&format!("refreshing the trusted root from {}", updates.mirror().url()));
        updates.current(&host.http, &*host.clock).await.map(Some)
    };
    let trust = apart(offline, load).await?;
    context.console.settle();
    let Some(trust) = trust.map_err(|error| failure(&error))? else { return Ok(None) };
    let trust = Arc::new(trust);
    warn(&trust, context);
    context.keep_trust(&trust);
    Ok(Some(trust))
}

/// The mirror in use, unless it is the public-good instance and was never fetched.
async fn updates(
    directories: Directories,
    env: &dyn Env,
    console: &Console,
) -> Result<Option<Updates>, Error> {
    let choice = directories.mirror(env).await?;
    choice.warnings.iter().for_each(|warning| console.warning(&causes(warning).join(": ")));
    let embedded = choice.mirror.url() == Mirror::public_good().url();
    let updates = Updates::new(choice.mirror, directories);
    Ok((!embedded || updates.is_cached()).then_some(updates))
}

/// Does `work` on a thread with a runtime of its own: files of the cache are read and written where
/// they are used, and a file system that hangs must not stop `--timeout` or Ctrl-C.
pub(crate) async fn apart<T: Send + 'static, F: Future<Output = T>>(
    offline: bool,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T, Failure> {
    let run = move || runtime(!offline).map(|runtime| runtime.block_on(work()));
    let done = host::off_thread(run).await.and_then(|done| done);
    done.map_err(|error| Failure::of(Exit::Failed, "cannot load the trusted root", &error))
}

/// The directories of TUF's files.
pub(crate) fn directories(env: &dyn Env) -> Result<Directories, Failure> {
    Directories::from_env(env).ok_or_else(|| {
        Failure::new(Exit::Failed, "no directory for the cache of trusted roots")
            .hint("set HOME, XDG_CACHE_HOME and XDG_CONFIG_HOME, or TUF_ROOT")
    })
}

/// Prints the warnings of the trusted root.
pub(crate) fn warn(trust: &Trust, context: &Context) {
    for warning in trust.warnings() {
        context.console.warning(&causes(warning).join(": "));
    }
}

/// The trusted root could not be loaded.
pub(crate) fn failure(error: &Error) -> Failure {
    let problem = match error {
        Error::Directory { .. } => "cannot write the cache of trusted roots",
        _ => "cannot load the trusted root",
    };
    Failure::of(Exit::Failed, problem, error)
}
