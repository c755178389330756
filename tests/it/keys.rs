//! Signing with keys, and key files.

use std::path::Path;

use harness::{Program, Setup};

const PASSWORD: &str = "correct horse";

/// The program without services: whatever it asked would fail.
fn keyed(setup: &Setup, command: &str, key: &Path) -> Program {
    setup.program().arg(command).arg("--key").arg(key)
}

fn key_pair(setup: &Setup) {
    let program = setup.program().arg("generate-key-pair").env("COSIGN_PASSWORD", PASSWORD);
    program.run().ends(0).says(&["wrote the private key to cosign.key"]).hides(PASSWORD);
}

#[test]
fn each_way_a_key_can_be_wrong_is_told_apart() {
    let setup = Setup::new();
    key_pair(&setup);
    let key = std::fs::read_to_string(setup.path("cosign.key")).unwrap();
    let file = setup.write("a", "content");
    let sign = |key: &str| {
        let sign = keyed(&setup, "sign-blob", Path::new(key)).arg("--tlog-upload=false");
        sign.arg(&file)
    };
    let hint = "hint: set the variable AMBISIGN_PASSWORD or COSIGN_PASSWORD";
    sign("cosign.key").run().ends(1).says(&["it is encrypted, and no password is given", hint]);
    let wrong = sign("cosign.key").env("COSIGN_PASSWORD", "battery staple").run().ends(1);
    wrong.says(&["the password does not decrypt the private key", hint]).hides("battery");

    setup.write("cut.key", &key[..key.len() / 2]);
    sign("cut.key").env("COSIGN_PASSWORD", PASSWORD).run().ends(1).says(&["cut off"]);
    sign("cosign.pub").run().ends(1).says(&["it is a public key"]);
    let certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    setup.write("a.crt", certificate);
    sign("a.crt").run().ends(1).says(&["it is a certificate"]);
    let foreign = key.replace("SIGSTORE PRIVATE", "PRIVATE");
    setup.write("openssl.key", &foreign);
    let foreign = sign("openssl.key").run().ends(1);
    foreign.says(&["openssl or a similar tool encrypted", "ambisign import-key-pair"]);
    sign("env://NO_KEY").run().ends(1).says(&["NO_KEY is not set"]);
    sign("env://").run().ends(1).says(&["env:// names no variable, expected env://VARIABLE"]);
    let nameless = setup.program().args(["generate-key-pair", "--output-key-prefix", "new"]);
    nameless.run().ends(1).says(&["no password is given for the new private key", hint]);
    sign("missing.key").run().ends(1).says(&["missing.key does not exist"]);
    assert!(!setup.path("a.sigstore.json").exists());

    let signed = sign("env://MY_KEY").env("MY_KEY", &key).env("AMBISIGN_PASSWORD", PASSWORD).run();
    let signed = signed.ends(0).says(&["with the key sha256:"]).hides(PASSWORD);
    signed.hides(&key[100..140]);
    let verify = keyed(&setup, "verify-blob", Path::new("cosign.pub")).arg(&file);
    verify.arg("--insecure-ignore-tlog").run().ends(0);
    let other = keyed(&setup, "verify-blob", Path::new("cosign.pub")).arg(&file).run();
    other.ends(12);
}

#[test]
fn key_files_are_not_overwritten_and_a_lost_password_is_not_guessed() {
    let setup = Setup::new();
    key_pair(&setup);
    let before = std::fs::read(setup.path("cosign.key")).unwrap();
    let again = setup.program().arg("generate-key-pair").env("COSIGN_PASSWORD", "x").run().ends(1);
    again.says(&["cosign.key exists and is not overwritten", "--output-key-prefix"]);
    assert_eq!(std::fs::read(setup.path("cosign.key")).unwrap(), before);
    let import = || {
        let import = setup.program().args(["import-key-pair", "-o", "cosign", "--key"]);
        import.arg(harness::workspace().join("tests/fixtures/openssl/rsa_private.pem"))
    };
    import().env("COSIGN_PASSWORD", "x").run().ends(1).says(&["exists and is not overwritten"]);
    import().arg("--yes").run().ends(1).says(&["no password is given"]);
    import().arg("--yes").env("COSIGN_PASSWORD", "").run().ends(0);
    assert_ne!(std::fs::read(setup.path("cosign.key")).unwrap(), before);
    let public = keyed(&setup, "public-key", Path::new("cosign.key")).env("COSIGN_PASSWORD", "");
    let public = public.run().ends(0).stdout;
    assert_eq!(public, std::fs::read_to_string(setup.path("cosign.pub")).unwrap());
}

#[test]
fn a_key_of_another_kind_than_named_and_provenance_without_an_identity_are_refused() {
    let setup = Setup::new();
    key_pair(&setup);
    let file = setup.write("a", "content");
    let sign = keyed(&setup, "sign-blob", Path::new("cosign.key")).arg(&file);
    let sign = sign.env("COSIGN_PASSWORD", PASSWORD).arg("--tlog-upload=false");
    let refused = sign.args(["--signing-algorithm", "ecdsa-sha2-384-nistp384"]).run().ends(2);
    refused.says(&["ECDSA P-384", "ECDSA P-256"]);
    let attest = keyed(&setup, "attest-blob", Path::new("cosign.key")).arg(&file);
    let attest = attest.env("COSIGN_PASSWORD", PASSWORD).arg("--tlog-upload=false");
    let attest = attest.args(["--type", "slsaprovenance1", "--bundle", "b.json"]).run().ends(2);
    attest.says(&["the provenance of this job cannot be signed"]);
}

#[test]
fn keyless_signing_makes_the_kind_of_key_that_is_named() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let sign = setup.workload().arg("sign-blob").arg(&file);
    sign.args(["--signing-algorithm", "ecdsa-sha2-384-nistp384"]).run().ends(0);
    let bundle = std::fs::read_to_string(setup.path("a.sigstore.json")).unwrap();
    assert!(bundle.contains("SHA2_384"), "{bundle}");
    let verify = setup.program().arg("verify-blob").arg(&file).args(setup.by_workload());
    verify.run().ends(0);
}

#[cfg(unix)]
#[test]
fn the_key_is_read_once_for_all_images() {
    let setup = Setup::new();
    key_pair(&setup);
    let images = ["demo/a", "demo/b", "demo/c"].map(|name| setup.image(name));
    let pipe = setup.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let key = std::fs::read(setup.path("cosign.key")).unwrap();
    // A second reader would wait for another writer.
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, key).unwrap()
    });
    let sign = keyed(&setup, "sign", &pipe).env("COSIGN_PASSWORD", PASSWORD).args(&images);
    let signed = sign.within(std::time::Duration::from_secs(60)).run().ends(0);
    writer.join().unwrap();
    assert_eq!(signed.stdout.lines().count(), 3, "{signed:#?}");
}
