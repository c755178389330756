//! `ambisign image-verifier`: the verdict is the exit code, and its reason one line of stdout.

use std::sync::Arc;

use image_signing::node::{Admission, Node, NodeEnv, NodeFiles, NodeRequest, warn_system_log};
use image_signing::{Error, ImageVerifier};

use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::flags::{ImageVerifierFlags, TrustFlags};
use crate::plan;

pub(crate) async fn image_verifier(
    flags: &ImageVerifierFlags,
    context: &Arc<Context>,
) -> Result<()> {
    let env = Arc::new(NodeEnv::new(Arc::clone(&context.env), &flags.config));
    let programs = flags.image_credential_provider_bin_dir.clone();
    let files = NodeFiles::new(&flags.config)
        .with_credential_providers(flags.image_credential_provider_config.clone(), programs);
    let context = &context.at_node(env, files.credential_providers());
    let mut audit = flags.audit;
    let decided = decide(flags, &files, &mut audit, context).await;
    context.console.settle();
    match decided {
        Ok(admission) => {
            admission.warnings.iter().for_each(|warning| context.console.warning(warning));
            context.console.data(&admission.reason);
            Ok(())
        }
        Err(failure) => {
            let reason = failure.line();
            if !audit {
                context.console.data(&reason);
                return Err(failure);
            }
            let line = format!("admitted by audit, would be refused: {reason}");
            context.console.data(&line);
            warn_system_log(&line);
            Ok(())
        }
    }
}

async fn decide(
    flags: &ImageVerifierFlags,
    files: &NodeFiles,
    audit: &mut bool,
    context: &Context,
) -> Result<Admission> {
    let request = NodeRequest::new(&flags.name, &flags.digest)?;
    let host = context.host(&context.settings());
    let node = Node::load(&files.policy(), &flags.cache, &host).await?;
    *audit |= node.policy().is_audit();
    let image = request.image();
    let work = async {
        request.check_descriptor(&flags.stdin_media_type, std::io::stdin()).await?;
        let trust = TrustFlags { trusted_root: files.trusted_root(), offline: true };
        let root = Arc::new(plan::trusted_root(&trust, context).await?);
        let registry = plan::registry(&flags.registry, std::slice::from_ref(image), None, context)?;
        let verifier =
            ImageVerifier::new(registry, Arc::clone(&root), host.clock.clone(), node.signers());
        context.console.wait_for(&format!("waiting for the registry of {image}"));
        node.admit(image, &root, verifier.verify(image))
            .await
            .map_err(|error| refused(error, files))
    };
    let limit = node.policy().timeout().min(context.deadline.left());
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let failure =
            Failure::new(Exit::Undecided, format!("no verdict about {image} in {limit:?}"));
        let failure =
            context.console.waits.unfinished().0.into_iter().fold(failure, Failure::cause);
        Err(failure.hint(
            "check the registry; or set timeout-seconds of [node] in policy.toml, and a greater \
             per_verifier_timeout in containerd's configuration",
        ))
    })
}

fn refused(error: Error, files: &NodeFiles) -> Failure {
    let unauthorized = matches!(&error, Error::Registry { source, .. }
        if matches!(**source, oci_push::Error::Unauthorized { .. }));
    let mut failure = Failure::from(error);
    if unauthorized {
        failure.hints = vec![format!(
            "put credentials into {}, or name a credential provider",
            files.credentials().display()
        )];
    }
    failure
}
