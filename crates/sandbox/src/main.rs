//! The program `sigstore-sandbox`.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, ValueEnum};
use sandbox::{Config, Error, Fault, GithubJob, LoginPage, Registration, Running, Sandbox};
use serde_json::json;
use sigstore_sandbox as sandbox;
use spiffe_workload_api::SpiffeId;

/// A whole Sigstore on this machine, for tests: OIDC issuer, GitHub-shaped token endpoint, SPIFFE
/// Workload API, Fulcio, Rekor v1 and v2, timestamp authority, OCI registry and
/// TUF repository.
///
/// It runs until it is interrupted. Nothing it signs means anything anywhere else, and every process
/// that reaches its ports gets any identity it asks for.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Directory for the keys and for the files that clients need
    #[arg(long, value_name = "DIR", default_value = "sigstore-sandbox")]
    state: PathBuf,

    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,

    /// First of ten ports in a row; 0 takes any that are free
    #[arg(long, value_name = "PORT", default_value_t = 5550)]
    port: u16,

    /// Whether the registry has the referrers API
    #[arg(long, value_name = "ON|OFF", default_value = "on")]
    referrers: Switch,

    /// Keep the registry's images in the state directory
    #[arg(long)]
    keep_images: bool,

    /// Socket of the Workload API [default: spiffe.sock in the state directory]
    #[arg(long, value_name = "PATH")]
    spiffe_socket: Option<PathBuf>,

    /// SPIFFE ID of this machine's workloads, with a hint after `=`; may be repeated
    #[arg(
        long = "spiffe-id",
        value_name = "ID[=HINT]",
        value_parser = registration,
        default_value = "spiffe://example.org/ns/ci/sa/builder"
    )]
    spiffe_ids: Vec<Registration>,

    /// Repository of the GitHub job
    #[arg(long, value_name = "OWNER/NAME", default_value_t = GithubJob::default().repository)]
    github_repository: String,

    /// Branch or tag of the GitHub job
    #[arg(long, value_name = "REF", default_value_t = GithubJob::default().git_ref)]
    github_ref: String,

    /// Interval of Rekor v2's checkpoints in milliseconds; 0 makes one for each entry
    #[arg(long, value_name = "MS", default_value_t = 0)]
    checkpoint_interval: u64,

    /// What happens to people who log in at the issuers `email` and `dex`
    #[arg(long, value_name = "PAGE", default_value = "form")]
    login: Login,

    /// Misbehave in this way; may be repeated. The page at the first port switches most of them
    /// while everything runs
    #[arg(long = "fault", value_name = "NAME", value_parser = fault())]
    faults: Vec<Fault>,

    /// Write the JSON of `--output json` to this file when everything is ready; removed at the end
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,

    /// How to tell where things are
    #[arg(long, short, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Switch {
    Off,
    On,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Login {
    /// The page lets them in at once
    Direct,
    /// They fill in a form
    Form,
    /// The form sends itself, in a browser that runs scripts
    Script,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One line of JSON
    Json,
    /// Lines for people
    Text,
}

#[tokio::main]
#[expect(clippy::disallowed_methods, reason = "the program prints")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}\n");
            let mut cause = std::error::Error::source(&*error);
            while let Some(error) = cause {
                text.push_str(&format!("because: {error}\n"));
                cause = error.source();
            }
            drop(std::io::stderr().write_all(text.as_bytes()));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the program prints")]
async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    // Before the start, so that a signal in between is not the end without cleaning up.
    let interrupted = interrupted()?;
    let (format, ready) = (arguments.output, arguments.ready_file.clone());
    if let Some(ready) = &ready {
        remove(ready)?;
    }
    let running = Sandbox::start(config(arguments)).await?;
    if let Some(ready) = &ready {
        write_whole(ready, &json_line(&running))?;
    }
    let text = match format {
        Format::Json => json_line(&running),
        Format::Text => lines(&running),
    };
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    interrupted.await;
    running.stop().await;
    ready.map_or(Ok(()), |ready| remove(&ready))?;
    Ok(())
}

fn config(arguments: Arguments) -> Config {
    Config {
        listen: arguments.listen,
        port: arguments.port,
        referrers: matches!(arguments.referrers, Switch::On),
        keep_images: arguments.keep_images,
        spiffe_socket: arguments.spiffe_socket,
        registrations: arguments.spiffe_ids,
        github_job: GithubJob {
            repository: arguments.github_repository,
            git_ref: arguments.github_ref,
            ..GithubJob::default()
        },
        login: match arguments.login {
            Login::Direct => LoginPage::Direct,
            Login::Form => LoginPage::Form,
            Login::Script => LoginPage::Script,
        },
        checkpoint_interval: Duration::from_millis(arguments.checkpoint_interval),
        faults: arguments.faults.into_iter().collect(),
        ..Config::new(arguments.state)
    }
}

/// The names of the faults, which `--help` lists with what they do.
fn fault() -> impl TypedValueParser<Value = Fault> {
    let names = Fault::ALL.map(|it| PossibleValue::new(it.name()).help(it.description()));
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Fault>())
}

/// A reader sees no file, or all of it.
fn write_whole(path: &Path, content: &str) -> Result<(), Error> {
    let error = |source| Error::File { path: path.to_owned(), source };
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    std::fs::write(&draft, content).map_err(error)?;
    std::fs::rename(&draft, path).map_err(error)
}

/// A file that an earlier run left behind would say that this one is ready.
fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn registration(text: &str) -> Result<Registration, spiffe_workload_api::Error> {
    let (id, hint) = text.split_once('=').unwrap_or((text, ""));
    Ok(Registration { spiffe_id: SpiffeId::parse(id)?, hint: hint.to_owned() })
}

/// Resolves on Ctrl-C and on SIGTERM.
fn interrupted() -> Result<impl Future<Output = ()>, Error> {
    use tokio::signal::unix::{SignalKind, signal};

    let unavailable = |source| Error::Listen { address: "signals".to_owned(), source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unavailable)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(unavailable)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn lines(running: &Running) -> String {
    let endpoints = running.endpoints();
    let directory = running.directory().display();
    let identities: Vec<String> =
        running.registrations().iter().map(|it| it.spiffe_id.to_string()).collect();
    let rows = [
        ("page", format!("{}/", running.oidc())),
        ("fulcio", endpoints.fulcio.clone()),
        ("rekor v1", endpoints.rekor_v1.clone()),
        ("rekor v2", endpoints.rekor_v2.clone()),
        ("timestamps", endpoints.tsa.clone()),
        ("registry", running.registry().to_owned()),
        ("tuf", running.tuf_url().to_owned()),
        ("issuers", format!("{}/NAME", running.oidc())),
        ("github job", running.github_identity()),
        ("spiffe", format!("{} on {}", identities.join(", "), running.spiffe_socket().display())),
        ("files", directory.to_string()),
    ];
    let mut text: String =
        rows.iter().map(|(name, place)| format!("{name:<11} {place}\n")).collect();
    text.push_str(&format!(
        "\nto sign as the GitHub job:      . {directory}/env\n\
         to sign as a SPIFFE workload:   . {directory}/env.spiffe\n\
         as a job of another platform:   . {directory}/env.NAME\n\
         to end:                         Ctrl-C\n"
    ));
    text
}

fn json_line(running: &Running) -> String {
    let endpoints = running.endpoints();
    let pairs = |pairs: Vec<(String, String)>| -> serde_json::Map<String, serde_json::Value> {
        pairs.into_iter().map(|(name, value)| (name, value.into())).collect()
    };
    let document = json!({
        "directory": running.directory(),
        "page": format!("{}/", running.oidc()),
        "fulcio": endpoints.fulcio,
        "oidc": running.oidc(),
        "rekor_v1": endpoints.rekor_v1,
        "rekor_v2": endpoints.rekor_v2,
        "tsa": endpoints.tsa,
        "registry": running.registry(),
        "tuf": running.tuf_url(),
        "spiffe_socket": running.spiffe_socket(),
        "env": {
            "trust": pairs(running.trust_env()),
            "github": pairs(running.github_env()),
            "spiffe": pairs(running.spiffe_env()),
        },
    });
    format!("{document}\n")
}
