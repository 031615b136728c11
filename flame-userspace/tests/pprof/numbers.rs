//! The numbers of a profile are the same in whatever form they are told: the table, the report as
//! Markdown and JSON, folded stacks, the page as its own viewer reads it, and `go tool pprof`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use flame::analyze::report::{Report, ReportOptions};
use flame::analyze::{FunctionTree, top};
use flame::format::markdown::{self, Heading};
use flame::format::{folded, html, json};
use flame::profile::tree::{CallTree, TreeOptions};
use flame::profile::{
    Builder, Function, Label, LabelValue, Line, Location, LocationId, Mapping, Profile, SampleType,
};

use crate::file;
use crate::generator::Random;
use crate::go_tool::Go;

/// Self value and total by function's name. Each name lies in one module.
type Numbers = BTreeMap<String, (i64, i64)>;

/// A profile of several sample types and threads, with inlined functions, recursion, code without
/// names, and samples without a stack.
fn profile(seed: u64) -> Profile {
    let mut random = Random::new(seed);
    let types = [("samples", "count"), ("cpu", "nanoseconds"), ("inuse_space", "bytes")];
    let types = types.map(|(kind, unit)| SampleType::new(kind, unit)).to_vec();
    let mut b = Builder::new(types, random.below(3));
    b.period(SampleType::new("cpu", "nanoseconds"), 1_000_000);
    b.time(1_791_547_200_000_000_000, 20_000_000_000);
    let empty = b.string("");
    let mappings = ["/bin/app", "/lib/libone.so", "[kernel.kallsyms]"].map(|path| {
        let start = 0x10_0000 * (1 + path.len() as u64);
        let path = b.string(path);
        b.mapping(Mapping {
            start,
            limit: start + 0x10_0000,
            file_offset: 0,
            path,
            build_id: empty,
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        })
    });
    let functions: Vec<_> = (0..30)
        .map(|i| {
            let (name, system) = (format!("m{}::f{i}", i % 3), format!("_f{i}"));
            let (name, system_name, file) = (b.string(&name), b.string(&system), b.string("a.rs"));
            b.function(Function { name, system_name, file, start_line: 1 })
        })
        .collect();
    let locations: Vec<LocationId> = (0..60)
        .map(|i| {
            let module = i % 3;
            // Inlined functions are of the module that they were inlined into.
            let lines = (0..random.below(4))
                .map(|_| Line {
                    function: functions[3 * random.below(10) + module],
                    line: 1 + random.below(50) as i64,
                    column: 0,
                })
                .collect();
            let address = 0x10_0000 * 9 + i as u64;
            b.location(Location { mapping: Some(mappings[module]), address, lines })
        })
        .collect();
    for _ in 0..200 {
        let frames: Vec<_> = (0..random.below(15)).map(|_| locations[random.below(60)]).collect();
        let stack = b.stack(frames);
        let labels = vec![
            b.number_label("pid", 1 + random.below(2) as i64, ""),
            b.number_label("tid", 1 + random.below(4) as i64, ""),
            b.text_label("comm", ["one", "two"][random.below(2)]),
        ];
        let labels = b.label_set(labels);
        let values = [1 << 8, 1 << 36, 1 << 30].map(|most| random.below(most) as i64);
        b.sample(stack, labels, &values);
    }
    b.finish()
}

/// By the functions of the call tree: what the table on the terminal and the diff show.
fn by_tree(profile: &Profile, column: usize) -> Numbers {
    let tree = FunctionTree::of(profile, column);
    let worths = tree.worths();
    let rows = tree.functions.iter().zip(worths);
    rows.map(|(f, worth)| (f.name.clone(), (worth.self_value, worth.total))).collect()
}

fn by_table(profile: &Profile, column: usize) -> Numbers {
    let options = TreeOptions { sample_type: column, by_process: false };
    let rows = top(profile, &CallTree::build(profile, options));
    rows.into_iter().map(|row| (row.name, (row.self_value, row.total))).collect()
}

/// Counted sample by sample, without any tree.
fn by_hand(profile: &Profile, column: usize) -> Numbers {
    by_hand_of(profile, column, "")
}

/// The same of the samples of one process; of all if `comm` is empty.
fn by_hand_of(profile: &Profile, column: usize, comm: &str) -> Numbers {
    let mut numbers = Numbers::new();
    let is_of = |label: &Label| match label.value {
        LabelValue::Text(text) => {
            profile.string(label.key) == "comm" && profile.string(text) == comm
        }
        LabelValue::Number { .. } => false,
    };
    for sample in profile.samples() {
        let labels = profile.labels(sample.labels);
        if !comm.is_empty() && !labels.iter().any(is_of) {
            continue;
        }
        let mut names: Vec<String> = Vec::new();
        for id in profile.frames(sample.stack) {
            let location = profile.location(id);
            let mapping = profile.mapping(location.mapping.expect("each has one"));
            let path = profile.string(mapping.path);
            if location.lines.is_empty() {
                let base = path.rsplit('/').next().expect("a name");
                names.push(if base.starts_with('[') { base.into() } else { format!("[{base}]") });
            }
            let name =
                |line: &Line| profile.string(profile.function(line.function).name).to_owned();
            names.extend(location.lines.iter().map(name));
        }
        if let Some(leaf) = names.first() {
            numbers.entry(leaf.clone()).or_default().0 += sample.values[column];
        }
        names.sort();
        names.dedup();
        for name in names {
            numbers.entry(name).or_default().1 += sample.values[column];
        }
    }
    numbers
}

fn by_json(profile: &Profile) -> Numbers {
    let facts = Report::of(profile, ReportOptions { top: 1000 });
    let json = json::report(&facts, &Heading { title: "t", source: "s" });
    let rows = json["views"][0]["functions"].as_array().expect("functions").clone();
    let number = |value: &serde_json::Value| value.as_i64().expect("a number");
    let row = |row: &serde_json::Value| {
        let name = row["name"].as_str().expect("a name").to_owned();
        (name, (number(&row["self"]), number(&row["total"])))
    };
    rows.iter().map(row).collect()
}

/// The rows of the report's first table, as texts.
fn by_markdown(profile: &Profile) -> BTreeMap<String, (String, String)> {
    let facts = Report::of(profile, ReportOptions { top: 1000 });
    let text = markdown::report(&facts, &Heading { title: "t", source: "s" });
    let table = text.split("## Heaviest by self value").nth(1).expect("the table");
    let table = table.split("\n## ").next().expect("its end");
    let cells = |line: &str| line.split(" | ").map(|c| c.trim().to_owned()).collect::<Vec<_>>();
    let rows = table.lines().filter(|line| line.starts_with("| F")).map(cells);
    let column = if text.contains("mean size") { 8 } else { 6 };
    rows.map(|row| (row[column].trim_matches('`').to_owned(), (row[1].clone(), row[4].clone())))
        .collect()
}

fn own_by_folded(profile: &Profile, column: usize) -> BTreeMap<String, i64> {
    let mut bytes = Vec::new();
    folded::write(profile, column, false, &mut bytes).expect("a Vec takes every write");
    let mut sums = BTreeMap::new();
    for line in String::from_utf8(bytes).expect("UTF-8").lines() {
        let (stack, value) = line.rsplit_once(' ').expect("a value");
        let leaf = stack.rsplit(';').next().expect("a leaf").to_owned();
        *sums.entry(leaf).or_default() += value.parse::<i64>().expect("a number");
    }
    sums
}

/// Only what is worth something: others are not in every form.
fn nonzero(numbers: Numbers) -> Numbers {
    numbers.into_iter().filter(|(_, worth)| *worth != (0, 0)).collect()
}

#[test]
fn table_report_and_folded_stacks_tell_what_was_counted_by_hand() {
    for seed in 0..25 {
        let profile = profile(seed);
        for column in 0..3 {
            let expected = nonzero(by_hand(&profile, column));
            assert_eq!(nonzero(by_tree(&profile, column)), expected, "seed {seed}");
            assert_eq!(nonzero(by_table(&profile, column)), expected, "seed {seed}");
            let own: i64 = expected.values().map(|worth| worth.0).sum();
            let mut folded = own_by_folded(&profile, column);
            let stackless = folded.remove("[unknown]").unwrap_or_default();
            assert_eq!(own + stackless, profile.total(column), "seed {seed}");
            for (name, own) in folded {
                assert_eq!(own, expected[&name].0, "seed {seed}: {name}");
            }
        }
        let shown = profile.default_sample_type();
        let expected = nonzero(by_hand(&profile, shown));
        assert_eq!(nonzero(by_json(&profile)), expected, "seed {seed}");
        let unit = &profile.sample_types()[shown].unit;
        for (name, texts) in by_markdown(&profile) {
            let (own, total) = expected[&name];
            assert_eq!(texts, (unit.format(own), unit.format(total)), "seed {seed}: {name}");
        }
    }
}

/// The numbers in the page, as its viewer's own modules read them; none where there is no node.
fn by_page(folder: &Path, profile: &Profile, column: usize, comm: &str) -> Option<Numbers> {
    let page = folder.join("numbers.html");
    let mut bytes = Vec::new();
    let about = html::Page { title: "t", by_process: false, source_id: "s" };
    html::write(profile, &about, &mut bytes).expect("a Vec takes every write");
    std::fs::write(&page, bytes).expect("write the page");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pprof/page.mjs");
    let mut node = Command::new("node");
    node.arg(script).arg(page).arg(column.to_string());
    if !comm.is_empty() {
        node.args(["comm", comm]);
    }
    let output = node.output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let rows: Vec<(String, i64, i64)> = serde_json::from_slice(&output.stdout).expect("JSON");
    Some(rows.into_iter().map(|(name, own, total)| (name, (own, total))).collect())
}

#[test]
fn the_page_tells_the_same() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("numbers-of-pages");
    std::fs::create_dir_all(&folder).expect("make the test's folder");
    for seed in 0..6 {
        let profile = profile(seed);
        for column in 0..3 {
            let Some(mut page) = by_page(&folder, &profile, column, "") else {
                eprintln!("skipped: needs `node`, which is not here");
                return;
            };
            let (_, total) = page.remove("all").expect("the root");
            assert_eq!(total, profile.total(column));
            assert_eq!(nonzero(page), nonzero(by_hand(&profile, column)), "seed {seed}");
            let mut page = by_page(&folder, &profile, column, "one").expect("node is there");
            page.remove("all");
            let expected = by_hand_of(&profile, column, "one");
            assert_eq!(nonzero(page), nonzero(expected), "seed {seed}: one process");
        }
    }
}

#[test]
fn go_tool_pprof_tells_the_same() {
    let Some(go) = Go::find("go_tool_pprof_tells_the_same") else { return };
    for seed in 0..6 {
        let profile = profile(seed);
        let path = go.save("numbers.pb", &file(&profile));
        for (column, unit) in [(0, ""), (1, "-unit=ns"), (2, "-unit=B")] {
            let index = format!("-sample_index={column}");
            let mut arguments = vec!["-top", "-nodecount=0", "-nodefraction=0", &index];
            arguments.extend((!unit.is_empty()).then_some(unit));
            arguments.push(&path);
            let text = go.pprof(&arguments);
            let expected = nonzero(by_hand(&profile, column));
            assert_eq!(nonzero(of_go(&text)), expected, "seed {seed}: {text}");
            arguments.insert(1, "-tagfocus=comm=^one$");
            let text = go.pprof(&arguments);
            let expected = nonzero(by_hand_of(&profile, column, "one"));
            assert_eq!(nonzero(of_go(&text)), expected, "seed {seed}: {text}");
        }
    }
}

/// The numbers that `go tool pprof -top` writes in the base unit.
fn of_go(text: &str) -> Numbers {
    let number = |word: &str| -> i64 {
        let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("{word} is no number"))
    };
    let mut seen = Numbers::new();
    for line in text.lines().skip_while(|line| !line.contains("flat%")).skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        // It puts the brackets of modules around every module.
        let name = words[5].replace("[[", "[").replace("]]", "]");
        let worth = seen.entry(name).or_default();
        // A function that is inlined somewhere and not elsewhere has a row of each.
        worth.0 += number(words[0]);
        worth.1 += number(words[3]);
    }
    seen
}
