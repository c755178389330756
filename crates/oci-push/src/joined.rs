//! Joining what two repositories have under one of cosign's earlier tags.

use serde_json::{Map, Value};

use crate::error::{Error, not_json};

/// The manifest `theirs` with the layers that only `ours` has; `None` if there are none.
///
/// The configuration stays: those who read signatures read the layers.
pub(crate) fn union(theirs: &[u8], ours: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let (mut theirs, mut ours) = (object(theirs)?, object(ours)?);
    let Some(Value::Array(added)) = ours.remove("layers") else { return Ok(None) };
    let layers = theirs.entry("layers").or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(layers) = layers else { return Ok(None) };
    let before = layers.len();
    for layer in added {
        if !layers.contains(&layer) {
            layers.push(layer);
        }
    }
    if layers.len() == before {
        return Ok(None);
    }
    let written = serde_json::to_vec(&theirs);
    written.map(Some).map_err(|error| invalid(error.to_string()))
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Error> {
    serde_json::from_slice(bytes).map_err(|error| invalid(not_json("a manifest", &error)))
}

fn invalid(reason: String) -> Error {
    Error::Invalid { what: "the manifest of earlier signatures".to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_that_only_one_side_has_are_all_in_the_union() {
        let manifest = |layers: &str| format!(r#"{{"a":1,"layers":[{layers}]}}"#).into_bytes();
        let both = union(&manifest("1,2"), &manifest("2,3")).unwrap().unwrap();
        assert_eq!(both, manifest("1,2,3"));
        assert_eq!(union(&manifest("1,2"), &manifest("2")).unwrap(), None);
        assert!(union(b"[", &manifest("2")).is_err());
    }
}
