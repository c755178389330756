//! What is attached.

use image_signing::host::http::Method;
use image_signing::oci_push::{AttachmentKind, Digest};

use crate::world::{SIGN, SPDX, World, bundle, image, options, run};

#[test]
fn what_is_attached_is_listed_printed_added_and_removed() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let to = image(&world.plain, "copy/app:v1");
        world.mover().copy(&from, &to, &options()).await.unwrap();
        for image in [&from, &to] {
            let attachments = world.attachments();
            let tree = attachments.tree(image).await.unwrap();
            let counts: Vec<usize> = tree.parts.iter().map(|part| part.attached.len()).collect();
            assert_eq!(counts, [3, 1, 0], "{tree}");
            assert!(tree.to_string().contains("linux/arm64"), "{tree}");
            let digest = tree.parts[0].digest.clone();

            let signatures = attachments.signatures(image).await.unwrap();
            assert_eq!(signatures, [bundle(&digest, SIGN, "one")]);
            let attestations = attachments.attestations(image, None).await.unwrap();
            assert_eq!(attestations, [bundle(&digest, SPDX, "one")]);
            let none = attachments.attestations(image, Some("other")).await.unwrap();
            assert_eq!(none, Vec::<String>::new());

            let more = bundle(&digest, SIGN, "kept by a run that could not attach it");
            let report = attachments.attach("b.json", more.as_bytes(), image).await.unwrap();
            assert_ne!(report.attached, "present");
            let again = attachments.attach("b.json", more.as_bytes(), image).await.unwrap();
            assert_eq!((again.attached, &again.manifest), ("present", &report.manifest));
            assert_eq!(attachments.signatures(image).await.unwrap().len(), 2);
            let wrong = bundle(&Digest::sha256(b"x"), SIGN, "other");
            for (bundle, part) in [(wrong.as_str(), "it is about another image"), ("{}", "not a")] {
                let error = attachments.attach("b.json", bundle.as_bytes(), image).await;
                let text = error.unwrap_err().to_string();
                assert!(text.starts_with("b.json was not attached to"), "{text}");
                assert!(text.contains(part), "{text}");
            }

            let kinds = [AttachmentKind::Signature];
            let plan = attachments.plan_cleaning(image, &kinds).await.unwrap();
            assert_eq!(plan.removals.len(), 3);
            attachments.clean(&plan).await.unwrap();
            let left = attachments.tree(image).await.unwrap();
            assert_eq!(left.parts[0].attached.len(), 1, "{left}");
            assert_eq!(left.parts[0].attached[0].kind, AttachmentKind::Attestation);
            let plan = attachments.plan_cleaning(image, &kinds).await.unwrap();
            assert!(plan.removals.is_empty(), "{plan:?}");
        }
        // Neither tags of their own nor entries of the list are left of what was removed.
        world.assert_whole(&world.plain, "copy/app").await;
        let digest = world.registry.resolve(to.reference()).await.unwrap().digest().clone();
        let tags = world.tags(&world.plain, "copy/app").await;
        let own = tags.iter().filter(|tag| tag.starts_with(&format!("sha256-{}.", digest.hex())));
        assert_eq!(own.count(), 1, "{tags:?}");
    });
}

#[test]
fn entries_of_manifests_that_are_gone_are_removed_whatever_is_asked_for() {
    run(async {
        let world = World::new().await;
        let (from, to) = (world.signed().await, image(&world.plain, "copy/app:v1"));
        world.mover().copy(&from, &to, &options()).await.unwrap();
        let tree = world.attachments().tree(&to).await.unwrap();
        let gone = tree.parts[0].attached.iter().find(|item| item.tag.is_none()).unwrap();
        let path = format!("/v2/copy/app/manifests/{}", gone.manifest);
        world.ask(&world.plain, Method::DELETE, &path, b"").await;
        let plan = world.attachments().plan_cleaning(&to, &[]).await.unwrap();
        assert_eq!(plan.removals.len(), 1);
        assert_eq!((plan.removals[0].kind, &plan.removals[0].manifest), (None, &gone.manifest));
        world.attachments().clean(&plan).await.unwrap();
        world.assert_whole(&world.plain, "copy/app").await;
        assert_eq!(world.found(&to).await[0], (1, 1));
    });
}
