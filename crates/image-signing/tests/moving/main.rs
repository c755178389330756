//! Images are moved with what is attached to them, between a registry with the referrers API, one
//! without, and a directory.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod attached;
mod copies;
mod layouts;
mod world;

/// A program may run each on a thread of its own.
#[test]
fn the_futures_may_move_between_threads() {
    fn assert_send<T: Send>(_: &T) {}
    world::run(async {
        let world = world::World::new().await;
        let (mover, attachments) = (world.mover(), world.attachments());
        let (one, other) = (world::image(&world.api, "one"), world::image(&world.plain, "other"));
        let (options, directory) = (world::options(), world.layout());
        assert_send(&mover.copy(&one, &other, &options));
        assert_send(&mover.save(&one, &directory, &options));
        assert_send(&mover.load(&directory, &other, &options));
        assert_send(&attachments.tree(&one));
        assert_send(&attachments.signatures(&one));
        assert_send(&attachments.attestations(&one, None));
        assert_send(&attachments.attach("bundle", b"", &one));
        assert_send(&attachments.plan_cleaning(&one, &[]));

        let instance = image_signing::Instance::public_good();
        let host = http_client::system_host();
        let anyone = verify::danger::any_identity();
        let root = std::sync::Arc::new(trust_root::TrustedRoot::public_good());
        assert_send(&image_signing::sign_image("a/b", &instance, &host));
        assert_send(&image_signing::verify_image("a/b", anyone, root, &host));
    });
}
