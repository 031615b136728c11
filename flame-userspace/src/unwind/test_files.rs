//! Real files with unwind information, for tests: what this test has mapped.

use std::fs::File;

use crate::process::ElfLayout;

/// A file that is mapped here.
pub(super) struct Mapped {
    pub(super) path: String,
    pub(super) file: File,
    pub(super) layout: ElfLayout,
}

/// The libraries that are mapped here, and this program.
pub(super) fn mapped() -> Vec<Mapped> {
    let maps = std::fs::read_to_string("/proc/self/maps").expect("own mappings");
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let mut paths: Vec<&str> = paths.filter(|path| path.contains(".so")).collect();
    paths.dedup();
    paths.push("/proc/self/exe");
    let open = |path: &str| {
        let file = File::open(path).expect("a mapped file");
        let layout = ElfLayout::read(&file).expect("an ELF file");
        Mapped { path: path.to_owned(), file, layout }
    };
    paths.into_iter().map(open).collect()
}
