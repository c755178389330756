//! Turns the identity flags into a search.

use std::sync::Arc;

use host::Host;
use image_signing::{GivenToken, IdentitySearch, SpiffeChoice};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::IdentityFlags;
use crate::mask::Mask;

/// Whether the user may log in.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Login {
    Impossible,
    /// When no other identity is found.
    Possible,
    /// A flag asks for it: no other identity may be used.
    Only,
}

/// Where the flags let the identity come from; the caller adds the login. Nothing is sent.
pub(crate) async fn search(
    flags: &IdentityFlags,
    login: Login,
    mask: Option<Mask>,
    context: &Context,
    host: &Host,
) -> Result<IdentitySearch, Failure> {
    let ambient = !flags.oidc_disable_ambient_providers;
    let mut search = match (&flags.identity_token, login) {
        (Some(token), _) => {
            context.console.wait_for("reading the identity token");
            let token = GivenToken::read(token.reveal(), host).await;
            context.console.settle();
            IdentitySearch::empty(host).with_token(token?)
        }
        (None, Login::Only) => IdentitySearch::empty(host),
        (None, Login::Possible) if !ambient => IdentitySearch::empty(host),
        (None, Login::Impossible) if !ambient => {
            let problem = "--oidc-disable-ambient-providers leaves no identity to sign with";
            return Err(Failure::usage(problem).hint("give a token: --identity-token FILE"));
        }
        (None, _) => ambient_search(flags, context, host).await?,
    };
    if let Some(audience) = &flags.oidc_audience {
        search = search.with_audience(audience.clone());
    }
    if let Some(mask) = mask {
        search = search.on_token(mask);
    }
    Ok(search)
}

async fn ambient_search(
    flags: &IdentityFlags,
    context: &Context,
    host: &Host,
) -> Result<IdentitySearch, Failure> {
    let mut choice = SpiffeChoice::default();
    choice.endpoint.clone_from(&flags.spiffe_socket);
    choice.id.clone_from(&flags.spiffe_id);
    choice.hint.clone_from(&flags.spiffe_hint);
    let mut search = IdentitySearch::with_spiffe(host, &choice);
    if let Some(error) = search.declare_default(host).await? {
        let reason = host::with_causes(&error);
        context.console.warning(&format!("no declared identity sources: {reason}"));
    }
    // A deadline that passes names the source that was waited for.
    let console = Arc::clone(&context.console);
    let search = search.watched(Arc::new(move |name: &str| {
        console.wait_for(&format!("asking {name} for a token"));
    }));
    let spiffe = flags.spiffe().map(|_| SpiffeChoice::PROVIDER);
    match (flags.oidc_provider.as_deref().or(spiffe), flags.spiffe()) {
        (Some(name), Some(flag)) if name != SpiffeChoice::PROVIDER => {
            Err(Failure::usage(format!("{flag} cannot be used with --oidc-provider {name}")))
        }
        (Some(name), _) => search.only(name).map_err(|error| {
            Failure::of(Exit::Usage, "--oidc-provider names no identity source", &error)
        }),
        (None, _) => Ok(search),
    }
}
