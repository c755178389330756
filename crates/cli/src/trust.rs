//! Whom to trust and what to sign with when no file says so: what TUF keeps current once
//! `ambisign initialize` was run, and before that what is embedded.

use std::sync::Arc;

use host::Env;
use trust_root::{SigningConfig, TrustedRoot};
use trust_update::{Directories, Error, Mirror, Trust, Updates};

use crate::context::Context;
use crate::failure::{Exit, Failure, chain};

/// The trusted root at hand.
pub(crate) async fn trusted_root(offline: bool, context: &Context) -> Result<TrustedRoot, Failure> {
    let kept = kept(offline, context).await?;
    Ok(kept.map_or_else(TrustedRoot::public_good, |trust| trust.trusted_root().clone()))
}

/// The signing config at hand.
pub(crate) async fn signing_config(
    offline: bool,
    context: &Context,
) -> Result<SigningConfig, Failure> {
    let Some(trust) = kept(offline, context).await? else {
        return Ok(SigningConfig::public_good());
    };
    trust.signing_config().map_err(|error| failure(&error))?.ok_or_else(|| {
        Failure::new(Exit::Failed, "the TUF repository in use lists no signing config")
            .hint("say which services sign: --signing-config FILE")
    })
}

/// The signing config at hand that leads to Rekor v2.
pub(crate) async fn signing_config_with_rekor_v2(
    context: &Context,
) -> Result<SigningConfig, Failure> {
    let Some(trust) = kept(false, context).await? else {
        return Ok(trust_update::public_good_with_rekor_v2());
    };
    let config = trust.signing_config_with_rekor_v2().map_err(|error| failure(&error))?;
    config.ok_or_else(|| {
        Failure::new(Exit::Failed, "the TUF repository in use lists no signing config for Rekor v2")
    })
}

/// What TUF keeps, made current unless `offline`; nothing where the embedded files serve. Looked
/// at once, however often it is asked for.
pub(crate) async fn kept(offline: bool, context: &Context) -> Result<Option<Arc<Trust>>, Failure> {
    if let Some(trust) = context.trust() {
        return Ok(Some(trust));
    }
    let Some(updates) = updates(context).await? else { return Ok(None) };
    let host = context.host(&context.settings());
    let trust = if offline {
        updates.offline(&*host.clock).await
    } else {
        context.console.wait_for(&format!("asking {} whom to trust", updates.mirror().url()));
        updates.current(&host.http, &*host.clock).await
    };
    context.console.settle();
    let trust = Arc::new(trust.map_err(|error| failure(&error))?);
    warn(&trust, context);
    context.keep_trust(&trust);
    Ok(Some(trust))
}

/// The mirror in use, unless it is the public-good instance and was never asked.
async fn updates(context: &Context) -> Result<Option<Updates>, Failure> {
    let env = &*context.env;
    let Some(directories) = Directories::from_env(env) else { return Ok(None) };
    let choice = directories.mirror(env).await.map_err(|error| failure(&error))?;
    for warning in &choice.warnings {
        context.console.warning(&chain(warning).join(": "));
    }
    let embedded = choice.mirror.url() == Mirror::public_good().url();
    let updates = Updates::new(choice.mirror, directories);
    Ok((!embedded || updates.is_cached()).then_some(updates))
}

/// Where TUF's files are.
pub(crate) fn directories(env: &dyn Env) -> Result<Directories, Failure> {
    Directories::from_env(env).ok_or_else(|| {
        Failure::new(Exit::Failed, "there is no place for the cache")
            .hint("set HOME, XDG_CACHE_HOME and XDG_CONFIG_HOME, or TUF_ROOT")
    })
}

/// Says what a person should hear of.
pub(crate) fn warn(trust: &Trust, context: &Context) {
    for warning in trust.warnings() {
        context.console.warning(&chain(warning).join(": "));
    }
}

/// No trust material came of it.
pub(crate) fn failure(error: &Error) -> Failure {
    let failure = Failure::of(Exit::Failed, "it is not known whom to trust", error);
    match error {
        Error::Unreachable { .. } => failure.hint(
            "check HTTPS_PROXY and NO_PROXY; without a network use --offline with a cache that was \
             filled before, or --trusted-root FILE",
        ),
        Error::Expired { .. } => failure.hint(
            "compare this machine's clock with the right time; else the mirror serves old files: \
             ask those who run it, or use --trusted-root FILE",
        ),
        Error::Untrusted { .. } => failure.hint(
            "a proxy's login page, a broken mirror or an attack; if the repository was made anew, \
             run ambisign initialize with its new root",
        ),
        Error::Damaged { .. } => failure
            .hint("without --offline it is fetched anew; ambisign initialize begins from scratch"),
        Error::NotCached { .. } => {
            failure.hint("run this once with a network, or ambisign initialize")
        }
        Error::Unknown { mirror } => failure.hint(format!(
            "say whom to believe about it: ambisign initialize --mirror {mirror} --root FILE"
        )),
        _ => failure,
    }
}
