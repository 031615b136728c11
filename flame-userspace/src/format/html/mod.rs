//! The flamegraph page: one HTML file with the viewer and the profile inside, which asks the
//! network for nothing and needs no server.
//!
//! The viewer is plain ES modules in `viewer/`. They are joined into one script, because modules
//! inside a page cannot import one another: `import` and `export` are taken out, so top-level
//! names must be unique across the modules (a test sees to it). It is in the page compressed, as
//! the data is, and a few lines unpack it. The page's content security policy names both scripts
//! and the style sheet by their hashes and forbids everything else.

mod base64;
mod block;
mod columns;
mod diff;
mod graph;
mod lines;
mod sha256;
mod viewer;

use std::fmt::Write as _;
use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

pub use diff::{DiffPage, write_diff};

use self::graph::Graph;
use super::share::percent;
use super::{svg, text};
use crate::analyze::{self, noise};
use crate::profile::Profile;
use crate::profile::tree::CallTree;

/// How many of the heaviest functions stand in the page for readers without scripts.
const STATIC_ROWS: usize = 30;

/// What comes before a page's version, its source id and the rest. [`source_of`] reads it back.
const BEFORE_VERSION: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"generator\" content=\"flame ";
const BEFORE_SOURCE: &str = "\">\n<meta name=\"flame-source\" content=\"";
const AFTER_SOURCE: &str = "\">\n";
/// The longest head that [`source_of`] reads.
const HEAD_LIMIT: usize = 64 * 1024;

/// What a page says besides the profile.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The heading, and the title of the browser's tab.
    pub title: &'a str,
    /// Whether each process is the outermost frame of its samples.
    pub by_process: bool,
    /// What the page was made from, for [`source_of`]; at most some 8 KiB.
    pub source_id: &'a str,
}

/// Writes `profile` as a page.
pub fn write(profile: &Profile, page: &Page, out: &mut impl io::Write) -> io::Result<()> {
    let (block, fallback) = if profile.sample_count() == 0 {
        (None, Vec::new())
    } else {
        let (graph, tree) = Graph::of(profile, page.by_process);
        let meta = json!({
            "start_ms": profile.time_ns() / 1_000_000,
            "duration_ns": profile.duration_ns(),
            "period": period(profile),
            "errors": errors(profile),
        });
        let mut fallback = heaviest(profile, &tree).into_bytes();
        let options = svg::Options {
            title: page.title,
            sample_type: profile.default_sample_type(),
            by_process: page.by_process,
        };
        fallback.extend(b"<div class=\"picture\">");
        svg::write_brief(profile, &tree, &options, &mut fallback)?;
        fallback.extend(b"</div>\n");
        (Some(block::encode(&graph, meta)), fallback)
    };
    let Page { title, source_id, .. } = *page;
    let content = Content { title, source_id, fallback, comments: profile.comments(), block };
    write_content(&content, out)
}

/// The mean distance between samples, in the block's header.
fn period(profile: &Profile) -> serde_json::Value {
    match profile.period_type() {
        Some(of) if profile.period() > 0 => json!({
            "kind": text::visible(&of.kind),
            "unit": text::visible(of.unit.name()),
            "value": profile.period(),
        }),
        _ => serde_json::Value::Null,
    }
}

/// The standard errors of the columns' totals as shares of them, in the block's header; null where
/// none is stated.
fn errors(profile: &Profile) -> Vec<Option<f64>> {
    let stated = noise::stated(profile);
    profile.sample_types().iter().map(|of| stated.get(of.kind.as_str()).copied()).collect()
}

/// What fills the page's template.
struct Content<'a> {
    title: &'a str,
    source_id: &'a str,
    /// Markup for readers without scripts.
    fallback: Vec<u8>,
    comments: &'a [String],
    /// What the viewer draws; `None` if there is nothing.
    block: Option<Vec<u8>>,
}

fn write_content(content: &Content, out: &mut impl io::Write) -> io::Result<()> {
    let (script, boot) = (viewer::script(), viewer::boot());
    out.write_all(BEFORE_VERSION.as_bytes())?;
    out.write_all(env!("CARGO_PKG_VERSION").as_bytes())?;
    out.write_all(BEFORE_SOURCE.as_bytes())?;
    out.write_all(text::attribute(content.source_id).as_bytes())?;
    out.write_all(AFTER_SOURCE.as_bytes())?;
    for part in viewer::parts(viewer::INDEX) {
        match part {
            viewer::Part::Text(text) => out.write_all(text.as_bytes())?,
            viewer::Part::Slot("policy") => write!(
                out,
                "default-src 'none'; script-src '{}' '{}'; style-src '{}'; img-src data: blob:; \
                 base-uri 'none'; form-action 'none'",
                source_hash(&boot),
                source_hash(&script),
                source_hash(viewer::STYLE),
            )?,
            viewer::Part::Slot("title") => out.write_all(text::markup(content.title).as_bytes())?,
            viewer::Part::Slot("version") => out.write_all(env!("CARGO_PKG_VERSION").as_bytes())?,
            viewer::Part::Slot("style") => out.write_all(viewer::STYLE.as_bytes())?,
            viewer::Part::Slot("main") => {
                let main = if content.block.is_some() { viewer::APP } else { viewer::EMPTY };
                out.write_all(main.as_bytes())?;
            }
            viewer::Part::Slot("fallback") => out.write_all(&content.fallback)?,
            viewer::Part::Slot("about") => {
                out.write_all(about(content.comments, content.block.is_none()).as_bytes())?;
            }
            viewer::Part::Slot("data") => {
                if let Some(block) = &content.block {
                    write_packed("flame-data", block, out)?;
                    write_packed("flame-viewer", script.as_bytes(), out)?;
                    writeln!(out, "<script>{boot}</script>")?;
                }
            }
            viewer::Part::Slot(unknown) => {
                return Err(io::Error::other(format!("no such slot: {unknown}")));
            }
        }
    }
    out.flush()
}

/// The source id of a page that flame made; `None` for any other file.
///
/// Only the start of `html` is read, and it must be what [`write`] writes, byte for byte: a page
/// that merely quotes such a line somewhere is not one of ours.
pub fn source_of(html: &[u8]) -> Option<String> {
    let head = &html[..html.len().min(HEAD_LIMIT)];
    let rest = head.strip_prefix(BEFORE_VERSION.as_bytes())?;
    let version = rest.iter().position(|byte| *byte == b'"')?;
    let rest = rest[version..].strip_prefix(BEFORE_SOURCE.as_bytes())?;
    let length = rest.iter().position(|byte| *byte == b'"')?;
    rest[length..].strip_prefix(AFTER_SOURCE.as_bytes())?;
    text::from_attribute(std::str::from_utf8(&rest[..length]).ok()?)
}

/// How a content security policy names an inline script or style.
fn source_hash(text: &str) -> String {
    format!("sha256-{}", base64::encode(&sha256::digest(text.as_bytes())))
}

/// Bytes for the page's scripts to unpack.
fn write_packed(id: &str, bytes: &[u8], out: &mut impl io::Write) -> io::Result<()> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes)?;
    // A browser runs no script of an unknown type; base64 cannot end the element.
    write!(out, "<script type=\"application/octet-stream\" id=\"{id}\">")?;
    base64::write(&gzip.finish()?, out)?;
    writeln!(out, "</script>")
}

/// The heaviest functions as a table, for readers without scripts.
fn heaviest(profile: &Profile, tree: &CallTree) -> String {
    let column = profile.default_sample_type();
    let unit = &profile.sample_types()[column].unit;
    let value = |value: i64| {
        let share = percent(value, tree.total, 1);
        format!("<td>{}<td>{share}", text::markup(&unit.format(value)))
    };
    let (caption, own, through) = if analyze::is_held(profile, column) {
        ("Who holds the most, or asks for it", "Held", "<th scope=\"col\">Through")
    } else {
        ("The heaviest functions", "Self", "")
    };
    let mut table = format!(
        "<table class=\"static\"><caption>{caption}</caption>\n<thead><tr>\
         <th scope=\"col\">{own}<th scope=\"col\">%<th scope=\"col\">Total<th scope=\"col\">%\
         <th scope=\"col\">Function<th scope=\"col\">Module{through}</thead>\n<tbody>\n",
    );
    for row in analyze::first(profile, tree, column).iter().take(STATIC_ROWS) {
        let (own, total) = (value(row.self_value), value(row.total));
        let (name, module) = (text::markup(&row.name), text::markup(&row.module));
        let through = row
            .through
            .as_deref()
            .map_or_else(String::new, |name| format!("<td>{}", text::markup(name)));
        // Writing to a String cannot fail.
        let _ = writeln!(table, "<tr>{own}{total}<td>{name}<td>{module}{through}");
    }
    table.push_str("</tbody></table>\n");
    table
}

/// The profile's comments.
fn about(comments: &[String], open: bool) -> String {
    if comments.is_empty() {
        return String::new();
    }
    let open = if open { " open" } else { "" };
    let items: Vec<_> =
        comments.iter().map(|comment| format!("<li>{}</li>\n", text::markup(comment))).collect();
    format!(
        "<details class=\"about\"{open}><summary>About this profile</summary>\n<ul>\n{}</ul></details>\n",
        items.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::example;
    use crate::profile::{Builder, SampleType};

    fn page(profile: &Profile, title: &str, source_id: &str) -> String {
        let page = Page { title, by_process: true, source_id };
        let mut out = Vec::new();
        write(profile, &page, &mut out).expect("a Vec takes every write");
        String::from_utf8(out).expect("a page is UTF-8")
    }

    #[test]
    fn errors_are_those_that_the_comments_state() {
        let types = ["alloc_space", "inuse_space"].map(|kind| SampleType::new(kind, "bytes"));
        let mut b = Builder::new(types.into(), 0);
        b.comment("standard errors: inuse_space 2.5 %");
        assert_eq!(errors(&b.finish()), [None, Some(0.025)]);
    }

    #[test]
    fn a_page_tells_its_source_and_other_files_do_not() {
        for id in ["", "app.pb.gz", "a\"b&<'>\n\u{202e}é"] {
            let html = page(&example::small(), "t", id);
            assert_eq!(source_of(html.as_bytes()).as_deref(), Some(id));
        }
        let html = page(&example::empty(), "t", "id");
        let head = html.find("<meta name=\"viewport").expect("it follows");
        for cut in 0..head {
            assert_eq!(source_of(&html.as_bytes()[..cut]), None, "cut at {cut}");
        }
        let quoted = format!("<!-- a report -->\n{html}");
        assert_eq!(source_of(quoted.as_bytes()), None);
        let mut endless =
            html.as_bytes()[..html.find("content=\"id").expect("it is there")].to_vec();
        endless.resize(1 << 20, b'a');
        assert_eq!(source_of(&endless), None);
        assert_eq!(source_of(b"\xff\xfe"), None);
    }

    #[test]
    fn hostile_names_do_not_become_markup() {
        let evil = "</script></title></style>--><img src=x onerror=alert(1)>\u{202e}";
        let html = page(&example::of_names(&["main", evil]), evil, evil);
        assert!(!html.contains("<img"), "a name became an element");
        assert!(!html.contains('\u{202e}'), "a name sets the direction of text");
        assert_eq!(html.matches("</script>").count(), 3, "data, viewer and what unpacks it");
        // The picture for readers without scripts has titles of its own.
        let head = html.split("<svg").next().expect("there is some");
        assert_eq!(head.matches("</title>").count(), 1);
    }

    #[test]
    fn a_page_without_samples_says_so_and_shows_the_comments() {
        for profile in [example::empty(), Profile::default()] {
            let html = page(&profile, "t", "id");
            assert!(html.contains("No samples"));
            assert!(!html.contains("<script"));
        }
        let html = page(&example::empty(), "t", "id");
        assert!(html.contains("<details class=\"about\" open>"));
        assert!(html.contains("lost: 3 &lt;samples&gt;"));
    }

    #[test]
    fn a_page_without_scripts_lists_the_heaviest_functions() {
        let html = page(&example::small(), "t", "id");
        let table = html.split("<noscript>").nth(1).expect("a noscript element");
        let table = table.split("</noscript>").next().expect("its content");
        assert!(table.contains("<td>30.00 ms<td>60.0 %<td>35.00 ms<td>70.0 %<td>parse<td>app"));
        assert!(page(&example::stackless(), "t", "id").contains("flame-data"));
    }

    #[test]
    fn a_page_without_scripts_lists_who_holds_a_heap() {
        let html = page(&example::heap(3), "t", "id");
        let table = html.split("<noscript>").nth(1).expect("a noscript element");
        let first =
            "<tr><td>3.00 KiB<td>75.0 %<td>3.00 KiB<td>75.0 %<td>cache_put<td>app<td>xmalloc\n";
        assert!(table.contains(&format!("<tbody>\n{first}")), "{table}");
        assert!(table.contains("<th scope=\"col\">Through"));
    }

    #[test]
    fn the_policy_allows_the_script_and_style_in_the_page_and_nothing_else() {
        let html = page(&example::small(), "t", "id");
        let between = |start: &str, end: &str| {
            let rest = html.split(start).nth(1).expect(start);
            rest.split(end).next().expect(end).to_owned()
        };
        let policy = between("Content-Security-Policy\" content=\"", "\"");
        assert!(policy.starts_with("default-src 'none';"));
        let boot = between("<script>", "</script>");
        let (boot, script) = (source_hash(&boot), source_hash(&viewer::script()));
        assert!(policy.contains(&format!("script-src '{boot}' '{script}';")));
        let style = between("<style>", "</style>");
        assert!(policy.contains(&format!("style-src '{}'", source_hash(&style))));
        // A namespace is a name: nothing is asked for there.
        let all = (html + &viewer::script()).replace("http://www.w3.org/2000/svg", "");
        for forbidden in ["http:", "https:", "innerHTML", " style=\"", " onclick="] {
            assert!(!all.contains(forbidden), "{forbidden}");
        }
    }
}
