//! Decompression within a limit.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use super::ReadError;

/// The largest profile that is read, in bytes after decompression: 1 GiB.
///
/// A thousandth of it is a large profile. The limit holds whatever the compression ratio, and for
/// files that are not compressed too, so that no table can have more rows than its handles count.
pub const MAX_DECOMPRESSED_BYTES: u64 = 1 << 30;

/// The protobuf message in a file that may be compressed, in one gzip member or several.
pub(in crate::format) fn inflate(bytes: &[u8], limit: u64) -> Result<Cow<'_, [u8]>, ReadError> {
    let message = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut message = Vec::new();
        MultiGzDecoder::new(bytes)
            .take(limit.saturating_add(1))
            .read_to_end(&mut message)
            .map_err(|cause| ReadError::Gzip { decompressed: message.len() as u64, cause })?;
        Cow::Owned(message)
    } else {
        Cow::Borrowed(bytes)
    };
    if message.len() as u64 > limit {
        return Err(ReadError::TooLarge { limit });
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("a Vec takes every write");
        encoder.finish().expect("a Vec takes every write")
    }

    #[test]
    fn the_limit_is_the_largest_size_that_passes() {
        let packed = gzip(&[7; 1000]);
        assert_eq!(inflate(&packed, 1000).expect("at the limit").len(), 1000);
        let error = inflate(&packed, 999).expect_err("past the limit");
        assert!(matches!(error, ReadError::TooLarge { limit: 999 }));
        let error = inflate(&[7; 1000], 999).expect_err("past the limit, not compressed");
        assert!(matches!(error, ReadError::TooLarge { limit: 999 }));
    }

    #[test]
    fn the_limit_holds_over_several_members() {
        let members = [gzip(&[1; 600]), gzip(&[2; 600])].concat();
        assert_eq!(inflate(&members, 1200).expect("at the limit").len(), 1200);
        assert!(inflate(&members, 1199).is_err());
    }

    #[test]
    fn what_follows_the_last_member_is_not_ignored() {
        let mut bytes = gzip(b"x");
        bytes.extend_from_slice(b"trailing");
        let error = inflate(&bytes, 100).expect_err("trailing bytes");
        assert!(matches!(error, ReadError::Gzip { .. }));
    }
}
