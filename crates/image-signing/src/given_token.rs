//! A token that the user gives.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, Env, FileError, Host, with_causes};
use id_token::{Audience, Broken, Found, IdToken, Outcome, TOKEN_CAP, TokenSource};

use crate::file::FileArgument;
use crate::identity_error::IdentityError;

/// An identity source with a token that the user gives: the token itself, or the file or pipe that
/// has it.
pub struct GivenToken {
    token: IdToken,
    /// Read again for every token: another program may renew it.
    file: Option<(PathBuf, Arc<dyn Env>)>,
}

impl GivenToken {
    /// This token, for as long as it is valid.
    pub fn new(token: IdToken) -> Self {
        Self { token, file: None }
    }

    /// What `text` is: a token, `-` for stdin, or the path of a file or pipe that has one.
    ///
    /// # Errors
    /// [`IdentityError::NotAToken`]: it is none of these; [`IdentityError::TokenFile`]: the file
    /// gives no token. No error shows a text that is not an existing file: it may be a secret.
    pub async fn read(text: &str, host: &Host) -> Result<Self, IdentityError> {
        let file = FileArgument::parse(text);
        let unusable = |reason| IdentityError::TokenFile { file: file.to_string(), reason };
        if file.is_standard() {
            let token = parse(file.read(TOKEN_CAP).await);
            return token.map(Self::new).map_err(unusable);
        }
        let not_a_token = match IdToken::parse(text) {
            Ok(token) => return Ok(Self::new(token)),
            Err(error) => error,
        };
        let path = file.as_path();
        // Also a text that cannot be the name of a file, because it is too long.
        if path.symlink_metadata().is_err() {
            return Err(IdentityError::NotAToken(not_a_token));
        }
        let token = parse(host.env.read(path, TOKEN_CAP).await).map_err(unusable)?;
        // A pipe can be read only once.
        let file = path.is_file().then(|| (path.to_owned(), Arc::clone(&host.env)));
        Ok(Self { token, file })
    }

    /// The token that was read first.
    pub fn token(&self) -> &IdToken {
        &self.token
    }
}

impl TokenSource for GivenToken {
    fn name(&self) -> &str {
        "identity-token"
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Some((path, env)) = &self.file else {
                return Outcome::Found(Found::new(self.token.clone(), "the token was given"));
            };
            let evidence = format!("the file {} was given", path.display());
            match parse(env.read(path, TOKEN_CAP).await) {
                Ok(token) => Outcome::Found(Found::new(token, evidence)),
                Err(reason) => Outcome::Broken(Broken::new(evidence, reason)),
            }
        })
    }
}

fn parse(content: Result<Vec<u8>, FileError>) -> Result<IdToken, String> {
    let bytes = content.map_err(|error| with_causes(&error))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    IdToken::parse(text).map_err(|error| format!("it is not an identity token: {error}"))
}
