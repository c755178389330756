use image_signing::{Error, Image, ImageSigner, Parts};
use sandbox::RekorVersion;
use serde_json::json;

use crate::lab::Lab;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An index in an index: an image of two platforms, and an attestation manifest of BuildKit.
struct Nested {
    outer: Image,
    inner: Image,
    attestation: Image,
}

async fn nested(lab: &Lab) -> Nested {
    let image = lab.push("app").await;
    let inner = lab.registry.resolve(image.reference()).await.unwrap();
    let empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    lab.put_empty_blob("app").await;
    let config =
        json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2 });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [config],
    });
    let sbom = lab.put_manifest("app", &manifest).await;
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [
            { "mediaType": INDEX, "digest": inner.digest().to_string(), "size": inner.descriptor().size },
            {
                "mediaType": MANIFEST, "digest": sbom, "size": manifest.to_string().len(),
                "platform": { "os": "unknown", "architecture": "unknown" },
                "annotations": { "vnd.docker.reference.type": "attestation-manifest" },
            },
        ],
    });
    let outer = lab.put_manifest("app", &index).await;
    let by_digest =
        |digest: &str| Image::parse(&format!("{}@{digest}", inner.repository())).unwrap();
    Nested { outer: by_digest(&outer), inner: Image::from(&inner), attestation: by_digest(&sbom) }
}

#[tokio::test(start_paused = true)]
async fn every_manifest_of_a_nested_index_is_signed_and_attestation_manifests_as_one_likes() {
    for (parts, number) in [(Parts::All, 5), (Parts::Images, 4), (Parts::None, 1)] {
        let lab = Lab::new(|_| ());
        let Nested { outer, inner, attestation } = nested(&lab).await;
        let signer = ImageSigner::new(lab.registry.clone()).parts(parts);
        let session = lab.session(RekorVersion::V1, "jane");
        let results = lab.sign_all(&signer, &session, std::slice::from_ref(&outer)).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), number, "{parts:?}");
        let verifier = lab.verifier("jane");
        assert!(verifier.verify(&outer).await.is_ok());
        assert_eq!(verifier.verify(&attestation).await.is_ok(), parts == Parts::All);
        assert_eq!(verifier.verify(&inner).await.is_ok(), parts != Parts::None);

        // A verifier that wants all parts is content when all were signed.
        let verifier = verifier.parts(Parts::All);
        let mut missing = 0;
        for target in verifier.locate(&outer).await.unwrap() {
            missing += usize::from(verifier.verify_located(&target).await.is_err());
        }
        assert_eq!(missing, 5 - number, "{parts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_platform_is_accepted_when_the_index_is_signed_and_lists_it() {
    let lab = Lab::new(|_| ());
    let Nested { outer, inner, .. } = nested(&lab).await;
    let other = lab.push("other").await;
    let session = lab.session(RekorVersion::V1, "jane");
    let signer = ImageSigner::new(lab.registry.clone());
    lab.sign_all(&signer, &session, std::slice::from_ref(&outer)).await;
    let platforms = lab.verifier("jane").parts(Parts::All).locate(&inner).await.unwrap();
    let platform = platforms[1].image();

    let alone = lab.verifier("jane").verify(platform).await;
    assert!(matches!(alone, Err(Error::NoSignature(_))), "{alone:?}");
    let verifier = lab.verifier("jane").by_index(outer.clone());
    let verified = verifier.verify(platform).await.unwrap();
    assert_eq!(verified.resolved.digest(), platforms[1].resolved().digest());
    let index = verified.index.as_ref().unwrap();
    assert_eq!(index.image(), &outer);
    let report = serde_json::to_value(&verified.reports()[0]).unwrap();
    assert_eq!(report["critical"]["identity"]["docker-reference"], platform.as_str());
    let digest = index.resolved().digest().to_string();
    assert_eq!(report["critical"]["image"]["docker-manifest-digest"], digest);
    assert_eq!(report["index"]["lists"], platforms[1].resolved().digest().to_string());

    let refused = verifier.verify(&other).await.unwrap_err();
    let Error::NotAcceptable(found) = &refused else { panic!("{refused:?}") };
    assert!(found.refused[0].explain().contains("does not list"), "{found:?}");
    assert!(lab.verifier("joe").by_index(outer).verify(platform).await.is_err());
    // A signature of the platform itself does not make up for an index that is not signed.
    assert!(lab.verifier("jane").by_index(inner).verify(platform).await.is_err());
}
