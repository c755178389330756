//! Groups 5 to 7 and 14: the certificate, its publication, its names, its time.

use ambisign_verify::{AcceptedSigner, Policy, StringMatch};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Case;
use crate::der::{octets, oid, seq, tlv, utf8};
use crate::forge::{
    CODE_SIGNING, ISSUER, SUBJECT, SctPlan, TIME_STAMPING, at, extension, issuer, old_issuer,
    seconds, then, uri, user_name,
};
use crate::{passes, refused};

/// Which case, and what becomes of it.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        // 5. The certificate was published.
        Case::v1("a leaf without SCT", |p| p.scts.clear(), refused("Sct", "found none")),
        Case::v1(
            "an SCT by an unknown log",
            |p| p.scts[0].known = false,
            refused("Sct", "trusted log"),
        ),
        Case::v1(
            "an SCT by an unknown log beside a good one",
            |p| p.scts.push(SctPlan { known: false, ..p.scts[0].clone() }),
            passes(),
        ),
        Case::v1(
            "an SCT outside of the log's window",
            |p| p.scts[0].time = then() - seconds(10 * 24 * 3600),
            refused("Sct", "outside the log's window"),
        ),
        Case::v1(
            "an SCT over the key of another issuer of the same name",
            |p| p.scts[0].right_issuer = false,
            refused("Sct", "is not valid"),
        ),
        Case::v1("an issuer of the same name beside the right one", |p| p.twin = true, passes()),
        Case::v1(
            "an SCT over the key of the other issuer of the same name, which is trusted too",
            |p| {
                p.twin = true;
                p.scts[0].right_issuer = false;
            },
            refused("Sct", "is not valid"),
        ),
        Case::v1(
            "an SCT at the beginning of the log's window",
            |p| p.root = ct_from_then,
            passes(),
        )
        .at_sct(then()),
        Case::v1(
            "an SCT a second before the log's window",
            |p| p.root = ct_from_then,
            refused("Sct", "outside the log's window"),
        )
        .at_sct(then() - seconds(1)),
        Case::v1(
            "a good SCT and one that does not hold",
            |p| p.scts.push(SctPlan { right_issuer: false, ..p.scts[0].clone() }),
            refused("Sct", "is not valid"),
        ),
        Case::v1(
            "a precertificate",
            |p| p.leaf.extensions.push(extension("1.3.6.1.4.1.11129.2.4.3", false, &[5, 0])),
            refused("Sct", "precertificate"),
        ),
        // 6. The path to a trusted authority.
        Case::v1(
            "a leaf without the code signing usage",
            |p| p.leaf.usages.clear(),
            refused("Chain", "code signing"),
        ),
        Case::v1(
            "a leaf for timestamps",
            |p| p.leaf.usages = vec![TIME_STAMPING],
            refused("Chain", "code signing"),
        ),
        Case::v1(
            "a leaf that may not sign data",
            |p| p.leaf.key_usage = 0x08,
            refused("Chain", "digital signature"),
        ),
        Case::v1("a leaf that is a CA", |p| p.leaf.ca = true, refused("Chain", "end entity")),
        Case::v1(
            "a leaf with an unknown critical extension",
            |p| p.leaf.extensions.push(extension("1.2.3.4", true, &[5, 0])),
            refused("Chain", "critical"),
        ),
        Case::v1(
            "an intermediate without the CA flag",
            |p| p.intermediates[0].ca = false,
            refused("Chain", "CN=anchor"),
        ),
        Case::v1(
            "an intermediate that may not sign certificates",
            |p| p.intermediates[0].key_usage = 0x80,
            refused("Chain", "certificate signing"),
        ),
        Case::v1(
            "an intermediate for timestamps only",
            |p| p.intermediates[0].usages = vec![TIME_STAMPING],
            refused("Chain", "CN=anchor"),
        ),
        Case::v1(
            "an intermediate that may have none below it, and has one",
            |p| {
                let mut between = p.intermediates[0].clone();
                between.subject = "between";
                between.path_len = Some(0);
                p.intermediates.insert(0, between);
            },
            refused("Chain", "intermediates"),
        ),
        Case::v1(
            "an anchor that may have none below it, and has one",
            |p| p.anchor.path_len = Some(0),
            refused("Chain", "intermediates"),
        ),
        Case::v1(
            "two intermediates",
            |p| {
                let mut between = p.intermediates[0].clone();
                between.subject = "between";
                p.intermediates.insert(0, between);
            },
            passes(),
        ),
        Case::v1(
            // CVE-2026-24122.
            "an intermediate that expired between the leaf's beginning and the signature",
            |p| p.intermediates[0].life.1 = then() - seconds(1),
            refused("Chain", "intermediate"),
        ),
        Case::v1(
            "an anchor that expired between the leaf's beginning and the signature",
            |p| p.anchor.life.1 = then() - seconds(1),
            refused("Chain", "trust anchor"),
        ),
        Case::v1(
            "an anchor that was not yet valid",
            |p| p.anchor.life.0 = then() + seconds(1),
            refused("Chain", "trust anchor"),
        ),
        Case::v1(
            "an authority that was no longer trusted",
            |p| {
                p.root = |root| {
                    root["certificateAuthorities"][0]["validFor"]["end"] =
                        at(then() - seconds(1)).into();
                }
            },
            refused("NoAuthority", "trusted at 2026-09-21T14:13:20Z"),
        ),
        Case::v1(
            "any usage in place of code signing",
            |p| p.leaf.usages = vec!["2.5.29.37.0"],
            refused("Chain", "code signing"),
        ),
        Case::v1(
            "an extension that stands there twice",
            |p| p.leaf.extensions.push(extension("2.5.29.17", true, &seq(&[uri(SUBJECT)]))),
            refused("Certificate", "twice"),
        ),
        Case::v1(
            "a certificate with bytes behind it",
            |p| {
                p.bundle = |b| {
                    let raw = &mut b["verificationMaterial"]["certificate"]["rawBytes"];
                    let der = STANDARD.decode(raw.as_str().unwrap()).unwrap();
                    *raw = STANDARD.encode([der, vec![0]].concat()).into();
                }
            },
            refused("Certificate", "trailing"),
        ),
        Case::v1(
            "usages of which code signing is one",
            |p| p.leaf.usages = vec!["1.3.6.1.5.5.7.3.2", CODE_SIGNING],
            passes(),
        ),
        // 7. The subject of the certificate.
        Case::v1(
            "two names",
            |p| p.names.push(uri("https://ci.test/other")),
            refused("IdentityMalformed", "2 names"),
        ),
        Case::v1("no name", |p| p.names.clear(), refused("IdentityMalformed", "0 names")),
        Case::v1(
            "a user name that looks like the URI",
            |p| p.names = vec![user_name(SUBJECT)],
            passes(),
        ),
        Case::v1(
            "a user name of another type",
            |p| p.names = vec![tlv(0xa0, &[oid("1.2.3.4"), tlv(0xa0, &utf8(SUBJECT))].concat())],
            refused("IdentityMalformed", "otherName"),
        ),
        Case::v1(
            "a user name and the URI",
            |p| p.names.insert(0, user_name(SUBJECT)),
            refused("IdentityMalformed", "2 names"),
        ),
        Case::v1(
            "a DNS name",
            |p| p.names = vec![tlv(0x82, b"ci.test")],
            refused("IdentityMalformed", "DNS"),
        ),
        Case::v1(
            "the wanted name with another one hidden behind a zero",
            |p| p.names = vec![uri(&format!("{SUBJECT}\0.evil.test"))],
            refused("Identity", "\\u{0}.evil.test"),
        ),
        Case::v1(
            "a name of characters that mean something in a pattern, wanted as it is",
            |p| p.names = vec![uri(SPECIAL)],
            passes(),
        )
        .policy(|_| file_signature(StringMatch::exact(SPECIAL))),
        Case::v1(
            "the same name, wanted as a pattern",
            |p| p.names = vec![uri(SPECIAL)],
            refused("Identity", "(1)+[x]?.*)$"),
        )
        .policy(|_| by_pattern(SPECIAL)),
        Case::v1("a pattern that fits the whole name", |_| (), passes())
            .policy(|_| by_pattern("https://ci[.]test/.+")),
        Case::v1(
            "a pattern that fits a part of the name",
            |p| p.names = vec![uri("https://ci.test.evil.test/build")],
            refused("Identity", "matches only a part"),
        )
        .policy(|_| by_pattern("https://ci[.]test")),
        Case::v1(
            "a pattern of alternatives, each of which must fit the whole",
            |p| p.names = vec![uri("https://ci.test/builder")],
            refused("Identity", "https://ci.test/builder"),
        )
        .policy(|_| by_pattern("https://ci.test/build|https://ci.test/test")),
        Case::v1(
            "another name",
            |p| p.names = vec![uri("https://ci.test/buildX")],
            refused("Identity", "buildX"),
        ),
        Case::v1(
            "a name that goes on after the right one",
            |p| p.names = vec![uri("https://ci.test/build.evil.test")],
            refused("Identity", "evil"),
        ),
        Case::v1("no issuer", |p| p.identity.clear(), refused("Issuer", "none")),
        Case::v1("the older issuer alone", |p| p.identity = vec![old_issuer(ISSUER)], passes()),
        Case::v1("the newer issuer alone", |p| p.identity = vec![issuer(ISSUER)], passes()),
        Case::v1(
            "two issuers that differ",
            |p| p.identity = vec![old_issuer("https://other.test"), issuer(ISSUER)],
            refused("IdentityMalformed", "https://other.test"),
        ),
        Case::v1(
            "bytes after the issuer",
            |p| {
                let mut value = utf8(ISSUER);
                value.push(0);
                p.identity = vec![extension("1.3.6.1.4.1.57264.1.8", false, &value)];
            },
            refused("IdentityMalformed", "UTF8String"),
        ),
        Case::v1(
            "an issuer of another type",
            |p| {
                let value = octets(ISSUER.as_bytes());
                p.identity = vec![extension("1.3.6.1.4.1.57264.1.8", false, &value)];
            },
            refused("IdentityMalformed", "UTF8String"),
        ),
        // 14. Time: the ends belong to it.
        Case::v1("signed when the certificate begins", |p| p.leaf.life.0 = then(), passes()),
        Case::v1("signed when the certificate ends", |p| p.leaf.life.1 = then(), passes()),
        Case::v1(
            "logged a second before the certificate begins",
            |p| p.leaf.life.0 = then() + seconds(1),
            refused("IntegratedTime", "certificate's validity"),
        ),
        Case::v1(
            "logged a second after the certificate ends",
            |p| p.leaf.life.1 = then() - seconds(1),
            refused("IntegratedTime", "certificate's validity"),
        ),
        Case::v2(
            "stamped a second before the certificate begins",
            |p| p.leaf.life.0 = then() + seconds(1),
            refused("Chain", "leaf"),
        ),
        Case::v2(
            "stamped a second after the certificate ends",
            |p| p.leaf.life.1 = then() - seconds(1),
            refused("Chain", "leaf"),
        ),
        Case::v1("at the end of every window", |p| p.root = end_all_at_then, passes()),
        Case::v2("stamped at the end of every window", |p| p.root = end_all_at_then, passes()),
        Case::v1(
            "a second after the log's window",
            |p| {
                p.root = |root| {
                    root["tlogs"][0]["publicKey"]["validFor"]["end"] =
                        at(then() - seconds(1)).into();
                }
            },
            refused("IntegratedTime", "log's window"),
        ),
        Case::v1(
            "a second before the log's window",
            |p| {
                p.root = |root| {
                    root["tlogs"][0]["publicKey"]["validFor"]["start"] =
                        at(then() + seconds(1)).into();
                }
            },
            refused("IntegratedTime", "log's window"),
        ),
        Case::v1("at the start of every window", |p| p.root = start_all_at_then, passes())
            .at_sct(then()),
        Case::v2("stamped at the start of every window", |p| p.root = start_all_at_then, passes())
            .at_sct(then()),
        Case::v1(
            "a second before the authority's window",
            |p| {
                p.root = |root| {
                    root["certificateAuthorities"][0]["validFor"]["start"] =
                        at(then() + seconds(1)).into();
                }
            },
            refused("NoAuthority", "trusted at 2026-09-21T14:13:20Z"),
        ),
        Case::v2(
            "a second before the timestamp authority's window",
            |p| {
                p.root = |root| {
                    root["timestampAuthorities"][0]["validFor"]["start"] =
                        at(then() + seconds(1)).into();
                }
            },
            refused("TimestampWindow", "window, 2026-09-21T14:13:21Z"),
        ),
        Case::v1(
            "an issuer that expires as the signature is made",
            |p| p.intermediates[0].life.1 = then(),
            passes(),
        ),
        Case::v1(
            "an anchor that expires as the signature is made",
            |p| p.anchor.life.1 = then(),
            passes(),
        ),
        Case::v2(
            "a timestamping certificate that expires as the stamp is made",
            |p| p.tsa.life.1 = then(),
            passes(),
        ),
        Case::v2(
            "a second after the timestamp authority's window",
            |p| {
                p.root = |root| {
                    root["timestampAuthorities"][0]["validFor"]["end"] =
                        at(then() - seconds(1)).into();
                }
            },
            refused("TimestampWindow", "to 2026-09-21T14:13:19Z"),
        ),
        Case::v1(
            "two times of which one lies outside the certificate's validity",
            |p| {
                p.stamps = crate::forge::Plan::v2().stamps;
                p.stamps[0].time = then() + seconds(3600);
            },
            refused("Chain", "leaf"),
        ),
        Case::v1(
            "two times of which only one lies in the life of the intermediate",
            |p| {
                stamp_a_minute_later(p);
                p.intermediates[0].life.0 = then() + seconds(30);
            },
            refused("Chain", "intermediate"),
        ),
        Case::v1(
            "two times of which only one lies in the life of the anchor",
            |p| {
                stamp_a_minute_later(p);
                p.anchor.life.0 = then() + seconds(30);
            },
            refused("Chain", "trust anchor"),
        ),
        Case::v1(
            "two times of which only one lies in the window of the authority",
            |p| {
                stamp_a_minute_later(p);
                p.root = |root| {
                    root["certificateAuthorities"][0]["validFor"]["start"] =
                        at(then() + seconds(30)).into();
                };
            },
            refused("NoAuthority", "trusted at 2026-09-21T14:13:20Z"),
        ),
        Case::v1(
            "two times, each in another window of the authority",
            |p| {
                stamp_a_minute_later(p);
                p.root = |root| {
                    let authorities = root["certificateAuthorities"].as_array_mut().unwrap();
                    let mut earlier = authorities[0].clone();
                    earlier["validFor"]["end"] = at(then() + seconds(29)).into();
                    authorities[0]["validFor"]["start"] = at(then() + seconds(30)).into();
                    authorities.push(earlier);
                };
            },
            passes(),
        ),
    ]
}

/// Beside the log's time, `then()`, a later one, which is looked at first.
fn stamp_a_minute_later(plan: &mut crate::forge::Plan) {
    plan.stamps = crate::forge::Plan::v2().stamps;
    plan.stamps[0].time = then() + seconds(60);
}

/// A URI of characters that mean something in a pattern.
const SPECIAL: &str = "https://ci.test/b(1)+[x]?.*";

fn by_pattern(pattern: &str) -> Policy {
    file_signature(StringMatch::regexp(pattern).unwrap())
}

fn file_signature(subject: StringMatch) -> Policy {
    Policy::file_signature(AcceptedSigner::identity(subject, StringMatch::exact(ISSUER)))
}

fn ct_from_then(root: &mut serde_json::Value) {
    root["ctlogs"][0]["publicKey"]["validFor"]["start"] = at(then()).into();
}

fn start_all_at_then(root: &mut serde_json::Value) {
    for (list, inner) in WINDOWS {
        for listed in root[list].as_array_mut().unwrap() {
            let holder = if inner.is_empty() { listed } else { &mut listed[inner] };
            holder["validFor"]["start"] = at(then()).into();
        }
    }
}

const WINDOWS: [(&str, &str); 4] = [
    ("tlogs", "publicKey"),
    ("ctlogs", "publicKey"),
    ("certificateAuthorities", ""),
    ("timestampAuthorities", ""),
];

fn end_all_at_then(root: &mut serde_json::Value) {
    for (list, inner) in WINDOWS {
        for listed in root[list].as_array_mut().unwrap() {
            let holder = if inner.is_empty() { listed } else { &mut listed[inner] };
            holder["validFor"]["end"] = at(then()).into();
        }
    }
}
