//! Turns the identity flags into a search.

use std::path::Path;
use std::sync::Arc;

use host::Host;
use id_token::{IdToken, TOKEN_CAP};
use image_signing::oidc_interactive::InteractiveLogin;
use image_signing::{GivenToken, IdentityError, IdentitySearch, SpiffeChoice};

use crate::context::Context;
use crate::failure::{Exit, Failure, chain};
use crate::files;
use crate::flags::{IdentityFlags, Secret};
use crate::mask::Mask;

/// An interactive login, and whether it is the only identity that may be used.
pub(crate) type Login = (Arc<InteractiveLogin>, bool);

/// Where the flags let the identity come from.
pub(crate) async fn search(
    flags: &IdentityFlags,
    login: Option<Login>,
    mask: Option<Mask>,
    context: &Context,
    host: &Host,
) -> Result<IdentitySearch, Failure> {
    let ambient = !flags.oidc_disable_ambient_providers;
    let mut search = match (&flags.identity_token, &login) {
        (Some(token), _) => {
            context.console.wait_for("reading the identity token");
            let token = given(token, host).await;
            context.console.settle();
            IdentitySearch::empty(host).with_token(token?)
        }
        (None, Some((_, only))) if *only || !ambient => IdentitySearch::empty(host),
        (None, None) if !ambient => {
            let problem = "--oidc-disable-ambient-providers leaves no identity to sign with";
            return Err(Failure::usage(problem).hint("give a token: --identity-token FILE"));
        }
        (None, _) => ambient_search(flags, context, host).await?,
    };
    if let Some((login, _)) = login {
        search = search.with_login(login);
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

/// The token of `--identity-token`.
async fn given(secret: &Secret, host: &Host) -> Result<GivenToken, Failure> {
    let (text, flag) = (secret.reveal(), "--identity-token");
    if files::is_standard(Path::new(text)) {
        let failed = |reason: String| {
            Failure::new(Exit::Failed, "cannot read the identity token from stdin").cause(reason)
        };
        let bytes = files::read(Path::new(text), TOKEN_CAP).await;
        let bytes = bytes.map_err(|error| failed(chain(&error).join(": ")))?;
        let token = IdToken::parse(&String::from_utf8_lossy(&bytes));
        return token.map(GivenToken::new).map_err(|error| failed(error.to_string()));
    }
    GivenToken::read(text, host).await.map_err(|error| match error {
        IdentityError::NotAToken(reason) => {
            let problem = format!("{flag} is neither an identity token nor an existing file");
            Failure::new(Exit::Failed, problem)
                .cause(format!("as an identity token: {reason}"))
                .hint("give a file, `-` for stdin, or a JWT: three parts separated by dots")
        }
        IdentityError::TokenFile { path, reason } => {
            Failure::new(Exit::Failed, format!("cannot use {flag} {}", path.display()))
                .cause(reason)
        }
        error => error.into(),
    })
}
