use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host::{BoxFuture, FakeEnv, Invocation, NoPrograms, ProgramError, ProgramOutput, Programs};
use oci_push::{Ambient, AmbientCredentials, Credentials, Error, Options, Registry};

use crate::fake::{Auth, Fake};
use crate::helpers::{block_on, reference};

/// `user:hunter2`
const PAIR: &str = "dXNlcjpodW50ZXIy";

/// A machine whose home is `/m`, with these variables and files below it. `@` in a variable is the
/// home.
fn machine(variables: &[(&str, &str)], files: &[(&str, &str)]) -> FakeEnv {
    let env = variables
        .iter()
        .fold(FakeEnv::new(), |env, (name, value)| env.with_var(name, value.replace('@', "/m")));
    files.iter().fold(env, |env, (name, content)| env.with_file(format!("/m/{name}"), *content))
}

fn resolve(machine: &FakeEnv, programs: impl Programs + 'static) -> Result<(), Error> {
    let fake = Fake::new();
    fake.image("team/app", "v1");
    fake.with(|state| state.auth = Auth::Basic { pair: PAIR });
    let host = fake.host_with(machine.clone(), programs);
    let registry = Registry::new(host, Options::default()).unwrap();
    block_on(registry.resolve(&reference("localhost:5000/team/app:v1"))).map(|_| ())
}

fn entry(key: &str) -> String {
    format!(r#"{{"auths":{{"{key}":{{"auth":"{PAIR}"}}}}}}"#)
}

#[test]
fn each_file_is_found_where_it_may_be() {
    let good = entry("localhost:5000");
    for (variables, file) in [
        (&[("HOME", "@")][..], ".docker/config.json"),
        (&[("HOME", "@"), ("DOCKER_CONFIG", "@/d")], "d/config.json"),
        (&[("HOME", "@"), ("REGISTRY_AUTH_FILE", "@/r.json")], "r.json"),
        (&[("HOME", "@"), ("XDG_RUNTIME_DIR", "@/x")], "x/containers/auth.json"),
        (&[("HOME", "@"), ("XDG_CONFIG_HOME", "@/c")], "c/containers/auth.json"),
        (&[("HOME", "@")], ".config/containers/auth.json"),
    ] {
        let env = machine(variables, &[(file, &good)]);
        resolve(&env, NoPrograms).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

#[test]
fn a_file_without_an_entry_does_not_hide_the_next() {
    let variables = [("HOME", "@"), ("REGISTRY_AUTH_FILE", "@/r.json")];
    let good = entry("localhost:5000/team");
    for first in ["{}", "", r#"{"auths":{}}"#, r#"{"auths":{"localhost:5000":{}}}"#] {
        let env = machine(&variables, &[(".docker/config.json", first), ("r.json", &good)]);
        resolve(&env, NoPrograms).unwrap_or_else(|error| panic!("{first}: {error}"));
    }
}

#[test]
fn a_key_for_another_path_or_port_does_not_count() {
    for key in ["localhost:5000/other", "localhost", "localhost:5001", "localhost:5000/team/app/x"]
    {
        let env = machine(&[("HOME", "@")], &[(".docker/config.json", &entry(key))]);
        let error = resolve(&env, NoPrograms).unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{key}: {error}");
    }
    for key in ["localhost:5000/team", "localhost:5000/team/app", "http://localhost:5000/v2/"] {
        let env = machine(&[("HOME", "@")], &[(".docker/config.json", &entry(key))]);
        resolve(&env, NoPrograms).unwrap_or_else(|error| panic!("{key}: {error}"));
    }
}

#[test]
fn a_broken_file_is_an_error_and_not_anonymous() {
    let broken = r#"{"auths":{"localhost:5000":{"auth":"hunter2""#;
    let env = machine(&[("HOME", "@")], &[(".docker/config.json", broken)]);
    let error = resolve(&env, NoPrograms).unwrap_err();
    assert!(matches!(error, Error::Credentials { .. }), "{error}");
    assert!(error.to_string().contains(".docker/config.json"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

fn output(code: i32, stdout: &str) -> ProgramOutput {
    ProgramOutput { code: Some(code), stdout: stdout.into(), stderr: b"on stderr".to_vec() }
}

fn with_helper(
    config: &str,
    helper: impl Fn(&Invocation) -> Result<ProgramOutput, ProgramError> + Send + Sync + 'static,
) -> (Result<(), Error>, Vec<Invocation>) {
    let env = machine(&[("HOME", "@")], &[(".docker/config.json", config)]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let programs = move |invocation: Invocation| {
        let answer = helper(&invocation);
        log.lock().unwrap().push(invocation);
        answer
    };
    let result = resolve(&env, programs);
    let seen = seen.lock().unwrap().clone();
    (result, seen)
}

const STORE: &str = r#"{"credsStore":"vault"}"#;

#[test]
fn a_helper_reads_the_host_on_stdin_and_answers_json() {
    for config in [STORE, r#"{"credHelpers":{"localhost:5000":"vault"}}"#] {
        let (result, seen) = with_helper(config, |_| {
            Ok(output(0, r#"{"ServerURL":"x","Username":"user","Secret":"hunter2"}"#))
        });
        result.unwrap();
        assert_eq!(seen.len(), 1, "its answer is remembered");
        assert_eq!(seen[0].program, Path::new("docker-credential-vault"));
        assert_eq!(seen[0].args, ["get"]);
        assert_eq!(seen[0].stdin, b"localhost:5000");
        assert!(seen[0].deadline <= Duration::from_secs(60) && seen[0].output_cap <= 1 << 20);
    }
}

#[test]
fn a_helper_that_knows_nothing_gives_way_to_the_file() {
    let config =
        format!(r#"{{"credsStore":"vault","auths":{{"localhost:5000":{{"auth":"{PAIR}"}}}}}}"#);
    let nothing = "credentials not found in native keychain\n";
    let (result, seen) = with_helper(&config, move |_| Ok(output(1, nothing)));
    result.unwrap();
    assert_eq!(seen.len(), 1);
    let (result, _) = with_helper(STORE, move |_| Ok(output(1, nothing)));
    assert!(matches!(result, Err(Error::Unauthorized { .. })));
}

#[test]
fn a_helper_that_fails_is_an_error_without_what_it_may_have_leaked() {
    let missing = |invocation: &Invocation| {
        Err(ProgramError::NotFound { program: invocation.program.clone() })
    };
    let hangs = |invocation: &Invocation| {
        Err(ProgramError::Timeout {
            program: invocation.program.clone(),
            deadline: invocation.deadline,
        })
    };
    // The registry wants credentials: its refusal names the helper that is not installed.
    let (result, _) = with_helper(STORE, missing);
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(error.to_string().contains("docker-credential-vault"), "{error}");
    assert!(error.to_string().contains("is not installed"), "{error}");
    assert!(matches!(with_helper(STORE, hangs).0, Err(Error::Credentials { .. })));

    let (result, _) = with_helper(STORE, |_| Ok(output(2, "vault is sealed")));
    let error = result.unwrap_err().to_string();
    assert!(error.contains("ended with 2: vault is sealed"), "{error}");
    for (code, stdout) in [(1, r#"{"Secret":"hunter2"}"#), (0, "hunter2"), (0, r#"{"Secret":1}"#)] {
        let (result, _) = with_helper(STORE, move |_| Ok(output(code, stdout)));
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Credentials { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

/// Docker does not honour them either: they are not an error, and they are for nobody.
#[test]
fn a_wildcard_among_the_helpers_does_not_count_and_an_empty_entry_leaves_it_to_the_store() {
    let config = r#"{"auths":{"localhost:5000":{}},"credHelpers":{"*.example":"other","*":"other"},
                     "credsStore":"vault"}"#;
    let (result, seen) =
        with_helper(config, |_| Ok(output(0, r#"{"Username":"user","Secret":"hunter2"}"#)));
    result.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].program, Path::new("docker-credential-vault"));
}

/// Docker Desktop's file on a machine without Docker Desktop: an empty entry beside the store.
#[test]
fn a_helper_that_is_not_installed_is_a_warning_where_the_registry_answers_without_it() {
    let fake = Fake::new();
    fake.image("app", "v1");
    fake.with(|state| state.auth = ANYONE);
    let config = r#"{"auths":{"localhost:5000":{}},"credsStore":"desktop"}"#;
    let env = machine(&[("HOME", "@")], &[(".docker/config.json", config)]);
    let missing = |invocation: Invocation| {
        Err::<ProgramOutput, _>(ProgramError::NotFound { program: invocation.program })
    };
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let options =
        Options::new().with_listener(move |event| log.lock().unwrap().push(event.to_string()));
    let registry = Registry::new(fake.host_with(env, missing), options).unwrap();
    block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("docker-credential-desktop"), "{told:?}");
}

#[test]
fn a_helper_runs_once_and_is_missed_once_for_all_repositories_of_a_registry() {
    for installed in [true, false] {
        let fake = Fake::new();
        fake.with(|state| state.auth = if installed { Auth::Basic { pair: PAIR } } else { ANYONE });
        let env = machine(&[("HOME", "@")], &[(".docker/config.json", STORE)]);
        let (runs, told) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let (counted, heard) = (Arc::clone(&runs), Arc::clone(&told));
        let programs = move |invocation: Invocation| {
            *counted.lock().unwrap() += 1;
            match installed {
                true => Ok(output(0, r#"{"ServerURL":"x","Username":"user","Secret":"hunter2"}"#)),
                false => Err(ProgramError::NotFound { program: invocation.program }),
            }
        };
        let options = Options::new().with_listener(move |_| *heard.lock().unwrap() += 1);
        let registry = Registry::new(fake.host_with(env, programs), options).unwrap();
        for name in ["one", "two", "three"] {
            fake.image(name, "v1");
            let image = reference(&format!("localhost:5000/{name}:v1"));
            block_on(registry.resolve(&image)).unwrap();
        }
        assert_eq!((*runs.lock().unwrap(), *told.lock().unwrap()), (1, u32::from(!installed)));
    }
}

/// Tokens for anyone.
const ANYONE: Auth = Auth::Bearer {
    realm: "http://localhost:5001/token",
    pair: None,
    identity: None,
    anonymous_pull: true,
};

/// A cloud or a job that has these credentials for every registry.
#[derive(Debug)]
struct Place(Result<&'static str, &'static str>);

impl AmbientCredentials for Place {
    fn find<'a>(&'a self, registry: &'a str) -> BoxFuture<'a, Result<Option<Ambient>, String>> {
        assert_eq!(registry, "localhost:5000");
        let ambient = self.0.map_err(str::to_owned).map(|password| {
            let credentials = Credentials::basic("user", password);
            let lifetime = Duration::from_secs(60);
            Some(Ambient { credentials, origin: "the cloud".to_owned(), lifetime })
        });
        Box::pin(std::future::ready(ambient))
    }
}

fn resolve_at(place: Place, files: &[(&str, &str)]) -> Result<(), Error> {
    let fake = Fake::new();
    fake.image("team/app", "v1");
    fake.with(|state| state.auth = Auth::Basic { pair: PAIR });
    let host = fake.host_with(machine(&[("HOME", "@")], files), NoPrograms);
    let options = Options::new().with_ambient_credentials(Arc::new(place));
    let registry = Registry::new(host, options).unwrap();
    block_on(registry.resolve(&reference("localhost:5000/team/app:v1"))).map(|_| ())
}

#[test]
fn what_the_place_has_by_itself_serves_where_no_file_has_an_entry() {
    resolve_at(Place(Ok("hunter2")), &[]).unwrap();
    resolve_at(Place(Ok("hunter2")), &[(".docker/config.json", "{}")]).unwrap();
    let good = entry("localhost:5000");
    resolve_at(Place(Ok("wrong")), &[(".docker/config.json", &good)]).unwrap();
}

#[test]
fn a_place_without_credentials_is_named_by_the_refusal() {
    let error = resolve_at(Place(Err("no credentials for AWS")), &[]).unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("/m/.docker/config.json") && text.contains("; no credentials for AWS"));
    let error = resolve_at(Place(Ok("wrong")), &[]).unwrap_err().to_string();
    assert!(error.contains("credentials from the cloud"), "{error}");
}

#[test]
fn dockers_own_headers_are_sent_to_the_registry_and_to_no_other_host() {
    let fake = Fake::new();
    fake.image("app", "v1");
    fake.with(|state| {
        state.auth = Auth::Bearer {
            realm: "http://localhost:5001/token",
            pair: Some(PAIR),
            identity: None,
            anonymous_pull: false,
        };
    });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    fake.intercept(move |_, request| {
        log.lock().unwrap().push((request.uri().port_u16(), request.headers().clone()));
        None
    });
    let config = format!(
        r#"{{"HttpHeaders":{{"X-Gate":"hunter2","Authorization":"x","Accept":"x","bad name":"x"}},
            "auths":{{"localhost:5000":{{"auth":"{PAIR}"}}}}}}"#
    );
    let env = machine(&[("HOME", "@")], &[(".docker/config.json", &config)]);
    let registry = Registry::new(fake.host_with(env, NoPrograms), Options::default()).unwrap();
    block_on(registry.resolve(&reference("localhost:5000/app:v1"))).unwrap();
    let seen = seen.lock().unwrap();
    let ports: Vec<_> = seen.iter().filter_map(|(port, _)| *port).collect();
    assert_eq!(ports, [5000, 5001, 5000]);
    for (port, headers) in &*seen {
        assert_eq!(headers.get("x-gate").is_some(), *port == Some(5000));
        assert!(headers.get("x-gate").is_none_or(http::HeaderValue::is_sensitive));
        assert_ne!(headers["accept"], "x");
        assert!(headers.get("authorization").is_none_or(|value| value != "x"));
    }
}
