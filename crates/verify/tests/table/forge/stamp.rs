//! Timestamps.

use keys::{Digest, HashAlgorithm, Payload, Sign as _};

use super::Forge;
use super::plans::{CertPlan, SERIAL, StampPlan, TIME_STAMPING, ecdsa, signed};
use crate::der::{generalized_time, int, name, octets, oid, seq, set, tlv};

impl Forge {
    pub(super) fn stamp(&self, plan: &StampPlan, leaf: &[u8], signature: &[u8]) -> Vec<u8> {
        let hash = |name: &str, data: &[u8]| match HashAlgorithm::from_name(name) {
            Some(algorithm) => Digest::of(algorithm, data).as_bytes().to_vec(),
            // Of SHA-1 only the length matters here: it must be refused unseen.
            None => vec![7; 20],
        };
        let algorithm = |name: &str| {
            seq(&[oid(match name {
                "sha256" => "2.16.840.1.101.3.4.2.1",
                "sha384" => "2.16.840.1.101.3.4.2.2",
                "sha512" => "2.16.840.1.101.3.4.2.3",
                _ => "1.3.14.3.2.26",
            })])
        };
        let over = plan.over.unwrap_or(signature);
        let info = seq(&[
            int(1),
            oid("1.3.6.1.4.1.57264.2"),
            seq(&[algorithm(plan.imprint), octets(&hash(plan.imprint, over))]),
            int(99),
            generalized_time(plan.time),
        ]);
        let attribute = |id: &str, value: Vec<u8>| seq(&[oid(id), set(vec![value])]);
        let named = if plan.right_ess { keys::sha256(leaf) } else { [9; 32] };
        let mut attributes = [
            attribute("1.2.840.113549.1.9.3", oid("1.2.840.113549.1.9.16.1.4")),
            attribute("1.2.840.113549.1.9.4", octets(&hash(plan.digest, &info))),
            attribute("1.2.840.113549.1.9.16.2.47", seq(&[seq(&[seq(&[octets(&named)])])])),
        ];
        attributes.sort();
        if !plan.sorted {
            attributes.reverse();
        }
        let key = if plan.substituted { &self.foreign } else { &self.tsas[plan.authority] };
        let signature = key.sign(Payload::Message(&tlv(0x31, &attributes.concat()))).unwrap();
        let signer = seq(&[
            int(1),
            seq(&[name("tsa root"), int(SERIAL + u64::try_from(plan.authority).unwrap())]),
            algorithm(plan.digest),
            tlv(0xa0, &attributes.concat()),
            ecdsa(),
            octets(&signature),
        ]);
        let mut signed_data = vec![
            int(3),
            set(vec![algorithm(plan.digest)]),
            seq(&[oid("1.2.840.113549.1.9.16.1.4"), tlv(0xa0, &octets(&info))]),
        ];
        if plan.embedded || plan.substituted {
            let mut certificates = vec![leaf.to_vec()];
            if plan.substituted {
                // Of the same issuer and serial number, so that both are named by the signer.
                let other = CertPlan {
                    key_usage: 0x80,
                    usages: vec![TIME_STAMPING],
                    usages_critical: true,
                    ca: false,
                    ..CertPlan::ca("stamper")
                };
                let spki = self.foreign.public_key().spki();
                certificates.push(signed(&other.tbs("tsa root", spki, &[]), &self.foreign));
            }
            certificates.sort();
            signed_data.push(tlv(0xa0, &certificates.concat()));
        }
        let signers = vec![signer; plan.signers];
        signed_data.push(tlv(0x31, &signers.concat()));
        let content = seq(&[oid("1.2.840.113549.1.7.2"), tlv(0xa0, &seq(&signed_data))]);
        seq(&[seq(&[int(plan.status)]), content])
    }
}
