//! The page of the differences between two profiles.
//!
//! Their call trees become one: frames are the same if a reader would call them the same, by the
//! function's name and the file name of its module, inlined or not. Addresses, paths and build IDs
//! differ from build to build and tell nothing apart.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

use serde_json::{Value, json};

use super::super::frame::Side;
use super::super::text;
use super::graph::{Frame, Graph, Node, Samples};
use super::{Content, block, graph};
use crate::analyze::normalize::{Normalize, Shared, shared};
use crate::analyze::{Role, holding_nodes, is_held};
use crate::profile::Profile;
use crate::profile::tree::{CallTree, TreeOptions};

/// How many of the largest differences stand in the page for readers without scripts.
const STATIC_ROWS: usize = 30;

/// What a page of differences says besides the two profiles.
#[derive(Debug, Clone, Copy)]
pub struct DiffPage<'a> {
    /// The heading, and the title of the browser's tab.
    pub title: &'a str,
    /// What the base is called, such as its file's name.
    pub base_name: &'a str,
    /// What the new profile is called.
    pub new_name: &'a str,
    /// Whether each process is the outermost frame of its samples.
    pub by_process: bool,
    /// The name of the sample type that is shown first; without it, or where it is not in both, the
    /// new profile's default.
    pub sample_type: Option<&'a str>,
    /// How the base's values are made comparable, each sample type's by itself; without it, as is
    /// usual for what the type counts. A rate that is not known leaves them as they are.
    pub normalize: Option<Normalize>,
    /// What the page was made from, for [`source_of`](super::source_of); at most some 8 KiB.
    pub source_id: &'a str,
}

/// Writes what changed from `base` to `new` as a page. It has the sample types that both have, in
/// the order of `new`; without any, the error's kind is `InvalidInput`.
pub fn write_diff(
    base: &Profile,
    new: &Profile,
    page: &DiffPage,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let types = shared(base, new, page.normalize);
    if types.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the two profiles have no sample type in common, so nothing can be compared",
        ));
    }
    let merged = merge(base, new, &types, page);
    let shown = types[merged.shown];
    let held = is_held(new, shown.new);
    let samples: usize = merged.samples.iter().map(|samples| samples.nodes.len()).sum();
    let mut comments = Vec::new();
    for (name, profile) in [(page.base_name, base), (page.new_name, new)] {
        comments.extend(profile.comments().iter().map(|comment| format!("{name}: {comment}")));
    }
    super::write_content(
        &Content {
            title: page.title,
            source_id: page.source_id,
            fallback: differences(&merged, held, shown.factor).into_bytes(),
            comments: &comments,
            block: (samples > 0).then(|| block::encode(&merged, meta(new, &types, page))),
        },
        out,
    )
}

/// What the page is told besides the graph.
fn meta(new: &Profile, types: &[Shared], page: &DiffPage) -> Value {
    json!({
        "diff": {
            "ratios": types.iter().map(|shared| shared.factor).collect::<Vec<_>>(),
            "base": text::visible(page.base_name),
            "new": text::visible(page.new_name),
        },
        "duration_ns": new.duration_ns(),
        "start_ms": new.time_ns() / 1_000_000,
        "period": super::period(new),
    })
}

/// The row of the sample type to show first.
fn shown_first(new: &Profile, types: &[Shared], wanted: Option<&str>) -> usize {
    let row = |column: usize| types.iter().position(|shared| shared.new == column);
    let asked = wanted.and_then(|kind| new.sample_type_index(kind)).and_then(row);
    asked.or_else(|| row(new.default_sample_type())).unwrap_or_default()
}

fn merge(base: &Profile, new: &Profile, types: &[Shared], page: &DiffPage) -> Graph {
    let shown = shown_first(new, types, page.sample_type);
    let mut merging = Merging::default();
    merging.graph.types =
        types.iter().map(|shared| new.sample_types()[shared.new].clone()).collect();
    merging.graph.shown = shown;
    for (profile, columns, ratio) in [
        (new, types.iter().map(|shared| shared.new).collect::<Vec<_>>(), 1.0),
        (base, types.iter().map(|shared| shared.base).collect(), types[shown].factor),
    ] {
        merging.add(profile, &columns, shown, ratio, page.by_process);
    }
    merging.graph
}

/// What makes two frames the same: name, module and side.
type FrameKey = (String, String, Side);

#[derive(Default)]
struct Merging {
    graph: Graph,
    frames: HashMap<FrameKey, u32>,
    nodes: HashMap<(Option<u32>, u32), u32>,
}

impl Merging {
    fn add(
        &mut self,
        profile: &Profile,
        columns: &[usize],
        shown: usize,
        ratio: f64,
        by_process: bool,
    ) {
        let options = TreeOptions { sample_type: columns[shown], by_process };
        let (tree, leaves) = CallTree::build_with_leaves(profile, options);
        let frames: Vec<u32> =
            tree.frames.iter().map(|frame| self.frame(graph::describe(profile, *frame))).collect();
        let mut nodes: Vec<u32> = Vec::with_capacity(tree.nodes.len());
        for node in &tree.nodes {
            let parent = node.parent.map(|parent| nodes[parent as usize]);
            let row = self.node(parent, frames[node.frame as usize], node.line);
            let weight = &mut self.graph.nodes[row as usize].weight;
            *weight = weight.saturating_add((node.total as f64 * ratio) as i64);
            nodes.push(row);
        }
        let leaves = leaves.into_iter().map(|leaf| leaf.map(|leaf| nodes[leaf as usize])).collect();
        let mut samples = graph::samples(profile, leaves, &self.graph.nodes);
        samples.values = columns.iter().map(|column| samples.values[*column].clone()).collect();
        let first = self.graph.label_sets.len() as u32;
        samples.labels.iter_mut().for_each(|set| *set += first);
        // Numbers of processes and threads never recur.
        self.graph.label_sets.extend(graph::label_sets(profile).into_iter().map(|mut set| {
            set.retain(|(key, _)| key != "pid" && key != "tid");
            set
        }));
        self.graph.samples.push(samples);
    }

    fn frame(&mut self, mut frame: Frame) -> u32 {
        // What it is in only one of the two.
        frame.shown.inlined = false;
        let Frame { shown, .. } = &frame;
        let key = (shown.name.clone(), shown.module.clone(), shown.side);
        *self.frames.entry(key).or_insert_with(|| {
            self.graph.frames.push(frame);
            self.graph.frames.len() as u32 - 1
        })
    }

    fn node(&mut self, parent: Option<u32>, frame: u32, line: i64) -> u32 {
        *self.nodes.entry((parent, frame)).or_insert_with(|| {
            self.graph.nodes.push(Node { parent, frame, line, weight: 0 });
            self.graph.nodes.len() as u32 - 1
        })
    }
}

/// The functions whose own values differ the most, or what they hold, as a table for readers without
/// scripts.
fn differences(graph: &Graph, held: bool, ratio: f64) -> String {
    let unit = &graph.types[graph.shown].unit;
    // Once for each frame: it takes as long as its name is, and there may be very many nodes.
    let role = |frame: &Frame| if held { frame.shown.role() } else { Role::Own };
    let roles: Vec<Role> = graph.frames.iter().map(role).collect();
    let nodes = graph.nodes.iter();
    let holder = holding_nodes(nodes.map(|node| (node.parent, roles[node.frame as usize])));
    let mut rows: HashMap<(&str, &str), [f64; 2]> = HashMap::new();
    // The first samples are the new profile's.
    for (side, (Samples { nodes, values, .. }, factor)) in
        graph.samples.iter().zip([1.0, ratio]).enumerate()
    {
        for (node, value) in nodes.iter().zip(&values[graph.shown]) {
            let Some(node) = node else { continue };
            let node = &graph.nodes[holder[*node as usize] as usize];
            let frame = &graph.frames[node.frame as usize].shown;
            let row = rows.entry((&frame.name, &frame.module)).or_default();
            row[side] += *value as f64 * factor;
        }
    }
    let mut rows: Vec<_> = rows.into_iter().collect();
    rows.sort_by(|(a, [new_a, base_a]), (b, [new_b, base_b])| {
        (new_b - base_b).abs().total_cmp(&(new_a - base_a).abs()).then_with(|| a.cmp(b))
    });
    let values = if held { "what functions hold" } else { "the functions' own values" };
    let mut table = format!(
        "<table class=\"static\"><caption>The largest differences, by {values}\
         </caption>\n<thead><tr><th scope=\"col\">Change<th scope=\"col\">Base<th scope=\"col\">New\
         <th scope=\"col\">Function<th scope=\"col\">Module</thead>\n<tbody>\n",
    );
    for ((name, module), [new, base]) in rows.into_iter().take(STATIC_ROWS) {
        let sign = if new > base { "+" } else { "" };
        let value = |value: f64| text::markup(&unit.format(value.round() as i64));
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "<tr><td>{sign}{}<td>{}<td>{}<td>{}<td>{}",
            value(new - base),
            value(base),
            value(new),
            text::markup(name),
            text::markup(module)
        );
    }
    table.push_str("</tbody></table>\n");
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::normalize::PART_OF_RUN;
    use crate::format::example;
    use crate::profile::SampleType;

    fn page() -> DiffPage<'static> {
        DiffPage {
            title: "t",
            base_name: "before.pb.gz",
            new_name: "after.pb.gz",
            by_process: false,
            sample_type: None,
            normalize: None,
            source_id: "id",
        }
    }

    fn merged(base: &Profile, new: &Profile) -> Graph {
        merge(base, new, &shared(base, new, None), &page())
    }

    /// One sample of `count` in `parse`, inlined into `main` or called by it, at some address.
    fn parsing(inlined: bool, address: u64, count: i64) -> Profile {
        let mut b = example::builder();
        let module = example::mapping(&mut b, if inlined { "/a/app" } else { "/b/app" });
        let main = |b: &mut _, names| example::location(b, Some(module), address, names);
        let stack = if inlined {
            vec![main(&mut b, &["parse", "main"])]
        } else {
            let outer = main(&mut b, &["main"]);
            vec![outer, example::location(&mut b, Some(module), address + 64, &["parse"])]
        };
        let stack = b.stack(stack);
        example::add(&mut b, "app", stack, count);
        b.finish()
    }

    #[test]
    fn frames_are_matched_by_name_and_module_inlined_or_not() {
        let graph = merged(&parsing(true, 0x1000, 3), &parsing(false, 0x9000, 5));
        assert_eq!(graph.frames.len(), 2);
        assert_eq!(graph.nodes.len(), 2);
        assert_eq!(graph.nodes[1].weight, 8_000_000);
        let values: Vec<_> = graph.samples.iter().map(|s| s.values[0].clone()).collect();
        assert_eq!(values, [[5], [3]], "the new one's first");
    }

    #[test]
    fn new_and_gone_paths_are_both_there() {
        let (old, new) = (example::small(), example::of_names(&["main", "other"]));
        let graph = merged(&old, &new);
        let names: Vec<_> = graph.frames.iter().map(|f| f.shown.name.as_str()).collect();
        assert!(names.contains(&"parse") && names.contains(&"other"), "{names:?}");
        assert_eq!(graph.samples[0].nodes.len(), 1);
        assert_eq!(graph.samples[1].nodes.len(), 4);
        for (row, node) in (0..).zip(&graph.nodes) {
            assert!(node.parent.is_none_or(|parent| parent < row), "callers come first");
        }
    }

    #[test]
    fn only_shared_sample_types_are_compared() {
        let mut b = crate::profile::Builder::new(vec![SampleType::new("cpu", "nanoseconds")], 0);
        let none = b.label_set(Vec::new());
        b.sample(None, none, &[7]);
        let base = b.finish();
        let graph = merged(&base, &example::small());
        assert_eq!(graph.types.len(), 1);
        assert_eq!(graph.samples[1].values, [[7]]);
        let other = crate::profile::Builder::new(vec![SampleType::new("faults", "count")], 0);
        let mut out = Vec::new();
        let error = write_diff(&other.finish(), &base, &page(), &mut out).expect_err("no type");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_page_lists_the_largest_differences_without_scripts() {
        let mut out = Vec::new();
        write_diff(&parsing(true, 1, 3), &parsing(false, 1, 5), &page(), &mut out)
            .expect("a Vec takes every write");
        let html = String::from_utf8(out).expect("a page is UTF-8");
        assert!(html.contains("<td>+2.00 ms<td>3.00 ms<td>5.00 ms<td>parse<td>app"));
        assert!(html.contains("flame-data"));
        assert_eq!(super::super::source_of(html.as_bytes()).as_deref(), Some("id"));
    }

    #[test]
    fn without_scripts_the_differences_of_heaps_are_those_of_who_holds() {
        let mut out = Vec::new();
        write_diff(&example::heap(3), &example::heap(8), &page(), &mut out)
            .expect("a Vec takes every write");
        let html = String::from_utf8(out).expect("a page is UTF-8");
        let first = "<tbody>\n<tr><td>+5.00 KiB<td>3.00 KiB<td>8.00 KiB<td>cache_put<td>app\n";
        assert!(html.contains(first), "{html:.20000}");
    }

    /// A heap profile of so many seconds, of what was allocated and what is in use in KiB.
    fn cut_heap(seconds: i64, [allocated, in_use]: [i64; 2]) -> Profile {
        let kinds = ["alloc_objects", "alloc_space", "inuse_objects", "inuse_space"];
        let unit = |kind: &str| if kind.ends_with("space") { "bytes" } else { "count" };
        let types = kinds.map(|kind| SampleType::new(kind, unit(kind))).to_vec();
        let mut b = crate::profile::Builder::new(types, 3);
        b.time(1, seconds * 1_000_000_000);
        b.comment(PART_OF_RUN);
        let module = example::mapping(&mut b, "/bin/app");
        let frame = example::location(&mut b, Some(module), 1, &["make"]);
        let (none, stack) = (b.label_set(Vec::new()), b.stack([frame]));
        b.sample(stack, none, &[1, allocated << 10, 1, in_use << 10]);
        b.finish()
    }

    #[test]
    fn each_sample_type_is_compared_by_its_own_ratio_and_the_asked_one_shown_first() {
        let (base, new) = (cut_heap(60, [3, 5]), cut_heap(120, [8, 5]));
        let meta = |page: &DiffPage| meta(&new, &shared(&base, &new, page.normalize), page);
        assert_eq!(meta(&page())["diff"]["ratios"], json!([2.0, 2.0, 1.0, 1.0]));
        let totals = DiffPage { normalize: Some(Normalize::Totals), ..page() };
        assert_eq!(meta(&totals)["diff"]["ratios"], json!([1.0, 1.0, 1.0, 1.0]));
        for (asked, shown, row) in [
            (None, 3, "<td>0 B<td>5.00 KiB<td>5.00 KiB<td>make"),
            (Some("inuse_space"), 3, "<td>0 B<td>5.00 KiB<td>5.00 KiB<td>make"),
            (Some("alloc_space"), 1, "<td>+2.00 KiB<td>6.00 KiB<td>8.00 KiB<td>make"),
        ] {
            let page = DiffPage { sample_type: asked, ..page() };
            let graph = merge(&base, &new, &shared(&base, &new, None), &page);
            assert_eq!(graph.shown, shown, "{asked:?}");
            let mut out = Vec::new();
            write_diff(&base, &new, &page, &mut out).expect("a Vec takes every write");
            let html = String::from_utf8(out).expect("a page is UTF-8");
            assert!(html.contains(row), "{asked:?}: {html:.20000}");
        }
    }

    #[test]
    fn without_the_sessions_lengths_there_is_no_rate() {
        let base = parsing(true, 1, 3);
        let types = shared(&base, &base, Some(Normalize::Rate));
        assert!(types.iter().all(|shared| (shared.factor - 1.0).abs() < 1e-9), "{types:?}");
    }

    #[test]
    fn the_base_is_multiplied_where_asked() {
        let graph = merged(&parsing(true, 1, 3), &parsing(true, 1, 3));
        assert!(differences(&graph, false, 2.0).contains("<td>-3.00 ms<td>6.00 ms<td>3.00 ms"));
    }
}
