//! What `identity` predicts is what Fulcio certifies, in every place.

use sandbox::PLATFORMS;
use serde_json::Value;

use harness::{Setup, assert_certified, assert_reported, has_namespaces};

/// The platforms whose tokens are certified, and the source that finds each.
pub(crate) const TRUSTED: [(&str, &str); 18] = [
    ("github", "github-actions"),
    ("gitlab", "envvar"),
    ("buildkite", "buildkite-agent"),
    ("buildkite-cli", "buildkite-agent"),
    ("circleci", "circleci"),
    ("codefresh", "codefresh"),
    ("buddy", "envvar"),
    ("gce", "google-workload-identity"),
    ("gke", "google-workload-identity"),
    ("cloud-run", "google-workload-identity"),
    ("google-impersonation", "google-impersonate"),
    ("google-adc", "google-adc"),
    ("kubernetes", "kubernetes"),
    ("kubernetes-file", "filesystem"),
    ("spiffe", "spiffe"),
    ("chainguard", "chainguard"),
    ("env-token", "envvar"),
    ("token-file", "filesystem"),
];

/// The platforms whose tokens no public Fulcio takes: whether there is a token for us at all, and
/// what the program says.
pub(crate) const OTHERS: [(&str, Option<&str>, &[&str]); 9] = [
    ("forgejo", Some("github-actions"), &["would refuse this identity", "/forgejo"]),
    ("bitbucket", Some("bitbucket"), &["would refuse this identity", "/bitbucket"]),
    ("hcp-terraform", Some("hcp-terraform"), &["would refuse this identity", "/terraform"]),
    ("fly", Some("fly"), &["would refuse this identity", "/fly"]),
    ("aws", Some("aws"), &["would refuse this identity", "/aws"]),
    ("azure-pipelines", None, &["api://AzureADTokenExchange", "private Fulcio"]),
    ("semaphore", None, &["acme.semaphoreci.com", "private Fulcio"]),
    ("vercel", None, &["vercel.com/acme", "private Fulcio"]),
    ("azure-app-service", None, &["registered in Entra", "private Fulcio"]),
];

#[test]
fn every_platform_of_the_sandbox_is_looked_at() {
    let known: Vec<&str> = TRUSTED
        .iter()
        .map(|(name, _)| *name)
        .chain(OTHERS.iter().map(|(name, ..)| *name))
        .collect();
    for name in PLATFORMS {
        assert!(known.contains(&name), "{name}");
    }
    assert_eq!(known.len(), PLATFORMS.len());
}

#[test]
fn identity_predicts_the_certificate_that_is_issued() {
    let setup = Setup::new();
    for (name, provider) in TRUSTED {
        let platform = setup.platform(name);
        if !platform.files.is_empty() && !has_namespaces() {
            continue;
        }
        eprintln!("{name}");
        assert!(platform.trusted, "{name}");
        let expected = setup.prediction(&platform.issuer, &platform.claims).unwrap();
        let (outcome, report) = setup.on(&platform).identity();
        outcome.ends(0);
        assert_eq!(report["chosen"]["provider"], provider, "{name}: {report:#}");
        assert_eq!(report["chosen"]["claims"]["iss"], platform.issuer.as_str());
        assert_eq!(report["chosen"]["claims"]["sub"], platform.claims["sub"]);
        assert_eq!(report["fulcio"]["accepts"], Value::Bool(true));
        assert_reported(&report, &expected);
        assert_certified(&setup.certificate(setup.on(&platform)), &expected);
    }
}

#[test]
fn a_token_that_no_public_fulcio_takes_is_told_before_it_is_sent() {
    let setup = Setup::new();
    for (name, provider, texts) in OTHERS {
        let platform = setup.platform(name);
        if !platform.files.is_empty() && !has_namespaces() {
            continue;
        }
        eprintln!("{name}");
        assert!(!platform.trusted, "{name}");
        let (outcome, report) = setup.on(&platform).identity();
        let outcome = outcome.ends(1);
        assert_eq!(report["chosen"]["provider"].as_str(), provider, "{name}: {report:#}");
        if provider.is_some() {
            assert_eq!(report["fulcio"]["accepts"], Value::Bool(false), "{name}: {report:#}");
        }
        let all = format!("{}{report:#}", outcome.stderr);
        for text in texts {
            assert!(all.contains(text), "{name}: {text:?} is missing in {all}");
        }
        let signed = setup.on(&platform).sign();
        assert_eq!(signed.code, 1, "{name}: {signed:#?}");
    }
}

#[test]
fn the_job_beats_the_machine_that_it_runs_on() {
    let setup = Setup::new();
    for job in ["github", "gitlab", "buildkite", "circleci", "codefresh"] {
        for machine in ["gce", "google-impersonation", "google-adc", "aws", "spiffe", "chainguard"]
        {
            let (job, machine) = (setup.platform(job), setup.platform(machine));
            let program = setup.on(&machine).envs(&job.env);
            let (outcome, report) = program.identity();
            outcome.ends(0);
            let issuer = &report["chosen"]["claims"]["iss"];
            assert_eq!(issuer, job.issuer.as_str(), "{} on {}", job.name, machine.name);
        }
    }
}

#[test]
fn without_any_identity_every_source_says_what_it_looked_for() {
    let setup = Setup::new();
    let (outcome, report) = setup.program().identity();
    outcome.ends(1);
    assert_eq!(report["chosen"], Value::Null);
    let sources = report["sources"].as_array().unwrap();
    assert!(sources.len() > 20, "{report:#}");
    for source in sources {
        assert_eq!(source["state"], "absent", "{source:#}");
        assert_ne!(source["evidence"], "", "{source:#}");
    }
}
