//! Other clients in the places that the sandbox stands for. What a platform's own client takes for
//! the platform is one; and who another signer says it is there, we say too.

use std::path::{Path, PathBuf};

use id_token::IdToken;
use sandbox::{Platform, RekorVersion};
use serde_json::{Map, Value};

use harness::{Identity, Interop, Program, RegistryKind};

/// The places that sigstore-python finds its identity in, with the library `id`. It asks the
/// machine before the job, so on a machine of Google's only what it asks first can be tried.
const PLACES_OF_PYTHON: [&str; 4] = ["github", "gitlab", "buildkite-cli", "circleci"];

/// The places that cosign finds its identity in. Debian builds it without Buildkite.
const PLACES_OF_COSIGN: [&str; 4] = ["github", "gce", "spiffe", "env-token"];

fn interop() -> Interop {
    Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1)
}

fn in_place(program: Program, place: &Platform) -> Program {
    assert!(place.files.is_empty(), "{}", place.name);
    let program = place.env.iter().fold(program, |program, (name, value)| program.env(name, value));
    // Before it makes a token, Buildkite's program wants to know how to keep it out of the log.
    program.env("BUILDKITE_AGENT_JOB_API_SOCKET", "/nowhere")
}

fn places_of_python() -> &'static [&'static str] {
    let product = std::fs::read_to_string("/sys/class/dmi/id/product_name").unwrap_or_default();
    if product.starts_with("Google") { &PLACES_OF_PYTHON[..1] } else { &PLACES_OF_PYTHON }
}

/// A script of this directory.
fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop").join(name)
}

fn printed(program: Program) -> Value {
    serde_json::from_str(&program.run().succeeds().stdout).unwrap()
}

/// What a token says but for its times, its serial number and its audience.
fn lasting_claims(token: &str) -> Map<String, Value> {
    let token = IdToken::parse(token).unwrap();
    assert_eq!(token.claims().audiences(), ["sigstore"]);
    let mut claims = token.claims().as_object().clone();
    claims.retain(|name, _| !["aud", "exp", "iat", "nbf", "jti"].contains(&name.as_str()));
    claims
}

fn claims_of(place: &Platform) -> Map<String, Value> {
    let mut claims = place.claims.clone();
    claims.insert("iss".to_owned(), place.issuer.clone().into());
    claims
}

/// Signer our program says it is there.
fn our_identity(interop: &Interop, place: &Platform) -> Identity {
    let program =
        interop.ambisign_ambient("identity", &interop.signing_config()).args(["-o", "json"]);
    let report = printed(in_place(program, place));
    let certificate = &report["certificate"];
    let field = |name: &str| certificate[name].as_str().unwrap().to_owned();
    Identity { name: field("subject"), issuer: field("issuer") }
}

/// Demands that `bundle` is by the identity that we would have signed with.
fn is_by_the_same(interop: &Interop, place: &Platform, file: &Path, bundle: &Path) {
    let us = our_identity(interop, place);
    let verify = || interop.ambisign("verify-blob").arg(file).arg("--bundle").arg(bundle);
    verify().args(us.policy()).run().succeeds();
    verify().args(us.another().policy()).run().refuses(12, "identity: expected");
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn googles_own_client_takes_the_metadata_service_for_googles() {
    let interop = interop();
    let gce = interop.setup.sandbox.platform("gce").unwrap();
    let address = gce.env.iter().find(|(name, _)| name == "GCE_METADATA_HOST").unwrap();
    let port = address.1.rsplit(':').next().unwrap();
    let client = interop.python().arg(script("google_identity.py")).arg("sigstore");
    // It takes a name for most questions, and an address for the first.
    let client = client.env("GCE_METADATA_IP", format!("127.0.0.1:{port}"));
    let answers = printed(in_place(client, &gce));
    for way in ["direct", "fetched"] {
        assert_eq!(lasting_claims(answers[way].as_str().unwrap()), claims_of(&gce), "{way}");
    }
    assert_eq!(answers["account"], gce.claims["email"]);
    assert_eq!(answers["on_gce"], Value::Bool(true));
    assert_eq!(answers["access"], Value::Bool(true));
    assert!(answers["project"].is_string(), "{answers:#}");
    // Fulcio takes what Google's client got.
    let token = interop.write("token.jwt", answers["direct"].as_str().unwrap());
    let file = interop.write("artifact.txt", "signed with Google's token\n");
    let sign = interop
        .ambisign_ambient("sign-blob", &interop.signing_config())
        .arg("--identity-token")
        .arg(token);
    sign.arg(&file).run().succeeds();
    is_by_the_same(&interop, &gce, &file, &interop.path("artifact.txt.sigstore.json"));
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn another_client_of_the_workload_api_gets_all_it_asks_for() {
    let interop = interop();
    let place = interop.setup.sandbox.platform("spiffe").unwrap();
    let ids: Vec<String> =
        interop.setup.sandbox.registrations().iter().map(|one| one.spiffe_id.to_string()).collect();
    let client = interop.python().arg(script("workload_api.py")).args(["sigstore", &ids[0]]);
    let answers = printed(in_place(client, &place));
    assert_eq!(answers["jwt"], Value::from(ids.clone()));
    for what in ["chosen", "verified", "validated", "x509", "watched"] {
        assert_eq!(answers[what], ids[0].as_str(), "{what}: {answers:#}");
    }
    assert_eq!(answers["authorities"], 1);
    for (what, reason) in [("stranger", "no identity issued"), ("elsewhere", "audience")] {
        let said = answers[what].as_str().unwrap_or_default();
        assert!(said.contains(reason), "{what}: {answers:#}");
    }
    assert_eq!(lasting_claims(answers["token"].as_str().unwrap()), claims_of(&place));
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn the_library_of_sigstore_python_finds_the_same_tokens() {
    let interop = interop();
    for name in places_of_python() {
        let place = interop.setup.sandbox.platform(name).unwrap();
        let found = in_place(interop.python().args(["-m", "id", "sigstore"]), &place).run();
        assert_eq!(lasting_claims(found.succeeds().stdout.trim()), claims_of(&place), "{name}");
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn sigstore_python_signs_as_we_would_in_the_same_place() {
    let interop = interop();
    let file = interop.write("artifact.txt", "signed by sigstore-python in a job\n");
    for name in places_of_python() {
        let place = interop.setup.sandbox.platform(name).unwrap();
        let bundle = interop.path(&format!("{name}.sigstore.json"));
        let sign = interop.sigstore_python().args(["sign", "--bundle"]).arg(&bundle).arg(&file);
        in_place(sign, &place).run().succeeds();
        is_by_the_same(&interop, &place, &file, &bundle);
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn cosign_signs_as_we_would_in_the_same_place() {
    let interop = interop();
    let file = interop.write("artifact.txt", "signed by cosign in a job\n");
    for name in PLACES_OF_COSIGN {
        let place = interop.setup.sandbox.platform(name).unwrap();
        let bundle = interop.path(&format!("{name}.sigstore.json"));
        let sign = interop
            .cosign_ambient("sign-blob", &interop.signing_config())
            .arg("--bundle")
            .arg(&bundle)
            .arg(&file);
        let mut sign = in_place(sign, &place);
        if name == "spiffe" {
            // It knows the socket by its bare path only.
            let socket = interop.setup.sandbox.spiffe_socket().display().to_string();
            sign = sign.env("SPIFFE_ENDPOINT_SOCKET", &socket);
        }
        sign.run().succeeds();
        is_by_the_same(&interop, &place, &file, &bundle);
    }
}
