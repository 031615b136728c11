//! Allocators that a program carries without the names of their functions, known by what they
//! would print.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::Allocator;

/// Bytes read at a time.
const PIECE: usize = 1 << 20;
/// The most bytes of a file that are searched.
const MOST: u64 = 64 << 20;

/// The beginnings of the allocators' own messages.
const TEXTS: &[(&[u8], Allocator)] = &[
    (b"<jemalloc>: ", Allocator::Jemalloc),
    (b"mimalloc: error: ", Allocator::Mimalloc),
    (b"tcmalloc: large alloc ", Allocator::Tcmalloc),
    // Of google/tcmalloc.
    (b"MallocExtension::", Allocator::Tcmalloc),
    (b"malloc(): corrupted top size", Allocator::Glibc),
];

/// The allocators whose texts a file holds, each once. What cannot be read is not searched.
pub(crate) fn traces(file: &File) -> Vec<Allocator> {
    let longest = TEXTS.iter().map(|(text, _)| text.len()).max().unwrap_or(0);
    let mut found = Vec::new();
    let mut window: Vec<u8> = Vec::new();
    let mut at = 0;
    while at < MOST {
        let kept = window.len().min(longest);
        window.drain(..window.len() - kept);
        window.resize(kept + PIECE, 0);
        let Ok(read) = file.read_at(&mut window[kept..], at) else { break };
        window.truncate(kept + read);
        for (text, allocator) in TEXTS {
            if !found.contains(allocator) && holds(&window, text) {
                found.push(*allocator);
            }
        }
        if read == 0 {
            break;
        }
        at += read as u64;
    }
    found
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == text[0]) {
        if rest[at..].starts_with(text) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8], name: &str) -> Vec<Allocator> {
        let path = std::env::temp_dir().join(format!("flame-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).expect("room for a file");
        let found = traces(&File::open(&path).expect("the file"));
        std::fs::remove_file(&path).expect("the file");
        found
    }

    #[test]
    fn an_allocator_is_known_by_what_it_prints() {
        assert_eq!(of(b"..<<jemalloc>: bad\0", "traces-one"), [Allocator::Jemalloc]);
        assert_eq!(of(b"<jemalloc>:", "traces-none"), []);
        assert_eq!(of(b"", "traces-empty"), []);
    }

    #[test]
    fn a_text_across_two_pieces_is_found() {
        for before in 0..14 {
            let mut bytes = vec![b'.'; PIECE - before];
            bytes.extend(b"<jemalloc>: and more");
            assert_eq!(of(&bytes, "traces-across"), [Allocator::Jemalloc], "{before}");
        }
    }
}
