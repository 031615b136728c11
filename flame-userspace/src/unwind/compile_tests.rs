//! What tables must have, and damaged files.

use std::fs::{self, File};

use super::*;
use crate::process::ElfLayout;
use crate::unwind::source::{read_section, text_of};

fn of_eh_frame(
    bytes: Vec<u8>,
    address: u64,
    text: &[Range<u64>],
    entry: Option<u64>,
) -> Option<UnwindInformation> {
    let eh_frame = Some(FrameSection::whole(bytes, address));
    let sources = Sources { eh_frame, ..Sources::default() };
    UnwindInformation::read(sources, text, entry)
}

fn all_slices(information: &UnwindInformation) -> Vec<UnwindTable> {
    (0..information.extent().1 / SLICE_PAGES).map(|slice| information.compile(slice)).collect()
}

#[test]
fn the_c_library_has_a_root_a_signal_frame_and_stubs() {
    let maps = fs::read_to_string("/proc/self/maps").expect("own mappings");
    let Some(path) = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.rsplit('/').next().is_some_and(|name| name.starts_with("libc.so")))
    else {
        println!("skipped: no C library of its own");
        return;
    };
    let file = File::open(path).expect("the C library");
    let layout = ElfLayout::read(&file).expect("an ELF file");
    let section = layout.unwind_section.expect("unwind information");
    let bytes = read_section(&file, section).expect("a readable section");
    let text = text_of(&layout);
    let information = of_eh_frame(bytes, section.address, &text, layout.entry);
    let slices = all_slices(&information.expect("unwind information"));
    for rule in [Rule::ROOT, Rule::SIGNAL, Rule::PLT11] {
        let has = slices.iter().any(|slice| slice.rules().contains(&rule));
        assert!(has, "{rule:?} in {path}");
    }
}

#[test]
fn damaged_bytes_give_a_table_or_none_in_time() {
    let file = File::open("/proc/self/exe").expect("this test binary");
    let layout = ElfLayout::read(&file).expect("an ELF file");
    let section = layout.unwind_section.expect("unwind information");
    let mut bytes = read_section(&file, section).expect("a readable section");
    bytes.truncate(20_000);
    let text = text_of(&layout);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..200 {
        let mut damaged = bytes.clone();
        for _ in 0..20 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = state as usize % damaged.len();
            damaged[at] = (state >> 32) as u8;
        }
        let information = of_eh_frame(damaged, section.address, &text, layout.entry);
        let slices = information.as_ref().map(all_slices).unwrap_or_default();
        assert!(slices.iter().map(|slice| slice.rows().len()).sum::<usize>() < 1_000_000);
    }
    assert!(of_eh_frame(Vec::new(), 0, &text, None).is_none());
    assert!(of_eh_frame(vec![0xff; 64], 0, &text, None).is_none());
}
