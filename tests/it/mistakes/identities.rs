//! Mistakes about the identity that signs.

use harness::Setup;
use sandbox::Fault;
use serde_json::{Map, Value, json};

use super::{Answer, Shared};

/// The GitHub job where something does not work.
pub(super) fn sign_with(fault: Fault) -> Answer {
    on("github", fault)
}

/// A job or machine of this platform, where something does not work.
pub(super) fn on(platform: &str, fault: Fault) -> Answer {
    let setup = Setup::with_fault(fault);
    let image = setup.image("demo/app");
    let outcome = setup.on(&setup.platform(platform)).args(["sign", &image]).run();
    Answer::of(&outcome, &setup)
}

/// A SPIFFE workload where something does not work.
pub(super) fn workload(fault: Fault) -> Answer {
    let setup = Setup::with_fault(fault);
    let image = setup.image("demo/app");
    Answer::of(&setup.workload().args(["sign", &image]).run(), &setup)
}

pub(super) fn github_without_permission(shared: &Shared) -> Answer {
    marked(shared, "GITHUB_ACTIONS")
}

/// A job that has the variable by which it is known, and nothing else.
pub(super) fn marked(shared: &Shared, variable: &str) -> Answer {
    let program = shared.setup.program().env(variable, "true").env("PATH", "/nowhere");
    shared.answer(program.args(["sign", &shared.unsigned]))
}

fn with_token(shared: &Shared, token: &str) -> Answer {
    let program = shared.setup.program().env("SIGSTORE_ID_TOKEN", token);
    shared.answer(program.args(["sign", &shared.unsigned]))
}

pub(super) fn garbage(shared: &Shared) -> Answer {
    with_token(shared, "garbage")
}

pub(super) fn inline(shared: &Shared) -> Answer {
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.AAAA";
    shared.answer(shared.setup.program().args([
        "sign",
        "--identity-token",
        token,
        &shared.unsigned,
    ]))
}

pub(super) fn gitlab_without_reference(shared: &Shared) -> Answer {
    let platform = shared.setup.platform("gitlab");
    let mut claims = platform.claims;
    claims.retain(|name, _| !name.starts_with("ci_config_"));
    let issuer = platform.issuer.rsplit('/').next().unwrap();
    with_token(shared, &shared.setup.sandbox.token(issuer, &claims).unwrap())
}

pub(super) fn wrong_socket(shared: &Shared) -> Answer {
    let program = shared.setup.program().env("SPIFFE_ENDPOINT_SOCKET", "https://agent:8081");
    shared.answer(program.args(["sign", &shared.unsigned]))
}

fn person(changes: Value) -> Map<String, Value> {
    let mut claims = json!({ "sub": "1", "email": "a@b.example", "email_verified": true });
    let (Value::Object(claims), Value::Object(changes)) = (&mut claims, changes) else {
        panic!("not objects")
    };
    claims.extend(changes);
    std::mem::take(claims)
}

pub(super) fn unknown_issuer(shared: &Shared) -> Answer {
    let claims = person(json!({ "iss": "https://elsewhere.example" }));
    with_token(shared, &shared.setup.sandbox.token("email", &claims).unwrap())
}

/// A token whose signature is of another one: only Fulcio sees that.
pub(super) fn forged(shared: &Shared) -> Answer {
    let token =
        |name| shared.setup.sandbox.token("email", &person(json!({ "sub": name }))).unwrap();
    let (one, other) = (token("1"), token("2"));
    let (head, _) = one.rsplit_once('.').unwrap();
    let (_, signature) = other.rsplit_once('.').unwrap();
    with_token(shared, &format!("{head}.{signature}"))
}
