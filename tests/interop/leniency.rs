//! How lenient each verifier is: the same bundles, mutated one way each, judged by all of them.
//!
//! What was measured stands in `leniency.md`, and the test compares; `LENIENCY=overwrite` writes it
//! anew. Whatever it says, we must refuse what any other refuses, save what a row excuses.

mod random;
mod rows;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::Bundle;
use keys::Digest;
use sandbox::RekorVersion;
use serde_json::{Value, json};
use trust_root::TrustedRoot;
use verify::{AcceptedSigner, Artifact, Policy, Purpose, StringMatch, verify};

use harness::{Identity, Interop, Library, Program, RegistryKind, Signer};

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/interop/leniency.md");
const WHO: Signer = Signer::Email;
const ARTIFACT: &str = "what is signed\n";
const PREDICATE_TYPE: &str = "https://example.test/predicate/v1";
const VERIFIERS: [&str; 5] =
    ["ambisign", "sigstore-go", "cosign", "sigstore-rust", "sigstore-python"];

const PREFACE: &str = "\
# How lenient verifiers are

The same five bundles, each changed in one way and not signed anew, judged by all: `ok` where the
verifier takes it, `no` where it does not. Measured by `cargo xtask interop leniency` with the peers
that `cargo xtask peers` fetches (cosign 3.1.1, sigstore-go 1.3.0, sigstore-python 4.5,
sigstore-rust 0.15); `LENIENCY=overwrite` in its environment writes this file anew.

We take nothing that another refuses, but for the rows whose last column says why.";

/// A bundle that is mutated.
#[derive(Clone, Copy, PartialEq)]
enum Base {
    /// A file in Rekor v1, whose promise is the only time.
    V1,
    /// A file in Rekor v2, with a timestamp.
    V2,
    /// A file in Rekor v1, with a timestamp as well.
    V1Stamped,
    /// A statement in Rekor v1, whose promise is the only time.
    DsseV1,
    /// A statement in Rekor v2, with a timestamp.
    DsseV2,
}

/// What is done to a bundle.
enum Change {
    /// To the document.
    Json(fn(&mut Value)),
    /// To its text.
    Text(fn(String) -> String),
    /// To the document, with what the others know besides.
    With(fn(&mut Value, &Bases)),
}

/// A row of the table.
struct Row {
    name: &'static str,
    base: Base,
    change: Change,
    /// Why we may take it though another does not.
    excuse: Option<&'static str>,
}

/// The bundles that are mutated, and the file they are of.
struct Bases {
    artifact: PathBuf,
    bundles: [Value; 5],
    /// Of a log that no verifier here trusts.
    strange_entry: Value,
    /// Timestamps over the signatures of [`Base::V1`] and [`Base::V2`], by an authority that no verifier
    /// here trusts.
    strange_stamps: [String; 2],
    /// The certificates of the authority, the issuer first and the root last.
    authority: Vec<Value>,
}

impl Base {
    fn index(self) -> usize {
        match self {
            Self::V1 => 0,
            Self::V2 => 1,
            Self::V1Stamped => 2,
            Self::DsseV1 => 3,
            Self::DsseV2 => 4,
        }
    }

    fn name(self) -> &'static str {
        ["v1", "v2", "v1 stamped", "v1 DSSE", "v2 DSSE"][self.index()]
    }

    fn is_statement(self) -> bool {
        matches!(self, Self::DsseV1 | Self::DsseV2)
    }
}

impl Row {
    fn bundle(&self, bases: &Bases) -> String {
        let mut bundle = bases.bundles[self.base.index()].clone();
        match self.change {
            Change::Json(change) => change(&mut bundle),
            Change::Text(change) => return change(bundle.to_string()),
            Change::With(change) => change(&mut bundle, bases),
        }
        bundle.to_string()
    }
}

impl Bases {
    fn make(interop: &Interop, foreign: &Interop) -> Self {
        let artifact = interop.write("artifact.txt", ARTIFACT);
        let v2 = interop.setup.sandbox.signing_config(RekorVersion::V2);
        let v1 = unstamped(interop);
        // Into logs that are not empty, so that there are hashes in the proofs.
        for config in [&v1, &v2, &v1, &v2, &v1, &v2] {
            ours(interop, &artifact, config);
        }
        let bundles = [
            ours(interop, &artifact, &v1),
            ours(interop, &artifact, &v2),
            ours(interop, &artifact, &interop.setup.sandbox.signing_config(RekorVersion::V1)),
            stated(interop, &artifact, &v1, false),
            stated(interop, &artifact, &v2, true),
        ];
        let other = foreign.write("artifact.txt", ARTIFACT);
        let mut strange = ours(foreign, &other, &unstamped(foreign));
        let strange_entry = rows::entries(&mut strange).remove(0);
        let root = std::fs::read(interop.setup.sandbox.trusted_root()).unwrap();
        let root: Value = serde_json::from_slice(&root).unwrap();
        let authority = &root["certificateAuthorities"][0]["certChain"]["certificates"];
        let authority = authority.as_array().unwrap().clone();
        let strange_stamps = [Base::V1, Base::V2].map(|base| {
            let signature = &bundles[base.index()]["messageSignature"]["signature"];
            let signature = STANDARD.decode(signature.as_str().unwrap()).unwrap();
            STANDARD.encode(foreign.stamp(&signature))
        });
        Self { artifact, bundles, strange_entry, strange_stamps, authority }
    }
}

/// The signing config for Rekor v1, without a timestamp authority.
fn unstamped(interop: &Interop) -> PathBuf {
    let config = std::fs::read(interop.setup.sandbox.signing_config(RekorVersion::V1)).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    config["tsaUrls"] = json!([]);
    config.as_object_mut().unwrap().remove("tsaConfig");
    interop.write("unstamped.json", &config.to_string())
}

fn ours(interop: &Interop, file: &Path, config: &Path) -> Value {
    let bundle = interop.path("base.sigstore.json");
    let sign = interop.ambisign_with(WHO, "sign-blob", config).arg("--bundle").arg(&bundle);
    sign.arg(file).run().succeeds();
    serde_json::from_slice(&std::fs::read(bundle).unwrap()).unwrap()
}

/// A statement about the file, signed by sigstore-go.
fn stated(interop: &Interop, file: &Path, config: &Path, stamped: bool) -> Value {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{
            "name": "artifact.txt",
            "digest": { "sha256": Digest::sha256(&std::fs::read(file).unwrap()).to_hex() },
        }],
        "predicateType": PREDICATE_TYPE,
        "predicate": {},
    });
    let statement = interop.write("statement.json", &statement.to_string());
    let sign = interop.sigstore_go_signing_with(config).args(["-in-toto", "-id-token"]);
    let sign = sign.arg(interop.email_token()).args(stamped.then_some("-tsa")).arg(statement);
    let signed = sign.run().succeeds().stdout;
    serde_json::from_str(signed.lines().find(|line| line.starts_with('{')).unwrap()).unwrap()
}

/// What each verifier says of the bundle of a row: nothing, or why not.
fn judge(interop: &Interop, signer: &Identity, rows: &[Row], bases: &Bases) -> Vec<[String; 5]> {
    let bundles: Vec<PathBuf> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| interop.write(&format!("{at}.sigstore.json"), &row.bundle(bases)))
        .collect();
    let cases: Vec<_> =
        bundles.iter().map(|bundle| (bundle.clone(), bases.artifact.clone())).collect();
    let python = interop.ask(Library::Python, signer, &cases);
    let rust = interop.ask(Library::Rust, signer, &cases);
    let mut verdicts = Vec::new();
    for ((row, bundle), (rust, python)) in
        rows.iter().zip(&bundles).zip(rust.into_iter().zip(python))
    {
        let (command, kind) = match row.base.is_statement() {
            true => ("verify-blob-attestation", ["--type", PREDICATE_TYPE].as_slice()),
            false => ("verify-blob", [].as_slice()),
        };
        let of_files = |program: Program| {
            let program = program.args(kind).args(signer.policy());
            program.arg("--bundle").arg(bundle).arg(&bases.artifact)
        };
        let go = interop.sigstore_go_verification().arg("-artifact").arg(&bases.artifact);
        let programs = vec![
            of_files(interop.ambisign(command)),
            go.args(signer.policy_of_go()).arg(bundle),
            of_files(interop.cosign(command)),
        ];
        let mut said = Program::run_all(programs)
            .into_iter()
            .map(|outcome| if outcome.code == 0 { String::new() } else { outcome.stderr });
        let mut next = || said.next().unwrap();
        verdicts.push([next(), next(), next(), rust, python]);
    }
    verdicts
}

/// The name of our check that refuses, by the crate the program is made of.
fn check(interop: &Interop, signer: &Identity, bundle: &str, bases: &Bases) -> Option<String> {
    let Ok(bundle) = Bundle::from_json(bundle.as_bytes()) else {
        return Some("cannot be read".to_owned());
    };
    let root = std::fs::read(interop.setup.sandbox.trusted_root()).unwrap();
    let root = TrustedRoot::from_json(&root).unwrap();
    let (name, issuer) = (StringMatch::exact(&signer.name), StringMatch::exact(&signer.issuer));
    let artifact = std::fs::read(&bases.artifact).unwrap();
    let artifact = Artifact::Message(&artifact);
    // Whatever the bundle says that it is: the other verifiers are not asked for a purpose either.
    let purpose = Purpose::claimed_by(&bundle).unwrap_or(Purpose::FileSignature);
    let policy = Policy::new(purpose, AcceptedSigner::identity(name, issuer));
    match verify(&bundle, &artifact, &policy, &root, SystemTime::now()) {
        Ok(_) => None,
        Err(verify::Error::Refused(check)) => {
            let name = format!("{check:?}");
            let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
            Some(name[..end].to_owned())
        }
        Err(other) => panic!("{other}"),
    }
}

fn table(rows: &[Row], verdicts: &[[String; 5]], checks: &[Option<String>]) -> String {
    let mut text = format!(
        "{}\n\n| mutation | of | {} | ambisign's check |\n|---|---|",
        PREFACE,
        VERIFIERS.join(" | ")
    );
    text += &"---|".repeat(VERIFIERS.len() + 1);
    text.push('\n');
    for ((row, verdict), check) in rows.iter().zip(verdicts).zip(checks) {
        let shown = verdict.iter().map(|said| if said.is_empty() { "ok" } else { "no" });
        let shown = shown.collect::<Vec<_>>().join(" | ");
        let why = check.as_deref().or(row.excuse).unwrap_or_default();
        text += &format!("| {} | {} | {shown} | {why} |\n", row.name, row.base.name());
    }
    text
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn nowhere_are_we_more_lenient_than_the_strictest() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let foreign = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let signer = interop.identity(WHO);
    let bases = Bases::make(&interop, &foreign);
    let rows = rows::rows();
    let verdicts = judge(&interop, &signer, &rows, &bases);
    let checks: Vec<_> =
        rows.iter().map(|row| check(&interop, &signer, &row.bundle(&bases), &bases)).collect();
    let mut wrong = Vec::new();
    for ((row, verdict), check) in rows.iter().zip(&verdicts).zip(&checks) {
        let refused: Vec<_> = (1..5).filter(|at| !verdict[*at].is_empty()).collect();
        let named = |at: &usize| format!("{}: {}", VERIFIERS[*at], verdict[*at].trim());
        let others = refused.iter().map(named).collect::<Vec<_>>().join("\n  ");
        if row.name == "none" && !verdict.iter().all(String::is_empty) {
            wrong.push(format!("the base {}: {verdict:#?}", row.base.name()));
        }
        if verdict[0].is_empty() && !refused.is_empty() && row.excuse.is_none() {
            wrong.push(format!("{} ({}): we take it, and\n  {others}", row.name, row.base.name()));
        }
        if check.is_none() != verdict[0].is_empty() {
            wrong.push(format!("{}: {check:?}, and the program: {}", row.name, verdict[0]));
        }
        // An excuse that excuses nothing would hide what comes later.
        if row.excuse.is_some() && (refused.is_empty() || !verdict[0].is_empty()) {
            wrong.push(format!("{} ({}): needs no excuse", row.name, row.base.name()));
        }
    }
    let found = table(&rows, &verdicts, &checks);
    if std::env::var_os("LENIENCY").is_some_and(|value| value == "overwrite") {
        std::fs::write(RECORD, &found).unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let recorded = std::fs::read_to_string(RECORD).unwrap();
    let differing: Vec<_> =
        found.lines().filter(|line| !recorded.lines().any(|other| other == *line)).collect();
    assert!(found == recorded, "not as recorded:\n{}", differing.join("\n"));
}
