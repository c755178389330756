//! To directories and back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use image_signing::host::{self, Transport};
use image_signing::moving::Error;
use image_signing::oci_push::{Layout, Store};
use sandbox::SampleImage;
use serde_json::Value;

use crate::world::{ALL, World, image, kinds, options, run};

#[test]
fn an_image_goes_to_a_directory_and_on_to_another_registry() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let saved = world.mover().save(&from, &world.layout(), &options()).await.unwrap();
        assert_eq!(kinds(&saved), ALL);
        let again = world.mover().save(&from, &world.layout(), &options()).await.unwrap();
        assert!(again.unchanged, "{again:?}");

        let index: Value =
            serde_json::from_slice(&std::fs::read(world.layout().join("index.json")).unwrap())
                .unwrap();
        let entries = index["manifests"].as_array().unwrap();
        let of_kind = |kind: &str| {
            let kind = format!("dev.cosignproject.cosign/{kind}");
            entries.iter().filter(|entry| entry["annotations"]["kind"] == kind.as_str()).count()
        };
        assert_eq!((of_kind("imageIndex"), of_kind("sigs")), (1, 1), "{index}");
        assert!(
            entries.iter().any(|it| it["annotations"]["org.opencontainers.image.ref.name"] == "v1")
        );

        let to = image(&world.plain, "loaded/app:v3");
        let loaded = world.mover().load(&world.layout(), &to, &options()).await.unwrap();
        assert_eq!((kinds(&loaded), &loaded.digest), (ALL.to_vec(), &saved.digest));
        assert_eq!(world.found(&to).await, [(2, 1), (1, 0), (0, 0)]);
        world.assert_whole(&world.plain, "loaded/app").await;

        let layout = Layout::open(world.layout()).await.unwrap();
        let found = world.registry.find_in_layout(&layout, &saved.digest).await.unwrap();
        assert_eq!((found.bundles.len(), found.legacy.len()), (2, 1));
    });
}

#[test]
fn a_directory_that_is_damaged_incomplete_or_another_image_is_refused() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let to = image(&world.plain, "loaded/app:v1");
        let layout = world.layout();
        world.mover().save(&from, &layout, &options()).await.unwrap();
        let refused = async |part: &str| {
            let error = world.mover().load(&layout, &to, &options()).await.unwrap_err();
            let text = host::with_causes(&error);
            assert!(text.contains(part), "{text}");
            assert!(!world.tags(&world.plain, "loaded/app").await.contains(&"v1".to_owned()));
        };

        let other = SampleImage::new("another");
        let base = format!("http://{}", world.api.registry()).parse().unwrap();
        let http = Arc::clone(&world.http) as Arc<dyn Transport>;
        other.push(&http, &base, "other/app", "v1").await.unwrap();
        let another = image(&world.api, "other/app:v1");
        let error = world.mover().save(&another, &layout, &options()).await.unwrap_err();
        assert!(matches!(error, Error::Occupied { .. }), "{error}");

        let index = std::fs::read_to_string(layout.join("index.json")).unwrap();
        let hostile = index.replacen("sha256:", "sha256:../../", 1);
        std::fs::write(layout.join("index.json"), hostile).unwrap();
        refused("needs 64 hex characters").await;
        std::fs::remove_file(layout.join("index.json")).unwrap();
        refused("it is not complete").await;
        std::fs::write(layout.join("index.json"), &index).unwrap();

        let largest = |directory: &Path| {
            let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap());
            files.max_by_key(|file| file.metadata().unwrap().len()).unwrap().path()
        };
        let blob = largest(&layout.join("blobs/sha256"));
        let good = std::fs::read(&blob).unwrap();
        let mut bad = good.clone();
        bad[700] ^= 1;
        std::fs::write(&blob, bad).unwrap();
        refused("its content has the digest").await;
        std::fs::write(&blob, &good[1..]).unwrap();
        refused("bytes, found").await;
        std::fs::remove_file(&blob).unwrap();
        refused("does not exist").await;

        let full = world.directory.path().join("full");
        std::fs::create_dir(&full).unwrap();
        std::fs::write(full.join("notes.txt"), "mine").unwrap();
        let error = world.mover().save(&from, &full, &options()).await.unwrap_err();
        assert!(host::with_causes(&error).contains("neither empty nor"), "{error}");
        assert_eq!(std::fs::read_dir(&full).unwrap().count(), 1);
    });
}

#[test]
fn a_save_that_was_interrupted_is_no_layout_and_a_later_run_goes_on() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        let layout = Layout::create(world.layout()).await.unwrap();
        let index = world.registry.resolve(from.reference()).await.unwrap();
        let source = Store::Repository(index.repository().clone());
        world
            .registry
            .copy(&source, index.digest(), &Store::Layout(layout), &Default::default())
            .await
            .unwrap();
        // Interrupted before the index was written: nobody takes it for a layout, and a later run
        // goes on with it.
        assert!(Layout::open(world.layout()).await.is_err());
        let drafts = ["killed", "at-work"]
            .map(|name| world.layout().join(format!("blobs/sha256/.ambisign-{name}")));
        let files = drafts.each_ref().map(|path| std::fs::File::create(path).unwrap());
        let new = files[0].metadata().unwrap().modified().unwrap();
        files[0].set_modified(new - Duration::from_secs(600)).unwrap();
        let saved = world.mover().save(&from, &world.layout(), &options()).await.unwrap();
        assert_eq!(saved.copied.blobs, 0);
        Layout::open(world.layout()).await.unwrap();
        assert_eq!(drafts.map(|path| path.exists()), [false, true]);
    });
}

#[test]
fn of_several_images_in_a_directory_one_is_chosen_by_name_or_digest() {
    run(async {
        let world = World::new().await;
        let from = world.signed().await;
        world.mover().save(&from, &world.layout(), &options()).await.unwrap();
        let path = world.layout().join("index.json");
        let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let entries = index["manifests"].as_array_mut().unwrap();
        let blob = |entry: &Value| {
            let hex = entry["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
            std::fs::read(world.layout().join(hex)).unwrap()
        };
        let whole = entries.iter().find(|it| it["mediaType"].as_str().unwrap().contains("index"));
        let whole: Value = serde_json::from_slice(&blob(whole.unwrap())).unwrap();
        let mut part = whole["manifests"][0].clone();
        part["annotations"]["org.opencontainers.image.ref.name"] = "part".into();
        let digest = part["digest"].as_str().unwrap().to_owned();
        // As oras writes them.
        let annotations = entries.iter_mut().filter_map(|it| it["annotations"].as_object_mut());
        annotations.for_each(|it| _ = it.remove("kind"));
        entries.push(part);
        std::fs::write(&path, index.to_string()).unwrap();

        let to = image(&world.plain, "loaded/app:v9");
        let directory = world.layout().display().to_string();
        for chosen in [format!("{directory}:part"), format!("{directory}@{digest}")] {
            let chosen = Path::new(&chosen);
            let report = world.mover().load(chosen, &to, &options()).await.unwrap();
            assert_eq!(report.digest.to_string(), digest);
        }
        for (asked, reason) in [
            (directory.clone(), "it holds several images: v1, part; choose one as DIRECTORY:NAME"),
            (format!("{directory}:v2"), "does not exist: it holds v1, part"),
            (format!("{directory}:"), "it is not an OCI layout"),
        ] {
            let error = world.mover().load(Path::new(&asked), &to, &options()).await.unwrap_err();
            let text = host::with_causes(&error);
            assert!(text.contains(reason), "{asked}: {text}");
        }
    });
}
