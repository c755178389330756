//! Reading from mirrors.

use crate::answer::Answer;
use crate::client::{Call, Client};
use crate::error::Error;
use crate::mirrors::Mirrors;

impl Client {
    /// Sends `call`, and answers the registry's challenge if there is one. Any status is an answer.
    ///
    /// What a digest names is the same everywhere, and is read from a mirror first. Only the registry
    /// knows what a tag names and which signatures there are; a mirror serves where it cannot be
    /// reached.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Answer, Error> {
        let by_digest = call.is_by_digest();
        let mirrors = match (self.options.mirrors, call.is_elsewhere()) {
            (true, false) => self.mirrors().await.of(call.repository, by_digest),
            _ => Vec::new(),
        };
        let unreachable = match by_digest && !mirrors.is_empty() {
            true => None,
            false => match self.call_registry(call).await {
                Err(error @ Error::Transport { .. }) => Some(error),
                answer => return answer,
            },
        };
        for repository in &mirrors {
            let answer = self.call_registry(&call.at(repository)).await;
            if let Ok(answer) = answer
                && answer.status.is_success()
            {
                return Ok(answer);
            }
        }
        match unreachable {
            Some(error) => Err(error),
            None => self.call_registry(call).await,
        }
    }

    async fn mirrors(&self) -> &Mirrors {
        let read = || Mirrors::load(&*self.host.env, &self.options.listener);
        self.mirrors.get_or_init(read).await
    }
}
