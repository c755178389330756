//! A registry that serves recorded bytes, and what the program makes of the images in it: signed by
//! ambient identities on the public Sigstore, before there were bundles.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use harness::{Program, by};

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/captures/");

/// Answers on loopback with what it was given, and remembers what it was asked.
pub(crate) struct Recorded {
    address: String,
    pages: Pages,
    asked: Arc<Mutex<Vec<String>>>,
}

/// Media type, digest and bytes by path.
type Pages = Arc<Mutex<BTreeMap<String, (String, String, Vec<u8>)>>>;

impl Recorded {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (pages, asked) = (Pages::default(), Arc::<Mutex<Vec<String>>>::default());
        let shared = (Arc::clone(&pages), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, asked) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
                std::thread::spawn(move || while answer(&stream, &pages, &asked).is_some() {});
            }
        });
        Self { address, pages, asked }
    }

    pub(crate) fn put(&self, path: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = format!("sha256:{}", keys::Digest::sha256(bytes).to_hex());
        self.put_as(path, media_type, &digest, bytes);
        digest
    }

    /// As [`put`](Self::put), under a digest whose bytes do not exist.
    fn put_as(&self, path: &str, media_type: &str, digest: &str, bytes: &[u8]) {
        let page = (media_type.to_owned(), digest.to_owned(), bytes.to_vec());
        self.pages.lock().unwrap().insert(format!("/v2/app/{path}"), page);
    }

    /// An image of which only the digest is known, and what is under its `.sig` or `.att` tag.
    fn image(&self, digest: &str, tag: &str, manifest: &[u8], payload: &[u8]) -> String {
        let path = format!("manifests/{digest}");
        self.put_as(&path, MANIFEST, digest, b"nobody reads this");
        let tag = format!("manifests/{}.{tag}", digest.replace(':', "-"));
        self.put(&tag, MANIFEST, manifest);
        let layer = format!("sha256:{}", keys::Digest::sha256(payload).to_hex());
        self.put(&format!("blobs/{layer}"), "application/octet-stream", payload);
        format!("{}/app@{digest}", self.address)
    }

    fn case(&self, folder: &str, digest: &str) -> String {
        let read = |name: &str| std::fs::read(format!("{CAPTURES}{folder}/{name}")).unwrap();
        self.image(digest, "sig", &read("sig-manifest.json"), &read("payload.json"))
    }

    /// An image of which only the digest is known, and a bundle that refers to it.
    fn image_with_bundle(&self, digest: &str, bundle: &[u8]) -> String {
        self.put_as(&format!("manifests/{digest}"), MANIFEST, digest, b"nobody reads this");
        let layer = format!("sha256:{}", keys::Digest::sha256(bundle).to_hex());
        self.put(&format!("blobs/{layer}"), "application/octet-stream", bundle);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": EMPTY },
            "layers": [{ "mediaType": BUNDLE, "size": bundle.len(), "digest": layer }],
            "subject": { "mediaType": MANIFEST, "size": 17, "digest": digest },
        })
        .to_string();
        let name = format!("sha256:{}", keys::Digest::sha256(manifest.as_bytes()).to_hex());
        self.put(&format!("manifests/{name}"), MANIFEST, manifest.as_bytes());
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [{
                "mediaType": MANIFEST,
                "artifactType": BUNDLE,
                "size": manifest.len(),
                "digest": name,
            }],
        });
        self.put(&format!("referrers/{digest}"), INDEX, index.to_string().as_bytes());
        format!("{}/app@{digest}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(mut stream: &TcpStream, pages: &Pages, asked: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request).ok().filter(|read| *read > 0)?;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|read| *read > 0)?;
        if header.trim().is_empty() {
            break;
        }
    }
    let mut words = request.split_whitespace();
    let (method, path) = (words.next()?, words.next()?.split('?').next()?);
    asked.lock().unwrap().push(format!("{method} {path}"));
    let page = pages.lock().unwrap().get(path).cloned();
    let (status, media_type, digest, body) = match page {
        Some((media_type, digest, body)) => ("200 OK", media_type, digest, body),
        None if path == "/v2/" => ("200 OK", JSON.to_owned(), String::new(), b"{}".to_vec()),
        None => ("404 Not Found", JSON.to_owned(), String::new(), br#"{"errors":[]}"#.to_vec()),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\n").ok()?;
    if !digest.is_empty() {
        write!(stream, "Docker-Content-Digest: {digest}\r\n").ok()?;
    }
    write!(stream, "Content-Length: {length}\r\n\r\n").ok()?;
    if method != "HEAD" {
        stream.write_all(&body).ok()?;
    }
    Some(())
}

/// The program, with nothing but what is built in.
fn program() -> Program {
    Program::new(&std::env::temp_dir())
}

fn cases() -> Vec<Value> {
    let cases = std::fs::read(format!("{CAPTURES}public-good/cases.json")).unwrap();
    serde_json::from_slice::<Value>(&cases).unwrap().as_array().unwrap().clone()
}

#[test]
fn images_of_the_public_sigstore_verify_with_the_embedded_root_and_the_registry_alone() {
    for case in cases() {
        let text = |name: &str| case[name].as_str().unwrap();
        let registry = Recorded::new();
        let folder = format!("public-good/{}", text("case"));
        let image = registry.case(&folder, text("image_digest"));
        let who = by(text("identity"), text("issuer"));
        let offline = program().args(["verify", "--offline", &image]).args(&who).run().ends(0);
        let verified = program().args(["verify", &image]).args(&who).run().ends(0);
        assert_eq!(offline.stdout, verified.stdout);
        let verified = verified.json();
        let found = &verified[0].as_array().unwrap()[0];
        assert_eq!(found["optional"]["Subject"], case["identity"]);
        assert_eq!(found["optional"]["Issuer"], case["issuer"]);
        assert_eq!(found["optional"]["log_url"], "https://rekor.sigstore.dev");
        let critical = &found["critical"];
        assert_eq!(critical["image"]["docker-manifest-digest"], case["image_digest"]);
        assert_eq!(critical["identity"]["docker-reference"], case["docker_reference"]);
        assert_eq!(critical["type"], "cosign container image signature");
        let others = [
            by(&format!("{}x", text("identity")), text("issuer")),
            by(text("identity"), "https://issuer.example"),
        ];
        for other in others {
            let refused = program().args(["verify", "--offline", &image]).args(&other).run();
            refused.ends(12).says(&[text("identity"), "no signature is acceptable"]);
        }
        // The image itself is not downloaded.
        let manifest = format!("/v2/app/manifests/{}", text("image_digest"));
        let asked = registry.asked();
        assert!(asked.contains(&format!("HEAD {manifest}")), "{asked:?}");
        assert!(!asked.contains(&format!("GET {manifest}")), "{asked:?}");
    }
}

#[test]
fn only_the_right_identity_will_do_and_the_layers_are_named_with_their_reasons() {
    let case = &cases()[0];
    let text = |name: &str| case[name].as_str().unwrap();
    let registry = Recorded::new();
    let image = registry.case("public-good/2023-04-21-gcb", text("image_digest"));
    let who = by("somebody@else.test", text("issuer"));
    program().args(["verify", &image]).args(&who).run().ends(12).says(&[
        "no signature is acceptable",
        "expected a bundle with a certificate, found one with a public key",
        "expected \"somebody@else.test\", found \"cosign@cosign-test-384419",
        "--certificate-identity cosign@cosign-test-384419.iam.gserviceaccount.com",
    ]);
    let who = by(text("identity"), text("issuer"));
    let verbose = program().args(["verify", "-d", &image]).args(&who).run().ends(0);
    verbose.says(&["does not count: signer: expected a bundle with a certificate"]);
    let annotated =
        |annotation: &str| program().args(["verify", "-a", annotation, &image]).args(&who).run();
    assert_eq!(annotated("key1=value1").ends(0).json()[0][0]["optional"]["key1"], "value1");
    annotated("key1=value2").ends(12).says(&["expected \"value2\", found \"value1\""]);
}

#[test]
fn without_an_expected_signer_the_error_names_who_signed() {
    let case = &cases()[1];
    let registry = Recorded::new();
    let digest = case["image_digest"].as_str().unwrap();
    let image = registry.case("public-good/2026-02-27-github-b", digest);
    program().args(["verify", &image]).run().ends(2).says(&[
        "--certificate-identity",
        "release.yaml@refs/tags/v0.0.30 --certificate-oidc-issuer \
         https://token.actions.githubusercontent.com",
    ]);
}

#[test]
fn an_image_of_a_private_instance_needs_its_root() {
    let digest = std::fs::read_to_string(format!("{CAPTURES}bundles-v1/legacy/digest.txt"));
    let registry = Recorded::new();
    let image = registry.case("bundles-v1/legacy", digest.unwrap().trim());
    let who = by("spiffe://example.org/ns/ci/sa/builder", "http://localhost:8888");
    let root = format!("{CAPTURES}bundles-v1/trusted_root.json");
    let verify = || program().args(["verify", &image]).args(&who);
    verify().args(["--trusted-root", &root]).run().ends(0);
    verify().run().ends(12).says(&["--trusted-root"]);
    let domain = ["--certificate-spiffe-trust-domain", "example.org"];
    let issuer = ["--certificate-oidc-issuer", "http://localhost:8888", "--trusted-root", &root];
    let below = |path: &str| {
        let path = ["--certificate-spiffe-path-prefix", path];
        program().args(["verify", &image]).args(domain).args(path).args(issuer).run()
    };
    below("/ns/ci").ends(0);
    below("/ns/c").ends(12).says(&["a SPIFFE ID in example.org below /ns/c"]);
}

#[test]
fn a_policy_file_says_who_may_sign_what_and_how_many_it_takes() {
    let case = &cases()[0];
    let registry = Recorded::new();
    let digest = case["image_digest"].as_str().unwrap();
    let image = registry.case("public-good/2023-04-21-gcb", digest);
    let directory = tempfile::tempdir().unwrap();
    let run = |pattern: &str, threshold: u32| {
        let policy = format!(
            "[[images]]\npatterns = [\"{pattern}\"]\nthreshold = {threshold}\n\
             [[images.identities]]\nidentity = \"somebody@else.test\"\n\
             issuer = \"https://accounts.google.com\"\n\
             [[images.identities]]\nidentity-regexp = \".*@cosign-test-384419.iam.gserviceaccount.com\"\n\
             issuer = \"https://accounts.google.com\"\n"
        );
        let path = directory.path().join("policy.toml");
        std::fs::write(&path, policy).unwrap();
        program().args(["verify", &image, "--identity-policy"]).args([&path]).run()
    };
    let repository = image.split('@').next().unwrap();
    run(repository, 1).ends(0);
    run("127.0.0.1*/**", 1).ends(0);
    run(repository, 2).ends(12).says(&["by 1 of the acceptable signers, and 2 are required"]);
    run("ghcr.io/acme/*", 1).ends(1).says(&["no rule of the policy file matches"]);
    let both = ["--identity-policy", "x", "--certificate-identity", "y"];
    program().args(["verify", &image]).args(both).run().ends(2).says(&["cannot be used with"]);
    let cue = ["verify", &image, "--policy", "x.cue"];
    program().args(cue).run().ends(2).says(&["--identity-policy"]);
}

#[test]
fn inspecting_an_image_shows_each_layer_and_decides_nothing() {
    let case = &cases()[0];
    let registry = Recorded::new();
    let digest = case["image_digest"].as_str().unwrap();
    let image = registry.case("public-good/2023-04-21-gcb", digest);
    let inspected = program().args(["inspect", "-o", "json", &image]).run().ends(0).json();
    let [with_key, keyless] = inspected.as_slice() else { panic!("{inspected:?}") };
    assert_eq!(with_key["certificate"], Value::Null);
    assert_eq!(with_key["checks"]["signature"]["result"], "not looked at");
    assert_eq!(with_key["artifact_checked"], false);
    assert_eq!(keyless["certificate"]["subject"], case["identity"]);
    assert_eq!(keyless["artifact_checked"], true);
    for report in &inspected {
        assert_eq!(report["identity_checked"], false);
    }
    for check in
        ["signature", "transparency_log", "times", "certificate_chain", "certificate_published"]
    {
        assert_eq!(keyless["checks"][check], json!({ "result": "holds" }), "{check}");
    }
    let text = program().args(["inspect", &image]).run().ends(0).stdout;
    assert!(text.contains("identity           not checked"), "{text}");
}

fn bundles(name: &str) -> Vec<u8> {
    std::fs::read(format!("{CAPTURES}bundles/{name}")).unwrap()
}

/// The signer of cosign's attestation, and its instance.
fn attester() -> Vec<String> {
    let mut who = by("spiffe://example.org/ns/ci/sa/builder", "http://localhost:8888").to_vec();
    who.extend(["--trusted-root".to_owned(), format!("{CAPTURES}bundles/trusted_root.json")]);
    who
}

/// The predicate type of cosign's attestation.
fn attested_type() -> String {
    let bundle: Value =
        serde_json::from_slice(&bundles("attest-blob-spiffe.sigstore.json")).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
    let payload = bundle::proto_json::decode_base64(payload).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    statement["predicateType"].as_str().unwrap().to_owned()
}

#[test]
fn an_image_with_only_an_attestation_is_not_signed_and_says_how_to_verify_what_it_has() {
    let registry = Recorded::new();
    let artifact = keys::Digest::sha256(&bundles("artifact.txt")).to_hex();
    let bundle = bundles("attest-blob-spiffe.sigstore.json");
    let image = registry.image_with_bundle(&format!("sha256:{artifact}"), &bundle);
    let kind = attested_type();
    let run = |args: &[&str]| program().args(args).arg(&image).args(attester()).run();
    let hint = "ambisign verify-attestation --type ";
    run(&["verify"]).ends(10).says(&[
        "no signatures found",
        "verify its attestation",
        hint,
        &kind,
        &image,
    ]);

    let verified = run(&["verify-attestation", "--type", &kind]).ends(0);
    let envelope = &verified.json()[0];
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    let text = run(&["verify-attestation", "--type", &kind, "-o", "text"]).ends(0).stdout;
    assert!(text.starts_with("verified ") && text.contains("spiffe://example.org"), "{text}");
    run(&["verify-attestation", "--type", "openvex"])
        .ends(10)
        .says(&["no attestation of type https://openvex.dev/ns", &kind]);
    run(&["verify-attestation", "--type", "nonsense"]).ends(2).says(&["slsaprovenance1"]);

    // Of another image it is none.
    let other = keys::Digest::sha256(b"another").to_hex();
    let other = registry.image_with_bundle(&format!("sha256:{other}"), &bundle);
    let other = program().args(["verify-attestation", "--type", &kind, &other]).args(attester());
    other.run().ends(12).says(&["subject: the statement is about"]);
}

#[test]
fn a_signature_is_no_attestation() {
    let registry = Recorded::new();
    let reference =
        std::fs::read_to_string(format!("{CAPTURES}bundles/image/reference.txt")).unwrap();
    let digest = reference.trim().split_once('@').unwrap().1.to_owned();
    let image = registry.image_with_bundle(&digest, &bundles("image/referrer-0.sigstore.json"));
    let run = |args: &[&str]| program().args(args).arg(&image).args(attester()).run();
    run(&["verify"]).ends(0);
    run(&["verify-attestation"]).ends(10).says(&["verify its signature: `ambisign verify"]);
}

#[test]
fn a_files_attestation_is_verified_by_type_and_digest() {
    let artifact = format!("{CAPTURES}bundles/artifact.txt");
    let bundle = format!("{CAPTURES}bundles/attest-blob-spiffe.sigstore.json");
    let kind = attested_type();
    let run = |args: &[&str]| {
        let command = program().args(["verify-blob-attestation", "--bundle", &bundle]);
        command.args(args).args(attester()).run()
    };
    let report = run(&["--type", &kind, "-o", "json", &artifact]).ends(0).json();
    assert_eq!(report[0]["predicate_type"], json!(kind));
    let digest = keys::Digest::sha256(&bundles("artifact.txt")).to_hex();
    run(&["--type", &kind, "--digest", &digest]).ends(0).says(&["Verified OK"]);
    run(&["--type", "spdx", &artifact]).ends(12).says(&["predicate type: expected"]);
    run(&["--type", &kind, "--digest", &digest.replace('a', "b")]).ends(12);
    run(&["--type", &kind, "--digest", "xyz"]).ends(2);
    run(&["--type", &kind]).ends(2).says(&["not provided", "FILE"]);
}

#[test]
fn a_key_is_verified_with_and_excludes_identities() {
    use keys::Sign as _;

    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let key = keys::KeyPair::generate().unwrap();
    let signature = key.sign(keys::Payload::Message(b"content")).unwrap();
    std::fs::write(path("a"), "content").unwrap();
    std::fs::write(path("b"), "other").unwrap();
    std::fs::write(path("a.sig"), &signature).unwrap();
    std::fs::write(path("key.pub"), key.public_key().to_pem()).unwrap();
    let run = |file: &str, args: &[&str]| {
        let program = Program::new(directory.path()).env("KEY", key.public_key().to_pem());
        program.args(["verify-blob", file, "--signature", "a.sig"]).args(args).run()
    };
    let unlogged = "--insecure-ignore-tlog";
    run("a", &["--key", "key.pub", unlogged]).ends(0).says(&["Verified OK"]);
    run("a", &["--key", "env://KEY", unlogged]).ends(0);
    run("b", &["--key", "key.pub", unlogged])
        .ends(12)
        .says(&["signature: the signer's key did not sign"]);
    run("a", &["--key", "key.pub", "--offline"])
        .ends(12)
        .says(&["transparency log: expected an entry"]);
    run("a", &["--key", "awskms:///alias/x"]).ends(2).says(&["not supported"]);
    run("a", &["--key", "env://NONE"]).ends(1).says(&["NONE is not set"]);
    run("a", &["--key", "key.pub", "--certificate-identity", "x"])
        .ends(2)
        .says(&["cannot be used with"]);
    run("a", &[]).ends(2).says(&["--signature needs --certificate or --key"]);
    std::fs::write(path("key.pem"), key.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
    run("a", &["--key", "key.pem"]).ends(2).says(&["it is a private key"]);
}

const JSON: &str = "application/json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
