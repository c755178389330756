//! Turns the identity flags into a search.

use std::sync::Arc;

use host::Host;
use image_signing::{GivenToken, IdentitySearch, SpiffeChoice};
use secrecy::ExposeSecret as _;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::flags::{IdentityFlags, LoginFlags, SpiffeFlags};
use crate::output::Stream;

/// Where the flags let the identity come from; the caller adds the login, where there
/// are flags of one. Nothing is sent. What hides tokens in a log (`--github-mask`) goes to `mask`; the
/// runner reads both streams.
pub(crate) async fn search(
    flags: &IdentityFlags,
    login: Option<&LoginFlags>,
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
    // A flag that asks for a login rules out every other identity.
    let is_asked = login.is_some_and(|login| login.fulcio_auth_flow.is_some());
    let mut search = match &flags.identity_token {
        Some(token) => {
            context.console.wait_for("reading the identity token");
            let token = GivenToken::read(token.expose_secret(), host).await;
            context.console.settle();
            IdentitySearch::empty(host).with_token(token?)
        }
        None if !is_asked && !flags.oidc_disable_ambient_providers => {
            ambient(flags, context, host).await?
        }
        None if login.is_some() => IdentitySearch::empty(host),
        None => {
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
    if let Some(SpiffeFlags { spiffe_id, spiffe_hint, spiffe_socket }) = flags.spiffe.clone() {
        (choice.id, choice.hint, choice.endpoint) = (spiffe_id, spiffe_hint, spiffe_socket);
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
    search.only(provider).or_usage(unknown)
}
