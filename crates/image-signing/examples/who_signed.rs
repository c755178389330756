//! Shows who signed an image on the public Sigstore: `cargo run --example who_signed IMAGE`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use image_signing::{Error, Instance, verify, verify_image};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let image = std::env::args().nth(1).ok_or("usage: who_signed IMAGE")?;
    let (host, root) = (http_client::system_host(), Instance::public_good().root);
    // Accepts every identity: this shows who signed and decides nothing.
    let anyone = verify::danger::any_identity();
    match verify_image(&image, anyone, root, &host).await {
        Ok(verified) => {
            for signature in &verified.signatures {
                println!("signed by {}", signature.signer());
            }
        }
        Err(Error::NoSignature(_)) => println!("not signed"),
        Err(Error::NotAcceptable(found)) => {
            for group in found.groups() {
                println!("refused: {group}");
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
