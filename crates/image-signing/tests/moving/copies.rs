//! From one repository to another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use image_signing::host::{self, Transport};
use image_signing::moving::{Error, ImageMover};
use image_signing::oci_push::{AttachmentKind, Digest};
use sandbox::SampleImage;
use serde_json::json;

use crate::world::{ALL, MANIFEST, SIGN, World, image, kinds, options, run};

#[test]
fn a_copy_has_all_platforms_and_all_signatures_and_a_second_run_writes_nothing() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v2"));
        let report = world.mover().copy(&from, &to, &options()).await.unwrap();
        assert_eq!(kinds(&report), ALL);
        assert_eq!((report.copied.manifests, report.unchanged), (3 + 4, false));
        assert_eq!(world.found(&to).await, world.found(&from).await);
        assert_eq!(world.found(&to).await, [(2, 1), (1, 0), (0, 0)]);

        // The lists are as signers write them: an index, and a tag for each signature.
        let hex = report.digest.hex();
        let tags = world.tags(&world.plain, "copy/app").await;
        let own = tags
            .iter()
            .filter(|tag| tag.starts_with(&format!("sha256-{hex}.")) && !tag.ends_with(".sig"));
        assert_eq!(own.count(), 2, "{tags:?}");
        let path = format!("/v2/copy/app/manifests/sha256-{hex}");
        let list = world.json(&world.plain, &path).await.unwrap();
        assert_eq!(list["manifests"].as_array().unwrap().len(), 2);
        assert!(tags.contains(&"v2".to_owned()));
        world.assert_whole(&world.plain, "copy/app").await;

        let before = world.http.written.load(Ordering::Relaxed);
        let again = ImageMover::new(world.fresh()).copy(&from, &to, &options()).await.unwrap();
        assert!(again.unchanged, "{again:?}");
        assert_eq!(world.http.written.load(Ordering::Relaxed), before);
        assert!(again.copied.attachments.iter().all(|attachment| attachment.present));
    });
}

#[test]
fn whenever_a_copy_is_cut_off_nothing_refers_to_what_is_not_there() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let whole = image(&world.plain, "whole/app:v1");
        let start = world.http.sent.load(Ordering::Relaxed);
        ImageMover::new(world.fresh()).copy(&from, &whole, &options()).await.unwrap();
        let requests = world.http.sent.load(Ordering::Relaxed) - start;
        assert!(requests > 30, "{requests}");
        // One repository for all, so that a later run meets what an earlier one left.
        for cut in (0..requests + 10).step_by(3) {
            let name = format!("cut{}/app", cut % 2);
            let to = image(&world.plain, &format!("{name}:v1"));
            world.http.left.store(cut, Ordering::Relaxed);
            let result = ImageMover::new(world.fresh()).copy(&from, &to, &options()).await;
            world.http.left.store(usize::MAX, Ordering::Relaxed);
            world.assert_whole(&world.plain, &name).await;
            let tagged = world.tags(&world.plain, &name).await.contains(&"v1".to_owned());
            // The tag means that everything is there.
            if tagged {
                assert_eq!(world.found(&to).await, [(2, 1), (1, 0), (0, 0)], "after {cut}");
            } else {
                assert!(result.is_err());
            }
        }
    });
}

#[test]
fn what_is_at_the_destination_stays() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v1"));
        world.mover().copy(&from, &to, &options()).await.unwrap();
        let there = world.registry.resolve(to.reference()).await.unwrap();
        world.attach(&there, SIGN, "of the destination").await;
        world.earlier(&world.plain, "copy/app", there.digest(), "of the destination").await;
        let source = world.registry.resolve(from.reference()).await.unwrap();
        world.attach(&source, SIGN, "later").await;

        let report = world.mover().copy(&from, &to, &options()).await.unwrap();
        assert!(!report.unchanged);
        assert_eq!(world.found(&to).await[0], (4, 2));
        let again = world.mover().copy(&from, &to, &options()).await.unwrap();
        assert!(again.unchanged, "{again:?}");
    });
}

#[test]
fn a_tag_that_is_another_image_is_replaced_only_when_that_is_forced() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let other = SampleImage::new("another");
        let base = format!("http://{}", world.plain.registry()).parse().unwrap();
        let http = Arc::clone(&world.http) as Arc<dyn Transport>;
        other.push(&http, &base, "copy/app", "v1").await.unwrap();
        let to = image(&world.plain, "copy/app:v1");
        let before = world.http.written.load(Ordering::Relaxed);
        let refused = world.mover().copy(&from, &to, &options()).await.unwrap_err();
        assert!(matches!(&refused, Error::Occupied { found, .. } if *found == other.digest()));
        assert_eq!(world.http.written.load(Ordering::Relaxed), before);
        let mut force = options();
        force.force = true;
        let report = world.mover().copy(&from, &to, &force).await.unwrap();
        let there = world.registry.resolve(to.reference()).await.unwrap();
        assert_eq!(*there.digest(), report.digest);
    });
}

#[test]
fn one_platform_or_only_some_attachments_can_be_copied() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v1"));
        let mut only = options();
        only.only = vec![AttachmentKind::Attestation];
        let missing = world.mover().copy(&from, &to, &only).await.unwrap_err();
        assert!(host::with_causes(&missing).contains("does not exist"), "{missing}");

        let mut platform = options();
        platform.platform = Some("linux/arm64".to_owned());
        let arm = image(&world.plain, "copy/arm:v1");
        let report = world.mover().copy(&from, &arm, &platform).await.unwrap();
        assert_eq!((report.copied.manifests, kinds(&report).len()), (1, 0));
        platform.platform = Some("linux/amd64".to_owned());
        let amd = image(&world.plain, "copy/amd:v1");
        let report = world.mover().copy(&from, &amd, &platform).await.unwrap();
        assert_eq!(kinds(&report), ["signature"]);
        platform.platform = Some("plan9/386".to_owned());
        let refused = world.mover().copy(&from, &amd, &platform).await.unwrap_err().to_string();
        assert!(refused.contains("found linux/amd64, linux/arm64"), "{refused}");

        let mut bare = options();
        bare.only = vec![AttachmentKind::Attestation];
        // The image comes by another tool, its signatures later.
        let unsigned = SampleImage::new("demo/app");
        let base = format!("http://{}", world.plain.registry()).parse().unwrap();
        let http = Arc::clone(&world.http) as Arc<dyn Transport>;
        unsigned.push(&http, &base, "copy/app", "v1").await.unwrap();
        let report = world.mover().copy(&from, &to, &bare).await.unwrap();
        assert_eq!(kinds(&report), ["attestation"]);
        assert_eq!(world.found(&to).await, [(1, 0), (0, 0), (0, 0)]);
    });
}

#[test]
fn other_referrers_and_their_signatures_are_copied_when_asked_for() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let index = world.registry.resolve(from.reference()).await.unwrap();
        let config = world.put_blob(&world.api, "demo/app", b"{}").await;
        let notes = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "text/notes",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2 },
            "layers": [],
            "subject": { "mediaType": MANIFEST, "digest": index.digest(), "size": 1 },
        });
        let digest = Digest::sha256(notes.to_string().as_bytes());
        world.put_manifest(&world.api, "demo/app", digest.as_str(), &notes).await;
        let name = format!("{}@{digest}", index.repository());
        let notes = world.registry.resolve(&name.parse().unwrap()).await.unwrap();
        world.attach(&notes, SIGN, "of the notes").await;

        let without = image(&world.plain, "without/app:v1");
        let report = world.mover().copy(&from, &without, &options()).await.unwrap();
        assert_eq!(kinds(&report), ALL);
        let mut all = options();
        all.all_referrers = true;
        let with = image(&world.plain, "with/app:v1");
        let report = world.mover().copy(&from, &with, &all).await.unwrap();
        assert_eq!(kinds(&report).len(), ALL.len() + 2);
        let there = format!("{}@{digest}", with.reference().repository()).parse().unwrap();
        let there = world.registry.resolve(&there).await.unwrap();
        assert_eq!(world.registry.find(&there).await.unwrap().bundles.len(), 1);
    });
}

#[test]
fn within_one_registry_no_blob_of_the_image_is_sent() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.api, "elsewhere/app:v1"));
        let report = world.mover().copy(&from, &to, &options()).await.unwrap();
        assert_eq!((report.copied.blobs, report.copied.bytes), (0, 0));
        assert!(report.copied.blobs_mounted > 4, "{report:?}");
        assert_eq!(world.found(&to).await, [(2, 1), (1, 0), (0, 0)]);
    });
}

#[test]
fn a_blob_that_is_not_what_its_digest_says_is_not_completed() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v1"));
        world.http.corrupt.store(true, Ordering::Relaxed);
        let error = world.mover().copy(&from, &to, &options()).await.unwrap_err();
        assert!(host::with_causes(&error).contains("its content has the digest"), "{error}");
        let error = world.mover().save(&from, &world.layout(), &options()).await.unwrap_err();
        assert!(host::with_causes(&error).contains("its content has the digest"), "{error}");
        world.http.corrupt.store(false, Ordering::Relaxed);
        assert_eq!(world.tags(&world.plain, "copy/app").await, Vec::<String>::new());
        // A draft that a thread still holds is removed when the thread is done with it.
        let blobs = world.layout().join("blobs/sha256");
        let left = || std::fs::read_dir(&blobs).unwrap().count();
        for _ in 0..500 {
            if left() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("{} blobs are left", left());
    });
}
