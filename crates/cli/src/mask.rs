//! `--github-mask`: hides identity tokens in the log of a GitHub job.

use std::sync::Arc;
use std::time::Duration;

use host::BoxFuture;
use id_token::{Audience, IdToken, Outcome, TokenSource};

use crate::context::Context;
use crate::failure::Failure;
use crate::flags::IdentityFlags;
use crate::output::{Console, Stream};

/// Writes the workflow command that hides a token.
#[derive(Clone)]
pub(crate) struct Mask {
    console: Arc<Console>,
    stream: Stream,
}

impl Mask {
    /// `None` without the flag. The runner reads both streams; the command goes to `stream`.
    ///
    /// Refused where no runner reads the output: the command would show the token.
    pub(crate) fn plan(
        flags: &IdentityFlags,
        stream: Stream,
        context: &Context,
    ) -> Result<Option<Self>, Failure> {
        if !flags.github_mask {
            return Ok(None);
        }
        if !RUNNERS.iter().any(|name| context.env.var(name).as_deref() == Some("true")) {
            let problem = "--github-mask would print the identity token here";
            return Err(Failure::usage(problem)
                .cause("this is not a GitHub job: GITHUB_ACTIONS is not `true`")
                .hint("leave it out: ambisign never prints a token"));
        }
        Ok(Some(Self { console: Arc::clone(&context.console), stream }))
    }

    /// From now on the runner replaces `token` in the log.
    pub(crate) fn hide(&self, token: &IdToken) {
        self.console.mask(token, self.stream);
    }

    /// A source like `source` that hides each token before it returns it.
    pub(crate) fn over(self, source: Arc<dyn TokenSource>) -> Arc<dyn TokenSource> {
        Arc::new(Masked { source, mask: self })
    }
}

struct Masked {
    source: Arc<dyn TokenSource>,
    mask: Mask,
}

impl TokenSource for Masked {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn find<'a>(&'a self, audience: &'a Audience, min_ttl: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let outcome = self.source.find(audience, min_ttl).await;
            if let Outcome::Found(found) = &outcome {
                self.mask.hide(&found.token);
            }
            outcome
        })
    }
}

/// Variables of the runners that obey GitHub's workflow commands.
const RUNNERS: [&str; 3] = ["GITHUB_ACTIONS", "FORGEJO_ACTIONS", "GITEA_ACTIONS"];
