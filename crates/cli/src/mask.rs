//! Keeps identity tokens out of the log of a GitHub job, where that is asked for.

use std::sync::Arc;
use std::time::Duration;

use host::BoxFuture;
use id_token::{Audience, IdToken, Outcome, TokenSource};

use crate::context::Context;
use crate::failure::Failure;
use crate::flags::IdentityFlags;
use crate::output::{Console, Stream};

/// Whom to tell of tokens.
#[derive(Clone)]
pub(crate) struct Mask {
    console: Arc<Console>,
    stream: Stream,
}

impl Mask {
    /// `None` when nobody asks for it. The runner is told on `stream`: it reads both.
    ///
    /// Where no runner reads what the program writes, the command would do the opposite of what it
    /// is for, so it is refused.
    pub(crate) fn plan(
        flags: &IdentityFlags,
        stream: Stream,
        context: &Context,
    ) -> Result<Option<Self>, Failure> {
        if !flags.github_mask {
            return Ok(None);
        }
        if !RUNNERS.iter().any(|name| context.env.var(name).as_deref() == Some("true")) {
            let problem = "--github-mask would show the token here and hide it nowhere";
            return Err(Failure::usage(problem)
                .cause("this is no GitHub job: GITHUB_ACTIONS is not `true`")
                .hint("leave it out: nothing that the program prints has a token in it"));
        }
        Ok(Some(Self { console: Arc::clone(&context.console), stream }))
    }

    /// From here on the runner replaces `token` in the job's log.
    pub(crate) fn hide(&self, token: &IdToken) {
        self.console.mask(token, self.stream);
    }

    /// `source`, whose tokens are hidden before anyone has them.
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

/// Variables of places where a runner obeys GitHub's workflow commands.
const RUNNERS: [&str; 3] = ["GITHUB_ACTIONS", "FORGEJO_ACTIONS", "GITEA_ACTIONS"];
