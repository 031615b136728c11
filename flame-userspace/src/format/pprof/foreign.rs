//! Tells what a file is that someone took for a pprof profile.

/// First bytes that no pprof message begins with: most are not protobuf at all.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF file"),
    (b"PERFILE2", "a perf.data file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"\xfd7zXZ\0", "xz-compressed data"),
    (b"BZh", "bzip2-compressed data"),
    (b"\x1f\x8b", "gzip within gzip"),
    (b"{", "JSON"),
    (b"[", "JSON"),
    (b"<", "HTML or XML"),
    (b"heap profile:", GPERFTOOLS),
    (b"--- ", GPERFTOOLS),
    // gperftools' CPU profiles: the words 0, 3, 0 on a 64-bit little-endian machine.
    (b"\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", GPERFTOOLS),
    (b"goroutine profile:", "a Go profile as text (written with debug=1)"),
];

const GPERFTOOLS: &str = "a profile in gperftools' own format (`go tool pprof -proto` converts it)";

/// What `bytes` are, if it is plain from their start that they are not a pprof message.
pub(in crate::format) fn recognize(bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        return Some("an empty file");
    }
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    MAGIC.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| *name)
}

/// Whether `bytes` look like text; no pprof message does, whose sizes and types are low bytes.
pub(in crate::format) fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(512)];
    start.iter().all(|&byte| byte >= b' ' && byte != 0x7f || matches!(byte, b'\t' | b'\n' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_files_are_recognized() {
        assert_eq!(recognize(b""), Some("an empty file"));
        assert_eq!(recognize(b"\x7fELF\x02\x01"), Some("an ELF file"));
        assert_eq!(recognize(b"\xef\xbb\xbf<!doctype html>"), Some("HTML or XML"));
        assert_eq!(recognize(b"PERFILE2\x68"), Some("a perf.data file"));
        assert_eq!(recognize(&[0x0a, 4, 8, 1, 16, 2]), None, "a sample type");
        assert!(is_text(b"main;foo;bar 17\n") && !is_text(b"\x0a\x04\x08"));
    }
}
