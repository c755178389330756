//! Writing the bodies of log entries.

use serde::Serialize;

use crate::encode::{Base64, Base64Twice, to_json};
use crate::log_body::{
    Dsse001, HashedRekord001, HashedRekord002, Intoto002, LogBody, LoggedHash, LoggedSignature,
    LoggedVerifier,
};

impl LogBody {
    /// The body in its canonical form: the bytes that are a leaf of the log.
    pub fn to_json(&self) -> String {
        match self {
            Self::Dsse001(body) => self.written(DsseJson::from(body)),
            Self::HashedRekord001(body) => self.written(HashedRekordJson::from(body)),
            Self::HashedRekord002(body) => {
                self.written(SpecV002Json { hashed_rekord_v002: HashedRekordV002Json::from(body) })
            }
            Self::Intoto002(body) => {
                self.written(IntotoJson { content: IntotoContentJson::from(body) })
            }
        }
    }

    fn written(&self, spec: impl Serialize) -> String {
        let kind = self.kind();
        to_json(&BodyJson { api_version: kind.version(), kind: kind.kind(), spec })
    }
}

// The members of each struct are in the order of their names, as the canonical form wants them.

#[derive(Serialize)]
struct BodyJson<T> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    spec: T,
}

#[derive(Serialize)]
struct HashedRekordJson<'a> {
    data: HashJson<'a>,
    signature: SignatureJson<'a>,
}

#[derive(Serialize)]
struct HashJson<'a> {
    hash: &'a LoggedHash,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignatureJson<'a> {
    content: Base64<'a>,
    public_key: ContentJson<'a>,
}

#[derive(Serialize)]
struct ContentJson<'a> {
    content: Base64<'a>,
}

#[derive(Serialize)]
struct SpecV002Json<'a> {
    #[serde(rename = "hashedRekordV002")]
    hashed_rekord_v002: HashedRekordV002Json<'a>,
}

#[derive(Serialize)]
struct HashedRekordV002Json<'a> {
    data: DataV002Json<'a>,
    signature: SignatureV002Json<'a>,
}

#[derive(Serialize)]
struct DataV002Json<'a> {
    algorithm: &'a str,
    digest: Base64<'a>,
}

#[derive(Serialize)]
struct SignatureV002Json<'a> {
    content: Base64<'a>,
    verifier: VerifierV002Json<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerifierV002Json<'a> {
    key_details: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<RawJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate: Option<RawJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawJson<'a> {
    raw_bytes: Base64<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DsseJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope_hash: Option<&'a LoggedHash>,
    payload_hash: &'a LoggedHash,
    signatures: Vec<DsseSignatureJson<'a>>,
}

#[derive(Serialize)]
struct DsseSignatureJson<'a> {
    signature: Base64<'a>,
    verifier: Base64<'a>,
}

#[derive(Serialize)]
struct IntotoJson<'a> {
    content: IntotoContentJson<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IntotoContentJson<'a> {
    envelope: IntotoEnvelopeJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a LoggedHash>,
    payload_hash: &'a LoggedHash,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IntotoEnvelopeJson<'a> {
    payload_type: &'a str,
    signatures: Vec<IntotoSignatureJson<'a>>,
}

#[derive(Serialize)]
struct IntotoSignatureJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    keyid: Option<&'a str>,
    #[serde(rename = "publicKey")]
    public_key: Base64<'a>,
    sig: Base64Twice<'a>,
}

impl<'a> From<&'a HashedRekord001> for HashedRekordJson<'a> {
    fn from(body: &'a HashedRekord001) -> Self {
        let LoggedSignature { signature, verifier } = &body.signature;
        Self {
            data: HashJson { hash: &body.hash },
            signature: SignatureJson {
                content: Base64(signature),
                public_key: ContentJson { content: Base64(verifier) },
            },
        }
    }
}

impl<'a> From<&'a HashedRekord002> for HashedRekordV002Json<'a> {
    fn from(body: &'a HashedRekord002) -> Self {
        let (public_key, x509_certificate) = match &body.verifier {
            LoggedVerifier::Certificate(der) => (None, Some(RawJson { raw_bytes: Base64(der) })),
            LoggedVerifier::PublicKey(spki) => (Some(RawJson { raw_bytes: Base64(spki) }), None),
        };
        let verifier =
            VerifierV002Json { key_details: &body.key_details, public_key, x509_certificate };
        Self {
            data: DataV002Json { algorithm: &body.algorithm, digest: Base64(&body.digest) },
            signature: SignatureV002Json { content: Base64(&body.signature), verifier },
        }
    }
}

impl<'a> From<&'a Dsse001> for DsseJson<'a> {
    fn from(body: &'a Dsse001) -> Self {
        let signature = |it: &'a LoggedSignature| DsseSignatureJson {
            signature: Base64(&it.signature),
            verifier: Base64(&it.verifier),
        };
        Self {
            envelope_hash: body.envelope_hash.as_ref(),
            payload_hash: &body.payload_hash,
            signatures: body.signatures.iter().map(signature).collect(),
        }
    }
}

impl<'a> From<&'a Intoto002> for IntotoContentJson<'a> {
    fn from(body: &'a Intoto002) -> Self {
        let signature = |(it, key_id): &'a (LoggedSignature, Option<String>)| IntotoSignatureJson {
            keyid: key_id.as_deref(),
            public_key: Base64(&it.verifier),
            sig: Base64Twice(&it.signature),
        };
        let signatures = body.signatures.iter().map(signature).collect();
        Self {
            envelope: IntotoEnvelopeJson { payload_type: &body.payload_type, signatures },
            hash: body.hash.as_ref(),
            payload_hash: &body.payload_hash,
        }
    }
}
