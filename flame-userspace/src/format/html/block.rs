//! The columns that the page draws from: the call tree laid out in the order of drawing, so that
//! the page has nothing to build or sort before it shows something, and the samples at its nodes.
//!
//! A block is a little-endian `u32`, that many bytes of JSON (the header), and then the sections,
//! whose lengths the header tells. Every section but `strings` is a run of LEB128 numbers:
//!
//! - `strings`: the texts, each ended by a line feed (no text holds one);
//! - `module_names`, `module_paths`, `module_builds`: rows of `strings`, by module; a module is a
//!   file that code lies in, and a build ID;
//! - `frame_names`, `frame_files`: rows of `strings`, by frame; `frame_modules`: rows of modules;
//! - `frame_kinds`: side (0 the root, 1 a process, 2 user, 3 kernel) + 4 if inlined + 8 if it only
//!   passes on what it is asked for + 16 if its name says that it allocates ([`Role`]), by frame;
//! - `frame_lines`: the line of the frame's first node, by frame;
//! - `levels`: by node, how many levels its parent lies above the node before it: 0 for a first
//!   child, 1 for a sibling, and so on;
//! - `node_frames`: rows of frames, by node; the more often a frame recurs the lower its row;
//! - `node_lines`: zigzag difference to the frame's line, by node;
//! - `labels`: rows of `strings`, a key and a value for each distinct label;
//! - `label_sets`: for each distinct set of labels their number, and then their rows;
//! - `sample_nodes`: by sample, zigzag difference of its node to that of the sample before;
//! - `sample_labels`: by sample, its set of labels;
//! - `sample_lines`: by sample, how many of its frames are at other lines than their nodes, and for
//!   each how many callers it is from the innermost, and its line; nothing at all if none is;
//! - `values_0`, `values_1`, ...: zigzag values, by sample, of each sample type.
//!
//! Node 0 is the root, of all samples; nodes follow in pre-order, siblings by falling total of the
//! sample type that is shown first. Samples follow their nodes. Of a difference the new profile's
//! come first and then the base's; the header's `samples` has the number of each.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::frame::Side;
use super::columns::{Texts, put, put_signed};
use super::graph::{Frame, Graph, Node};
use super::lines;
use crate::analyze::Role;

/// The format's version, which the page checks.
const VERSION: u32 = 2;
const ROOT_NAME: &str = "all";

type Sections = Vec<(String, Vec<u8>)>;

/// The block of `graph`, whose header has also the entries of `meta`, an object.
pub(super) fn encode(graph: &Graph, meta: Value) -> Vec<u8> {
    let order = pre_order(&graph.nodes);
    let mut texts = Texts::default();
    let frames = Frames::new(graph, &order, &mut texts);
    let mut sections = frames.sections;
    sections.push(("levels".into(), levels(&graph.nodes, &order)));

    let mut node_frames = Vec::new();
    put(&mut node_frames, u64::from(frames.root));
    let mut node_lines = vec![0];
    for &row in &order {
        let node = &graph.nodes[row as usize];
        put(&mut node_frames, u64::from(frames.rank[node.frame as usize]));
        let usual = frames.lines[node.frame as usize];
        put_signed(&mut node_lines, line(node.line) - usual);
    }
    sections.push(("node_frames".into(), node_frames));
    sections.push(("node_lines".into(), node_lines));

    sections.extend(labels(&graph.label_sets, &mut texts));
    let (columns, counts) = samples(graph, &order);
    sections.extend(columns);
    sections.push(("strings".into(), texts.joined.into_bytes()));

    let mut header = json!({
        "version": VERSION,
        "types": graph.types.iter()
            .map(|t| json!({ "kind": visible(&t.kind), "unit": visible(t.unit.name()) }))
            .collect::<Vec<_>>(),
        "shown": graph.shown,
        "nodes": order.len() + 1,
        "frames": frames.rank.len() + 1,
        "samples": counts,
        "sections": sections.iter().map(|(name, bytes)| json!([name, bytes.len()]))
            .collect::<Vec<_>>(),
    });
    if let (Value::Object(header), Value::Object(meta)) = (&mut header, meta) {
        header.extend(meta);
    }
    let header = header.to_string();
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

/// A line as the page shows it: 0 if unknown.
fn line(line: i64) -> i64 {
    lines::shown(line).into()
}

/// The rows of nodes, parents before children, siblings by falling weight.
fn pre_order(nodes: &[Node]) -> Vec<u32> {
    // The children of each node, and before them those of the root, as runs of one list.
    let slot = |node: &Node| node.parent.map_or(0, |parent| parent as usize + 1);
    let mut starts = vec![0u32; nodes.len() + 2];
    for node in nodes {
        starts[slot(node) + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut children = vec![0u32; nodes.len()];
    for (row, node) in (0..).zip(nodes) {
        let at = &mut next[slot(node)];
        children[*at as usize] = row;
        *at += 1;
    }
    // A stack of what is left to visit, so the next one is last.
    let mut pending = Vec::new();
    let mut open = |slot: usize, pending: &mut Vec<u32>| {
        let below = &mut children[starts[slot] as usize..starts[slot + 1] as usize];
        below.sort_by_key(|row| Reverse(nodes[*row as usize].weight));
        pending.extend(below.iter().rev());
    };
    open(0, &mut pending);
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(row) = pending.pop() {
        order.push(row);
        open(row as usize + 1, &mut pending);
    }
    order
}

fn levels(nodes: &[Node], order: &[u32]) -> Vec<u8> {
    // The root's own entry, which nothing reads.
    let mut column = vec![0];
    let mut level_of = vec![0u64; nodes.len()];
    let mut before = 0;
    for &row in order {
        let parent = nodes[row as usize].parent;
        let level = parent.map_or(1, |parent| level_of[parent as usize] + 1);
        level_of[row as usize] = level;
        put(&mut column, before + 1 - level);
        before = level;
    }
    column
}

/// The tables of modules and frames, the most frequent frames first.
struct Frames {
    sections: Sections,
    /// The row of each of the graph's frames in the table.
    rank: Vec<u32>,
    /// The line of each of the graph's frames in the table.
    lines: Vec<i64>,
    /// The row of the root's frame.
    root: u32,
}

impl Frames {
    fn new(graph: &Graph, order: &[u32], texts: &mut Texts) -> Self {
        let mut uses = vec![0u32; graph.frames.len()];
        let mut lines = vec![0; graph.frames.len()];
        for &row in order {
            let node = &graph.nodes[row as usize];
            if uses[node.frame as usize] == 0 {
                lines[node.frame as usize] = line(node.line);
            }
            uses[node.frame as usize] += 1;
        }
        let mut by_use: Vec<u32> = (0..graph.frames.len() as u32).collect();
        by_use.sort_by_key(|frame| Reverse(uses[*frame as usize]));
        let mut rank = vec![0; graph.frames.len()];
        for (row, &frame) in (0..).zip(&by_use) {
            rank[frame as usize] = row;
        }

        let mut modules = Modules::default();
        let [mut names, mut files, mut module_rows, mut kinds, mut frame_lines] =
            [const { Vec::new() }; 5];
        for &frame in &by_use {
            let Frame { shown, path, build_id } = &graph.frames[frame as usize];
            let side = match shown.side {
                Side::Process => 1,
                Side::User => 2,
                Side::Kernel => 3,
            };
            put(&mut names, texts.row(&shown.name));
            put(&mut files, texts.row(&shown.file));
            let module = [&shown.module, path, build_id].map(|text| texts.row(text));
            put(&mut module_rows, modules.row(module));
            let role = shown.role();
            let asks = 8 * u64::from(role.passes_on()) + 16 * u64::from(role == Role::Allocates);
            put(&mut kinds, side + 4 * u64::from(shown.inlined) + asks);
            put(&mut frame_lines, lines[frame as usize] as u64);
        }
        put(&mut names, texts.row(ROOT_NAME));
        put(&mut files, texts.row(""));
        put(&mut module_rows, modules.row([texts.row(""); 3]));
        put(&mut kinds, 0);
        put(&mut frame_lines, 0);
        let [module_names, module_paths, module_builds] = modules.columns;
        let sections = vec![
            ("module_names".into(), module_names),
            ("module_paths".into(), module_paths),
            ("module_builds".into(), module_builds),
            ("frame_names".into(), names),
            ("frame_files".into(), files),
            ("frame_modules".into(), module_rows),
            ("frame_kinds".into(), kinds),
            ("frame_lines".into(), frame_lines),
        ];
        Self { sections, root: rank.len() as u32, rank, lines }
    }
}

/// Distinct modules: name, path and build ID as rows of texts.
#[derive(Default)]
struct Modules {
    columns: [Vec<u8>; 3],
    rows: HashMap<[u64; 3], u64>,
}

impl Modules {
    fn row(&mut self, module: [u64; 3]) -> u64 {
        let next = self.rows.len() as u64;
        *self.rows.entry(module).or_insert_with(|| {
            for (column, text) in self.columns.iter_mut().zip(module) {
                put(column, text);
            }
            next
        })
    }
}

fn labels(label_sets: &[Vec<(String, String)>], texts: &mut Texts) -> Sections {
    let (mut labels, mut sets) = (Vec::new(), Vec::new());
    let mut rows = HashMap::new();
    for set in label_sets {
        put(&mut sets, set.len() as u64);
        for (key, value) in set {
            let next = rows.len() as u64;
            let row = *rows.entry((key, value)).or_insert_with(|| {
                put(&mut labels, texts.row(key));
                put(&mut labels, texts.row(value));
                next
            });
            put(&mut sets, row);
        }
    }
    vec![("labels".into(), labels), ("label_sets".into(), sets)]
}

/// The columns of all samples, and how many each of the graph's profiles has. Those that end at
/// the same node with the same lines and labels are one.
fn samples(graph: &Graph, order: &[u32]) -> (Sections, Vec<usize>) {
    let mut place = vec![0u32; graph.nodes.len()];
    for (at, &row) in (1..).zip(order) {
        place[row as usize] = at;
    }
    let (mut nodes, mut labels) = (Vec::new(), Vec::new());
    let mut values = vec![Vec::new(); graph.types.len()];
    let mut counts = Vec::new();
    let mut other_lines = Vec::new();
    let mut before = 0;
    for samples in &graph.samples {
        let key = |row: usize| {
            let node = samples.nodes[row].map_or(0, |node| place[node as usize]);
            (node, samples.labels[row], samples.lines.of_sample(row))
        };
        let mut rows: Vec<usize> = (0..samples.nodes.len()).collect();
        rows.sort_by(|a, b| key(*a).cmp(&key(*b)));
        let mut count = 0;
        for rows in rows.chunk_by(|a, b| key(*a) == key(*b)) {
            let (node, set, lines) = key(rows[0]);
            put_signed(&mut nodes, i64::from(node) - before);
            put(&mut labels, u64::from(set));
            put(&mut other_lines, lines.len() as u64);
            for other in lines {
                put(&mut other_lines, other.up.into());
                put(&mut other_lines, other.line.into());
            }
            for (column, of_type) in values.iter_mut().zip(&samples.values) {
                put_signed(column, sum(of_type, rows));
            }
            before = i64::from(node);
            count += 1;
        }
        counts.push(count);
    }
    let mut sections = vec![("sample_nodes".into(), nodes), ("sample_labels".into(), labels)];
    if other_lines.iter().any(|&number| number != 0) {
        sections.push(("sample_lines".into(), other_lines));
    }
    for (i, column) in values.into_iter().enumerate() {
        sections.push((format!("values_{i}"), column));
    }
    (sections, counts)
}

fn sum(values: &[i64], rows: &[usize]) -> i64 {
    rows.iter().fold(0i64, |sum, row| sum.saturating_add(values[*row]))
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
