//! Attestations whose place a new one takes.

use std::collections::BTreeSet;
use std::sync::Arc;

use host::Clock;
use oci_push::{Digest, Found, Registry, Search};
use signer::Signer;
use trust_root::TrustedRoot;
use verify::{Formats, Policy};

use crate::error::{Action, Error};
use crate::image::{Target, digest};
use crate::judge::{Judge, Judged};

/// Which attestations are replaced: those of one type, by one signer.
pub(crate) struct Replacing {
    registry: Registry,
    root: Arc<TrustedRoot>,
    clock: Arc<dyn Clock>,
    policy: Arc<Policy>,
    formats: Formats,
    predicate_type: String,
}

impl Replacing {
    /// Those that meet `policy`, in one of the `formats`.
    pub(crate) fn new(
        registry: Registry,
        signer: &Signer,
        policy: Policy,
        formats: Formats,
        predicate_type: &str,
    ) -> Self {
        let (root, clock) = (Arc::clone(signer.root()), Arc::clone(signer.clock()));
        let predicate_type = predicate_type.to_owned();
        Self { registry, root, clock, policy: Arc::new(policy), formats, predicate_type }
    }

    /// What `target` carries of them: manifests or, in the earlier format, layers. What cannot be read
    /// is an error: it may be one of them.
    pub(crate) async fn older(&self, target: &Target) -> Result<BTreeSet<Digest>, Error> {
        let (name, resolved) = (target.image().as_str(), target.resolved());
        let failed = |source| Error::registry(name, Action::Sign, source);
        let Some(image) = digest(resolved) else {
            let digest = resolved.digest().to_string();
            return Err(Error::Digest { image: name.to_owned(), digest });
        };
        let found = match self.formats {
            Formats::Legacy => self.registry.find_legacy(resolved).await.map_err(failed)?,
            _ => {
                let search = Search::prefer(&self.predicate_type).large();
                let mut found = self.registry.find_with(resolved, &search).await.map_err(failed)?;
                let more = self.registry.find_more(resolved, &found).await;
                found.bundles.extend(more.bundles);
                found.unreachable.extend(more.unreachable);
                found.legacy.clear();
                found
            }
        };
        if let Some(unread) = found.unreachable.first() {
            return Err(failed(unread.error.clone()));
        }
        let (root, clock) = (Arc::clone(&self.root), Arc::clone(&self.clock));
        let judge = Judge { policy: Arc::clone(&self.policy), root, clock, image };
        let mut older = BTreeSet::new();
        let bundles = found.bundles.into_iter().map(|one| {
            let manifest = one.manifest.clone();
            let mut alone = Found::default();
            alone.bundles.push(one);
            (manifest, alone)
        });
        let layers = found.legacy.into_iter().map(|one| {
            let layer = one.digest.clone();
            let mut alone = Found::default();
            alone.legacy.push(one);
            (layer, alone)
        });
        for (place, alone) in bundles.chain(layers) {
            let mut judged = Judged::default();
            judge.all(alone, &mut judged).await;
            older.extend((!judged.accepted.is_empty()).then_some(place));
        }
        Ok(older)
    }
}
