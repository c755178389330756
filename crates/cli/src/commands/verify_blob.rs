//! `ambisign verify-blob`.

use std::path::Path;
use std::sync::Arc;

use bundle::{Bundle, SIZE_CAP};
use host::FileError;
use keys::Digest;
use serde_json::{Value, json};
use verify::{Artifact, Verified};

use super::verify::facts;
use crate::error::{Exit, Failure};
use crate::files;
use crate::flags::{Output, VerifyBlobFlags};
use crate::plan;
use crate::world::World;

pub(crate) async fn verify_blob(
    flags: &VerifyBlobFlags,
    world: &Arc<World>,
) -> Result<Exit, Failure> {
    let policy = plan::policy(&flags.policy, world)?;
    let root = plan::trusted_root(&flags.trust, &*world.env)?;
    let file = &flags.file;
    let [path] = plan::bundle_paths(std::slice::from_ref(file), flags.bundle.as_deref())?
        .try_into()
        .map_err(|_| Failure::usage("expected one file"))?;
    let bundle_bytes = read_bundle(&path, file, world)?;
    let unacceptable = || format!("the signature of {} is not acceptable", file.display());
    let bundle = Bundle::from_json(&bundle_bytes).map_err(|error| {
        let problem = format!("{} is no Sigstore bundle", path.display());
        Failure::of(Exit::NotAcceptable, problem, &error)
            .hint("a bundle is what sign-blob writes; it may be cut off or of an older format")
    })?;
    let algorithm = verify::hash_algorithm(&bundle)
        .map_err(|error| Failure::judgement(unacceptable(), &error))?;
    world.console.wait_for(&format!("reading {}", file.display()));
    let digest = files::digest(file.clone(), algorithm)
        .await
        .map_err(|error| Failure::file(file, &error))?;
    world.console.settle();
    let verified = verify::verify(&bundle, &Artifact::Digest(&digest), &policy, &root, world.now())
        .map_err(|error| Failure::judgement(unacceptable(), &error))?;
    for warning in verified.warnings() {
        world.console.warning(&warning.to_string());
    }
    match flags.output {
        Output::Text => world.console.note("Verified OK"),
        Output::Json => world.console.json(&report(file, &digest, &verified, &bundle_bytes)),
    }
    Ok(Exit::Done)
}

fn read_bundle(path: &Path, file: &Path, world: &World) -> Result<Vec<u8>, Failure> {
    world.env.read(path, SIZE_CAP).map_err(|error| match &error {
        FileError::NotFound { .. } => {
            let problem = format!("no signature of {} found", file.display());
            Failure::of(Exit::NotSigned, problem, &error).hint("say where it is: --bundle FILE")
        }
        _ => Failure::of(Exit::Failed, "the bundle cannot be read", &error),
    })
}

fn report(file: &Path, digest: &Digest, verified: &Verified, bundle: &[u8]) -> Value {
    json!({
        "file": file.display().to_string(),
        "digest": format!("{}:{}", digest.algorithm().name(), digest.to_hex()),
        "optional": facts(verified, bundle),
    })
}
