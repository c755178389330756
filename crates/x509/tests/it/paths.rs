//! Paths that are valid, and each way in which one is not.

use std::time::Duration;

use ambisign_x509::{Anchors, Certificate, Error, Usage, oid};
use x509_cert::ext::pkix::KeyUsages;

use crate::made::{
    Made, Plan, basic_constraints, email, extended_key_usage, extension, key_usage,
    subject_alt_name, uri,
};
use crate::{fulcio_chain, issued, seconds, then};

const CODE: Usage = Usage::CodeSigning;

struct Authority {
    root: Made,
    intermediate: Made,
}

/// A root and an intermediate as Fulcio has them.
fn authority() -> Authority {
    let root = Plan::ca("CN=root,O=example", Some(1)).self_signed();
    let intermediate = Plan::ca("CN=intermediate,O=example", Some(0))
        .with(extended_key_usage(&[oid::CODE_SIGNING], false))
        .signed_by(&root);
    Authority { root, intermediate }
}

impl Authority {
    fn anchors(&self) -> Anchors {
        Anchors::new(vec![self.intermediate.certificate.clone(), self.root.certificate.clone()])
    }

    fn check(&self, leaf: &Plan) -> Result<Vec<Certificate>, Error> {
        let leaf = leaf.signed_by(&self.intermediate).certificate;
        self.anchors().verify(&leaf, &[], then(), CODE)
    }
}

fn refused(found: Result<Vec<Certificate>, Error>) -> String {
    found.unwrap_err().to_string()
}

#[test]
fn a_leaf_has_a_path_and_the_path_is_returned_in_order() {
    let authority = authority();
    let leaf = Plan::leaf().signed_by(&authority.intermediate).certificate;
    let path = authority.anchors().verify(&leaf, &[], then(), CODE).unwrap();
    let expected = [&leaf, &authority.intermediate.certificate, &authority.root.certificate];
    assert_eq!(path.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn both_ends_of_a_validity_belong_to_it_and_nothing_beyond() {
    let anchors = Anchors::new(fulcio_chain());
    let (_, leaf) = issued().remove(0);
    let verify = |at| anchors.verify(&leaf, &[], at, CODE);
    verify(leaf.not_before()).unwrap();
    verify(leaf.not_after()).unwrap();
    for at in [
        leaf.not_before() - Duration::from_nanos(1),
        leaf.not_after() + Duration::from_nanos(1),
        leaf.not_before() - seconds(3600),
        leaf.not_after() + seconds(3600),
    ] {
        assert!(matches!(verify(at), Err(Error::NotValid { .. })));
    }
    assert_eq!(
        refused(verify(leaf.not_after() + seconds(1))),
        "the leaf certificate with the serial number 352671b9939f574d5cd346cf4144ab4773d96008 \
         was not valid at 2026-11-22T15:01:46Z: \
         expected a time from 2026-11-22T14:51:45Z to 2026-11-22T15:01:45Z"
    );
}

#[test]
fn the_intermediate_and_the_anchor_must_have_been_valid_too() {
    let root = Plan::ca("CN=root", None).self_signed();
    let late = Plan::ca("CN=late", None).valid(then() + seconds(1), then() + seconds(9));
    let late = late.signed_by(&root);
    let leaf = Plan::leaf().signed_by(&late).certificate;
    let anchors = Anchors::new(vec![late.certificate, root.certificate]);
    let error = refused(anchors.verify(&leaf, &[], then(), CODE));
    assert!(error.starts_with("the intermediate certificate \"CN=late\" was not valid"), "{error}");

    let old = Plan::ca("CN=old", None).valid(then() - seconds(9), then() - seconds(1));
    let old = old.self_signed();
    let leaf = Plan::leaf().signed_by(&old).certificate;
    let error = refused(Anchors::new(vec![old.certificate]).verify(&leaf, &[], then(), CODE));
    assert!(
        error.starts_with("the trust anchor's certificate \"CN=old\" was not valid"),
        "{error}"
    );
}

#[test]
fn a_certificate_for_another_purpose_is_refused() {
    let authority = authority();
    let plan = Plan::leaf().without("2.5.29.37");
    let error = refused(authority.check(&plan));
    assert!(error.ends_with("code signing (1.3.6.1.5.5.7.3.3), found none"), "{error}");
    let server = plan.clone().with(extended_key_usage(&["1.3.6.1.5.5.7.3.1"], false));
    let error = refused(authority.check(&server));
    assert!(error.ends_with("found 1.3.6.1.5.5.7.3.1"), "{error}");
    let both = plan.with(extended_key_usage(&["1.3.6.1.5.5.7.3.1", oid::CODE_SIGNING], false));
    authority.check(&both).unwrap();
}

#[test]
fn a_leaf_must_be_allowed_to_sign_data() {
    let authority = authority();
    let plan = Plan::leaf().without("2.5.29.15");
    let error = refused(authority.check(&plan));
    assert!(
        error.ends_with("expected the key usage digital signature, found no key usage"),
        "{error}"
    );
    let error = refused(authority.check(&plan.with(key_usage(KeyUsages::KeyAgreement))));
    assert!(error.ends_with("expected the key usage digital signature, found others only"));
}

#[test]
fn a_certificate_authority_is_no_leaf() {
    let authority = authority();
    let error = refused(authority.check(&Plan::leaf().with(basic_constraints(true, None))));
    assert!(error.ends_with("expected an end entity, found a certificate authority"), "{error}");
    authority.check(&Plan::leaf().with(basic_constraints(false, None))).unwrap();
}

#[test]
fn a_leaf_is_no_certificate_authority() {
    let authority = authority();
    // Signed with the key of a leaf: trusted, offered by the bundle, or as the anchor.
    let false_ca = Plan::leaf().named("CN=leaf").signed_by(&authority.intermediate);
    let leaf = Plan::leaf().signed_by(&false_ca).certificate;
    let untrusted = [false_ca.certificate.clone()];
    let error = refused(authority.anchors().verify(&leaf, &untrusted, then(), CODE));
    assert!(
        error.starts_with("no valid path from the leaf certificate with the serial number 1234")
    );
    let error = refused(Anchors::new(untrusted.to_vec()).verify(&leaf, &[], then(), CODE));
    assert!(error.ends_with("expected a certificate authority, found an end entity"), "{error}");
}

#[test]
fn an_authority_must_be_allowed_to_sign_certificates() {
    let root = Plan::ca("CN=root", None).self_signed();
    let plan = Plan::ca("CN=mute", None).without("2.5.29.15");
    let mute = plan.clone().with(key_usage(KeyUsages::CRLSign)).signed_by(&root);
    let leaf = Plan::leaf().signed_by(&mute).certificate;
    let anchors = Anchors::new(vec![mute.certificate.clone(), root.certificate.clone()]);
    let expected = "expected the key usage certificate signing, found others only";
    assert!(refused(anchors.verify(&leaf, &[], then(), CODE)).ends_with(expected));
    let anchors = Anchors::new(vec![mute.certificate]);
    assert!(refused(anchors.verify(&leaf, &[], then(), CODE)).ends_with(expected));

    let silent = plan.signed_by(&root);
    let leaf = Plan::leaf().signed_by(&silent).certificate;
    let anchors = Anchors::new(vec![silent.certificate, root.certificate]);
    anchors.verify(&leaf, &[], then(), CODE).unwrap();
}

#[test]
fn an_authority_for_other_purposes_is_none_for_this_one() {
    let root = Plan::ca("CN=root", None).self_signed();
    let plan = Plan::ca("CN=stamps only", None);
    let stamps =
        plan.clone().with(extended_key_usage(&[oid::TIME_STAMPING], false)).signed_by(&root);
    let leaf = Plan::leaf().signed_by(&stamps).certificate;
    let anchors = Anchors::new(vec![stamps.certificate.clone(), root.certificate.clone()]);
    let error = refused(anchors.verify(&leaf, &[], then(), CODE));
    assert!(error.ends_with("an intermediate is restricted to other usages"), "{error}");
    let error = refused(Anchors::new(vec![stamps.certificate]).verify(&leaf, &[], then(), CODE));
    assert!(error.ends_with("found 1.3.6.1.5.5.7.3.8"), "{error}");

    // For any purpose, and without a word on it.
    let any = extended_key_usage(&["2.5.29.37.0"], false);
    let any = plan.clone().with(any).signed_by(&root);
    let leaf = Plan::leaf().signed_by(&any).certificate;
    let anchors = Anchors::new(vec![any.certificate, root.certificate.clone()]);
    anchors.verify(&leaf, &[], then(), CODE).unwrap();
    let free = plan.signed_by(&root);
    let leaf = Plan::leaf().signed_by(&free).certificate;
    let anchors = Anchors::new(vec![free.certificate, root.certificate]);
    anchors.verify(&leaf, &[], then(), CODE).unwrap();
}

#[test]
fn no_more_intermediates_than_an_authority_allows() {
    let check = |root_limit, middle_limit| {
        let root = Plan::ca("CN=root", root_limit).self_signed();
        let middle = Plan::ca("CN=middle", middle_limit).signed_by(&root);
        let lower = Plan::ca("CN=lower", None).signed_by(&middle);
        let leaf = Plan::leaf().signed_by(&lower).certificate;
        Anchors::new(vec![lower.certificate, middle.certificate, root.certificate]).verify(
            &leaf,
            &[],
            then(),
            CODE,
        )
    };
    assert_eq!(check(None, None).unwrap().len(), 4);
    assert_eq!(check(Some(2), Some(1)).unwrap().len(), 4);
    let error = refused(check(Some(2), Some(0)));
    assert!(error.ends_with("there are more intermediates than an issuer allows"), "{error}");
    let error = refused(check(Some(1), Some(1)));
    assert!(error.ends_with("expected at most 1 intermediates below it, found 2"), "{error}");
}

#[test]
fn intermediates_may_come_with_the_bundle_but_anchors_may_not() {
    let authority = authority();
    let leaf = Plan::leaf().signed_by(&authority.intermediate).certificate;
    let root_only = Anchors::new(vec![authority.root.certificate.clone()]);
    let error = refused(root_only.verify(&leaf, &[], then(), CODE));
    assert!(
        error.ends_with(
            "to the trust anchor's certificate \"CN=root,O=example\": \
             no known certificate is the issuer"
        ),
        "{error}"
    );
    let untrusted = [authority.intermediate.certificate.clone()];
    assert_eq!(root_only.verify(&leaf, &untrusted, then(), CODE).unwrap().len(), 3);

    // All of another authority, offered by the bundle.
    let other = self::authority();
    let offered = [authority.intermediate.certificate, authority.root.certificate];
    let found = other.anchors().verify(&leaf, &offered, then(), CODE);
    assert!(matches!(found, Err(Error::NoPath { .. })), "{found:?}");
}

#[test]
fn an_authority_of_the_same_name_with_another_key_did_not_sign_it() {
    let (one, other) = (authority(), authority());
    let leaf = Plan::leaf().signed_by(&one.intermediate).certificate;
    let error = refused(other.anchors().verify(&leaf, &[], then(), CODE));
    assert!(error.ends_with("a certificate is not signed by its issuer"), "{error}");
}

#[test]
fn unknown_critical_extensions_are_refused_and_others_passed_over() {
    let authority = authority();
    authority.check(&Plan::leaf().with(extension("1.2.3.4", false, &[5, 0]))).unwrap();
    let error = refused(authority.check(&Plan::leaf().with(extension("1.2.3.4", true, &[5, 0]))));
    assert!(error.ends_with("an unknown extension is critical"), "{error}");
    let poison = extension(oid::PRECERT_POISON, true, &[5, 0]);
    let error = refused(authority.check(&Plan::leaf().with(poison)));
    assert!(error.ends_with("an unknown extension is critical"), "{error}");
}

#[test]
fn a_name_below_a_constraint_of_its_kind_is_refused() {
    let root = Plan::ca("CN=root", None).self_signed();
    // NameConstraints that permit one name ending in example.com, of the kind that `tag` says.
    let check = |tag: u8| {
        let constraint = [0x30, 0x11, 0xa0, 0x0f, 0x30, 0x0d, tag, 0x0b];
        let constraint = [&constraint[..], b"example.com"].concat();
        let bound = Plan::ca("CN=bound", None)
            .with(extension("2.5.29.30", true, &constraint))
            .signed_by(&root);
        let names = subject_alt_name(&[uri("https://elsewhere.test/a")]);
        let plan = Plan::leaf().without("2.5.29.17").with(names);
        let leaf = plan.signed_by(&bound).certificate;
        let anchors = Anchors::new(vec![bound.certificate, root.certificate.clone()]);
        anchors.verify(&leaf, &[], then(), CODE)
    };
    let (dns, uri) = (0x82, 0x86);
    check(dns).unwrap();
    let error = refused(check(uri));
    assert!(error.contains("an issuer is constrained in names of this kind"), "{error}");
}

#[test]
fn a_timestamp_authority_is_for_timestamps_alone_and_says_so_critically() {
    let root = Plan::ca("CN=root", None).self_signed();
    let anchors = Anchors::new(vec![root.certificate.clone()]);
    let check = |plan: &Plan| {
        let leaf = plan.signed_by(&root).certificate;
        anchors.verify(&leaf, &[], then(), Usage::TimeStamping)
    };
    check(&Plan::tsa()).unwrap();
    check(&Plan::tsa().without("2.5.29.15")).unwrap();
    let plan = Plan::tsa().without("2.5.29.37");
    let soft = plan.clone().with(extended_key_usage(&[oid::TIME_STAMPING], false));
    let error = refused(check(&soft));
    assert!(error.ends_with("critical, found it not critical"), "{error}");
    let two = [oid::TIME_STAMPING, oid::CODE_SIGNING];
    let error = refused(check(&plan.clone().with(extended_key_usage(&two, true))));
    assert!(error.contains("(1.3.6.1.5.5.7.3.8) alone, found 1.3.6.1.5.5.7.3.8, "), "{error}");
    let error = refused(check(&plan));
    assert!(error.ends_with("timestamping (1.3.6.1.5.5.7.3.8), found none"), "{error}");
    let error = refused(check(&Plan::leaf()));
    assert!(error.ends_with("found 1.3.6.1.5.5.7.3.3"), "{error}");
}

#[test]
fn every_kind_of_key_signs_certificates() {
    for key in
        [keys::KeyAlgorithm::EcdsaP256, keys::KeyAlgorithm::EcdsaP384, keys::KeyAlgorithm::Ed25519]
    {
        let root = Plan { key, ..Plan::ca("CN=root", None) }.self_signed();
        let leaf = Plan { key, ..Plan::leaf() }.signed_by(&root).certificate;
        Anchors::new(vec![root.certificate]).verify(&leaf, &[], then(), CODE).unwrap();
    }
}

#[test]
fn a_p521_authority_of_openssl_has_a_path() {
    let mut chain = Certificate::chain_from_pem(include_str!("p521.pem")).unwrap();
    let leaf = chain.remove(0);
    let at = leaf.not_before();
    let anchors = Anchors::new(chain);
    anchors.verify(&leaf, &[], at, CODE).unwrap();
    let mut der = leaf.der().to_vec();
    if let Some(last) = der.last_mut() {
        *last ^= 1;
    }
    let error = refused(anchors.verify(&Certificate::from_der(&der).unwrap(), &[], at, CODE));
    assert!(error.ends_with("a certificate is not signed by its issuer"), "{error}");
}

#[test]
fn without_an_anchor_nothing_verifies() {
    let leaf = Plan::leaf().self_signed().certificate;
    let error = refused(Anchors::new(Vec::new()).verify(&leaf, &[], then(), CODE));
    assert!(error.ends_with("the authority has no certificate"), "{error}");
    let itself = Anchors::new(vec![leaf.clone()]).verify(&leaf, &[], then(), CODE);
    assert!(itself.is_err());
}

#[test]
fn a_certificate_with_two_names_still_has_a_path() {
    // How many names there may be is a question of identity, not of the path.
    let names = subject_alt_name(&[email("a@example.com"), uri("https://example.com")]);
    authority().check(&Plan::leaf().without("2.5.29.17").with(names)).unwrap();
}
