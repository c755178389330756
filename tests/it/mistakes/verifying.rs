//! Mistakes when an image or a file is verified.

use harness::{Program, Setup};

use super::signing::{NO_DIGEST, key_pair};
use super::{Answer, Shared};

const ANOTHER: &str = "https://github.com/acme/other/.github/workflows/release.yml@refs/heads/main";

fn by_another(shared: &Shared, image: &str) -> Answer {
    let issuer = shared.setup.sandbox.github_issuer();
    let flags = ["--certificate-identity", ANOTHER, "--certificate-oidc-issuer", &issuer];
    shared.answer(shared.setup.program().arg("verify").args(flags).arg(image))
}

pub(super) fn another_identity(shared: &Shared) -> Answer {
    by_another(shared, &shared.signed)
}

pub(super) fn another_identity_in_the_earlier_format(shared: &Shared) -> Answer {
    let image = shared.setup.image("demo/earlier");
    let sign = shared.setup.job().args(["sign", "--new-bundle-format=false", &image]);
    sign.run().ends(0);
    by_another(shared, &image)
}

pub(super) fn another_issuer(shared: &Shared) -> Answer {
    let identity = shared.setup.sandbox.github_identity();
    let issuer = "https://accounts.google.com";
    let flags = ["--certificate-identity", &identity, "--certificate-oidc-issuer", issuer];
    shared.answer(shared.setup.program().arg("verify").args(flags).arg(&shared.signed))
}

pub(super) fn missing_digest(shared: &Shared) -> Answer {
    shared.verify(&[&shared.unsigned.replace(":v1", &format!("@{NO_DIGEST}"))])
}

/// The API server of a cluster, whose certificate is of the cluster's own authority.
pub(super) fn private_authority(shared: &Shared) -> Answer {
    let cluster = shared.setup.platform("kubernetes").env;
    let value = |wanted: &str| {
        let found = cluster.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone()).unwrap()
    };
    let port = value("KUBERNETES_SERVICE_PORT");
    shared.verify(&[&format!("localhost:{port}/demo/app:v1")])
}

pub(super) fn another_key(shared: &Shared) -> Answer {
    let image = shared.setup.image("demo/keyed");
    let [[key, _], [_, other]] = ["one", "other"].map(|name| key_pair(shared, name));
    let sign = shared.setup.program().env("COSIGN_PASSWORD", "right");
    sign.args(["sign", "--key", &key, &image]).run().ends(0);
    shared.answer(shared.setup.program().args(["verify", "--key", &other, &image]))
}

pub(super) fn unlogged(shared: &Shared) -> Answer {
    let image = shared.setup.image("demo/without-log");
    let [key, public] = key_pair(shared, "unlogged");
    let sign = shared.setup.program().env("COSIGN_PASSWORD", "right");
    sign.args(["sign", "--tlog-upload=false", "--key", &key, &image]).run().ends(0);
    shared.answer(shared.setup.program().args(["verify", "--key", &public, &image]))
}

/// The trusted root of another instance.
pub(super) fn another_authority(shared: &Shared) -> Answer {
    let other = Setup::new();
    let root = shared.setup.path("another-root.json");
    std::fs::copy(other.sandbox.trusted_root(), &root).unwrap();
    shared.verify(&["--trusted-root", root.to_str().unwrap(), &shared.signed])
}

/// The mirror answered once: years ago, to verify with; and only with its root, to sign with.
pub(super) fn trust_unreachable(shared: &Shared, command: &str) -> Answer {
    let tuf = shared.setup.path(&format!("tuf-{command}"));
    // A job to which nobody names the services and the trusted root.
    let program = |command: &str| {
        let env = shared.setup.sandbox.github_env();
        let env = env.into_iter().filter(|(name, _)| !name.starts_with("COSIGN_"));
        let program = Program::new(shared.setup.directory()).envs(env);
        program.env("TUF_ROOT", tuf.to_str().unwrap()).arg(command)
    };
    let mirror = shared.setup.sandbox.tuf_url();
    let initialize = program("initialize").args(["--mirror", mirror, "--root"]);
    initialize.arg(shared.setup.sandbox.tuf_root()).run().ends(0);
    // From now on it is said to be at a port where nothing listens.
    let port = mirror.rsplit_once(':').unwrap().1.trim_end_matches('/');
    for entry in std::fs::read_dir(&tuf).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "mirror.json" {
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text.replace(&format!(":{port}"), ":1")).unwrap();
        } else {
            let moved = name.replace(&format!("%3A{port}"), "%3A1");
            std::fs::rename(&path, path.with_file_name(moved)).unwrap();
        }
    }
    let cache = std::fs::read_dir(&tuf).unwrap().map(|entry| entry.unwrap().path());
    let cache = cache.filter(|path| path.is_dir()).last().unwrap();
    match command {
        "verify" => {
            std::fs::write(cache.join("refreshed"), "1700000000").unwrap();
        }
        _ => std::fs::remove_file(cache.join("timestamp.json")).unwrap(),
    }
    shared.answer(match command {
        "verify" => program("verify").args(shared.setup.by_job()).arg(&shared.signed),
        command => program(command).arg(&shared.unsigned),
    })
}

fn verify_blob(shared: &Shared, args: &[&str]) -> Answer {
    shared.answer(shared.setup.program().arg("verify-blob").args(shared.setup.by_job()).args(args))
}

pub(super) fn another_file(shared: &Shared) -> Answer {
    let other = shared.setup.write("other.txt", "other content").display().to_string();
    verify_blob(shared, &["--bundle", &shared.bundle, &other])
}

pub(super) fn no_bundle(shared: &Shared) -> Answer {
    let other = shared.setup.write("alone.txt", "content").display().to_string();
    verify_blob(shared, &[&other])
}

pub(super) fn not_a_bundle(shared: &Shared) -> Answer {
    let json = shared.setup.write("other.json", "{}").display().to_string();
    verify_blob(shared, &["--bundle", &json, &shared.file])
}

pub(super) fn default_type(shared: &Shared) -> Answer {
    let program = shared.setup.program().arg("verify-attestation").args(shared.setup.by_job());
    shared.answer(program.arg(&shared.signed))
}
