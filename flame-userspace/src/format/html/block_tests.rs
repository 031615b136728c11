//! Reads blocks back, and compares them with the call trees that they were made of.

use std::collections::HashMap;

use super::*;
use crate::format::{example, frame};
use crate::profile::Profile;
use crate::profile::tree::{CallTree, TreeOptions};

struct Decoded {
    header: serde_json::Value,
    sections: HashMap<String, Vec<u8>>,
}

impl Decoded {
    fn new(block: &[u8]) -> Self {
        let (length, rest) = block.split_first_chunk().expect("a length");
        let (header, mut rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        let header: serde_json::Value = serde_json::from_slice(header).expect("a JSON header");
        let mut sections = HashMap::new();
        for section in header["sections"].as_array().expect("a list") {
            let length = section[1].as_u64().expect("a length") as usize;
            let (bytes, after) = rest.split_at(length);
            let name = section[0].as_str().expect("a name").to_owned();
            sections.insert(name, bytes.to_vec());
            rest = after;
        }
        assert!(rest.is_empty(), "the header tells of every byte");
        Self { header, sections }
    }

    fn strings(&self) -> Vec<String> {
        let text = std::str::from_utf8(&self.sections["strings"]).expect("UTF-8");
        text.split_terminator('\n').map(str::to_owned).collect()
    }

    fn numbers(&self, section: &str) -> Vec<u64> {
        let mut numbers = Vec::new();
        let (mut number, mut shift) = (0, 0);
        for &byte in &self.sections[section] {
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                numbers.push(number);
                (number, shift) = (0, 0);
            }
        }
        numbers
    }

    fn signed(&self, section: &str) -> Vec<i64> {
        let unzigzag = |n: u64| (n >> 1) as i64 ^ -((n & 1) as i64);
        self.numbers(section).into_iter().map(unzigzag).collect()
    }

    /// Every node's path of names and lines with its self and total value of one sample type.
    fn paths(&self, sample_type: usize) -> Vec<(Vec<String>, i64, i64)> {
        let strings = self.strings();
        let names = self.numbers("frame_names");
        let usual = self.numbers("frame_lines");
        let mut values = vec![0; self.numbers("levels").len()];
        let mut node = 0;
        for (step, value) in self
            .signed("sample_nodes")
            .into_iter()
            .zip(self.signed(&format!("values_{sample_type}")))
        {
            node += step;
            values[node as usize] += value;
        }
        let mut totals = values.clone();
        let (mut path, mut rows): (Vec<String>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut paths = Vec::new();
        let columns = self.numbers("levels").into_iter().zip(self.numbers("node_frames"));
        for (row, ((up, frame), line)) in columns.zip(self.signed("node_lines")).enumerate() {
            let level = if row == 0 { 0 } else { path.len() - up as usize };
            path.truncate(level);
            rows.truncate(level);
            let line = usual[frame as usize] as i64 + line;
            path.push(format!("{}:{line}", strings[names[frame as usize] as usize]));
            rows.push(row);
            paths.push((path.clone(), values[row], 0));
            for above in &rows[..level] {
                totals[*above] += values[row];
            }
        }
        for (row, path) in paths.iter_mut().enumerate() {
            path.2 = totals[row];
        }
        paths
    }
}

fn encoded(profile: &Profile, by_process: bool) -> Decoded {
    Decoded::new(&encode(&Graph::of(profile, by_process).0, json!({ "more": 1 })))
}

fn trees(profile: &Profile, by_process: bool) -> Vec<CallTree> {
    (0..profile.sample_types().len())
        .map(|sample_type| {
            let options = TreeOptions { sample_type, by_process };
            CallTree::build(profile, options)
        })
        .collect()
}

/// What [`Decoded::paths`] should give, but for lines: they are the shown type's.
fn expected(profile: &Profile, lines: &CallTree, tree: &CallTree) -> Vec<(Vec<String>, i64, i64)> {
    let mut paths: Vec<(Vec<String>, i64, i64)> = Vec::new();
    for (node, with_line) in tree.nodes.iter().zip(&lines.nodes) {
        let name = frame::describe(profile, tree.frames[node.frame as usize]).name;
        let mut path = match node.parent {
            Some(parent) => paths[parent as usize].0.clone(),
            None => vec!["all:0".to_owned()],
        };
        path.push(format!("{name}:{}", with_line.line));
        paths.push((path, node.self_value, node.total));
    }
    let top = tree.nodes.iter().filter(|node| node.parent.is_none());
    let stackless = tree.total - top.map(|node| node.total).sum::<i64>();
    paths.push((vec!["all:0".to_owned()], stackless, tree.total));
    paths
}

#[test]
fn the_numbers_of_random_profiles_are_those_of_their_call_trees() {
    for seed in 0..20 {
        let profile = example::random(seed);
        for by_process in [false, true] {
            let trees = trees(&profile, by_process);
            let block = encoded(&profile, by_process);
            for (sample_type, tree) in trees.iter().enumerate() {
                let mut decoded = block.paths(sample_type);
                let mut expected = expected(&profile, &trees[1], tree);
                decoded.sort();
                expected.sort();
                assert_eq!(decoded, expected, "seed {seed}, type {sample_type}");
            }
        }
    }
}

#[test]
fn siblings_stand_by_falling_total() {
    let profile = example::small();
    let block = encoded(&profile, false);
    let paths: Vec<_> = block.paths(0).into_iter().map(|(path, ..)| path).collect();
    let leaves: Vec<_> = paths.iter().map(|path| path[path.len() - 1].as_str()).collect();
    assert_eq!(
        leaves,
        [
            "all:0",
            "main:10",
            "parse:10",
            "inlined_helper:10",
            "write:10",
            "ksys_write:10",
            "[libc.so.6]:0"
        ]
    );
    let kinds = block.numbers("frame_kinds");
    assert_eq!(kinds.iter().filter(|kind| **kind == 2 + 4).count(), 1, "one is inlined");
    assert_eq!(kinds.iter().filter(|kind| **kind == 3).count(), 1, "one is the kernel's");
    assert_eq!(block.header["types"][1]["unit"], "nanoseconds");
    assert_eq!(block.header["shown"], 1);
    assert_eq!(block.header["more"], 1);
    assert_eq!(block.header["samples"], json!([4]));
}

#[test]
fn extreme_numbers_are_encoded() {
    let mut bytes = Vec::new();
    put_signed(&mut bytes, i64::MIN);
    put_signed(&mut bytes, i64::MAX);
    put_signed(&mut bytes, -1);
    let block = Decoded {
        header: serde_json::Value::Null,
        sections: HashMap::from([("x".to_owned(), bytes)]),
    };
    assert_eq!(block.signed("x"), [i64::MIN, i64::MAX, -1]);
}

#[test]
fn hostile_names_stay_one_string_each() {
    let names = ["a\nb", "", "</script>", "x\u{2028}\u{202e}"];
    let profile = example::of_names(&names);
    let block = encoded(&profile, true);
    let strings = block.strings();
    for shown in ["a\\nb", "[unknown]", "</script>", "x\\u{2028}\\u{202e}"] {
        assert!(strings.iter().any(|s| s == shown), "{shown} in {strings:?}");
    }
}

#[test]
fn samples_keep_their_labels_and_equal_ones_are_one() {
    let mut b = example::builder();
    let module = example::mapping(&mut b, "/bin/app");
    // Two addresses of one function: two stacks, one node.
    let places = [1, 2].map(|address| example::location(&mut b, Some(module), address, &["main"]));
    for (place, thread) in [(places[0], 7), (places[1], 7), (places[0], 8)] {
        let stack = b.stack([place]);
        let labels = vec![
            b.text_label("thread", "work\ner"),
            b.number_label("tid", thread, ""),
            b.number_label("bytes", 4096 + thread, "bytes"),
        ];
        let labels = b.label_set(labels);
        b.sample(stack, labels, &[1, thread]);
    }
    let block = encoded(&b.finish(), false);
    assert_eq!(block.signed("values_1"), [14, 8]);
    assert_eq!(block.signed("sample_nodes"), [1, 0]);
    assert_eq!(block.numbers("sample_labels"), [0, 1]);
    let strings = block.strings();
    let texts: Vec<_> =
        block.numbers("labels").into_iter().map(|row| strings[row as usize].as_str()).collect();
    assert_eq!(texts, ["thread", "work\\ner", "tid", "7", "tid", "8"]);
    assert_eq!(block.numbers("label_sets"), [2, 0, 1, 2, 0, 2]);
}
