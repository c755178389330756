//! A whole Sigstore of a few lines, honest by default and dishonest in whatever part it is told:
//! everything that depends on the changed part is signed anew, so that only one check can notice.

mod body;
mod plans;
mod stamp;

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{Envelope, EnvelopeSignature};
use keys::{Digest, KeyAlgorithm, KeyPair, Payload, PublicKey, Sign as _};
use serde_json::{Value, json};
use tlog::{NoteKey, Tree, leaf_hash, sign_note};

pub(crate) use self::plans::{
    CODE_SIGNING, CertPlan, EntryPlan, SctPlan, StampPlan, TIME_STAMPING, extension,
};
use self::plans::{DAY, SERIAL, signed};
use crate::der::{octets, oid, seq, tlv, utf8};

pub(crate) const ARTIFACT: &[u8] = b"what is signed\n";
pub(crate) const SUBJECT: &str = "https://ci.test/build";
pub(crate) const ISSUER: &str = "https://issuer.test";
const V1: &str = "rekor-v1.test";
const V2: &str = "rekor-v2.test";

/// When everything happens.
pub(crate) fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What is signed.
#[derive(Clone)]
pub(crate) enum Signing {
    Message,
    /// A document that stands on its own, as cosign's simple-signing one.
    Payload(String),
    Statement {
        payload_type: &'static str,
        payload: String,
    },
}

/// A bundle and its trusted root, to be made.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) anchor: CertPlan,
    /// From the anchor down; the last one issues.
    pub(crate) intermediates: Vec<CertPlan>,
    pub(crate) leaf: CertPlan,
    /// The trusted root lists, first, another authority whose issuer has the same name.
    pub(crate) twin: bool,
    pub(crate) names: Vec<Vec<u8>>,
    pub(crate) identity: Vec<Vec<u8>>,
    pub(crate) scts: Vec<SctPlan>,
    pub(crate) signing: Signing,
    pub(crate) keyed: bool,
    pub(crate) entries: Vec<EntryPlan>,
    pub(crate) stamps: Vec<StampPlan>,
    pub(crate) tsa: CertPlan,
    /// Changes the trusted root.
    pub(crate) root: fn(&mut Value),
    /// Changes the bundle, when everything is signed.
    pub(crate) bundle: fn(&mut Value),
}

/// What came of a [`Plan`].
pub(crate) struct Made {
    pub(crate) bundle: Value,
    pub(crate) root: Value,
    pub(crate) key: PublicKey,
}

pub(crate) fn uri(text: &str) -> Vec<u8> {
    tlv(0x86, text.as_bytes())
}

pub(crate) fn user_name(text: &str) -> Vec<u8> {
    let value = tlv(0xa0, &utf8(text));
    tlv(0xa0, &[oid("1.3.6.1.4.1.57264.1.7"), value].concat())
}

pub(crate) fn issuer(text: &str) -> Vec<u8> {
    extension("1.3.6.1.4.1.57264.1.8", false, &utf8(text))
}

pub(crate) fn old_issuer(text: &str) -> Vec<u8> {
    extension("1.3.6.1.4.1.57264.1.1", false, text.as_bytes())
}

pub(crate) fn statement(kind: &str) -> String {
    let digest = Digest::sha256(ARTIFACT).to_hex();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "it", "digest": { "sha256": digest } }],
        "predicateType": kind,
        "predicate": {},
    })
    .to_string()
}

impl Plan {
    /// Logged in Rekor v1, whose promise is the time.
    pub(crate) fn v1() -> Self {
        let mut intermediate = CertPlan::ca("intermediate");
        intermediate.usages = vec![CODE_SIGNING];
        Self {
            anchor: CertPlan::ca("anchor"),
            intermediates: vec![intermediate],
            leaf: CertPlan {
                life: (then() - seconds(60), then() + seconds(540)),
                key_usage: 0x80,
                usages: vec![CODE_SIGNING],
                ca: false,
                ..CertPlan::ca("")
            },
            twin: false,
            names: vec![uri(SUBJECT)],
            identity: vec![old_issuer(ISSUER), issuer(ISSUER)],
            scts: vec![SctPlan { known: true, time: then() - seconds(60), right_issuer: true }],
            signing: Signing::Message,
            keyed: false,
            entries: vec![EntryPlan::new(false)],
            stamps: Vec::new(),
            tsa: CertPlan {
                key_usage: 0x80,
                usages: vec![TIME_STAMPING],
                usages_critical: true,
                ca: false,
                ..CertPlan::ca("stamper")
            },
            root: |_| (),
            bundle: |_| (),
        }
    }

    /// Logged in Rekor v2, with a timestamp.
    pub(crate) fn v2() -> Self {
        Self { entries: vec![EntryPlan::new(true)], stamps: vec![StampPlan::new()], ..Self::v1() }
    }

    pub(crate) fn make(&self) -> Made {
        let forge = Forge::new();
        let (chain, leaf) = self.certificates(&forge);
        let (content, signature, digest) = self.sign(&forge);
        let verifier = if self.keyed {
            json!({ "publicKey": { "hint": STANDARD.encode(forge.signer.public_key().id()) } })
        } else {
            json!({ "certificate": { "rawBytes": STANDARD.encode(&leaf) } })
        };
        let mut logged = Logs { trees: [Tree::default(), Tree::default()] };
        let entries: Vec<Value> = self
            .entries
            .iter()
            .map(|entry| {
                let signed = SignedPart { signature: &signature, digest: &digest, leaf: &leaf };
                self.entry(entry, &signed, &forge, &mut logged)
            })
            .collect();
        let (tsas, stamps): (Vec<_>, Vec<_>) = self.stamps(&forge, &signature);
        let mut bundle = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "tlogEntries": entries,
                "timestampVerificationData": { "rfc3161Timestamps": stamps },
            },
        });
        for (name, value) in verifier.as_object().unwrap() {
            bundle["verificationMaterial"][name] = value.clone();
        }
        for (name, value) in content.as_object().unwrap() {
            bundle[name] = value.clone();
        }
        let mut root = forge.root(&chain, &tsas);
        if let Some(twin) = self.twin(&forge, &chain) {
            let authorities = root["certificateAuthorities"].as_array_mut().unwrap();
            let mut other = authorities[0].clone();
            other["certChain"]["certificates"][0]["rawBytes"] = json!(STANDARD.encode(twin));
            authorities.insert(0, other);
        }
        (self.root)(&mut root);
        // At hand for what changes the bundle, and no part of it.
        bundle["authority"] = chain.iter().map(|der| STANDARD.encode(der)).collect();
        (self.bundle)(&mut bundle);
        bundle.as_object_mut().unwrap().remove("authority");
        Made { bundle, root, key: forge.signer.public_key().clone() }
    }

    /// An issuer of the name of the real one, with a key of its own, by the same anchor.
    fn twin(&self, forge: &Forge, chain: &[Vec<u8>]) -> Option<Vec<u8>> {
        let ([issuer], true, true) = (&self.intermediates[..], self.twin, chain.len() == 2) else {
            return None;
        };
        let spki = forge.between.public_key().spki();
        Some(signed(&issuer.tbs(self.anchor.subject, spki, &[]), &forge.anchor))
    }

    /// The authority's chain, the issuer first, and the leaf.
    fn certificates(&self, forge: &Forge) -> (Vec<Vec<u8>>, Vec<u8>) {
        let spki = |key: &KeyPair| key.public_key().spki().to_vec();
        let tbs = self.anchor.tbs(self.anchor.subject, &spki(&forge.anchor), &[]);
        let mut chain = vec![signed(&tbs, &forge.anchor)];
        let (mut above, mut key) = (self.anchor.subject, &forge.anchor);
        let last = self.intermediates.len().saturating_sub(1);
        for (index, plan) in self.intermediates.iter().enumerate() {
            let own = if index == last { &forge.issuer } else { &forge.between };
            chain.insert(0, signed(&plan.tbs(above, &spki(own), &[]), key));
            (above, key) = (plan.subject, own);
        }
        let mut more = vec![extension("2.5.29.17", true, &seq(&self.names))];
        more.extend(self.identity.iter().cloned());
        let leaf_spki = spki(&forge.signer);
        if !self.scts.is_empty() {
            let tbs = self.leaf.tbs(above, &leaf_spki, &more);
            let mut list = Vec::new();
            for sct in &self.scts {
                let sct = forge.sct(sct, &tbs, &key.public_key().id());
                list.extend(u16::try_from(sct.len()).unwrap().to_be_bytes());
                list.extend(sct);
            }
            let length = u16::try_from(list.len()).unwrap().to_be_bytes();
            let value = octets(&[&length, list.as_slice()].concat());
            more.push(extension("1.3.6.1.4.1.11129.2.4.2", false, &value));
        }
        (chain, signed(&self.leaf.tbs(above, &leaf_spki, &more), key))
    }

    /// The content of the bundle, the signature, and the digest of what was signed.
    fn sign(&self, forge: &Forge) -> (Value, Vec<u8>, Digest) {
        match &self.signing {
            Signing::Message | Signing::Payload(_) => {
                let message = match &self.signing {
                    Signing::Payload(payload) => payload.as_bytes(),
                    _ => ARTIFACT,
                };
                let signature = forge.signer.sign(Payload::Message(message)).unwrap();
                let digest = Digest::sha256(message);
                let content = json!({ "messageSignature": {
                    "messageDigest": {
                        "algorithm": "SHA2_256",
                        "digest": STANDARD.encode(digest.as_bytes()),
                    },
                    "signature": STANDARD.encode(&signature),
                } });
                (content, signature, digest)
            }
            Signing::Statement { payload_type, payload } => {
                let mut envelope = Envelope {
                    payload: payload.clone().into(),
                    payload_type: (*payload_type).to_owned(),
                    signatures: Vec::new(),
                };
                let pae = envelope.pae();
                let signature = forge.signer.sign(Payload::Message(&pae)).unwrap();
                envelope.signatures =
                    vec![EnvelopeSignature { sig: signature.clone(), keyid: None }];
                let envelope: Value = serde_json::from_str(&envelope.to_json()).unwrap();
                (json!({ "dsseEnvelope": envelope }), signature, Digest::sha256(&pae))
            }
        }
    }

    fn entry(
        &self,
        plan: &EntryPlan,
        signed: &SignedPart<'_>,
        forge: &Forge,
        logs: &mut Logs,
    ) -> Value {
        let body = self.body(plan, signed, forge);
        let (log, other, host) = match (plan.log_known, plan.v2) {
            (false, _) => (&forge.foreign, &forge.v1, "foreign.test"),
            (true, true) => (&forge.v2, &forge.v1, V2),
            (true, false) => (&forge.v1, &forge.v2, V1),
        };
        let tree = &mut logs.trees[usize::from(plan.v2)];
        while tree.size() < plan.index {
            tree.push(leaf_hash(&tree.size().to_be_bytes()));
        }
        let shard_index = tree.push(leaf_hash(&body));
        for _ in 0..3 {
            tree.push(leaf_hash(&tree.size().to_be_bytes()));
        }
        let size = tree.size();
        let proof = tree.inclusion_proof(shard_index, size).unwrap();
        let global_index = if plan.v2 { shard_index } else { shard_index + 1000 };
        let root = STANDARD.encode(tree.root().as_bytes());
        let origin = if plan.v2 { host.to_owned() } else { format!("{host} - 42") };
        let text = (plan.checkpoint)(format!("{origin}\n{size}\n{root}\n"));
        let by = if plan.by_other_log { other } else { log };
        let note = (plan.note)(sign_note(&text, host, by).unwrap());
        let log_id = match plan.v2 && plan.log_known {
            true => NoteKey::new(host, log.public_key().clone()).unwrap().full_id(),
            false => log.public_key().id(),
        };
        let mut entry = json!({
            "logIndex": global_index.to_string(),
            "logId": { "keyId": STANDARD.encode(log_id) },
            "kindVersion": { "kind": plan.kind.0, "version": plan.kind.1 },
            "inclusionProof": {
                "logIndex": shard_index.to_string(),
                "rootHash": root,
                "treeSize": size.to_string(),
                "hashes": proof.hashes.iter().map(|h| STANDARD.encode(h.as_bytes())).collect::<Vec<_>>(),
                "checkpoint": { "envelope": note },
            },
            "canonicalizedBody": STANDARD.encode(&body),
        });
        if plan.promise {
            let seconds = plan.time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let index = if plan.promise_over_shard_index { shard_index } else { global_index };
            let id: String = log_id.iter().map(|byte| format!("{byte:02x}")).collect();
            let promised = format!(
                r#"{{"body":"{}","integratedTime":{seconds},"logID":"{id}","logIndex":{index}}}"#,
                STANDARD.encode(&body)
            );
            let set = log.sign(Payload::Message(promised.as_bytes())).unwrap();
            entry["integratedTime"] = json!(seconds.to_string());
            entry["inclusionPromise"] = json!({ "signedEntryTimestamp": STANDARD.encode(set) });
        }
        entry
    }

    fn stamps(&self, forge: &Forge, signature: &[u8]) -> (Vec<Vec<Vec<u8>>>, Vec<Value>) {
        let authorities: Vec<Vec<Vec<u8>>> = forge
            .tsas
            .iter()
            .zip(SERIAL..)
            .map(|(key, serial)| {
                let root = CertPlan::ca("tsa root");
                let spki = forge.tsa_root.public_key().spki();
                let root_der = signed(&root.tbs("tsa root", spki, &[]), &forge.tsa_root);
                let tsa = CertPlan { serial, ..self.tsa.clone() };
                let leaf = tsa.tbs("tsa root", key.public_key().spki(), &[]);
                vec![signed(&leaf, &forge.tsa_root), root_der]
            })
            .collect();
        let stamps = self.stamps.iter().map(|stamp| {
            let leaf = &authorities[stamp.authority][0];
            let der = forge.stamp(stamp, leaf, signature);
            json!({ "signedTimestamp": STANDARD.encode(der) })
        });
        let stamps = stamps.collect();
        (authorities, stamps)
    }
}

struct SignedPart<'a> {
    signature: &'a [u8],
    digest: &'a Digest,
    leaf: &'a [u8],
}

struct Logs {
    trees: [Tree; 2],
}

struct Forge {
    anchor: KeyPair,
    between: KeyPair,
    issuer: KeyPair,
    signer: KeyPair,
    ct: KeyPair,
    v1: KeyPair,
    v2: KeyPair,
    foreign: KeyPair,
    tsa_root: KeyPair,
    tsas: [KeyPair; 3],
}

impl Forge {
    fn new() -> Self {
        let key = || KeyPair::generate().unwrap();
        Self {
            anchor: key(),
            between: key(),
            issuer: key(),
            signer: key(),
            ct: key(),
            v1: key(),
            v2: KeyPair::generate_for(KeyAlgorithm::Ed25519)
                .unwrap()
                .with_scheme(keys::Scheme::Ed25519)
                .unwrap(),
            foreign: key(),
            tsa_root: key(),
            tsas: [key(), key(), key()],
        }
    }

    fn sct(&self, plan: &SctPlan, tbs: &[u8], issuer: &[u8; 32]) -> Vec<u8> {
        let log = if plan.known { &self.ct } else { &self.foreign };
        let issuer = if plan.right_issuer { *issuer } else { self.between.public_key().id() };
        let millis = plan.time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
        let millis = u64::try_from(millis).unwrap().to_be_bytes();
        let data = x509::sct_signed_data(plan.time, &[], &issuer, tbs).unwrap();
        let signature = log.sign(Payload::Message(&data)).unwrap();
        let length = u16::try_from(signature.len()).unwrap().to_be_bytes();
        let mut sct = vec![0];
        sct.extend(log.public_key().id());
        sct.extend(millis);
        sct.extend([0, 0, 4, 3]);
        sct.extend(length);
        sct.extend(signature);
        sct
    }

    fn root(&self, chain: &[Vec<u8>], tsas: &[Vec<Vec<u8>>]) -> Value {
        let window = || json!({ "start": at(then() - DAY), "end": at(then() + DAY) });
        let certificates = |chain: &[Vec<u8>]| {
            let raw = chain.iter().map(|der| json!({ "rawBytes": STANDARD.encode(der) }));
            json!({ "certificates": raw.collect::<Vec<_>>() })
        };
        let log = |url: &str, key: &KeyPair, id: [u8; 32]| {
            json!({
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": STANDARD.encode(key.public_key().spki()),
                    "keyDetails": key.scheme().key_details(),
                    "validFor": window(),
                },
                "logId": { "keyId": STANDARD.encode(id) },
            })
        };
        let authority = |uri: &str, chain: &[Vec<u8>]| {
            json!({
                "subject": { "organization": "test", "commonName": uri },
                "uri": uri,
                "certChain": certificates(chain),
                "validFor": window(),
            })
        };
        let v2_id = NoteKey::new(V2, self.v2.public_key().clone()).unwrap().full_id();
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log(&format!("https://{V1}"), &self.v1, self.v1.public_key().id()),
                log(&format!("https://{V2}"), &self.v2, v2_id),
            ],
            "certificateAuthorities": [authority("https://fulcio.test", chain)],
            "ctlogs": [log("https://ct.test", &self.ct, self.ct.public_key().id())],
            "timestampAuthorities": [
                authority("https://tsa-a.test", &tsas[0]),
                authority("https://tsa-b.test", &tsas[1]),
            ],
        })
    }
}

/// RFC 3339.
pub(crate) fn at(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).unwrap().to_string()
}
