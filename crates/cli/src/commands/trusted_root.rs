//! `ambisign trusted-root create`.

use std::path::Path;
use std::sync::Arc;

use trust_root::{CertificateAuthority, Error, Log, TrustedRootBuilder};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{CreateTrustedRootFlags, TrustedRootCommand};
use crate::output::write;
use crate::trust;

pub(crate) async fn trusted_root(
    TrustedRootCommand::Create(flags): &TrustedRootCommand,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let create = &flags.create;
    let New { fulcio, tsa, rekor, ctfe } = New::read(flags)?;
    for log in rekor.iter().filter(|log| log.may_lack_origin()) {
        context.console.warning(&format!(
            "--rekor {}: an Ed25519 key usually belongs to a Rekor v2 log, whose entries also \
             state its name: add origin={}",
            log.base_url(),
            log.host_name().unwrap_or_default()
        ));
    }
    let mut builder = match create.with_default_services {
        true => TrustedRootBuilder::from(&trust::trusted_root(false, context).await?),
        false => TrustedRootBuilder::default(),
    };
    for (without, remove) in [
        (
            create.no_default_fulcio,
            TrustedRootBuilder::without_certificate_authorities as fn(_) -> _,
        ),
        (create.no_default_rekor, TrustedRootBuilder::without_tlogs),
        (flags.no_default_ctfe, TrustedRootBuilder::without_ctlogs),
        (create.no_default_tsa, TrustedRootBuilder::without_timestamp_authorities),
    ] {
        builder = if without { remove(builder) } else { builder };
    }
    builder = fulcio.into_iter().fold(builder, TrustedRootBuilder::certificate_authority);
    builder = tsa.into_iter().fold(builder, TrustedRootBuilder::timestamp_authority);
    builder = rekor.into_iter().fold(builder, TrustedRootBuilder::tlog);
    builder = ctfe.into_iter().fold(builder, TrustedRootBuilder::ctlog);
    let root = builder
        .build()
        .map_err(|error| Failure::of(Exit::Usage, "cannot create a trusted root", &error))?;
    let out = create.out.as_deref().unwrap_or_else(|| Path::new("-"));
    write(out, &root.to_json(), &context.console)
}

/// The services that the flags describe.
struct New {
    fulcio: Vec<CertificateAuthority>,
    tsa: Vec<CertificateAuthority>,
    rekor: Vec<Log>,
    ctfe: Vec<Log>,
}

impl New {
    fn read(flags: &CreateTrustedRootFlags) -> Result<Self, Failure> {
        let authority = CertificateAuthority::fulcio_from_spec;
        Ok(Self {
            fulcio: each("--fulcio", &flags.fulcio, |it| authority(it, &read))?,
            tsa: each("--tsa", &flags.tsa, |it| {
                CertificateAuthority::timestamp_from_spec(it, &read)
            })?,
            rekor: each("--rekor", &flags.rekor, |it| Log::rekor_from_spec(it, &read))?,
            ctfe: each("--ctfe", &flags.ctfe, |it| Log::ctlog_from_spec(it, &read))?,
        })
    }
}

/// Reads each description that was given to `flag`.
fn each<T>(
    flag: &str,
    specs: &[String],
    read: impl Fn(&str) -> Result<T, Error>,
) -> Result<Vec<T>, Failure> {
    let read = |spec: &String| {
        read(spec).map_err(|error| match &error {
            Error::File { source, .. } => {
                Failure::new(Exit::Failed, format!("{flag}: {error}")).because(source)
            }
            Error::Spec { .. } => Failure::usage(format!("{flag}: {error}")),
            _ => Failure::of(Exit::Usage, format!("{flag} cannot be used"), &error),
        })
    };
    specs.iter().map(read).collect()
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    host::read_file(path, FILE_CAP).map_err(std::io::Error::other)
}

/// The largest file with certificates or a key, in bytes.
const FILE_CAP: usize = 1 << 20;
