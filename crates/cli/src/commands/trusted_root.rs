//! `ambisign trusted-root create`.

use std::sync::Arc;
use std::time::SystemTime;

use host::Env;
use keys::{KeyAlgorithm, PublicKey};
use trust_root::{CertificateAuthority, Log, TrustedRoot};
use x509::Certificate;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{CreateTrustedRootFlags, TrustedRootCommand, TrustedRootFlags};
use crate::spec::{Spec, hand_out};
use crate::trust;

pub(crate) async fn trusted_root(
    flags: &TrustedRootFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let TrustedRootCommand::Create(flags) = &flags.command;
    let new = New::read(flags, &*context.env)?;
    for log in new.rekor.iter().filter(|log| lacks_origin(log)) {
        context.console.warning(&format!(
            "--rekor {}: an Ed25519 key is that of a Rekor v2 log, as a rule, whose entries are \
             known by its name as well: add origin={}",
            log.base_url(),
            log.host_name().unwrap_or_default()
        ));
    }
    let base = match flags.with_default_services {
        true => Some(trust::trusted_root(false, context).await?),
        false => None,
    };
    let root = new
        .on(base.as_ref(), flags)
        .map_err(|error| Failure::of(Exit::Usage, "no trusted root comes of it", &error))?;
    hand_out(&root.to_json(), flags.out.as_ref(), context)
}

/// What the flags describe.
struct New {
    fulcio: Vec<CertificateAuthority>,
    tsa: Vec<CertificateAuthority>,
    rekor: Vec<Log>,
    ctfe: Vec<Log>,
}

impl New {
    fn read(flags: &CreateTrustedRootFlags, env: &dyn Env) -> Result<Self, Failure> {
        let each = |texts: &[String], flag, keys| -> Result<Vec<Spec>, Failure> {
            texts.iter().map(|text| Spec::parse(flag, text, keys)).collect()
        };
        // A certificate authority is as old as its root, a timestamp authority as what it signs with.
        let root = |chain: &[Certificate]| chain.last().map(Certificate::not_before);
        let leaf = |chain: &[Certificate]| chain.first().map(Certificate::not_before);
        let fulcio = each(&flags.fulcio, "--fulcio", AUTHORITY)?;
        let tsa = each(&flags.tsa, "--tsa", AUTHORITY)?;
        let rekor = each(&flags.rekor, "--rekor", LOG)?;
        let ctfe = each(&flags.ctfe, "--ctfe", LOG)?;
        Ok(Self {
            fulcio: fulcio.iter().map(|it| authority(it, root, env)).collect::<Result<_, _>>()?,
            tsa: tsa.iter().map(|it| authority(it, leaf, env)).collect::<Result<_, _>>()?,
            rekor: rekor.iter().map(|it| log(it, env)).collect::<Result<_, _>>()?,
            ctfe: ctfe.iter().map(|it| log(it, env)).collect::<Result<_, _>>()?,
        })
    }

    /// Together with those of `base` that no flag leaves out. A log given anew replaces the one
    /// with its id.
    fn on(
        self,
        base: Option<&TrustedRoot>,
        flags: &CreateTrustedRootFlags,
    ) -> Result<TrustedRoot, trust_root::Error> {
        let authorities = |new: Vec<CertificateAuthority>,
                           old: fn(&TrustedRoot) -> &[CertificateAuthority],
                           without: bool| {
            let old = base.filter(|_| !without).map(old).unwrap_or_default();
            old.iter().cloned().chain(new).collect()
        };
        let logs = |new: Vec<Log>, old: fn(&TrustedRoot) -> &[Log], without: bool| {
            let old = base.filter(|_| !without).map(old).unwrap_or_default();
            let kept = old.iter().filter(|old| new.iter().all(|new| new.log_id() != old.log_id()));
            kept.cloned().collect::<Vec<_>>().into_iter().chain(new).collect()
        };
        TrustedRoot::new(
            logs(self.rekor, TrustedRoot::tlogs, flags.no_default_rekor),
            authorities(self.fulcio, TrustedRoot::certificate_authorities, flags.no_default_fulcio),
            logs(self.ctfe, TrustedRoot::ctlogs, flags.no_default_ctfe),
            authorities(self.tsa, TrustedRoot::timestamp_authorities, flags.no_default_tsa),
        )
    }
}

fn authority(
    spec: &Spec,
    start: impl Fn(&[Certificate]) -> Option<SystemTime>,
    env: &dyn Env,
) -> Result<CertificateAuthority, Failure> {
    let pem = spec.file("certificate-chain", env)?;
    let chain = Certificate::chain_from_pem(&pem).map_err(|error| spec.unusable(&error))?;
    if chain.is_empty() {
        return Err(spec.wrong("certificate-chain: there is no certificate in it"));
    }
    let valid_for = spec.window(start(&chain))?;
    Ok(CertificateAuthority { uri: spec.url()?.to_owned(), chain, valid_for, operator: None })
}

/// A log with an origin signs checkpoints by that name and has its id of it; one without has the
/// hash of its key.
fn log(spec: &Spec, env: &dyn Env) -> Result<Log, Failure> {
    let key = PublicKey::from_pem(&spec.file("public-key", env)?)
        .map_err(|error| spec.unusable(&error))?;
    let (url, window) = (spec.url()?, spec.window(None)?);
    let Some(origin) = spec.get("origin") else { return Ok(Log::certificates(url, key, window)) };
    let log = Log::rekor(url, key, window).map_err(|error| spec.unusable(&error))?;
    match log.host_name() {
        Some(name) if name == origin => Ok(log),
        name => Err(spec.wrong(&format!(
            "expected the origin {}, which is the host of its URL, found {origin:?}",
            name.unwrap_or_default()
        ))),
    }
}

/// Logs of version 1 sign with ECDSA, and their ids are of the key alone.
fn lacks_origin(log: &Log) -> bool {
    log.key().algorithm() == KeyAlgorithm::Ed25519 && log.log_id() == log.key().id()
}

const AUTHORITY: &[&str] = &["url", "certificate-chain", "start-time", "end-time"];
const LOG: &[&str] = &["url", "public-key", "start-time", "end-time", "origin"];
