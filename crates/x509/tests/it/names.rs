//! Subjects, issuers and extensions that are missing, malformed or contradict each other, and
//! certificates that are none.

use ambisign_x509::{Certificate, Error, SubjectName, oid};
use der::asn1::{Any, ObjectIdentifier, OctetString};
use proptest::prelude::*;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::{GeneralName, OtherName};

use crate::made::{Plan, email, extension, subject_alt_name, uri};
use crate::{fulcio_chain, issued};

fn utf8(text: &str) -> Vec<u8> {
    [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn with(extensions: Vec<Extension>) -> Certificate {
    let plan = extensions.into_iter().fold(Plan::leaf(), Plan::with);
    plan.self_signed().certificate
}

fn named(names: &[GeneralName]) -> Result<SubjectName, Error> {
    let plan = Plan::leaf().without("2.5.29.17").with(subject_alt_name(names));
    plan.self_signed().certificate.subject_name()
}

fn other_name(type_id: &str, value: &[u8]) -> GeneralName {
    let value = <Any as der::Decode<'_>>::from_der(value).unwrap();
    GeneralName::OtherName(OtherName { type_id: ObjectIdentifier::new(type_id).unwrap(), value })
}

#[test]
fn the_three_kinds_of_names_are_told_apart() {
    assert_eq!(named(&[email("a@b.c")]).unwrap(), SubjectName::Email("a@b.c".into()));
    assert_eq!(named(&[uri("a:b")]).unwrap(), SubjectName::Uri("a:b".into()));
    let user = other_name(oid::OTHER_NAME, &utf8("ä!b.c"));
    assert_eq!(named(&[user]).unwrap(), SubjectName::OtherName("ä!b.c".into()));
}

#[test]
fn a_subject_is_exactly_one_name_of_these_kinds() {
    let found = |names: &[GeneralName]| match named(names) {
        Err(Error::SubjectName { found }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!(found(&[]), "0 names");
    assert_eq!(found(&[email("a@b.c"), email("a@b.c")]), "2 names");
    assert_eq!(found(&[uri("")]), "an empty name");
    assert_eq!(found(&[GeneralName::DnsName("a.b".to_owned().try_into().unwrap())]), "a DNS name");
    let address = GeneralName::IpAddress(OctetString::new(vec![127, 0, 0, 1]).unwrap());
    assert_eq!(found(&[address]), "an IP address");
    assert_eq!(found(&[other_name("1.2.3.4", &utf8("a"))]), "an otherName of type 1.2.3.4");
    let bytes = other_name(oid::OTHER_NAME, &[4, 1, b'a']);
    assert_eq!(found(&[bytes]), "a user name that is not a UTF8String");
    let nameless = Plan::leaf().without("2.5.29.17").self_signed().certificate.subject_name();
    assert_eq!(
        nameless.unwrap_err().to_string(),
        "expected one e-mail address, URI or user name as the subject, found none"
    );
}

#[test]
fn the_newer_issuer_extension_and_the_older_agree_or_stand_alone() {
    let old = |text: &str| extension(oid::ISSUER, false, text.as_bytes());
    let new = |text: &str| extension(oid::ISSUER_V2, false, &utf8(text));
    let issuer = |extensions| with(extensions).oidc_issuer();
    assert_eq!(issuer(vec![]).unwrap(), None);
    assert_eq!(issuer(vec![old("https://a")]).unwrap().as_deref(), Some("https://a"));
    assert_eq!(issuer(vec![new("https://a")]).unwrap().as_deref(), Some("https://a"));
    let both = vec![old("https://a"), new("https://a")];
    assert_eq!(issuer(both).unwrap().as_deref(), Some("https://a"));
    assert_eq!(
        issuer(vec![old("https://a"), new("https://\u{202e}b")]).unwrap_err().to_string(),
        "the certificate's extension 1.3.6.1.4.1.57264.1.8 is not usable: it names the issuer \
         \"https://\\u{202e}b\", and 1.3.6.1.4.1.57264.1.1 the issuer \"https://a\""
    );
}

#[test]
fn an_old_extension_is_bytes_and_a_new_one_a_utf8_string() {
    let reason = |oid: &str, value: &[u8]| match with(vec![extension(oid, false, value)])
        .fulcio_extensions()
    {
        Err(Error::Extension { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let not_der = "it is not one DER UTF8String";
    assert_eq!(reason(oid::ISSUER_V2, b"https://a"), not_der);
    assert_eq!(reason(oid::ISSUER_V2, &[utf8("a"), vec![0]].concat()), not_der);
    assert_eq!(reason(oid::BUILD_TRIGGER, &[0x16, 1, b'a']), not_der);
    assert_eq!(reason(oid::BUILD_TRIGGER, &[0x0c, 1, 0xff]), not_der);
    assert_eq!(reason(oid::BUILD_TRIGGER, &[]), not_der);
    assert_eq!(reason(oid::GITHUB_WORKFLOW_REF, &[0xff]), "it is not UTF-8");
    assert!(with(vec![extension(oid::ISSUER_V2, false, b"x")]).oidc_issuer().is_err());
}

#[test]
fn extensions_of_the_arc_that_are_not_known_yet_are_kept() {
    let certificate = with(vec![
        extension("1.3.6.1.4.1.57264.1.99", false, &utf8("tomorrow")),
        extension("1.3.6.1.4.1.57264.1.100", false, &[1, 1, 0xff]),
        extension("1.3.6.1.4.1.57264.10", false, &[5, 0]),
        extension(oid::GITHUB_WORKFLOW_REF, false, b"refs/heads/main"),
    ]);
    let found = certificate.fulcio_extensions().unwrap();
    let shown: Vec<_> = found.iter().map(|e| (e.name, e.value.as_str())).collect();
    let expected =
        [("Unknown", "tomorrow"), ("Unknown", "0101ff"), ("GithubWorkflowRef", "refs/heads/main")];
    assert_eq!(shown, expected);
    assert_eq!(found[2].cosign_name(), Some("githubWorkflowRef"));
}

#[test]
fn an_extension_that_stands_twice_is_refused() {
    let issuer = Plan::ca("CN=root", None).self_signed();
    let twice = extension(oid::ISSUER_V2, false, &utf8("a"));
    let plan = Plan::leaf().with(twice.clone()).with(twice);
    assert_eq!(
        Certificate::from_der(&plan.der(&issuer.key, &issuer)).unwrap_err().to_string(),
        "not a certificate: the extension 1.3.6.1.4.1.57264.1.8 is in it twice"
    );
}

#[test]
fn malformed_extensions_that_decide_over_paths_are_refused_at_once() {
    let issuer = Plan::ca("CN=root", None).self_signed();
    for oid in ["2.5.29.15", "2.5.29.19", "2.5.29.37"] {
        let plan = Plan::leaf().without(oid).with(extension(oid, true, &[5, 0]));
        let error = Certificate::from_der(&plan.der(&issuer.key, &issuer)).unwrap_err();
        assert!(matches!(&error, Error::Extension { oid: found, .. } if found == oid), "{error}");
    }
}

#[test]
fn one_signature_algorithm_inside_and_outside() {
    let issuer = Plan::ca("CN=root", None).self_signed();
    let plan = Plan { two_algorithms: true, ..Plan::leaf() };
    assert_eq!(
        Certificate::from_der(&plan.der(&issuer.key, &issuer)).unwrap_err().to_string(),
        "not a certificate: it names two different signature algorithms"
    );
}

#[test]
fn a_certificate_ends_where_it_says() {
    let certificate = issued().remove(0).1;
    let der = certificate.der();
    assert!(Certificate::from_der(&[der, &[0]].concat()).is_err());
    assert!(Certificate::from_der(&der[..der.len() - 1]).is_err());
    assert!(Certificate::from_der(&[]).is_err());
    assert!(Certificate::from_der(&vec![0x30; 100_000]).unwrap_err().to_string().contains("65536"));
}

#[test]
fn pem_is_read_as_it_is_written() {
    for (case, certificate) in issued() {
        assert_eq!(certificate.to_pem().trim_end(), case["pem"].as_str().unwrap());
    }
    let chain = fulcio_chain();
    let text: String = chain.iter().map(Certificate::to_pem).collect();
    assert_eq!(Certificate::chain_from_pem(&text).unwrap(), chain);
}

#[test]
fn pem_that_is_not_what_it_should_be_is_refused_by_name() {
    let chain = fulcio_chain();
    let pem = chain[0].to_pem();
    let refused = |text: &str| Certificate::from_pem(text).unwrap_err().to_string();
    assert_eq!(refused(""), "not a PEM certificate: there is no block");
    assert_eq!(
        refused(&pem.repeat(2)),
        "not a single PEM certificate: expected one block, found 2"
    );
    assert_eq!(
        refused(&pem.replace("CERTIFICATE", "PUBLIC KEY")),
        "not a PEM certificate: expected a block CERTIFICATE, found PUBLIC KEY"
    );
    let cut = format!("{pem}{}", &pem[..pem.len() / 2]);
    assert_eq!(refused(&cut), "not a PEM certificate: a block has no end");
    assert_eq!(refused(&pem.repeat(65)), "not a PEM certificate: there are more than 64 blocks");
    assert!(refused(&"x".repeat(2 << 20)).contains("longer than"));
    // What a label without an end runs into is not repeated.
    let run_on = pem.replacen("CERTIFICATE-----", "CERTIFICATE----", 1);
    let error = refused(&run_on);
    assert!(!error.contains(run_on.lines().nth(1).unwrap()), "{error}");
    assert!(!error.contains(char::is_control), "{error}");
}

#[test]
fn equality_is_that_of_the_bytes() {
    let (one, other) = (issued().remove(0).1, issued().remove(1).1);
    assert_eq!(one, one.clone());
    assert_ne!(one, other);
    assert_ne!(one.fingerprint(), other.fingerprint());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Certificate::from_der(&bytes);
        let _ = Certificate::chain_from_pem(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_damage_makes_a_reader_panic(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut der = issued().remove(6).1.der().to_vec();
        let at = at.index(der.len());
        der[at] = to;
        if let Ok(certificate) = Certificate::from_der(&der) {
            let _ = certificate.subject_name();
            let _ = certificate.oidc_issuer();
            let _ = certificate.fulcio_extensions();
            let _ = certificate.scts();
            let _ = ambisign_x509::precert_tbs(&certificate);
            let _ = format!("{certificate:?}");
        }
    }
}

/// Eight certificates take as long as one with eight times the extensions, up to as many as a
/// certificate can hold. Quadratic work would take eight times as long for the one.
#[test]
#[expect(clippy::disallowed_methods, reason = "measures time")]
fn the_check_for_duplicate_extensions_is_linear() {
    let authority = Plan::ca("CN=authority", None).self_signed();
    let key = keys::KeyPair::generate().unwrap();
    let der_of = |count: u32| {
        let plan = (0..count).fold(Plan::leaf(), |plan, number| {
            plan.with(Extension {
                extn_id: ObjectIdentifier::new(&format!("1.2.3.{number}")).unwrap(),
                critical: false,
                extn_value: OctetString::new([0]).unwrap(),
            })
        });
        plan.der(&key, &authority)
    };
    let (small, large) = (der_of(450), der_of(3_600));
    let fastest = |der: &[u8], times: u32| {
        let run = || {
            let start = std::time::Instant::now();
            (0..times).for_each(|_| drop(Certificate::from_der(der).unwrap()));
            start.elapsed()
        };
        (0..5).map(|_| run()).min().unwrap()
    };
    let (eight, one) = (fastest(&small, 8), fastest(&large, 1));
    assert!(one < eight * 3, "{eight:?} for eight small ones, {one:?} for a large one");
}
