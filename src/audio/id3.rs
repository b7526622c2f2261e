//! ID3v2 tags, which some players put in front of any format (ID3v2, section 3.1).

/// Bytes of a tag's header, which contains the tag's size.
pub(super) const HEADER: usize = 10;

/// Returns the size in bytes of the tag at the start of `bytes`, if there is one.
pub(super) fn tag_size(bytes: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] = *bytes else {
        return None;
    };
    let size = [a, b, c, d]
        .iter()
        .fold(0, |size, &byte| size << 7 | u64::from(byte & 0x7f));
    let footer = if flags & 0x10 != 0 { 10 } else { 0 };
    Some(HEADER as u64 + size + footer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_the_size_in_its_header() {
        assert_eq!(tag_size(b"ID3\x03\0\0\0\0\x01\x02\0\0fLaC"), Some(140));
        let with_footer = tag_size(b"ID3\x04\0\x10\0\0\0\x02\0\0");
        assert_eq!(with_footer, Some(22));
        assert_eq!(tag_size(b"fLaC\0\0\0\x22\0\0\0"), None);
    }
}
