//! Base64 (RFC 4648), for bytes inside the page.

use std::io;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes `bytes` as base64, with padding and without line breaks.
pub(super) fn write(bytes: &[u8], out: &mut impl io::Write) -> io::Result<()> {
    // Some 4 KiB of output a write.
    for part in bytes.chunks(3 * 1024) {
        let mut text = Vec::with_capacity(part.len().div_ceil(3) * 4);
        for group in part.chunks(3) {
            let byte = |i| u32::from(group.get(i).copied().unwrap_or_default());
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let digit = |shift: u32| ALPHABET[(bits >> shift & 63) as usize];
            text.extend([digit(18), digit(12), digit(6), digit(0)]);
            let padding = text.len() - (3 - group.len());
            text[padding..].fill(b'=');
        }
        out.write_all(&text)?;
    }
    Ok(())
}

/// `bytes` as base64.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    // A Vec takes every write, and the alphabet is ASCII.
    let _ = write(bytes, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        let long = encode(&[0xff; 3 * 1024 + 1]);
        assert_eq!(long.len(), 4 * 1024 + 4);
        assert!(long.ends_with("//w=="));
    }
}
