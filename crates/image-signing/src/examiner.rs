//! What is attached to one manifest, judged by one policy.

use std::sync::Arc;

use host::Clock;
use oci_push::{Found, Registry, Resolved, Search};
use trust_root::TrustedRoot;
use verify::{Policy, Purpose};

use crate::accepted::VerifiedImage;
use crate::error::{Action, Error};
use crate::image::{Image, digest};
use crate::judge::{Judge, Judged};
use crate::refusal::{Reason, Refusal};
use crate::verdict::{NoSignature, NotAcceptable};

/// Looks for signatures, and judges them.
pub(crate) struct Examiner<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) root: &'a Arc<TrustedRoot>,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) policy: &'a Arc<Policy>,
}

impl Examiner<'_> {
    /// In which order what is attached is read.
    pub(crate) fn search(&self) -> Search {
        match self.policy.purpose() {
            Purpose::Attestation { predicate_type } => Search::prefer(predicate_type).large(),
            _ => Search::default(),
        }
    }

    /// Finds and judges what is attached to `resolved`, which was named as `image`.
    pub(crate) async fn find_and_judge(
        &self,
        image: &Image,
        resolved: &Resolved,
        action: Action,
    ) -> Result<VerifiedImage, Error> {
        let found = self.registry.find_with(resolved, &self.search()).await;
        let found = found.map_err(|source| Error::registry(image.as_str(), action, source))?;
        self.judge(image, resolved, found).await
    }

    /// Judges what is attached to `resolved`, of which `found` was found, and looks for more where
    /// that is not enough.
    pub(crate) async fn judge(
        &self,
        image: &Image,
        resolved: &Resolved,
        found: Found,
    ) -> Result<VerifiedImage, Error> {
        let Some(digest) = digest(resolved) else {
            let digest = resolved.digest().to_string();
            return Err(Error::Digest { image: image.as_str().to_owned(), digest });
        };
        let (root, clock) = (Arc::clone(self.root), Arc::clone(self.clock));
        let policy = self.policy;
        let judge = Judge { policy: Arc::clone(policy), root, clock, image: digest };
        let mut judged = Judged::default();
        let (had_bundles, looked) = (!found.bundles.is_empty(), found.searched());
        judge.all(found, &mut judged).await;
        // A slow writer may have erased an entry from the list: the signature's own tag remains.
        if !judged.is_enough(policy) {
            let more = self.registry.find_more(resolved, &looked).await;
            judge.all(more, &mut judged).await;
        }
        // Earlier formats are looked for last: they count only when the bundles are not enough.
        if !judged.is_enough(policy) && had_bundles {
            match self.registry.find_legacy(resolved).await {
                Ok(found) => judge.all(found, &mut judged).await,
                Err(error) => judged.refused.push(Refusal::new(
                    format!("cosign's earlier formats in {}", self.place(resolved)),
                    Reason::Unreachable(Box::new(error)),
                )),
            }
        }
        self.conclude(image, resolved, judged)
    }

    /// Decides by what was judged.
    pub(crate) fn conclude(
        &self,
        image: &Image,
        resolved: &Resolved,
        judged: Judged,
    ) -> Result<VerifiedImage, Error> {
        let Judged { accepted, refused, others } = judged;
        let policy = self.policy;
        let decision = policy.rule().decide(accepted.iter().map(|accepted| &accepted.verified));
        if decision.is_enough() {
            return Ok(VerifiedImage {
                image: image.clone(),
                resolved: resolved.clone(),
                index: None,
                signatures: accepted,
                refused,
            });
        }
        let (name, purpose) = (image.as_str().to_owned(), policy.purpose().clone());
        if accepted.is_empty() && refused.is_empty() {
            let (digest, repository) = (resolved.digest().to_string(), self.place(resolved));
            let others = unique(others);
            let none = NoSignature { image: name, digest, repository, purpose, others };
            return Err(Error::NoSignature(Box::new(none)));
        }
        Err(Error::NotAcceptable(Box::new(NotAcceptable {
            image: name,
            purpose,
            found: decision.matches.len(),
            required: decision.required,
            accepted,
            refused,
        })))
    }

    /// Where the image's signatures are.
    fn place(&self, image: &Resolved) -> String {
        self.registry.signatures_of(image.repository()).to_string()
    }
}

fn unique(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}
