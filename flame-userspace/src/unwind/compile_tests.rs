//! Rules of real files beside gimli's own, and of damaged ones.

use std::fs::{self, File};
use std::time::Instant;

use super::*;
use crate::process::ElfLayout;
use crate::unwind::source::{read_section, text_of};

/// Files of Debian and of most distributions; those that are not there are left out.
fn files() -> Vec<std::path::PathBuf> {
    let mut files: Vec<std::path::PathBuf> = vec!["/proc/self/exe".into()];
    for folder in ["/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/bin"] {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.is_file() && !path.is_symlink())
            .filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > 200_000))
            .collect();
        found.sort();
        let wanted = ["libc.so", "libcrypto.so", "libstdc++.so", "python3.", "ld-linux"];
        let (first, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            wanted.iter().any(|wanted| name.starts_with(wanted))
        });
        files.extend(first);
        let step = (rest.len() / 40).max(1);
        files.extend(rest.into_iter().step_by(step).take(40));
    }
    files
}

fn of_eh_frame(
    bytes: Vec<u8>,
    address: u64,
    text: &[Range<u64>],
    entry: Option<u64>,
) -> Option<UnwindInformation> {
    let sources = Sources { eh_frame: Some((bytes, address)), ..Sources::default() };
    UnwindInformation::read(sources, text, entry)
}

fn all_slices(information: &UnwindInformation) -> Vec<UnwindTable> {
    (0..information.extent().1 / SLICE_PAGES).map(|slice| information.compile(slice)).collect()
}

/// Compares every row of a file; the number of rows compared.
fn compare(file: &File) -> Option<usize> {
    let layout = ElfLayout::read(file)?;
    let section = layout.unwind_section?;
    let bytes = read_section(file, section)?;
    let text = text_of(&layout);
    let began = Instant::now();
    let information = of_eh_frame(bytes.clone(), section.address, &text, None)?;
    let read = began.elapsed();
    let slices = all_slices(&information);
    let took = began.elapsed();
    let rule = |address| {
        let slice = information.slice_of(address).expect("an address of the code");
        slices[slice as usize].rule(address)
    };
    let eh_frame = EhFrame::new(&bytes, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(section.address);
    let (mut rows, mut functions) = (0, Vec::new());
    for_each_function(&eh_frame, &bases, |fde, _| {
        functions.push((fde.initial_address(), fde.end_address()));
    });
    functions.sort_unstable();
    let overlaps = functions.windows(2).filter(|pair| pair[0].1 > pair[1].0).count();
    for_each_function(&eh_frame, &bases, |fde, context| {
        let code = fde.initial_address()..fde.end_address();
        let in_text = text.iter().any(|t| t.start <= code.start && code.end <= t.end);
        if !in_text || code.is_empty() || overlaps > 0 {
            return;
        }
        let Ok(mut table_rows) = fde.rows(&eh_frame, &bases, context) else { return };
        while let Ok(Some(row)) = table_rows.next_row() {
            let (start, end) = (row.start_address(), row.end_address().min(code.end));
            if start >= end {
                continue;
            }
            let expected = rule_of(row, &eh_frame, fde);
            for address in [start, end - 1, start.midpoint(end)] {
                assert_eq!(rule(address), expected, "at {address:#x}");
            }
            rows += 1;
        }
        let behind = code.end;
        let covered = functions.partition_point(|function| function.0 < behind + PADDING);
        let next = functions.get(covered - 1).is_some_and(|f| f.0 >= behind);
        if !next
            && information.slice_of(behind).is_some()
            && text.iter().any(|t| t.contains(&behind))
        {
            assert_eq!(rule(behind), Rule::GAP, "behind the function at {behind:#x}");
        }
    });
    println!(
        "{rows} rows compared, {} kept, {} bytes, read in {read:?}, all compiled in {took:?}, \
         {overlaps} overlaps",
        slices.iter().map(|slice| slice.rows().len()).sum::<usize>(),
        slices.iter().map(UnwindTable::kernel_bytes).sum::<usize>(),
    );
    Some(rows)
}

#[test]
fn every_row_of_this_machines_files_has_the_rule_that_gimli_computes() {
    let (mut rows, mut compared) = (0, 0);
    for path in files() {
        let Ok(file) = File::open(&path) else { continue };
        if let Some(found) = compare(&file) {
            println!("  {}", path.display());
            rows += found;
            compared += 1;
        }
    }
    println!("{rows} rows of {compared} files");
    assert!(compared > 0 && rows > 1000, "this test binary at least");
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
