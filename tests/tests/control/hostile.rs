//! Bad input: a clear message, no panic, nothing half-written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flame_tests::files::names;
use flame_tests::machine::Machine;
use flame_tests::{Flame, Folder, Workload};

/// What a name that wants to be a page's script looks like.
const SCRIPT: &str = "<script>alert(1)</script>";

fn generate(arguments: &[&Path]) -> Output {
    let output = Command::new(Flame::program()).arg("generate").args(arguments).output();
    let output = output.expect("run flame");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
    output
}

/// A real profile.
fn profile(folder: &Folder) -> PathBuf {
    let shares = Workload::c("shares");
    let outcome = Flame::record(&["-f", "pb", "--", shares.path(), "200"]).run().with_code(0);
    let path = folder.join("whole.pb");
    fs::copy(&outcome.profiles()[0], &path).expect("copy a profile");
    path
}

#[test]
fn a_profile_cut_in_half_is_refused_and_nothing_is_written() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let whole = profile(&folder);
    let bytes = fs::read(&whole).expect("read a profile");
    let cut = folder.join("cut.pb");
    for length in [0, 1, 10, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&cut, &bytes[..length]).expect("write a file");
        let output = generate(&[&cut]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{length}: {said}");
        assert!(said.contains("cut.pb"), "{said}");
        assert_eq!(names(folder.path()), ["cut.pb", "whole.pb"], "{length}");
    }
}

#[test]
fn a_page_just_made_is_not_replaced_by_another_profiles() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let whole = profile(&folder);
    let [one, other] = ["one", "other"].map(|name| folder.make(name).join("same.pb"));
    fs::copy(&whole, &one).expect("copy a profile");
    fs::copy(&whole, &other).expect("copy a profile");
    let output = generate(&[&one, &other, Path::new("-o"), &folder.join("pages")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("other/same.pb needs another folder"), "{said}");
    let output = generate(&[&one, &one, Path::new("-o"), &folder.join("pages")]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_no_profile_is_refused() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    fs::write(folder.join("text"), "no profile\n".repeat(1000)).expect("write a file");
    let program = Flame::program();
    for file in [folder.path(), &folder.join("text"), &folder.join("missing"), &program] {
        let output = generate(&[file]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(file.to_str().expect("a text")), "{said}");
    }
    assert_eq!(names(folder.path()), ["text"]);
}

#[test]
fn good_profiles_beside_bad_ones_are_made_pages_of() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let whole = profile(&folder);
    fs::write(folder.join("bad.pb"), "bad").expect("write a file");
    let output = generate(&[&folder.join("bad.pb"), &whole]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(names(folder.path()), ["bad.pb", "whole.html", "whole.md", "whole.pb"]);
}

#[test]
fn a_page_that_cannot_be_written_is_told() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let whole = profile(&folder);
    for place in ["/proc/page.html", "/no/such/folder/page.html"] {
        let output = generate(&[&whole, Path::new("-o"), Path::new(place)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(place), "{said}");
    }
}

/// Asserts that what flame makes for people shows a name and does not obey it.
fn assert_harmless(arguments: &[&str], name: &str) {
    let options = ["-F", "499", "-f", "pb,html,md,svg,folded", "--"];
    let outcome = Flame::record(&[&options[..], arguments].concat()).run().with_code(0);
    let seen = outcome.seen();
    for pid in seen.pids() {
        // Not every process has made one.
        _ = fs::remove_file(format!("/tmp/perf-{pid}.map"));
    }
    let labels = seen.stacks.iter().any(|s| s.comm == name || s.thread == name);
    assert!(labels || seen.total_of(name) > 0, "{name} is kept:\n{}", seen.shown());
    let tag = name.split(['>', ' ']).next().expect("a beginning");
    for ending in [".html", ".svg"] {
        let files = flame_tests::files::ending(outcome.folder(), ending);
        let text = fs::read_to_string(&files[0]).expect("read what was made");
        assert!(!text.contains(name), "{name} stands in the {ending}");
        let own = text.matches(tag).count();
        let without = if tag == "<script" { 3 } else { 0 };
        assert!(own <= without, "{own} times {tag} in the {ending}");
    }
    assert!(!outcome.stderr.contains('\u{1b}'), "nothing for the terminal: {}", outcome.stderr);
}

#[test]
fn a_function_whose_name_is_a_script_is_shown_as_text() {
    let Some(_machine) = Machine::take() else { return };
    let generated = Workload::c("generated");
    assert_harmless(&[generated.path(), "300", SCRIPT], SCRIPT);
}

#[test]
fn a_process_whose_name_is_markup_is_shown_as_text() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let name = "<img src=x>";
    let program = folder.join(name);
    fs::copy(Workload::c("shares").program(), &program).expect("copy a workload");
    assert_harmless(&[program.to_str().expect("a text"), "300"], name);
}

#[test]
fn a_file_whose_name_is_a_terminals_command_is_shown_as_text() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let name = "a\u{1b}[2Jb\nc";
    let program = folder.join(name);
    fs::copy(Workload::c("shares").program(), &program).expect("copy a workload");
    let strip = Command::new("strip").arg(&program).status();
    assert!(strip.is_ok_and(|status| status.success()), "strip a workload");
    assert_harmless(&[program.to_str().expect("a text"), "300"], name);
}

#[test]
fn damaged_programs_that_a_process_maps_do_no_harm() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let generated = Workload::c("generated");
    let whole = fs::read(Workload::c("shares").program()).expect("read a workload");
    // The same loop as in the workload, at the start of the second page.
    let code = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf9, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0x5d, 0xc3];
    // Cut in its header, in its program headers, in its sections; with every table's offset and
    // number at their largest.
    let mut wild = whole[..4096].to_vec();
    wild[32..48].fill(0xff);
    wild[54..64].fill(0xff);
    let mut far = whole[..4096].to_vec();
    far[40..48].copy_from_slice(&(u64::MAX - 63).to_le_bytes());
    let damaged = [&whole[..20], &whole[..100], &whole[..4096], &wild, &far];
    for (number, start) in damaged.into_iter().enumerate() {
        let file = folder.join(&format!("damaged-{number}"));
        let mut bytes = start.to_vec();
        bytes.resize(4096, 0);
        bytes.extend(code);
        fs::write(&file, bytes).expect("write a file");
        let path = file.to_str().expect("a text");
        let arguments = ["-F", "499", "--", generated.path(), "200", "=", path];
        let outcome = Flame::record(&arguments).run().with_code(0);
        let seen = outcome.seen();
        let share = seen.only(|s| s.frames.last().is_some_and(|f| f.mapping == path)).total();
        assert!(share * 10 > seen.total() * 8, "{number}:\n{}", seen.shown());
        assert!(seen.share_of("run") > 80.0, "the rest has its names:\n{}", seen.shown());
    }
}

/// A program whose debug information claims to be an exabyte once it is unpacked, so that whoever
/// unpacks it ends.
fn with_endless_debug_information(folder: &Folder) -> PathBuf {
    let shares = Workload::c_with("shares", &["-g", "-gz=zlib"]);
    let program = folder.join("endless");
    fs::copy(shares.program(), &program).expect("copy a workload");
    let sections = Command::new("readelf").arg("-SW").arg(&program).output().expect("run readelf");
    let sections = String::from_utf8_lossy(&sections.stdout).into_owned();
    let line = sections.lines().find(|line| line.contains(" .debug_info ")).expect("a section");
    let fields: Vec<&str> =
        line.split_whitespace().skip_while(|field| *field != "PROGBITS").collect();
    let offset = usize::from_str_radix(fields[2], 16).expect("an offset");
    let mut bytes = fs::read(&program).expect("read a program");
    // `ch_size` of the `Elf64_Chdr` at its head.
    bytes[offset + 8..offset + 16].copy_from_slice(&(1u64 << 60).to_le_bytes());
    fs::write(&program, bytes).expect("write a program");
    program
}

#[test]
fn debug_information_that_ends_its_reader_costs_its_names_alone() {
    let Some(_machine) = Machine::take() else { return };
    let folder = Folder::new();
    let program = with_endless_debug_information(&folder);
    let arguments = ["-t", "cpu", "-F", "499", "--", program.to_str().expect("a text"), "400"];
    let outcome = Flame::record(&arguments).run().with_code(0);
    let seen = outcome.seen();
    assert!(seen.total() > 100, "{}", seen.shown());
    let said = &outcome.stderr;
    assert!(said.contains("no names from") && said.contains("endless"), "{said}");
    // Other files have theirs.
    assert!(seen.share_of("__libc_start_call_main") > 80.0, "{}", seen.shown());
}
