//! `ambisign generate-key-pair`, `ambisign import-key-pair` and `ambisign public-key`.

use image_signing::{KeyFiles, PrivateKey};
use keys::{KeyPair, Sign as _};

use crate::context::Context;
use crate::failure::{OrFail as _, Result};
use crate::files;
use crate::flags::{GenerateKeyPairFlags, ImportKeyPairFlags, PublicKeyFlags};
use crate::output::write;
use crate::private_key::{new_password, private_key};

pub(crate) async fn generate_key_pair(flags: &GenerateKeyPairFlags, context: &Context) -> Result {
    let files = KeyFiles::new(&flags.output_key_prefix, false)?;
    let key = KeyPair::generate()?;
    keep(&files, key, context).await
}

pub(crate) async fn import_key_pair(flags: &ImportKeyPairFlags, context: &Context) -> Result {
    let files = KeyFiles::new(&flags.output_key_prefix, flags.yes)?;
    let key = PrivateKey::import(&flags.key, &*context.env).await;
    keep(&files, key.or_fail(|| format!("cannot import --key {}", flags.key))?, context).await
}

async fn keep(files: &KeyFiles, key: KeyPair, context: &Context) -> Result {
    let password = new_password(context).await?;
    files.write(key, password).await?;
    for (what, path) in [("private", files.private()), ("public", files.public())] {
        context.console.note(&format!("wrote the {what} key to {}", path.display()));
    }
    Ok(())
}

pub(crate) async fn public_key(flags: &PublicKeyFlags, context: &Context) -> Result {
    let key = private_key(&flags.key, context).await?;
    let pem = key.public_key().to_pem();
    match flags.outfile.as_deref().filter(|path| !files::is_standard(path)) {
        Some(path) => write(path, &pem.as_str().into(), &context.console)?,
        None => pem.lines().for_each(|line| context.console.data(line)),
    }
    Ok(())
}
