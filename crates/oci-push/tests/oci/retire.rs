//! Attestations whose place a newer one takes.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use oci_push::{Attached, Digest, Error, LegacyKind};

use crate::attach::attach;
use crate::fake::Fake;
use crate::helpers::{INDEX_TYPE, block_on, plain, refusal, subject};

/// What a registry deletes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Deletes {
    /// Tags, and manifests by their digests.
    Both,
    /// Manifests by their digests, with the tags that mean them, as docker-registry.
    Manifests,
    /// Tags.
    Tags,
    /// Nothing, as ghcr.io.
    Nothing,
}

fn deleting(fake: Fake, deletes: Deletes) -> Fake {
    fake.intercept(move |state, request| {
        let (_, name) = request.uri().path().rsplit_once("/manifests/")?;
        if *request.method() != Method::DELETE {
            return None;
        }
        let app = state.repositories.get_mut("app").unwrap();
        let refused = || Some(Ok(refusal(405, "UNSUPPORTED", "the operation is unsupported")));
        match (name.contains(':'), deletes) {
            (_, Deletes::Nothing) | (true, Deletes::Tags) => return refused(),
            (false, Deletes::Manifests) => return Some(Ok(refusal(400, "DIGEST_INVALID", "no"))),
            (true, _) => {
                app.manifests.remove(name);
                app.tags.retain(|_, digest| digest != name);
            }
            (false, _) => _ = app.tags.remove(name),
        }
        Some(Ok(plain(202, "")))
    });
    fake
}

fn retire(fake: &Fake, image: &Digest, newer: &Attached, older: &Digest) -> Result<(), Error> {
    let older = BTreeSet::from([older.clone()]);
    block_on(fake.registry().retire(&subject(image), newer, &older))
}

/// The manifests of the bundles that a reader finds who reads everything.
fn found(fake: &Fake, image: &Digest) -> Vec<Digest> {
    let registry = fake.registry();
    let mut found = block_on(registry.find(&subject(image))).unwrap();
    found.bundles.extend(block_on(registry.find_more(&subject(image), &found)).bundles);
    assert!(found.unreachable.is_empty() && found.unusable.is_empty(), "{found:?}");
    let mut found: Vec<_> = found.bundles.into_iter().map(|one| one.manifest).collect();
    found.sort();
    found
}

fn listed(fake: &Fake, image: &Digest) -> BTreeSet<Digest> {
    let list = fake.listed("app", image).unwrap();
    let entries = list["manifests"].as_array().unwrap().iter();
    entries.map(|entry| entry["digest"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn one_that_is_replaced_is_gone_from_the_list_and_the_tags_whatever_a_registry_deletes() {
    for deletes in [Deletes::Both, Deletes::Manifests, Deletes::Tags, Deletes::Nothing] {
        let fake = deleting(Fake::without_referrers(), deletes);
        let image = fake.image("app", "v1");
        let [older, other, newer] =
            ["older", "other", "newer"].map(|note| attach(&fake, &image, note).unwrap());
        retire(&fake, &image, &newer, &older.digest).unwrap();
        let expected = BTreeSet::from([newer.digest.clone(), other.digest.clone()]);
        assert_eq!(listed(&fake, &image), expected, "{deletes:?}");
        assert_eq!(found(&fake, &image), Vec::from_iter(expected.clone()), "{deletes:?}");
        // The next writer, who repairs the list, does not bring it back.
        let next = attach(&fake, &image, "next").unwrap();
        let expected = &expected | &BTreeSet::from([next.digest]);
        assert_eq!(listed(&fake, &image), expected, "{deletes:?}");
    }
}

#[test]
fn a_registry_with_the_api_must_delete_manifests() {
    for deletes in [Deletes::Both, Deletes::Manifests, Deletes::Nothing] {
        let fake = deleting(Fake::new(), deletes);
        let image = fake.image("app", "v1");
        let [older, newer] = ["older", "newer"].map(|note| attach(&fake, &image, note).unwrap());
        let retired = retire(&fake, &image, &newer, &older.digest);
        let left = found(&fake, &image);
        match deletes {
            Deletes::Nothing => {
                let error = retired.unwrap_err().to_string();
                assert!(error.contains("the registry does not delete manifests"), "{error}");
                assert_eq!(left.len(), 2, "nothing is lost");
            }
            _ => assert_eq!(retired.map(|()| left).unwrap(), [newer.digest]),
        }
    }
}

#[test]
fn a_writer_who_puts_the_older_entry_back_loses_nothing_of_its_own() {
    let fake = deleting(Fake::without_referrers(), Deletes::Both);
    let image = fake.image("app", "v1");
    let [older, newer, other] =
        ["older", "newer", "other"].map(|note| attach(&fake, &image, note).unwrap());
    let list = fake.listed("app", &image).unwrap().to_string();
    let digest = fake.manifest("app", INDEX_TYPE, list.as_bytes());
    fake.is_put_back(image.fallback_tag(), digest.to_string(), 2);
    retire(&fake, &image, &newer, &older.digest).unwrap();
    let expected = BTreeSet::from([newer.digest, other.digest]);
    assert_eq!(listed(&fake, &image), expected);
}

#[test]
fn layers_in_the_earlier_format_are_replaced_in_one_write() {
    let fake = Fake::new();
    let image = fake.image("app", "v1");
    let (registry, subject) = (fake.registry(), subject(&image));
    let write = |payload: &str, older: &[&str]| {
        let older = older.iter().map(|older| Digest::sha256(older.as_bytes())).collect();
        let annotations = BTreeMap::from([("predicateType".to_owned(), "p".to_owned())]);
        let (kind, digest) = (LegacyKind::Attestation, Digest::sha256(payload.as_bytes()));
        let payload = (&digest, bytes::Bytes::copy_from_slice(payload.as_bytes()).into());
        block_on(registry.replace_legacy(&subject, kind, payload, &annotations, &older)).unwrap();
    };
    write("older", &[]);
    write("other", &[]);
    write("newer", &["older"]);
    write("newer", &["newer"]);
    let found = block_on(registry.find_legacy(&subject)).unwrap();
    let found: Vec<&[u8]> = found.legacy.iter().map(|one| &*one.bytes).collect();
    assert_eq!(found, [b"other", b"newer"]);
}
