//! The columns that the page draws from: the call tree laid out in the order of drawing, so that
//! the page has nothing to build or sort before it shows something.
//!
//! A block is a little-endian `u32`, that many bytes of JSON (the header), and then the sections,
//! whose lengths the header tells. Every section but `strings` is a run of LEB128 numbers:
//!
//! - `strings`: the texts, each ended by a line feed (no text holds one);
//! - `frame_names`, `frame_files`, `frame_modules`: rows of `strings`, by frame;
//! - `frame_kinds`: side (0 the root, 1 a process, 2 user, 3 kernel) + 4 if inlined, by frame;
//! - `frame_lines`: the line of the frame's first node, by frame;
//! - `levels`: by node, how many levels its parent lies above the node before it: 0 for a first
//!   child, 1 for a sibling, and so on;
//! - `node_frames`: rows of frames, by node; the more often a frame recurs the lower its row;
//! - `node_lines`: zigzag difference to the frame's line, by node;
//! - `self_0`, `self_1`, ...: zigzag self values, by node, of each sample type.
//!
//! Node 0 is the root, of all samples; nodes follow in pre-order, siblings by falling total of the
//! sample type that is shown first.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::json;

use crate::format::frame::{self, Side};
use crate::profile::Profile;
use crate::profile::tree::CallTree;

/// The format's version, which the page checks.
const VERSION: u32 = 1;
const ROOT_NAME: &str = "all";

/// The block of `profile`, from its call tree of each sample type, in the order of the types.
///
/// The trees come from the same samples, so they have the same nodes, in the same order.
pub(super) fn encode(profile: &Profile, trees: &[CallTree]) -> Vec<u8> {
    let shown = profile.default_sample_type();
    let Some(tree) = trees.get(shown) else {
        return Vec::new();
    };
    debug_assert!(trees.iter().all(|t| t.nodes.len() == tree.nodes.len()));

    let order = pre_order(tree);
    let frames = Frames::new(profile, tree, &order);
    let mut sections = frames.sections;
    sections.push(("levels".into(), levels(tree, &order)));

    let mut node_frames = Vec::new();
    put(&mut node_frames, u64::from(frames.root));
    let mut node_lines = vec![0];
    for &row in &order {
        let node = &tree.nodes[row as usize];
        put(&mut node_frames, u64::from(frames.rank[node.frame as usize]));
        let usual = frames.lines[node.frame as usize];
        put_signed(&mut node_lines, line(node.line) - usual);
    }
    sections.push(("node_frames".into(), node_frames));
    sections.push(("node_lines".into(), node_lines));

    for (i, tree) in trees.iter().enumerate() {
        let mut values = Vec::new();
        put_signed(&mut values, without_stack(tree));
        for &row in &order {
            put_signed(&mut values, tree.nodes[row as usize].self_value);
        }
        sections.push((format!("self_{i}"), values));
    }

    let header = json!({
        "version": VERSION,
        "types": profile.sample_types().iter()
            .map(|t| json!({ "kind": visible(&t.kind), "unit": visible(t.unit.name()) }))
            .collect::<Vec<_>>(),
        "shown": shown,
        "nodes": order.len() + 1,
        "frames": frames.rank.len() + 1,
        "stacks": profile.sample_count(),
        "start_ms": profile.time_ns() / 1_000_000,
        "duration_ns": profile.duration_ns(),
        "sections": sections.iter().map(|(name, bytes)| json!([name, bytes.len()]))
            .collect::<Vec<_>>(),
    })
    .to_string();
    let mut block = (header.len() as u32).to_le_bytes().to_vec();
    block.extend(header.as_bytes());
    for (_, bytes) in sections {
        block.extend(bytes);
    }
    block
}

fn visible(text: &str) -> String {
    crate::format::text::visible(text).into_owned()
}

/// The value of the samples that have no frame at all: the root's own.
fn without_stack(tree: &CallTree) -> i64 {
    tree.nodes
        .iter()
        .filter(|node| node.parent.is_none())
        .fold(tree.total, |rest, node| rest.saturating_sub(node.total))
}

/// A line as the page shows it: 0 if unknown.
fn line(line: i64) -> i64 {
    // The page's numbers are exact up to 2^53, and no file has as many lines as a u32.
    line.clamp(0, i64::from(u32::MAX))
}

/// The tree's rows, parents before children, siblings by falling total.
fn pre_order(tree: &CallTree) -> Vec<u32> {
    let mut children: Vec<Vec<u32>> = vec![Vec::new(); tree.nodes.len()];
    let mut pending = Vec::new();
    for (row, node) in (0..).zip(&tree.nodes) {
        match node.parent {
            Some(parent) => children[parent as usize].push(row),
            None => pending.push(row),
        }
    }
    let heaviest_first = |rows: &mut Vec<u32>| {
        rows.sort_by_key(|row| Reverse(tree.nodes[*row as usize].total));
    };
    // A stack of what is left to visit, so the next one is last.
    heaviest_first(&mut pending);
    pending.reverse();
    let mut order = Vec::with_capacity(tree.nodes.len());
    while let Some(row) = pending.pop() {
        order.push(row);
        let mut below = std::mem::take(&mut children[row as usize]);
        heaviest_first(&mut below);
        pending.extend(below.into_iter().rev());
    }
    order
}

fn levels(tree: &CallTree, order: &[u32]) -> Vec<u8> {
    // The root's own entry, which nothing reads.
    let mut column = vec![0];
    let mut level_of = vec![0u64; tree.nodes.len()];
    let mut before = 0;
    for &row in order {
        let parent = tree.nodes[row as usize].parent;
        let level = parent.map_or(1, |parent| level_of[parent as usize] + 1);
        level_of[row as usize] = level;
        put(&mut column, before + 1 - level);
        before = level;
    }
    column
}

/// The table of frames, the most frequent first.
struct Frames {
    sections: Vec<(String, Vec<u8>)>,
    /// The row of each of the tree's frames in the table.
    rank: Vec<u32>,
    /// The line of each of the tree's frames in the table.
    lines: Vec<i64>,
    /// The row of the root's frame.
    root: u32,
}

impl Frames {
    fn new(profile: &Profile, tree: &CallTree, order: &[u32]) -> Self {
        let mut uses = vec![0u32; tree.frames.len()];
        let mut lines = vec![0; tree.frames.len()];
        for &row in order {
            let node = &tree.nodes[row as usize];
            if uses[node.frame as usize] == 0 {
                lines[node.frame as usize] = line(node.line);
            }
            uses[node.frame as usize] += 1;
        }
        let mut by_use: Vec<u32> = (0..tree.frames.len() as u32).collect();
        by_use.sort_by_key(|frame| Reverse(uses[*frame as usize]));
        let mut rank = vec![0; tree.frames.len()];
        for (row, &frame) in (0..).zip(&by_use) {
            rank[frame as usize] = row;
        }

        let mut strings = Strings::default();
        let [mut names, mut files, mut modules, mut kinds, mut frame_lines] =
            [const { Vec::new() }; 5];
        for &frame in &by_use {
            let shown = frame::describe(profile, tree.frames[frame as usize]);
            let side = match shown.side {
                Side::Process => 1,
                Side::User => 2,
                Side::Kernel => 3,
            };
            put(&mut names, strings.row(shown.name));
            put(&mut files, strings.row(shown.file));
            put(&mut modules, strings.row(shown.module));
            put(&mut kinds, side + 4 * u64::from(shown.inlined));
            put(&mut frame_lines, lines[frame as usize] as u64);
        }
        put(&mut names, strings.row(ROOT_NAME.to_owned()));
        put(&mut files, strings.row(String::new()));
        put(&mut modules, strings.row(String::new()));
        put(&mut kinds, 0);
        put(&mut frame_lines, 0);
        let sections = vec![
            ("strings".into(), strings.text.into_bytes()),
            ("frame_names".into(), names),
            ("frame_files".into(), files),
            ("frame_modules".into(), modules),
            ("frame_kinds".into(), kinds),
            ("frame_lines".into(), frame_lines),
        ];
        Self { sections, root: rank.len() as u32, rank, lines }
    }
}

#[derive(Default)]
struct Strings {
    text: String,
    rows: HashMap<Rc<str>, u64>,
}

impl Strings {
    /// The row of `text`, which holds no line feed.
    fn row(&mut self, text: String) -> u64 {
        let next = self.rows.len() as u64;
        *self.rows.entry(text.into()).or_insert_with_key(|text| {
            self.text.push_str(text);
            self.text.push('\n');
            next
        })
    }
}

/// Appends `number` as LEB128: seven bits a byte, low bits first, the high bit set but in the last.
fn put(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Appends `number` with the sign in its lowest bit.
fn put_signed(to: &mut Vec<u8>, number: i64) {
    put(to, ((number << 1) ^ (number >> 63)) as u64);
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
