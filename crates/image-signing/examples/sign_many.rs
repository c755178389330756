//! Signs several images with one certificate: `cargo run --example sign_many IMAGE...`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::BTreeMap;
use std::sync::Arc;

use image_signing::futures_util::StreamExt as _;
use image_signing::oci_push::{Options, Registry};
use image_signing::signer::{Services, Signer};
use image_signing::{Error, IdentitySearch, Image, ImageSigner, Instance, Parts};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let images = std::env::args().skip(1).map(|text| Image::parse(&text));
    let images: Vec<Image> = images.collect::<Result<_, _>>()?;
    let (host, public) = (http_client::system_host(), Instance::public_good());
    let registry = Registry::new(host.clone(), Options::default())?;
    let annotations = BTreeMap::from([("stage".to_owned(), "release".to_owned())]);
    let images_signer = ImageSigner::new(registry).with_annotations(annotations)?.parts(Parts::All);

    // All images are found before a certificate is asked for.
    let mut targets = Vec::new();
    for image in &images {
        targets.extend(images_signer.locate(image).await?);
    }
    let services = Services::select(&public.config, host.clock.now())?;
    let signer = Signer::new(services, public.root, Arc::clone(&host.http), host.clock.clone())?;
    let session = IdentitySearch::new(&host).session(signer).await?;

    let mut results = images_signer.sign_all(&targets, &session);
    while let Some((_, result)) = results.next().await {
        match result {
            Ok(signed) => println!("{}", serde_json::to_string(&signed.report())?),
            Err(Error::NotAttached { signed, source }) => {
                println!(
                    "keep this bundle and attach it later ({source}): {}",
                    signed.bundle_json()
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
