//! SPIFFE workloads: where the API is, which identity is meant, and what is wrong.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use sandbox::{Config, Fault, Registration};
use spiffe_workload_api::SpiffeId;

use harness::{Outcome, Program, Setup};

const BUILDER: &str = "spiffe://example.org/ns/ci/sa/builder";
const DEPLOYER: &str = "spiffe://example.org/deployer";

fn registration(id: &str, hint: &str) -> Registration {
    Registration { spiffe_id: SpiffeId::parse(id).unwrap(), hint: hint.to_owned() }
}

fn two(config: &mut Config) {
    config.registrations = vec![registration(BUILDER, ""), registration(DEPLOYER, "deploy")];
}

fn sign(program: Program) -> Outcome {
    program.sign()
}

fn subject(program: Program) -> String {
    let (outcome, report) = program.identity();
    outcome.ends(0);
    report["certificate"]["subject"].as_str().unwrap().to_owned()
}

#[test]
fn of_several_identities_none_is_taken_unless_it_is_named() {
    let setup = Setup::with(two);
    let workload = || setup.on(&setup.platform("spiffe"));
    sign(workload()).ends(1).says(&["several SPIFFE identities", BUILDER, DEPLOYER, "--spiffe-id"]);
    assert_eq!(subject(workload().args(["--spiffe-id", BUILDER])), BUILDER);
    assert_eq!(subject(workload().args(["--spiffe-id", DEPLOYER])), DEPLOYER);
    assert_eq!(subject(workload().args(["--spiffe-hint", "deploy"])), DEPLOYER);
    assert_eq!(subject(workload().env("AMBISIGN_SPIFFE_ID", DEPLOYER)), DEPLOYER);
}

#[test]
fn an_identity_that_is_not_offered_is_refused_with_those_that_are() {
    let setup = Setup::with(two);
    let workload = setup.on(&setup.platform("spiffe")).args(["--spiffe-hint", "release"]);
    let start = Instant::now();
    sign(workload).ends(1).says(&["none has the hint \"release\"", BUILDER, "asked 7 times"]);
    assert!(start.elapsed() > Duration::from_secs(9), "a registration may be on its way");
}

#[test]
fn the_flags_name_spiffe_and_nothing_else() {
    let setup = Setup::new();
    let github = setup.platform("github");
    let both = || setup.on(&setup.platform("spiffe")).envs(&github.env);
    assert_eq!(subject(both()), setup.sandbox.github_identity());
    assert_eq!(subject(both().args(["--spiffe-id", BUILDER])), BUILDER);
    let contradiction = both().args(["--spiffe-id", BUILDER, "--oidc-provider", "github-actions"]);
    sign(contradiction).ends(2).says(&["--spiffe-id", "cannot be used with"]);
    sign(both().args(["--spiffe-id", "builder"])).ends(2).says(&["must start spiffe://"]);
    sign(both().args(["--spiffe-socket", "http://x"])).ends(2).says(&["unix or tcp"]);
}

#[test]
fn the_socket_is_given_as_a_uri_or_as_a_path() {
    let setup = Setup::new();
    let socket = setup.sandbox.spiffe_socket().display().to_string();
    for address in [socket.clone(), format!("unix://{socket}"), format!("unix:{socket}")] {
        let flag = setup.program().args(["--spiffe-socket", &address]);
        assert_eq!(subject(flag), BUILDER);
        let variable = setup.program().env("SPIFFE_ENDPOINT_SOCKET", &address);
        assert_eq!(subject(variable), BUILDER);
    }
}

#[test]
fn what_is_wrong_with_a_socket_is_told_apart() {
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("file"), "").unwrap();
    drop(UnixListener::bind(path("dead")).unwrap());
    let unix = |name: &str| format!("unix://{}", path(name).display());
    for (address, texts) in [
        (unix("missing"), &["the socket does not exist", "start the agent"][..]),
        (unix("file"), &["the file is not a socket"]),
        ("tcp://127.0.0.1:1".to_owned(), &["no server listens on it"]),
        ("tcp://localhost:1".to_owned(), &["literal IP address", "unix:///absolute/path"]),
        ("unix://run/agent.sock".to_owned(), &["write unix:///run/agent.sock"]),
        ("agent.sock".to_owned(), &["no scheme"]),
    ] {
        let program = setup.program().env("SPIFFE_ENDPOINT_SOCKET", &address);
        sign(program).ends(1).says(texts);
    }
}

#[test]
fn a_registration_that_is_on_its_way_is_waited_for() {
    let setup = Setup::with_fault(Fault::RegistrationLate);
    assert_eq!(subject(setup.on(&setup.platform("spiffe"))), BUILDER);
}

#[test]
fn a_workload_without_a_registration_is_told_what_to_register() {
    let setup = Setup::with_fault(Fault::NoIdentity);
    sign(setup.on(&setup.platform("spiffe"))).ends(1).says(&[
        "no identity issued (asked 7 times within 10 s)",
        "unix:uid:",
        "unix:gid:",
        "unix:path:/",
        "spire-server entry create",
    ]);
}

#[test]
fn a_token_without_an_issuer_is_explained() {
    let setup = Setup::with_fault(Fault::TokenWithoutIssuer);
    let (outcome, report) = setup.on(&setup.platform("spiffe")).identity();
    let outcome = outcome.ends(1);
    let all = format!("{}{report:#}", outcome.stderr);
    assert!(all.contains("jwt_issuer") && all.contains("OIDC discovery provider"), "{all}");
}

#[test]
fn an_agent_that_hangs_is_left_after_ten_seconds() {
    let setup = Setup::with_fault(Fault::SpiffeHangs);
    let start = Instant::now();
    sign(setup.on(&setup.platform("spiffe")))
        .ends(1)
        .says(&["no answer from unix:///", "within 10s"]);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

/// 35: any user could put a socket where it is guessed and choose the identity that signed.
#[test]
fn a_planted_workload_api_is_not_asked_and_is_reported() {
    if !harness::has_namespaces() {
        return;
    }
    let setup = Setup::new();
    // In a /tmp of its own, the agent's directory is one that every user may write to.
    let script = r#"
        set -e
        mount -t tmpfs tmpfs /mnt
        : > /mnt/api.sock
        mount --bind "$1" /mnt/api.sock
        mount -t tmpfs -o mode=1777 tmpfs /tmp
        mkdir -p /tmp/spire-agent/public
        chmod 777 /tmp/spire-agent/public
        : > /tmp/spire-agent/public/api.sock
        mount --bind /mnt/api.sock /tmp/spire-agent/public/api.sock
        shift
        exec "$@"
    "#;
    let socket = setup.sandbox.spiffe_socket();
    let program = harness::ambisign();
    let identity = |mode: &str| {
        let script = script.replace("chmod 777", &format!("chmod {mode}"));
        Program::at("/usr/bin/unshare".as_ref(), setup.directory())
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"])
            .arg(socket)
            .arg(&program)
            .args(["identity", "--oidc-provider", "spiffe"])
            .run()
    };
    identity("777")
        .ends(1)
        .says(&["other users may write to the directory /tmp/spire-agent/public"]);
    let used = identity("755");
    assert!(format!("{}{}", used.stdout, used.stderr).contains(BUILDER), "{used:#?}");
}

#[test]
fn a_workload_api_that_hangs_is_named_when_the_deadline_passes() {
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    // It accepts connections into its backlog and answers none.
    let _silent = UnixListener::bind(&socket).unwrap();
    let endpoint = format!("unix://{}", socket.display());
    let program = setup.program().env("SPIFFE_ENDPOINT_SOCKET", endpoint).args(["-t", "1s"]);
    let (outcome, _) = program.identity();
    outcome.ends(1).says(&["asking spiffe for a token"]);
}
