//! The common case, in one call.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;

use host::Host;
use oci_push::{Options, Registry};
use signer::{Services, Session, Signer};
use trust_root::{SigningConfig, TrustedRoot};
use verify::{AcceptedSigner, Policy};

use crate::accepted::VerifiedImage;
use crate::error::{Action, Error};
use crate::file::{
    self, Artifact, FileArgument, FileSignature, FileToSign, FileVerifier, SignedFile, VerifiedFile,
};
use crate::identity::IdentitySearch;
use crate::identity_error::IdentityError;
use crate::image::Image;
use crate::sign::ImageSigner;
use crate::signed::SignedImage;
use crate::verify_image::{AcceptedSigners, ImageVerifier};

/// One Sigstore instance: which services sign, and which authorities are trusted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Instance {
    /// The authorities that are trusted.
    pub root: Arc<TrustedRoot>,
    /// The services that sign.
    pub config: SigningConfig,
}

impl Instance {
    /// The instance that `root` and `config` describe.
    pub fn new(root: TrustedRoot, config: SigningConfig) -> Self {
        Self { root: Arc::new(root), config }
    }

    /// The public Sigstore, as it was known when this crate was published.
    pub fn public_good() -> Self {
        Self::new(TrustedRoot::public_good(), SigningConfig::public_good())
    }
}

/// Signs `image` with the identity that is found here, and attaches the signature.
///
/// # Errors
/// Any; nothing is sent to Fulcio or Rekor unless the image exists and a signature can be stored.
pub async fn sign_image(
    image: &str,
    instance: &Instance,
    host: &Host,
) -> Result<SignedImage, Error> {
    let failed = |source| Error::registry(image, Action::Sign, source);
    let registry = Registry::new(host.clone(), Options::default()).map_err(failed)?;
    let signer = ImageSigner::new(registry);
    let targets = signer.locate(&Image::parse(image).map_err(failed)?).await?;
    // The identity may be that of a person, who is asked only for what can be signed.
    let not_signed = |source| Error::Signing { image: image.to_owned(), source: Box::new(source) };
    let session = session(instance, host, not_signed, Error::Identity).await?;
    let [target] = targets.as_slice() else {
        return Err(not_signed(signer::Error::Craft("expected one manifest to sign".into())));
    };
    signer.sign_and_attach(target, &session).await
}

/// Verifies that `signer` signed `image`, trusting the authorities of `root`.
///
/// # Errors
/// See [`ImageVerifier::verify`].
pub async fn verify_image(
    image: &str,
    signer: AcceptedSigner,
    root: Arc<TrustedRoot>,
    host: &Host,
) -> Result<VerifiedImage, Error> {
    let failed = |source| Error::registry(image, Action::Verify, source);
    let registry = Registry::new(host.clone(), Options::default()).map_err(failed)?;
    let signers = AcceptedSigners::rule(signer);
    let verifier = ImageVerifier::new(registry, root, Arc::clone(&host.clock), signers);
    verifier.verify(&Image::parse(image).map_err(failed)?).await
}

/// Signs the file at `path` with the identity that is found here, and writes the bundle to
/// `PATH.sigstore.json`.
///
/// # Errors
/// Any; nothing is sent to Fulcio or Rekor unless the file can be read and the bundle written.
pub async fn sign_file(
    path: &Path,
    instance: &Instance,
    host: &Host,
) -> Result<SignedFile, file::Error> {
    let [file, bundle] = [path.to_owned(), file::bundle_path(path)].map(FileArgument::File);
    let target = FileToSign::read(file, bundle).await?;
    let not_signed = |source: Box<dyn StdError + Send + Sync>| file::Error::Signing {
        file: path.to_owned(),
        source,
    };
    let failed = |error: signer::Error| not_signed(Box::new(error));
    let nameless = |error: Box<IdentityError>| not_signed(error);
    let session = session(instance, host, failed, nameless).await?;
    target.sign_and_write(&session).await
}

/// Verifies that `signer` signed the file at `path`, trusting the authorities of `root`. The bundle
/// is the one beside the file.
///
/// # Errors
/// See [`FileSignature::of`] and [`FileVerifier::verify`].
pub async fn verify_file(
    path: &Path,
    signer: AcceptedSigner,
    root: Arc<TrustedRoot>,
    host: &Host,
) -> Result<VerifiedFile, file::Error> {
    let artifact = Artifact::File(FileArgument::File(path.to_owned()));
    let signature = FileSignature::of(&artifact, None).await?;
    let policy = Policy::file_signature(signer);
    FileVerifier::new(policy, root, Arc::clone(&host.clock)).verify(&artifact, &signature).await
}

async fn session<E>(
    instance: &Instance,
    host: &Host,
    failed: impl Fn(signer::Error) -> E,
    nameless: impl Fn(Box<IdentityError>) -> E,
) -> Result<Session, E> {
    let services = Services::select(&instance.config, host.clock.now()).map_err(&failed)?;
    let (http, clock) = (Arc::clone(&host.http), Arc::clone(&host.clock));
    let signer = Signer::new(services, Arc::clone(&instance.root), http, clock).map_err(&failed)?;
    let session = IdentitySearch::new(host).session(signer).await;
    session.map_err(|error| nameless(Box::new(error)))
}
