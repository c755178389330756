//! A certificate as bytes: its parts unchanged, and the same without one extension.
//!
//! What is signed is bytes. Re-encoding a parsed certificate loses what encoders may write and
//! need not (an explicit `critical FALSE`), so the parts are cut out and spliced as they are.

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode as _, Encode as _, Header, Reader as _, SliceReader, Tag, TagNumber};

/// Tag of the version, `[0]`.
const VERSION: u8 = 0xa0;
/// Tag of the extensions, `[3]`.
const EXTENSIONS: u8 = 0xa3;
const EXTENSIONS_TAG: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber::N3 };

/// The parts of a certificate, with tag and length (RFC 5280 4.1).
pub(crate) struct Parts<'a> {
    pub(crate) tbs: &'a [u8],
    pub(crate) issuer: &'a [u8],
    pub(crate) subject: &'a [u8],
    pub(crate) spki: &'a [u8],
}

/// Finds the parts of a certificate whose form has been checked.
pub(crate) fn parts(certificate: &[u8]) -> der::Result<Parts<'_>> {
    let missing = || Tag::Sequence.value_error();
    let tbs = *elements(certificate)?.first().ok_or_else(missing)?;
    let fields = elements(tbs)?;
    let fields = match fields.as_slice() {
        [version, rest @ ..] if version.first() == Some(&VERSION) => rest,
        all => all,
    };
    match fields {
        [_serial, _signature, issuer, _validity, subject, spki, ..] => {
            Ok(Parts { tbs, issuer, subject, spki })
        }
        _ => Err(missing()),
    }
}

/// `tbs` without the extension `oid`, everything else byte for byte and in order.
///
/// `None` if the extension is not there.
pub(crate) fn without_extension(tbs: &[u8], oid: ObjectIdentifier) -> der::Result<Option<Vec<u8>>> {
    let mut found = false;
    let mut content = Vec::with_capacity(tbs.len());
    for field in elements(tbs)? {
        if field.first() != Some(&EXTENSIONS) {
            content.extend_from_slice(field);
            continue;
        }
        let mut kept = Vec::with_capacity(field.len());
        for list in elements(field)? {
            for extension in elements(list)? {
                if extension_oid(extension)? == oid {
                    found = true;
                } else {
                    kept.extend_from_slice(extension);
                }
            }
        }
        if !kept.is_empty() {
            content.extend(tlv(EXTENSIONS_TAG, &tlv(Tag::Sequence, &kept)?)?);
        }
    }
    if found { tlv(Tag::Sequence, &content).map(Some) } else { Ok(None) }
}

/// `content` with tag and length before it.
pub(crate) fn tlv(tag: Tag, content: &[u8]) -> der::Result<Vec<u8>> {
    let mut bytes = Header::new(tag, content.len())?.to_der()?;
    bytes.extend_from_slice(content);
    Ok(bytes)
}

fn extension_oid(extension: &[u8]) -> der::Result<ObjectIdentifier> {
    let fields = elements(extension)?;
    let oid = fields.first().ok_or_else(|| Tag::ObjectIdentifier.value_error())?;
    ObjectIdentifier::from_der(oid)
}

/// The content of a constructed element, each part with its tag and length.
fn elements(tlv: &[u8]) -> der::Result<Vec<&[u8]>> {
    let mut reader = SliceReader::new(AnyRef::from_der(tlv)?.value())?;
    let mut elements = Vec::new();
    while !reader.is_finished() {
        elements.push(reader.tlv_bytes()?);
    }
    Ok(elements)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.3.4");
    // SEQUENCE { 1.2.3.4, FALSE, OCTET STRING } and the same of 1.2.3.5: "critical FALSE" is written
    // out, which DER forbids and encoders drop.
    const EXTENSION: [u8; 12] = [0x30, 10, 6, 3, 0x2a, 3, 4, 1, 1, 0, 4, 0];
    const OTHER: [u8; 12] = [0x30, 10, 6, 3, 0x2a, 3, 5, 1, 1, 0, 4, 0];

    fn tbs(extensions: &[&[u8]]) -> Vec<u8> {
        let list = tlv(EXTENSIONS_TAG, &tlv(Tag::Sequence, &extensions.concat()).unwrap()).unwrap();
        tlv(Tag::Sequence, &[&[2, 1, 5], list.as_slice()].concat()).unwrap()
    }

    #[test]
    fn one_extension_goes_and_the_other_keeps_its_bytes() {
        let spliced = without_extension(&tbs(&[&EXTENSION, &OTHER]), OID).unwrap();
        assert_eq!(spliced, Some(tbs(&[&OTHER])));
    }

    #[test]
    fn the_wrapper_goes_with_the_last_extension() {
        let spliced = without_extension(&tbs(&[&EXTENSION]), OID).unwrap();
        assert_eq!(spliced, Some(vec![0x30, 3, 2, 1, 5]));
    }

    #[test]
    fn an_extension_that_is_not_there_is_told_apart() {
        assert_eq!(without_extension(&tbs(&[&OTHER]), OID).unwrap(), None);
    }

    #[test]
    fn the_lengths_shrink_with_the_content() {
        let long =
            tlv(Tag::Sequence, &[&[6, 3, 0x2a, 3, 5, 4, 0x78][..], &[7; 120]].concat()).unwrap();
        let spliced = without_extension(&tbs(&[&long, &EXTENSION]), OID).unwrap().unwrap();
        assert_eq!(spliced, tbs(&[&long]));
        assert!(spliced.len() < tbs(&[&long, &EXTENSION]).len());
    }
}
