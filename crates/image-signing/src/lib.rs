//! Sign, verify and inspect container images and files.
#![doc = include_str!("../README.md")]

mod accepted;
mod annotations;
mod attestation;
mod batch;
mod body;
mod claim;
mod earlier;
mod error;
mod event;
mod examiner;
pub mod file;
mod given_token;
mod identity;
mod identity_error;
mod identity_report;
mod image;
mod image_list;
mod inspect;
mod inspection;
mod instance;
mod judge;
mod key_files;
mod known;
mod layout;
mod mistaken_path;
pub mod moving;
mod nearest;
pub mod node;
mod outcome;
mod planned;
mod private_key;
mod provenance;
mod public_key;
mod public_key_error;
mod refusal;
mod registry_login;
mod remote_key;
mod replace;
mod report;
mod reserved;
mod run;
mod several;
mod shard;
mod sign;
mod signed;
mod time;
mod unattached;
mod variables;
mod verdict;
mod verify_image;

pub use {
    bundle, cloud_credentials, fulcio_client, futures_util, host, id_token, keys, oci_push,
    oidc_ambient, oidc_interactive, signer, spiffe_workload_api, trust_root, verify, x509,
};

pub use crate::accepted::{SignerName, VerifiedImage, VerifiedSignature};
pub use crate::annotations::unique;
pub use crate::attestation::Attestation;
pub use crate::batch::{FailedImage, Located, Place, SkippedImage};
pub use crate::claim::{Claim, ClaimInput};
pub use crate::earlier::{EarlierParts, check_earlier};
pub use crate::error::{Action, Error};
pub use crate::event::{Event, Listener};
pub use crate::given_token::GivenToken;
pub use crate::identity::{FoundIdentity, IdentitySearch, SpiffeChoice};
pub use crate::identity_error::IdentityError;
pub use crate::identity_report::{
    ChosenIdentity, FulcioAnswer, IdentityReport, PredictedCertificate, PredictedExtension,
    SourceReport,
};
pub use crate::image::{Image, Parts, Target};
pub use crate::image_list::{NotDone, image_list};
pub use crate::inspect::Inspector;
pub use crate::inspection::{
    CertificateInspection, CheckInspection, CheckResult, Checks, ContentInspection,
    EntryInspection, Inspected, Inspection, SignatureInspection, StatementInspection,
    SubjectInspection, TimeInspection,
};
pub use crate::instance::{Instance, sign_file, sign_image, verify_file, verify_image};
pub use crate::key_files::{KeyFileError, KeyFiles};
pub use crate::mistaken_path::MistakenPath;
pub use crate::nearest::did_you_mean;
pub use crate::outcome::{Outcome, explain};
pub use crate::planned::PlannedSession;
pub use crate::private_key::{PrivateKey, PrivateKeyError};
pub use crate::provenance::provenance;
pub use crate::public_key::public_key;
pub use crate::public_key_error::PublicKeyError;
pub use crate::refusal::{Reason, Refusal, RefusalGroup, unexpected_signer};
pub use crate::registry_login::ambient_credentials;
pub use crate::remote_key::is_remote_key;
pub use crate::report::{
    Claims, Critical, CriticalIdentity, CriticalImage, IndexReport, VerificationReport, facts,
};
pub use crate::run::{Preparation, Ready, Run, Step, View};
pub use crate::several::{Jobs, Results};
pub use crate::shard::{Shard, ShardError};
pub use crate::sign::ImageSigner;
pub use crate::signed::{SignatureReport, SignedImage, SigningReport};
pub use crate::unattached::{Kept, Unattached};
pub use crate::variables::{is_text_variable, variables};
pub use crate::verdict::{NoSignature, NotAcceptable};
pub use crate::verify_image::{AcceptedSigners, ImageVerifier};
