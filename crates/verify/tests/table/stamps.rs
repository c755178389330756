//! Groups 3 and 9: timestamps.

use serde_json::json;

use crate::forge::{seconds, then};
use crate::{Case, passes, refused};

/// Which case, and what becomes of it.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        // 3 and 9.
        Case::v2(
            "a timestamp after the certificate's life",
            |p| p.stamps[0].time = then() + seconds(3600),
            refused("Chain", "leaf"),
        ),
        Case::v2(
            "a timestamp over another signature",
            |p| p.stamps[0].over = Some(b"other"),
            refused("Timestamp", "message"),
        ),
        Case::v2("a timestamp with SHA-384 inside", |p| p.stamps[0].digest = "sha384", passes()),
        Case::v2(
            "a timestamp with a SHA-512 imprint",
            |p| p.stamps[0].imprint = "sha512",
            passes(),
        ),
        Case::v2(
            "a timestamp with a SHA-1 imprint",
            |p| p.stamps[0].imprint = "sha1",
            refused("Timestamp", "1.3.14.3.2.26"),
        ),
        Case::v2(
            "a refusal in place of a timestamp",
            |p| p.stamps[0].status = 2,
            refused("Timestamp", "status 2"),
        ),
        Case::v2("a timestamp granted with modifications", |p| p.stamps[0].status = 1, passes()),
        Case::v2(
            "a timestamping certificate whose usage is not critical",
            |p| p.tsa.usages_critical = false,
            refused("Timestamp", "critical"),
        ),
        Case::v2(
            "a timestamping certificate of more usages",
            |p| p.tsa.usages.push(crate::forge::CODE_SIGNING),
            refused("Timestamp", "alone"),
        ),
        Case::v2(
            "a timestamping certificate of another usage",
            |p| p.tsa.usages = vec![crate::forge::CODE_SIGNING],
            refused("Timestamp", "1.3.6.1.5.5.7.3.8"),
        ),
        Case::v2(
            "a timestamping certificate that is a CA",
            |p| p.tsa.ca = true,
            refused("UnknownAuthority", "https://tsa-a.test, https://tsa-b.test"),
        ),
        Case::v2(
            "a timestamping certificate that had expired",
            |p| p.tsa.life.1 = then() - seconds(1),
            refused("Timestamp", "CN=stamper"),
        ),
        Case::v2(
            "a timestamp that brings its certificate",
            |p| p.stamps[0].embedded = true,
            passes(),
        ),
        // CVE-2026-39984.
        Case::v2(
            "a signer's certificate beside the good one",
            |p| p.stamps[0].substituted = true,
            refused("Timestamp", "the authority's"),
        ),
        Case::v2(
            "a signed attribute that names another certificate",
            |p| p.stamps[0].right_ess = false,
            refused("Timestamp", "0909090909"),
        ),
        Case::v2(
            "attributes in the wrong order",
            |p| p.stamps[0].sorted = false,
            refused("Timestamp", "PKIX_ECDSA_P256_SHA_256"),
        ),
        Case::v2(
            "two signers",
            |p| p.stamps[0].signers = 2,
            refused("Timestamp", "exactly one signer"),
        ),
        Case::v2(
            "no signer",
            |p| p.stamps[0].signers = 0,
            refused("Timestamp", "exactly one signer"),
        ),
        Case::v2("a timestamp of the second authority", |p| p.stamps[0].authority = 1, passes()),
        Case::v2(
            "of the first authority, within the window of the second only",
            |p| {
                p.root = |root| {
                    root["timestampAuthorities"][0]["validFor"]["end"] =
                        crate::forge::at(then() - seconds(1)).into();
                }
            },
            refused("TimestampWindow", "to 2026-09-21T14:13:19Z"),
        ),
        Case::v2(
            "a timestamp of an unknown authority",
            |p| {
                p.stamps[0].authority = 2;
                p.stamps[0].embedded = true;
            },
            refused("UnknownAuthority", "https://tsa-a.test, https://tsa-b.test"),
        ),
        Case::v2(
            "a timestamp of an unknown authority beside a good one",
            |p| {
                let mut second = p.stamps[0].clone();
                second.authority = 2;
                p.stamps.push(second);
            },
            refused("UnknownAuthority", "timestamp 1"),
        ),
        Case::v1(
            "a timestamp of an unknown authority beside a promise",
            |p| {
                p.stamps = crate::forge::Plan::v2().stamps;
                p.stamps[0].authority = 2;
            },
            refused("UnknownAuthority", "https://tsa-a.test, https://tsa-b.test"),
        ),
        Case::v2(
            "a second timestamp, of rubbish",
            |p| {
                p.bundle = |b| {
                    let stamps = &mut b["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"];
                    stamps.as_array_mut().unwrap().push(json!({ "signedTimestamp": "AAAA" }));
                }
            },
            refused("Timestamp", "timestamp 1"),
        ),
        Case::v1(
            "a timestamp of rubbish beside a promise",
            |p| {
                p.bundle = |b| {
                    b["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] =
                        json!([{ "signedTimestamp": "AAAA" }]);
                }
            },
            refused("Timestamp", "timestamp 0"),
        ),
        Case::v2("no timestamp", |p| p.stamps.clear(), refused("NoTime", "no timestamp")),
    ]
}
