//! `--github-mask`: hides identity tokens in the log of a GitHub job.

use std::sync::Arc;

use id_token::IdToken;

use crate::context::Context;
use crate::failure::Failure;
use crate::flags::IdentityFlags;
use crate::output::Stream;

/// Writes the workflow command that hides a token.
pub(crate) type Mask = Arc<dyn Fn(&IdToken) + Send + Sync>;

/// `None` without the flag. The runner reads both streams; the command goes to `stream`.
///
/// Refused where no runner reads the output: the command would show the token.
pub(crate) fn plan(
    flags: &IdentityFlags,
    stream: Stream,
    context: &Context,
) -> Result<Option<Mask>, Failure> {
    if !flags.github_mask {
        return Ok(None);
    }
    if !RUNNERS.iter().any(|name| context.env.var(name).as_deref() == Some("true")) {
        let problem = "--github-mask would print the identity token here";
        return Err(Failure::usage(problem)
            .cause("this is not a GitHub job: GITHUB_ACTIONS is not `true`")
            .hint("leave it out: ambisign never prints a token"));
    }
    let console = Arc::clone(&context.console);
    Ok(Some(Arc::new(move |token| console.mask(token, stream))))
}

/// Variables of the runners that obey GitHub's workflow commands.
const RUNNERS: [&str; 3] = ["GITHUB_ACTIONS", "FORGEJO_ACTIONS", "GITEA_ACTIONS"];
