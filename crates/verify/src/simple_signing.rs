//! Simple-signing documents: what cosign signed for images before there were bundles.

use std::collections::BTreeMap;

use bundle::Error;
use bundle::proto_json::{Json, Message};
use keys::Digest;

use crate::check::Check;
use crate::claims::SimpleSigning;
use crate::policy::Policy;
use crate::text::{digest_name, quote, quoted};

/// Reads `payload` and compares it with `image` and the policy.
pub(crate) fn check(
    payload: &[u8],
    image: &Digest,
    policy: &Policy,
) -> Result<SimpleSigning, Check> {
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
        Err(Check::Claim { field, expected: quote(expected), found: quoted(found.as_deref()) })
    };
    differs("critical.type", TYPE, stated)?;
    differs("critical.image.docker-manifest-digest", &digest_name(image), digest)?;
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

/// The type of the document.
const TYPE: &str = "cosign container image signature";
const PAYLOAD_CAP: usize = 1 << 20;
