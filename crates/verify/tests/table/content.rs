//! Groups 1, 2 and 12: the signer, and how the bundle is written.

use ambisign_verify::{AcceptedSigner, Policy};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keys::Digest;
use serde_json::{Value, json};

use crate::forge::ARTIFACT;
use crate::{Case, passes, refused, unreadable};

/// Which case, and what becomes of it.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = keys_and_materials();
    all.extend(crate::statements::cases());
    all.extend(crate::spellings::cases());
    all
}

pub(crate) fn material(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]
}

/// In a version before v0.3, with the authority's certificates behind the leaf.
fn with_authority(bundle: &mut Value, version: &str, which: &[usize]) {
    chained(bundle, version);
    let authority = bundle.as_object_mut().unwrap().remove("authority").unwrap();
    let chain = &mut material(bundle)["x509CertificateChain"]["certificates"];
    for index in which {
        chain.as_array_mut().unwrap().push(json!({ "rawBytes": authority[index] }));
    }
}

pub(crate) fn entry(bundle: &mut Value) -> &mut Value {
    &mut material(bundle)["tlogEntries"][0]
}

fn stale(bundle: &mut Value) {
    let size = &mut entry(bundle)["inclusionProof"]["treeSize"];
    *size = json!((size.as_str().unwrap().parse::<u64>().unwrap() + 1).to_string());
}

fn chained(bundle: &mut Value, version: &str) {
    bundle["mediaType"] =
        json!(format!("application/vnd.dev.sigstore.bundle+json;version={version}"));
    let certificate = material(bundle).as_object_mut().unwrap().remove("certificate").unwrap();
    material(bundle)["x509CertificateChain"] = json!({ "certificates": [certificate] });
}

fn keys_and_materials() -> Vec<Case> {
    vec![
        // 1.
        Case::v1("v0.1", |p| p.bundle = |b| chained(b, "0.1"), passes()),
        Case::v1("v0.2", |p| p.bundle = |b| chained(b, "0.2"), passes()),
        Case::v1("v0.3 with a chain", |p| p.bundle = |b| chained(b, "0.3"), unreadable("v0.3")),
        Case::v1(
            "an empty chain",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.1");
                    material(b)["x509CertificateChain"]["certificates"] = json!([]);
                }
            },
            unreadable("empty"),
        ),
        Case::v1(
            "v0.1 without a proof",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.1");
                    material(b)["tlogEntries"][0].as_object_mut().unwrap().remove("inclusionProof");
                }
            },
            passes(),
        ),
        Case::v1(
            "v0.1 without a promise",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.1");
                    material(b)["tlogEntries"][0]
                        .as_object_mut()
                        .unwrap()
                        .remove("inclusionPromise");
                }
            },
            unreadable("inclusionPromise"),
        ),
        Case::v1(
            "v0.2 without a proof",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.2");
                    material(b)["tlogEntries"][0].as_object_mut().unwrap().remove("inclusionProof");
                }
            },
            unreadable("inclusionProof"),
        ),
        Case::v1(
            "a proof without a checkpoint",
            |p| {
                p.bundle = |b| {
                    let proof = &mut material(b)["tlogEntries"][0]["inclusionProof"];
                    proof.as_object_mut().unwrap().remove("checkpoint");
                }
            },
            unreadable("checkpoint"),
        ),
        // What is left of the authority's chain may come along; its root may not, which would be a
        // bundle that proves its own time.
        Case::v1(
            "v0.1 with the issuer in its chain",
            |p| p.bundle = |b| with_authority(b, "0.1", &[0]),
            passes(),
        ),
        Case::v1(
            "v0.1 with the root in its chain",
            |p| p.bundle = |b| with_authority(b, "0.1", &[0, 1]),
            refused("BundledRoot", "sha256:"),
        ),
        Case::v1(
            "v0.2 with the root alone behind its leaf",
            |p| p.bundle = |b| with_authority(b, "0.2", &[1]),
            refused("BundledRoot", "the root certificate sha256:"),
        ),
        Case::v1(
            "v0.1 with the issuer in its chain that the trusted root does not list",
            |p| {
                p.bundle = |b| with_authority(b, "0.1", &[0]);
                p.root = |root| {
                    let chain = &mut root["certificateAuthorities"][0]["certChain"];
                    chain["certificates"].as_array_mut().unwrap().remove(0);
                };
            },
            passes(),
        ),
        Case::v1(
            "the issuer nowhere",
            |p| {
                p.root = |root| {
                    let chain = &mut root["certificateAuthorities"][0]["certChain"];
                    chain["certificates"].as_array_mut().unwrap().remove(0);
                };
            },
            refused("Chain", "issuer"),
        ),
        Case::v1(
            "v0.1 with a stale proof",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.1");
                    stale(b);
                }
            },
            refused("InclusionCopies", "tree size"),
        ),
        Case::v1(
            "v0.2 with a stale proof",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.2");
                    stale(b);
                }
            },
            refused("InclusionCopies", "tree size"),
        ),
        Case::v1(
            "v0.1 with a negative index",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.1");
                    entry(b)["logIndex"] = json!("-1");
                }
            },
            unreadable("logIndex"),
        ),
        Case::v1(
            "v0.2 with a negative index in its proof",
            |p| {
                p.bundle = |b| {
                    chained(b, "0.2");
                    entry(b)["inclusionProof"]["logIndex"] = json!(-1);
                }
            },
            unreadable("logIndex"),
        ),
        Case::v1(
            "v0.1 with a certificate alone",
            |p| {
                p.bundle = |b| {
                    b["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.1");
                }
            },
            unreadable("holds a chain"),
        ),
        // 2.
        Case::v1("a known key", |p| p.keyed = true, passes()).by_key(),
        Case::v2("a known key in Rekor v2", |p| p.keyed = true, passes()).by_key(),
        Case::v1(
            "a key where an identity is wanted",
            |p| p.keyed = true,
            refused("Material", "found one with a public key"),
        ),
        Case::v1(
            "an identity where a key is wanted",
            |_| (),
            refused("Material", "found one with a certificate"),
        )
        .by_key(),
        Case::v1(
            "another key",
            |p| p.keyed = true,
            refused("Signature", "PKIX_ECDSA_P256_SHA_256"),
        )
        .policy(|_| Policy::file_signature(AcceptedSigner::key(other_key()))),
        Case::v1("a key of another kind", |p| p.keyed = true, refused("Signature", "PKIX_ED25519"))
            .policy(|_| Policy::file_signature(AcceptedSigner::key(ed25519_key()))),
        Case::v1(
            "another hint",
            |p| {
                p.keyed = true;
                p.bundle = |b| material(b)["publicKey"]["hint"] = json!("another");
            },
            passes(),
        )
        .by_key(),
        Case::v1(
            "another digest in the bundle",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"]["messageDigest"]["digest"] =
                        json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
                }
            },
            refused("ArtifactDigest", "sha256:0000000000"),
        ),
        Case::v1(
            "no digest in the bundle",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"].as_object_mut().unwrap().remove("messageDigest");
                }
            },
            unreadable("messageDigest"),
        ),
        Case::v1(
            "the digest by an algorithm that was not signed by",
            |p| {
                p.bundle = |b| {
                    let digest = Digest::of(keys::HashAlgorithm::Sha512, ARTIFACT);
                    b["messageSignature"]["messageDigest"] = json!({
                        "algorithm": "SHA2_512", "digest": STANDARD.encode(digest.as_bytes()),
                    });
                }
            },
            refused("DigestAlgorithm", "signs SHA2_256, the bundle says SHA2_512"),
        ),
        Case::v1(
            "the digest under an algorithm of the same length",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA3_256");
                }
            },
            refused("DigestAlgorithm", "SHA3_256"),
        ),
        Case::v1(
            "another signature",
            |p| {
                p.bundle = |b| {
                    b["messageSignature"]["signature"] = json!("MAYCAQECAQE=");
                }
            },
            refused("Signature", "PKIX_ECDSA_P256_SHA_256"),
        ),
        Case::v1(
            "a certificate that is none",
            |p| {
                p.bundle = |b| {
                    material(b)["certificate"]["rawBytes"] = json!("AAAA");
                }
            },
            refused("Certificate", "ASN.1"),
        ),
    ]
}

fn other_key() -> keys::PublicKey {
    use keys::Sign as _;

    keys::KeyPair::generate().unwrap().public_key().clone()
}

fn ed25519_key() -> keys::PublicKey {
    use keys::Sign as _;

    let key = keys::KeyPair::generate_for(keys::KeyAlgorithm::Ed25519).unwrap();
    key.public_key().clone()
}
