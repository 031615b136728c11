//! The text of `/proc/PID/maps`: one line a mapping (`proc_pid_maps(5)`).

use std::path::PathBuf;

use super::FileIdentity;

/// A mapping of executable code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodeMapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Offset in the file of the byte at `start`.
    pub(crate) offset: u64,
    pub(crate) identity: FileIdentity,
    /// The path as the kernel prints it; empty for anonymous memory.
    pub(crate) path: PathBuf,
}

/// The executable mappings in `text`. Lines that are not of the format are left out.
pub(crate) fn parse(text: &[u8]) -> Vec<CodeMapping> {
    text.split(|&byte| byte == b'\n').filter_map(parse_line).collect()
}

/// `start-end perms offset major:minor inode      path`
fn parse_line(line: &[u8]) -> Option<CodeMapping> {
    let mut rest = line;
    let range = std::str::from_utf8(field(&mut rest)?).ok()?;
    let permissions = field(&mut rest)?;
    let offset = std::str::from_utf8(field(&mut rest)?).ok()?;
    let device = std::str::from_utf8(field(&mut rest)?).ok()?;
    let inode = std::str::from_utf8(field(&mut rest)?).ok()?;
    if permissions.get(2) != Some(&b'x') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let (major, minor) = device.split_once(':')?;
    let path = rest.trim_ascii_start();
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let device_hex = |text| u32::from_str_radix(text, 16).ok();
    Some(CodeMapping {
        start: hex(start)?,
        end: hex(end)?,
        offset: hex(offset)?,
        identity: FileIdentity {
            major: device_hex(major)?,
            minor: device_hex(minor)?,
            inode: inode.parse().ok()?,
            generation: 0,
        },
        path: path_from(path),
    })
}

fn path_from(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    // The kernel writes a newline in a path as \012 and nothing else specially.
    let mut path = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        match rest.strip_prefix(b"\\012") {
            Some(tail) => {
                path.push(b'\n');
                rest = tail;
            }
            None => {
                path.push(byte);
                rest = tail;
            }
        }
    }
    std::ffi::OsString::from_vec(path).into()
}

/// Takes the field up to the next space off `rest`.
fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let line = rest.trim_ascii_start();
    let end = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (field, tail) = line.split_at(end);
    *rest = tail;
    (!field.is_empty()).then_some(field)
}

/// Whether a path is one that the kernel shows for memory without a file: nothing, `//anon`,
/// `[heap]` and its like, or shared memory.
pub(super) fn is_anonymous(path: &str) -> bool {
    path.is_empty()
        || path == "//anon"
        || path.starts_with('[')
        || path.starts_with("/dev/zero")
        || path.starts_with("/SYSV")
        || path.starts_with("/anon_hugepage")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_mappings_are_read_and_the_rest_left_out() {
        let text = b"\
55d0c0000000-55d0c0028000 r--p 00000000 fe:01 1234   /usr/bin/a b
55d0c0028000-55d0c0100000 r-xp 00028000 fe:01 1234   /usr/bin/a b (deleted)
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7ffd1f5f0000-7ffd1f5f2000 r-xp 00000000 00:00 0      [vdso]
garbage
55d0c0028000-zz r-xp 00028000 fe:01 1234   /usr/bin/a
";
        let found = parse(text);
        let paths: Vec<_> = found.iter().map(|m| m.path.to_str().unwrap_or("?")).collect();
        assert_eq!(paths, ["/usr/bin/a b (deleted)", "", "[vdso]"]);
        assert_eq!((found[0].start, found[0].offset), (0x55d0_c002_8000, 0x28000));
        assert_eq!(
            found[0].identity,
            FileIdentity { major: 0xfe, minor: 1, inode: 1234, generation: 0 }
        );
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        for length in 0..64 {
            parse(&vec![b'-'; length]);
            parse(&[b"1-2 r-xp ".as_slice(), &vec![0xff; length]].concat());
        }
    }
}
