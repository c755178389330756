//! Finding the private key in a PEM file, and saying what there is instead.

use crate::error::Error;

/// The label and the text of the first block with a private key, encrypted or not. Text and other
/// blocks around it are passed over.
pub(crate) fn private_block(text: &str) -> Result<(&str, &str), Error> {
    if text.len() > CAP {
        return Err(malformed("it is too long"));
    }
    let mut first = None;
    for (at, _) in text.match_indices(BEGIN) {
        let block = text.get(at..).unwrap_or_default();
        let label = block.get(BEGIN.len()..).and_then(|rest| rest.split_once("-----"));
        let label = label.map_or("", |(label, _)| label);
        if !label.ends_with("PRIVATE KEY") {
            first.get_or_insert(label);
            continue;
        }
        let end = format!("-----END {label}-----");
        let cut = block.find(&end).and_then(|length| block.get(..length + end.len()));
        let block =
            cut.ok_or_else(|| malformed("the file is cut off: its PEM block has no end"))?;
        if block.contains("Proc-Type: 4,ENCRYPTED") {
            return Ok(("ENCRYPTED PRIVATE KEY", block));
        }
        return Ok((label, block));
    }
    Err(malformed(match first {
        Some("PUBLIC KEY" | "RSA PUBLIC KEY") => "it is a public key",
        Some("CERTIFICATE") => "it is a certificate",
        Some(_) => "its PEM block is of another kind",
        None => "there is no PEM block",
    }))
}

fn malformed(reason: &str) -> Error {
    Error::Malformed { expected: "private key", reason: reason.to_owned() }
}

const BEGIN: &str = "-----BEGIN ";

/// The longest key file, in bytes.
const CAP: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_among_other_blocks() {
        let text = "Bag Attributes\n-----BEGIN EC PARAMETERS-----\nAA==\n-----END EC PARAMETERS-----\n\
                    -----BEGIN EC PRIVATE KEY-----\nAA==\n-----END EC PRIVATE KEY-----\nmore";
        let (label, block) = private_block(text).unwrap();
        assert_eq!(label, "EC PRIVATE KEY");
        assert!(block.starts_with("-----BEGIN EC P") && block.ends_with("KEY-----"), "{block}");
    }

    #[test]
    fn what_is_no_private_key_is_named() {
        for (text, expected) in [
            ("", "no PEM block"),
            ("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----", "a public key"),
            ("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", "a certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIV", "cut off"),
            ("-----BEGIN PGP MESSAGE-----", "another kind"),
        ] {
            let error = private_block(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
