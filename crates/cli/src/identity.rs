//! Turns the identity flags into a search.

use std::sync::Arc;

use host::Host;
use image_signing::{GivenToken, IdentitySearch, SpiffeChoice};
use secrecy::ExposeSecret as _;

use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::flags::IdentityFlags;
use crate::output::Stream;

/// Whether the user may log in.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Login {
    Impossible,
    /// When no other identity is found.
    Possible,
    /// A flag asks for it: no other identity may be used.
    Only,
}

/// Where the flags let the identity come from; the caller adds the login. Nothing is sent. What
/// hides tokens in a log (`--github-mask`) goes to `mask`; the runner reads both streams.
pub(crate) async fn search(
    flags: &IdentityFlags,
    login: Login,
    mask: Stream,
    context: &Context,
    host: &Host,
) -> Result<IdentitySearch> {
    // Where no runner reads the output, the token would be shown.
    if flags.github_mask && !oidc_ambient::masks_tokens(&*context.env) {
        return Err(Failure::usage("--github-mask would print the identity token here")
            .cause("this is not a GitHub job: GITHUB_ACTIONS is not `true`")
            .hint("leave it out: ambisign never prints a token"));
    }
    let mut search = match (&flags.identity_token, login) {
        (Some(token), _) => {
            context.console.wait_for("reading the identity token");
            let token = GivenToken::read(token.expose_secret(), host).await;
            context.console.settle();
            IdentitySearch::empty(host).with_token(token?)
        }
        (None, Login::Only) => IdentitySearch::empty(host),
        (None, _) if !flags.oidc_disable_ambient_providers => ambient(flags, context, host).await?,
        (None, Login::Possible) => IdentitySearch::empty(host),
        (None, Login::Impossible) => {
            let problem = "--oidc-disable-ambient-providers leaves no identity to sign with";
            return Err(Failure::usage(problem).hint("give a token: --identity-token FILE"));
        }
    };
    if let Some(audience) = &flags.oidc_audience {
        search = search.with_audience(audience.clone());
    }
    if flags.github_mask {
        let console = Arc::clone(&context.console);
        search = search.on_token(Arc::new(move |token| console.mask(token, mask)));
    }
    Ok(search)
}

async fn ambient(flags: &IdentityFlags, context: &Context, host: &Host) -> Result<IdentitySearch> {
    let mut choice = SpiffeChoice::default();
    if let Some(spiffe) = &flags.spiffe {
        choice.endpoint.clone_from(&spiffe.spiffe_socket);
        choice.id.clone_from(&spiffe.spiffe_id);
        choice.hint.clone_from(&spiffe.spiffe_hint);
    }
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
    let provider = match (flags.oidc_provider.as_deref(), &flags.spiffe) {
        (Some(name), Some(_)) if name != SpiffeChoice::PROVIDER => {
            let flags = "--spiffe-id, --spiffe-hint and --spiffe-socket";
            let problem = format!("{flags} cannot be used with --oidc-provider {name}");
            return Err(Failure::usage(problem));
        }
        (None, None) => return Ok(search),
        (name, _) => name.unwrap_or(SpiffeChoice::PROVIDER),
    };
    let unknown = "--oidc-provider names no identity source";
    search.only(provider).map_err(|error| Failure::of(Exit::Usage, unknown, &error))
}
