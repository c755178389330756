//! What cosign signed for an image before there were bundles: a "simple signing" document.

use std::collections::BTreeMap;

use bundle::proto_json::{Json, Message};
use bundle::{Error, SIGN_PREDICATE_TYPE};
use keys::Digest;

use crate::artifact::name;
use crate::check::{Check, plain};
use crate::policy::Policy;

/// A simple-signing document: it says of which image it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SimpleSigning {
    docker_reference: Option<String>,
    annotations: BTreeMap<String, String>,
}

impl SimpleSigning {
    /// The repository the signer had in mind. Nothing compares it with where the image is: a copied
    /// image keeps its signature.
    pub fn docker_reference(&self) -> Option<&str> {
        self.docker_reference.as_deref()
    }

    /// The signer's annotations that are strings. Others are left out, for nothing can be compared
    /// with them.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }
}

/// Reads `payload` and holds it to `image` and the policy.
pub(crate) fn check(
    payload: &[u8],
    image: &Digest,
    policy: &Policy,
) -> Result<SimpleSigning, Check> {
    if let Some(expected) = policy.predicate_type.as_ref().filter(|t| *t != SIGN_PREDICATE_TYPE) {
        return Err(Check::PredicateType { expected: expected.clone(), found: TYPE.to_owned() });
    }
    let unreadable = |error: Error| Check::Claim {
        field: "document",
        expected: "a simple-signing document".to_owned(),
        found: format!("one that cannot be read ({error})"),
    };
    let mut document = Message::parse(payload, PAYLOAD_CAP).map_err(unreadable)?;
    let (mut digest, mut docker_reference, mut stated) = (None, None, None);
    if let Some(critical) = &mut document.message("critical").map_err(unreadable)? {
        let mut within = |message: &str, field: &str| match critical.message(message)? {
            Some(mut message) => message.string(field),
            None => Ok(None),
        };
        digest = within("image", "docker-manifest-digest").map_err(unreadable)?;
        docker_reference = within("identity", "docker-reference").map_err(unreadable)?;
        stated = critical.string("type").map_err(unreadable)?;
    }
    let differs = |field, expected: &str, found: Option<String>| {
        if found.as_deref() == Some(expected) {
            return Ok(());
        }
        Err(Check::Claim {
            field,
            expected: format!("{expected:?}"),
            found: found
                .map_or_else(|| "none".to_owned(), |found| format!("\"{}\"", plain(&found))),
        })
    };
    differs("critical.type", TYPE, stated)?;
    differs("critical.image.docker-manifest-digest", &name(image), digest)?;
    let annotations = annotations(&mut document).map_err(unreadable)?;
    for (key, expected) in &policy.annotations {
        let found = annotations.get(key);
        if found != Some(expected) {
            return Err(Check::Annotation {
                key: key.clone(),
                expected: expected.clone(),
                found: found.cloned(),
            });
        }
    }
    Ok(SimpleSigning { docker_reference, annotations })
}

fn annotations(document: &mut Message<'_>) -> Result<BTreeMap<String, String>, Error> {
    let Some(optional) = document.message("optional")? else { return Ok(BTreeMap::new()) };
    let strings = optional.into_rest().into_iter().filter_map(|(key, value)| match value {
        Json::String(value) => Some((key.into_owned(), value.into_owned())),
        _ => None,
    });
    Ok(strings.collect())
}

/// What the document calls itself.
const TYPE: &str = "cosign container image signature";
const PAYLOAD_CAP: usize = 1 << 20;
