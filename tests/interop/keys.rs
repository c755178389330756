//! Signing with keys: cosign's with ours, and ours with cosign's.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::RekorVersion;
use serde_json::{Value, json};

use harness::{Interop, Program, RegistryKind, Signer};

const PASSWORD: &str = "correct horse";
const TYPE: &str = "https://example.test/claim";

fn interop(log: RekorVersion) -> Interop {
    Interop::new(RegistryKind::ReferrersApi, log)
}

/// A key pair that cosign or we made: the names of both files.
fn key_pair(interop: &Interop, ours: bool) -> (PathBuf, PathBuf) {
    let program = match ours {
        true => interop.ambisign_plain("generate-key-pair"),
        false => interop.cosign_plain("generate-key-pair"),
    };
    program.env("COSIGN_PASSWORD", PASSWORD).run().succeeds();
    (interop.path("cosign.key"), interop.path("cosign.pub"))
}

fn signing(program: Program, key: &Path) -> Program {
    program.env("COSIGN_PASSWORD", PASSWORD).arg("--key").arg(key)
}

/// Everything that can be signed with a key, by one tool with the other's key, and verified by the
/// other.
fn signs_and_the_other_verifies(log: RekorVersion, ours: bool) {
    let interop = interop(log);
    let (key, public) = key_pair(&interop, !ours);
    let sign = |command: &str| {
        let config = interop.signing_config();
        let program = match ours {
            true => interop.ambisign_ambient(command, &config),
            false => interop.cosign_ambient(command, &config),
        };
        signing(program, &key)
    };
    let verify = |command: &str, public: &Path| {
        let program = if ours { interop.cosign(command) } else { interop.ambisign(command) };
        program.arg("--key").arg(public)
    };
    let other = interop.write("other.pub", &other_key());

    let file = interop.write("artifact.txt", "signed with a key\n");
    let bundle = interop.path("artifact.txt.sigstore.json");
    sign("sign-blob").arg("--bundle").arg(&bundle).arg(&file).run().succeeds();
    let of_file =
        |public: &Path| verify("verify-blob", public).arg("--bundle").arg(&bundle).arg(&file).run();
    of_file(&public).succeeds();
    assert_ne!(of_file(&other).code, 0);

    let predicate = interop.write("predicate.json", r#"{"a":1}"#);
    let attestation = interop.path("attestation.json");
    let attest = sign("attest-blob").args(["--type", TYPE]).arg("--predicate").arg(&predicate);
    attest.arg("--bundle").arg(&attestation).arg(&file).run().succeeds();
    let of_claim = verify("verify-blob-attestation", &public).args(["--type", TYPE]);
    of_claim.arg("--bundle").arg(&attestation).arg(&file).run().succeeds();

    let image = interop.image("demo/keyed");
    sign("sign").arg(&image).run().succeeds();
    verify("verify", &public).arg(&image).run().succeeds();
    assert_ne!(verify("verify", &other).arg(&image).run().code, 0);

    let attest = sign("attest").args(["--type", TYPE]).arg("--predicate").arg(&predicate);
    attest.arg(&image).run().succeeds();
    let verify = verify("verify-attestation", &public).args(["--type", TYPE]);
    verify.arg(&image).run().succeeds();
}

fn other_key() -> String {
    use keys::Sign as _;

    keys::KeyPair::generate().unwrap().public_key().to_pem()
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn we_sign_with_cosigns_encrypted_key_and_cosign_verifies() {
    for log in [RekorVersion::V1, RekorVersion::V2] {
        signs_and_the_other_verifies(log, true);
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_signs_with_our_encrypted_key_and_we_verify() {
    for log in [RekorVersion::V1, RekorVersion::V2] {
        signs_and_the_other_verifies(log, false);
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn a_key_signs_without_any_service_and_each_tool_verifies_the_other() {
    let interop = interop(RekorVersion::V1);
    let (key, public) = key_pair(&interop, false);
    let file = interop.write("artifact.txt", "signed without services\n");
    let bundle = interop.path("bundle.json");
    let flags = ["--tlog-upload=false", "--bundle"];
    let verifies = |program: Program| {
        let program = program.arg("--key").arg(&public).arg("--insecure-ignore-tlog");
        program.arg("--bundle").arg(&bundle).arg(&file).run().succeeds();
    };
    let ours = signing(interop.ambisign_plain("sign-blob"), &key).args(flags);
    ours.arg(&bundle).arg(&file).run().succeeds();
    verifies(interop.cosign("verify-blob"));
    verifies(interop.ambisign("verify-blob"));
    let theirs = signing(interop.cosign_plain("sign-blob"), &key).arg("--use-signing-config=false");
    theirs.arg("--yes").args(flags).arg(&bundle).arg(&file).run().succeeds();
    verifies(interop.ambisign("verify-blob"));
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn keys_of_openssl_are_imported_and_both_tools_sign_and_verify_with_them() {
    let interop = interop(RekorVersion::V1);
    let file = interop.write("artifact.txt", "signed with an imported key\n");
    for name in ["rsa_private", "rsa_private_pkcs1", "ec_private_sec1"] {
        let pem = harness::workspace().join(format!("tests/fixtures/openssl/{name}.pem"));
        let import = interop.ambisign_plain("import-key-pair").arg("--key").arg(pem);
        let import = import.args(["--output-key-prefix", name]).env("COSIGN_PASSWORD", PASSWORD);
        import.run().succeeds();
        let (key, public) =
            (interop.path(&format!("{name}.key")), interop.path(&format!("{name}.pub")));
        let printed = interop.cosign_plain("public-key").env("COSIGN_PASSWORD", PASSWORD);
        let printed = printed.arg("--key").arg(&key).run().succeeds();
        assert_eq!(printed.stdout.trim(), std::fs::read_to_string(&public).unwrap().trim());
        let ours = signing(interop.ambisign_plain("public-key"), &key).run().succeeds();
        assert_eq!(ours.stdout.trim(), printed.stdout.trim());

        let bundle = interop.path(&format!("{name}.json"));
        let sign = interop.ambisign_ambient("sign-blob", &interop.signing_config());
        signing(sign, &key).arg("--bundle").arg(&bundle).arg(&file).run().succeeds();
        let verify = interop.cosign("verify-blob").arg("--key").arg(&public);
        verify.arg("--bundle").arg(&bundle).arg(&file).run().succeeds();
    }
}

/// cosign's earlier formats, as verifiers that know no bundles read them.
#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_verifies_our_earlier_formats_by_key_and_by_identity() {
    let interop = interop(RekorVersion::V1);
    let (key, public) = key_pair(&interop, true);
    let (by_key, by_identity) = (interop.image("demo/keyed"), interop.image("demo/keyless"));
    let sign = interop.ambisign_ambient("sign", &interop.signing_config());
    signing(sign, &key).arg("--new-bundle-format=false").arg(&by_key).run().succeeds();
    let sign = interop.ambisign_as(Signer::Email, "sign").arg("--new-bundle-format=false");
    sign.arg(&by_identity).run().succeeds();

    let verify = || interop.cosign("verify").arg("--new-bundle-format=false");
    verify().arg("--key").arg(&public).arg(&by_key).run().succeeds();
    let signer = interop.identity(Signer::Email);
    verify().args(signer.policy()).arg(&by_identity).run().succeeds();
    assert_ne!(verify().args(signer.another().policy()).arg(&by_identity).run().code, 0);
    let ours = interop.ambisign("verify").args(["--signature-format", "legacy"]);
    ours.args(signer.policy()).arg(&by_identity).run().succeeds();
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn skopeo_copies_what_we_signed_by_key_or_as_an_e_mail_identity_and_nothing_else() {
    let interop = interop(RekorVersion::V1);
    let (key, public) = key_pair(&interop, true);
    let [keyed, keyless, unsigned] =
        ["demo/keyed", "demo/keyless", "demo/unsigned"].map(|name| interop.image(name));
    // skopeo copies the image of one platform, which must be signed itself.
    let flags = ["--new-bundle-format=false", "--recursive"];
    let sign = interop.ambisign_ambient("sign", &interop.signing_config());
    signing(sign, &key).args(flags).arg(&keyed).run().succeeds();
    interop.ambisign_as(Signer::Email, "sign").args(flags).arg(&keyless).run().succeeds();

    let root = std::fs::read(interop.setup.sandbox.trusted_root()).unwrap();
    let root: Value = serde_json::from_slice(&root).unwrap();
    let pem = |name: &str, tag: &str, der: &Value| {
        let der = STANDARD.decode(der.as_str().unwrap()).unwrap();
        interop.write(name, &keys::pem::encode(&keys::pem::Pem::new(tag, der)))
    };
    let chain = root["certificateAuthorities"][0]["certChain"]["certificates"].as_array().unwrap();
    let ca = pem("ca.pem", "CERTIFICATE", &chain.last().unwrap()["rawBytes"]);
    let log = pem("rekor.pub", "PUBLIC KEY", &root["tlogs"][0]["publicKey"]["rawBytes"]);
    let signer = interop.identity(Signer::Email);
    let by_key = json!([{ "type": "sigstoreSigned", "keyPath": public,
        "signedIdentity": { "type": "matchRepository" } }]);
    let by_identity = json!([{ "type": "sigstoreSigned", "rekorPublicKeyPath": log,
        "fulcio": { "caPath": ca, "oidcIssuer": signer.issuer, "subjectEmail": signer.name },
        "signedIdentity": { "type": "matchRepository" } }]);
    let registry = interop.registry();
    let name = |repository: &str| format!("{registry}/{repository}");
    let policy = json!({ "default": [{ "type": "reject" }], "transports": { "docker": {
        name("demo/keyed"): by_key, name("demo/unsigned"): by_key,
        name("demo/keyless"): by_identity,
    } } });
    let policy = interop.write("policy.json", &policy.to_string());
    std::fs::create_dir(interop.path("registries.d")).unwrap();
    let attachments = format!("docker:\n  {registry}:\n    use-sigstore-attachments: true\n");
    interop.write("registries.d/all.yaml", &attachments);
    let copy = |image: &str| {
        let skopeo = interop.skopeo().arg("--policy").arg(&policy);
        let skopeo = skopeo.arg("--registries.d").arg(interop.path("registries.d"));
        let skopeo = skopeo.args(["copy", "--src-tls-verify=false", &format!("docker://{image}")]);
        skopeo.arg(format!("dir:{}", interop.path("copied").display())).run()
    };
    copy(&keyed).succeeds();
    copy(&keyless).succeeds();
    copy(&unsigned).refuses(1, "A signature was required, but no signature exists");
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn what_cosign_signs_with_a_key_on_p_521_verifies_and_the_key_is_refused_by_name() {
    let interop = interop(RekorVersion::V1);
    let openssl = |args: &[&str]| {
        let run = Program::at(Path::new("/usr/bin/openssl"), interop.setup.directory());
        run.args(args).run().succeeds();
    };
    openssl(&["ecparam", "-name", "secp521r1", "-genkey", "-noout", "-out", "sec1.pem"]);
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "sec1.pem", "-out", "p521.pem"]);
    let file = interop.write("artifact.txt", "signed on P-521\n");
    for key in ["sec1.pem", "p521.pem"] {
        let sign = signing(interop.ambisign_plain("sign-blob"), Path::new(key));
        let refused = sign.arg("--tlog-upload=false").arg(&file).run();
        refused.refuses(1, "found a key on P-521");
    }
    let import = interop.cosign_plain("import-key-pair").args(["--key", "p521.pem"]);
    let import = import.env("COSIGN_PASSWORD", PASSWORD).args(["--output-key-prefix", "p521"]);
    import.run().succeeds();
    let bundle = interop.path("bundle.json");
    let sign = interop.cosign_ambient("sign-blob", &interop.signing_config());
    let sign = signing(sign, Path::new("p521.key")).arg("--bundle").arg(&bundle);
    sign.arg(&file).run().succeeds();
    let verify = interop.ambisign("verify-blob").args(["--key", "p521.pub", "--bundle"]);
    verify.arg(&bundle).arg(&file).run().succeeds();
}
