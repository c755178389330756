//! A rule for root metadata beyond those of TUF.

use std::collections::HashMap;

use sigstore_tuf::Root;
use sigstore_tuf::metadata::Metadata;

/// Refuses a root in which one key has two ids in one role: a threshold is meant to count keys, and
/// the TUF client counts ids.
pub(crate) fn check_keys(root: &Root) -> Result<(), sigstore_tuf::Error> {
    for (role, of_role) in &root.roles {
        let mut seen = HashMap::new();
        for id in &of_role.keyids {
            let key = root.keys.get(id).and_then(|key| key.verification_key().ok());
            let Some(key) = key else { continue };
            if *seen.entry(key.as_bytes().to_vec()).or_insert(id) != id {
                return Err(sigstore_tuf::Error::Malformed(format!(
                    "the role {role} has one key under two ids"
                )));
            }
        }
    }
    Ok(())
}

/// The same for root metadata as it is served or cached.
pub(crate) fn check_keys_in(bytes: &[u8]) -> Result<(), sigstore_tuf::Error> {
    check_keys(Metadata::<Root>::from_slice(bytes)?.signed())
}
