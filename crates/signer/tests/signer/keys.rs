//! Signing with a key of one's own.

use std::sync::Arc;

use ambisign_signer as signer;
use bundle::{Statement, VerificationMaterial};
use bytes::Bytes;
use host::{Clock as _, TransportError};
use http::{Request, Response};
use http_client::{HttpClient, Settings};
use keys::{KeyAlgorithm, KeyPair, PublicKey, Sign as _};
use rekor_client::ApiVersion;
use signer::{Error, FileHasher, Services, Session, Signer};
use trust_root::{SigningConfig, TrustedRoot};
use verify::{AcceptedSigner, Artifact, Policy};

use crate::{Source, block_on, file, now, services};

#[test]
fn a_key_signs_without_any_service_and_asks_none() {
    let key = Arc::new(KeyPair::generate().unwrap());
    let root = TrustedRoot::new(Vec::new(), Vec::new(), Vec::new(), Vec::new()).unwrap();
    let services = Services::none();
    let http = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        panic!("nothing may be asked")
    };
    let signer = Signer::new(services, Arc::new(root.clone()), Arc::new(http), Arc::new(now()));
    let session = Session::with_key(signer.unwrap(), Arc::clone(&key));
    let signed = block_on(session.sign_file(&file(b"a file"))).unwrap();
    let hint = Some(key.public_key().hint());
    assert_eq!(signed.bundle.material(), &VerificationMaterial::PublicKey { hint });

    let by = |key: &PublicKey| Policy::file_signature(AcceptedSigner::key(key.clone()));
    let judge = |policy: &Policy, artifact: &[u8]| {
        verify::verify(&signed.bundle, &Artifact::Message(artifact), policy, &root, now())
    };
    let unlogged = verify::danger::ignore_tlog(by(key.public_key()));
    judge(&unlogged, b"a file").unwrap();
    judge(&unlogged, b"another file").unwrap_err();
    judge(&by(key.public_key()), b"a file").unwrap_err();
    let other = KeyPair::generate().unwrap();
    judge(&verify::danger::ignore_tlog(by(other.public_key())), b"a file").unwrap_err();
}

#[test]
fn an_identity_without_a_certificate_authority_is_refused_before_its_token_is_asked_for() {
    let services = Services { fulcio: None, ..services(&[ApiVersion::V1], true) };
    let http = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        panic!("nothing may be asked")
    };
    let root = Arc::new(TrustedRoot::public_good());
    let signer = Signer::new(services, root, Arc::new(http), Arc::new(now())).unwrap();
    let source = Source(Box::new(|| panic!("no token may be asked for")));
    let error = block_on(Session::new(signer, Arc::new(source)).prepare()).unwrap_err();
    assert!(matches!(error, Error::Unverifiable { .. }), "{error}");
}

#[test]
fn a_key_signs_with_a_log_a_timestamp_or_both_and_needs_no_certificate_authority() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    runtime.block_on(async {
        let sandbox = sandbox::Sandbox::start(sandbox::Config::new(directory.path()));
        let sandbox = sandbox.await.unwrap();
        let read = |path: std::path::PathBuf| std::fs::read(path).unwrap();
        let mut root: serde_json::Value =
            serde_json::from_slice(&read(sandbox.trusted_root())).unwrap();
        root["certificateAuthorities"] = serde_json::json!([]);
        let root = Arc::new(TrustedRoot::from_json(root.to_string().as_bytes()).unwrap());
        let clock = Arc::new(http_client::SystemClock);
        let keys = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519];
        let mut keys: Vec<_> =
            keys.iter().map(|algorithm| KeyPair::generate_for(*algorithm).unwrap()).collect();
        let rsa = include_str!("../../../../tests/fixtures/openssl/rsa_private_pkcs1.pem");
        keys.push(KeyPair::from_pem(rsa).unwrap());
        let keys: Vec<_> = keys.into_iter().map(Arc::new).collect();
        for version in [sandbox::RekorVersion::V1, sandbox::RekorVersion::V2] {
            let config = SigningConfig::from_json(&read(sandbox.signing_config(version))).unwrap();
            let all = Services::select_for_key(&config, clock.now()).unwrap();
            assert_eq!((all.fulcio.as_ref(), all.logs.len()), (None, 1));
            for (logged, stamped) in [(true, true), (true, false), (false, true), (false, false)] {
                let mut services = all.clone();
                services.logs.retain(|_| logged);
                services.timestamp_authorities.retain(|_| stamped);
                let http = Arc::new(HttpClient::new(&Settings::new()));
                let signer = Signer::new(services, Arc::clone(&root), http, clock.clone());
                let signer = signer.unwrap();
                // RSA and Ed25519 sign the same in the same way, and a log takes it once.
                let statement = Statement::new(
                    vec![bundle::Subject {
                        name: Some(format!("{version:?} {logged} {stamped}")),
                        digests: [("sha256".to_owned(), "00".repeat(32))].into(),
                        annotations: Default::default(),
                    }],
                    "https://example.org/claim",
                    &serde_json::json!({}),
                );
                for key in &keys {
                    let session = Session::with_key(signer.clone(), Arc::clone(key));
                    let algorithm = key.public_key().algorithm();
                    let mut hasher = FileHasher::for_key(algorithm);
                    hasher.update(&[u8::from(logged), u8::from(stamped)]);
                    let file = hasher.finish().unwrap();
                    let mut signed = vec![session.sign_file(&file).await.unwrap()];
                    // A log of version 1 verifies envelopes with SHA-256.
                    let is_v1 = matches!(version, sandbox::RekorVersion::V1);
                    if !(logged && is_v1 && algorithm == KeyAlgorithm::EcdsaP384) {
                        signed.push(session.sign_statement(&statement).await.unwrap());
                    }
                    for signed in signed {
                        assert_eq!(signed.logs.len(), usize::from(logged), "{version:?}");
                        assert_eq!(signed.timestamp.is_some(), stamped, "{version:?}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_file_that_was_hashed_for_another_key_is_not_signed() {
    let services = Services::none();
    let http = |_: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        panic!("nothing may be asked")
    };
    let root = Arc::new(TrustedRoot::public_good());
    let signer = Signer::new(services, root, Arc::new(http), Arc::new(now())).unwrap();
    let key = Arc::new(KeyPair::generate_for(KeyAlgorithm::EcdsaP384).unwrap());
    let error = block_on(Session::with_key(signer, key).sign_file(&file(b"x"))).unwrap_err();
    assert!(matches!(error, Error::Craft(_)), "{error}");
}
