//! The private key of `--key`, and passwords.

use image_signing::{PrivateKey, PrivateKeyError};
use keys::KeyPair;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::failure::{OrFail as _, Result};

type Password = Zeroizing<Vec<u8>>;

/// Reads the private key that `name` names, with its password where it is encrypted.
pub(crate) async fn private_key(name: &str, context: &Context) -> Result<KeyPair> {
    let problem = || format!("cannot use --key {name}");
    let key = PrivateKey::read(name, &*context.env).await.or_fail(problem)?;
    let password = match key.is_encrypted() {
        true => password(&["Password of the private key: "], context).await?,
        false => None,
    };
    key.open(password).await.or_fail(problem)
}

/// The password of a new key file.
pub(crate) async fn new_password(context: &Context) -> Result<Password> {
    let prompts = ["Password for the new private key: ", "The same password again: "];
    password(&prompts, context).await?.ok_or_else(|| PrivateKeyError::NoNewPassword.into())
}

/// The password in the environment, or what is typed at each of `prompts`, where there is a terminal.
async fn password(prompts: &[&str], context: &Context) -> Result<Option<Password>> {
    let given = PrivateKey::password_in(&*context.env);
    if given.is_some() || !http_client::can_ask() {
        return Ok(given);
    }
    let _paused = context.deadline.pause();
    context.console.settle();
    let typed = http_client::ask_hidden(prompts).await;
    typed.map(Some).or_usage("no password was read")
}
