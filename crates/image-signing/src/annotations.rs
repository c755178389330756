//! Annotations, each key once.

use std::collections::BTreeMap;

/// The annotations in `pairs`, each key once.
///
/// # Errors
/// The first key that has two values.
pub fn unique(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>, &str> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.insert(key.clone(), value.clone()).is_some_and(|old| old != *value) {
            return Err(key);
        }
    }
    Ok(map)
}
