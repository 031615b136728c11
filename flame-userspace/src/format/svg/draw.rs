//! Writes the boxes as SVG.

use std::collections::HashMap;
use std::io;

use super::Options;
use super::layout::FrameBox;
use crate::format::frame::{Description, Side, describe};
use crate::format::share::percent;
use crate::format::text::{markup, visible};
use crate::profile::tree::CallTree;
use crate::profile::{Profile, Unit};

/// The width of the graph.
pub(super) const WIDTH: f64 = 1200.0;
/// Narrower boxes are not drawn.
pub(super) const NARROWEST: f64 = 0.5;

/// Of longer names the start is told.
pub(super) const LONGEST_NAME: usize = 2000;

const MARGIN: f64 = 12.0;
const HEAD: f64 = 52.0;
const ROW: f64 = 19.0;
/// The advance of a character of the monospaced font, which is 0.6 of its size almost everywhere.
const CHARACTER: f64 = 6.7;
const PADDING: f64 = 4.0;

/// As the page's light palette (`viewer/palette.js`): the heaviest modules, in this order, ...
const MODULES: [&str; 5] = ["#f0a54a", "#79d1b9", "#f5d867", "#d095b2", "#ffa889"];
const KERNEL: &str = "#9fb2fa";
const OTHER: &str = "#dbdee3";
const PROCESS: &str = "#eceef1";

/// Writes the image.
pub(super) fn draw(
    profile: &Profile,
    options: &Options,
    tree: &CallTree,
    boxes: &[FrameBox],
    longest_name: usize,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let depth = boxes.iter().map(|b| b.level + 1).max().unwrap_or_default();
    let full_width = WIDTH + 2.0 * MARGIN;
    let height = HEAD + depth as f64 * ROW + MARGIN;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {full_width} {height}\" \
         width=\"{full_width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title\" \
         font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
         font-size=\"11\" fill=\"#16181d\">\n\
         <title id=\"title\">{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"{MARGIN}\" y=\"40\" fill=\"#5b616b\">{summary}</text>",
        title = markup(options.title),
        summary = markup(&summary(profile, options, tree)),
    )?;
    if profile.sample_count() > 0 {
        let frames = Frames::new(profile, tree, boxes, longest_name);
        let unit = &profile.sample_types()[options.sample_type].unit;
        let value = |value: i64| visible(&unit.format(value)).into_owned();
        for b in boxes {
            write_box(b, &frames, tree, &value, out)?;
        }
    }
    out.write_all(b"</svg>\n")?;
    out.flush()
}

fn summary(profile: &Profile, options: &Options, tree: &CallTree) -> String {
    if profile.sample_count() == 0 {
        return "No samples".to_owned();
    }
    let shown = &profile.sample_types()[options.sample_type];
    let total = format!("{} {}", shown.unit.format(tree.total), shown.kind);
    if profile.duration_ns() <= 0 {
        return total;
    }
    let duration = Unit::Nanoseconds.format(profile.duration_ns());
    format!("{total}, recorded for {duration}")
}

/// The frames that are drawn, and their colours.
struct Frames {
    descriptions: HashMap<u32, Description>,
    colours: HashMap<String, &'static str>,
}

impl Frames {
    /// Of names longer than `longest` characters the start is kept: there may be very many frames
    /// of one long name.
    fn new(profile: &Profile, tree: &CallTree, boxes: &[FrameBox], longest: usize) -> Self {
        let mut descriptions = HashMap::new();
        let mut weights: HashMap<String, i64> = HashMap::new();
        for node in boxes.iter().filter_map(|b| b.node) {
            let node = &tree.nodes[node as usize];
            let shown = descriptions.entry(node.frame).or_insert_with(|| {
                cut(describe(profile, tree.frames[node.frame as usize]), longest)
            });
            if shown.side == Side::User && !shown.module.is_empty() {
                let weight = weights.entry(shown.module.clone()).or_default();
                *weight = weight.saturating_add(node.total);
            }
        }
        let mut modules: Vec<_> = weights.into_iter().collect();
        modules.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let colours = modules.into_iter().map(|(module, _)| module).zip(MODULES).collect();
        Self { descriptions, colours }
    }

    fn colour(&self, frame: &Description) -> &'static str {
        match frame.side {
            Side::Process => PROCESS,
            Side::Kernel => KERNEL,
            Side::User => self.colours.get(&frame.module).copied().unwrap_or(OTHER),
        }
    }
}

/// A frame with no text of more than `longest` characters.
fn cut(mut frame: Description, longest: usize) -> Description {
    for text in [&mut frame.name, &mut frame.module, &mut frame.file] {
        if let Some((end, _)) = text.char_indices().nth(longest) {
            *text = format!("{}…", &text[..end]);
        }
    }
    frame
}

fn write_box(
    b: &FrameBox,
    frames: &Frames,
    tree: &CallTree,
    value: &impl Fn(i64) -> String,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let share = |value: i64| percent(value, tree.total, 2);
    let (name, colour, about) = match b.node {
        None => ("all", PROCESS, value(tree.total)),
        Some(node) => {
            let node = &tree.nodes[node as usize];
            let frame = &frames.descriptions[&node.frame];
            let module = if frame.module.is_empty() {
                String::new()
            } else {
                format!(" ({})", frame.module)
            };
            let source = match (frame.file.as_str(), node.line) {
                ("", _) => String::new(),
                (file, ..=0) => format!("\n{file}"),
                (file, line) => format!("\n{file}:{line}"),
            };
            let about = format!(
                "{module}{source}\ntotal {} ({}), self {} ({})",
                value(node.total),
                share(node.total),
                value(node.self_value),
                share(node.self_value)
            );
            (frame.name.as_str(), frames.colour(frame), about)
        }
    };
    // The name and the rest are made safe line by line: the breaks between them are ours.
    let about: Vec<String> = about.split('\n').map(markup).collect();
    let space = if b.node.is_none() { ": " } else { "" };
    let y = HEAD + b.level as f64 * ROW;
    write!(
        out,
        "<g><title>{}{space}{}</title><rect x=\"{:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"{}\" \
         fill=\"{colour}\"/>",
        markup(name),
        about.join("\n"),
        MARGIN + b.x,
        // A gap between neighbours, where there is room for it.
        if b.width > 3.0 { b.width - 1.0 } else { b.width },
        ROW - 1.0,
    )?;
    let label = fitting(name, b.width - 2.0 * PADDING);
    if !label.is_empty() {
        write!(
            out,
            "<text x=\"{:.2}\" y=\"{}\">{}</text>",
            MARGIN + b.x + PADDING,
            y + 13.0,
            markup(&label)
        )?;
    }
    out.write_all(b"</g>\n")
}

/// As much of `name` as fits; nothing if that says nothing.
fn fitting(name: &str, width: f64) -> String {
    // A width below zero is no room.
    let room = (width / CHARACTER) as usize;
    if name.chars().count() <= room {
        return name.to_owned();
    }
    if room < 3 {
        return String::new();
    }
    name.chars().take(room - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{example, svg};

    fn image(profile: &Profile) -> String {
        let options = Options { title: "a <title>", sample_type: 0, by_process: true };
        let mut out = Vec::new();
        svg::write(profile, &options, &mut out).expect("a Vec takes every write");
        String::from_utf8(out).expect("names are UTF-8")
    }

    #[test]
    fn every_frame_tells_what_it_is() {
        let image = image(&example::small());
        assert!(image.contains("<title id=\"title\">a &lt;title&gt;</title>"));
        assert!(image.contains(
            "<title>parse (app)\nsrc/app.c:10\ntotal 35 (70.00 %), self 30 (60.00 %)</title>"
        ));
        assert!(image.contains("<title>inlined_helper (app)"));
        assert!(image.contains("<title>all: 50</title>"));
        assert!(image.contains("50 samples, recorded for 2.00 s"));
        assert_eq!(image.matches(KERNEL).count(), 1);
    }

    #[test]
    fn hostile_names_do_not_become_markup() {
        let evil = "</title></svg><script>alert(1)</script>\u{202e}\u{0}\u{ffff}";
        let image = image(&example::of_names(&[evil, "\n]]>&"]));
        assert!(!image.contains("<script") && !image.contains(['\u{202e}', '\0', '\u{ffff}']));
        assert_eq!(image.matches("</svg>").count(), 1);
        assert!(image.contains("\\n]]&gt;&amp;"));
    }

    #[test]
    fn long_names_are_told_by_their_start() {
        let long = "n".repeat(10 * LONGEST_NAME);
        let image = image(&example::of_names(&["main", &long]));
        let start = &long[..LONGEST_NAME];
        assert!(image.contains(&format!("<title>{start}… ({start}…)\n")), "{image:.3000}");
        // The last name is the process's and the module's as well, and its frame's label is short.
        assert!(image.len() < 8 * LONGEST_NAME, "{}", image.len());
    }

    #[test]
    fn no_samples_make_an_image_that_says_so() {
        assert!(image(&example::empty()).contains("No samples"));
        assert!(image(&Profile::default()).contains("No samples"));
        assert!(image(&example::stackless()).contains("<title>all: 3</title>"));
    }

    #[test]
    fn labels_are_cut_at_characters() {
        assert_eq!(fitting("漢字漢字漢字", 30.0), "漢字漢…");
        assert_eq!(fitting("main", 28.0), "main");
        assert_eq!(fitting("main", 13.0), "");
        assert_eq!(fitting("", -8.0), "");
    }
}
