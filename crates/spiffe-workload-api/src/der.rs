//! The few DER structures that neither protobuf nor the certificate parser takes apart.

use der::{AnyRef, Decode as _, Reader as _, SliceReader, Tag, TagNumber};

/// Splits certificates that follow one another, `most` of them: each is a SEQUENCE with its length.
pub(crate) fn certificates(bytes: &[u8], most: usize) -> Option<Vec<Vec<u8>>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let mut reader = SliceReader::new(bytes).ok()?;
    let mut certificates = Vec::new();
    while !reader.is_finished() {
        if certificates.len() >= most {
            return None;
        }
        let certificate = reader.tlv_bytes().ok()?;
        AnyRef::from_der(certificate)
            .ok()?
            .sequence(|reader| {
                // What is inside is the certificate parser's.
                reader.read_slice(reader.remaining_len())
            })
            .ok()?;
        certificates.push(certificate.to_vec());
    }
    Some(certificates)
}

/// The URIs among the names of a SubjectAltName (RFC 5280 4.2.1.6).
pub(crate) fn uris(subject_alt_name: &[u8]) -> Option<Vec<&str>> {
    const URI: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber::N6 };
    let names: Vec<AnyRef<'_>> = Vec::from_der(subject_alt_name).ok()?;
    names
        .iter()
        .filter(|name| der::Tagged::tag(*name) == URI)
        .map(|name| std::str::from_utf8(name.value()).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn concatenated_der_is_split_at_its_lengths() {
        let long = [&[0x30, 0x81, 0x80][..], &[7; 128]].concat();
        let both = [&[0x30, 0x01, 0x05][..], &long].concat();
        assert_eq!(certificates(&both, 9).unwrap(), [vec![0x30, 0x01, 0x05], long.clone()]);
        assert_eq!(certificates(&both, 2).unwrap().len(), 2);
        assert_eq!(certificates(&both, 1), None, "more than are read");
        assert_eq!(certificates(&[], 9).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_is_not_whole_der_is_refused() {
        for bytes in [&[0x30][..], &[0x30, 0x02, 0x05], &[0x31, 0x00], &[0x30, 0x80, 0, 0]] {
            assert_eq!(certificates(bytes, 9), None, "{bytes:?}");
        }
        assert_eq!(certificates(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], 9), None);
        assert_eq!(certificates(&[0x30, 0x82, 0xff], 9), None);
    }

    #[test]
    fn only_uris_are_taken_from_the_names() {
        let names = [0x30, 0x08, 0x82, 0x01, b'd', 0x86, 0x03, b'a', b':', b'b'];
        assert_eq!(uris(&names).unwrap(), ["a:b"]);
        assert_eq!(uris(&[0x30, 0x00]).unwrap(), Vec::<&str>::new());
        assert_eq!(uris(&[0x30, 0x03, 0x86, 0x01, 0xff]), None, "not text");
        assert_eq!(uris(&[0x30, 0x00, 0x00]), None, "something follows");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = uris(&bytes);
            if let Some(parts) = certificates(&bytes, 9) {
                prop_assert_eq!(parts.concat(), bytes);
            }
        }
    }
}
