//! The report on one profile.

use std::fmt::Write as _;

use super::text::{block, capped, cell, code, pattern, quoted, short, short_cell, word};
use super::{front_matter, head, value};
use crate::analyze::report::{Around, CallPath, Groups, PathKind, PathRow, Report, View};
use crate::format::date::Date;
use crate::format::share::percent;
use crate::profile::Unit;

/// The most comments of a profile that are shown.
const COMMENTS: usize = 20;

/// What a report says besides the profile.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// The heading.
    pub title: &'a str,
    /// The profile's file, for its name and for commands to run next.
    pub source: &'a str,
}

/// The report as Markdown.
pub fn report(report: &Report, heading: &Heading<'_>) -> String {
    let mut out = about_session(report, heading);
    // Writing to a text cannot fail, here and below.
    _ = writeln!(out, "\n# Profile of {}\n", code(heading.title));
    for warning in &report.warnings {
        _ = writeln!(out, "- **Caution:** {}", capped(warning));
    }
    for (i, view) in report.views.iter().enumerate() {
        if report.views.len() > 1 {
            _ = writeln!(out, "\n# {}\n", word(&view.sample_type.kind));
        }
        facts(report, view, &mut out);
        view_tables(view, i == 0, &mut out);
    }
    about(report, &mut out);
    next(report, heading, &mut out);
    out
}

fn about_session(report: &Report, heading: &Heading<'_>) -> String {
    let mut out = front_matter("flame-report/1", heading.source);
    let mut line = |key: &str, value: String| _ = writeln!(out, "{key}: {value}");
    if let Some(view) = report.views.first() {
        line("type", quoted(&view.sample_type.kind));
        line("unit", quoted(view.sample_type.unit.name()));
        line("total", view.total.to_string());
    }
    if report.start_ns > 0 {
        line("start", Date::utc(report.start_ns / 1_000_000).iso());
    }
    if report.duration_ns > 0 {
        line("duration_seconds", format!("{:.3}", report.duration_ns as f64 / 1e9));
    }
    if let Some((period_type, period)) = &report.period {
        line("period", quoted(&format!("{period_type} {period}", period_type = period_type.kind)));
        line("period_unit", quoted(period_type.unit.name()));
    }
    if let Some(samples) = report.samples {
        line("samples", samples.to_string());
    }
    line("processes", report.processes.to_string());
    line("threads", report.threads.to_string());
    out.push_str("---\n");
    out
}

/// The first lines: how much there is, and what has most of it.
fn facts(report: &Report, view: &View, out: &mut String) {
    let unit = &view.sample_type.unit;
    let mut first = format!("**{}** of {}", value(unit, view.total), word(&view.sample_type.kind));
    if report.duration_ns > 0 {
        _ = write!(first, " in {}", Unit::Nanoseconds.format(report.duration_ns));
        if *unit == Unit::Nanoseconds {
            let busy = view.total as f64 / report.duration_ns as f64;
            _ = write!(first, ", {busy:.2} at a time on average");
        }
    }
    if let Some(samples) = view.samples {
        _ = write!(first, "; as sure as {samples:.0} samples");
    }
    _ = writeln!(out, "- {first}");
    if let Some(row) = view.by_holding.first() {
        let function = &view.functions[row.function];
        let through = row.through.as_ref().map(|name| format!(", through {}", code(name)));
        _ = writeln!(
            out,
            "- {} held, or asked for, by {}{}{}",
            share_or_value(view, row.value),
            code(&function.name),
            in_module(&function.module),
            through.unwrap_or_default(),
        );
    } else if let Some(&row) = view.by_self.first() {
        let function = &view.functions[row];
        let own = function.worth.self_value;
        let error = share_error(view, own).map_or_else(String::new, |e| format!(" ± {e}"));
        _ = writeln!(
            out,
            "- {}{error} self in {}{}",
            share_or_value(view, own),
            code(&function.name),
            in_module(&function.module),
        );
    }
    for (what, groups) in [("thread", &view.threads), ("process", &view.processes)] {
        if let Some(first) = groups.rows.first() {
            let part = share_or_value(view, first.value);
            _ = writeln!(out, "- {part} in the {what} {}", code(&first.name));
        }
    }
}

fn in_module(module: &str) -> String {
    if module.is_empty() { String::new() } else { format!(" ({})", code(module)) }
}

/// A value's share of the total, for a table.
fn share(view: &View, part: i64) -> String {
    percent(part, view.total, 1)
}

/// How far a value's share may be off, in percentage points.
fn share_error(view: &View, part: i64) -> Option<String> {
    let error = view.share(part).and_then(|share| view.share_error(share))?;
    Some(format!("{:.1}", error * 100.0))
}

/// A value's share of the total, for a sentence: itself, where it has none.
fn share_or_value(view: &View, part: i64) -> String {
    match view.share(part) {
        Some(_) => share(view, part),
        None => value(&view.sample_type.unit, part),
    }
}

/// A value with its share of the total, if it has one, for a sentence.
fn share_and_value(view: &View, part: i64) -> String {
    let told = value(&view.sample_type.unit, part);
    match view.share(part) {
        Some(_) => format!("{} ({told})", share(view, part)),
        None => told,
    }
}

fn view_tables(view: &View, first: bool, out: &mut String) {
    holdings(view, out);
    functions("Heaviest by self value", view, &view.by_self, true, out);
    let rest = view.self_rest;
    if rest.rows > 0 {
        let part = share_and_value(view, rest.value);
        _ = writeln!(out, "\n… {} more functions, {part} self.", rest.rows);
    }
    functions("Heaviest by total", view, &view.by_total, false, out);
    paths(view, out);
    if first {
        for around in &view.around {
            surroundings(view, around, out);
        }
        lines(view, out);
    }
    let tables = [
        ("By module", &view.modules),
        ("By side", &view.sides),
        ("By process", &view.processes),
        ("By thread", &view.threads),
    ];
    for (title, groups) in tables {
        group(title, view, groups, out);
    }
}

/// Who holds memory, or asks for it.
fn holdings(view: &View, out: &mut String) {
    if view.by_holding.is_empty() {
        return;
    }
    _ = writeln!(out, "\n## Who holds memory, or asks for it\n");
    out.push_str("Functions that only pass on what they are asked for are passed over for their callers.\n\n");
    out.push_str(&head(&["held", "held %"], &["function", "module", "through"]));
    for row in &view.by_holding {
        let function = &view.functions[row.function];
        _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            value(&view.sample_type.unit, row.value),
            share(view, row.value),
            short_cell(&function.name),
            cell(&function.module),
            row.through.as_deref().map_or_else(String::new, short_cell),
        );
    }
}

fn functions(title: &str, view: &View, rows: &[usize], full: bool, out: &mut String) {
    if rows.is_empty() {
        return;
    }
    let unit = &view.sample_type.unit;
    let heap = view.functions.first().is_some_and(|function| function.objects.is_some());
    let mut right = vec!["#", "self", "self %", "±", "total", "total %"];
    if heap {
        right.extend(["objects", "mean size"]);
    }
    _ = writeln!(out, "\n## {title}\n");
    out.push_str(&head(&right, &["function", "module", "source"]));
    for &row in rows {
        let function = &view.functions[row];
        let worth = function.worth;
        let error = share_error(view, worth.self_value).unwrap_or_default();
        _ = write!(
            out,
            "| F{} | {} | {} | {error} | {} | {} | ",
            row + 1,
            value(unit, worth.self_value),
            share(view, worth.self_value),
            value(unit, worth.total),
            share(view, worth.total),
        );
        if let Some(objects) = function.objects {
            let (bytes, objects) = if full {
                (worth.self_value, objects.self_value)
            } else {
                (worth.total, objects.total)
            };
            let mean = if objects > 0 { value(unit, bytes / objects) } else { String::new() };
            _ = write!(out, "{} | {mean} | ", Unit::Count.format(objects));
        }
        // The first table that names a function names it in full.
        let known = !full && view.by_self.contains(&row);
        let name = if known { short_cell(&function.name) } else { cell(&function.name) };
        let source = match (function.file.as_str(), function.line) {
            _ if known => String::new(),
            ("", _) => String::new(),
            (file, ..=0) => cell(file),
            (file, line) => cell(&format!("{file}:{line}")),
        };
        _ = writeln!(out, "{name} | {} | {source} |", cell(&function.module));
    }
}

fn paths(view: &View, out: &mut String) {
    if view.paths.is_empty() {
        return;
    }
    _ = writeln!(out, "\n## Heaviest call paths\n");
    let unit = &view.sample_type.unit;
    let values: Vec<String> = view.paths.iter().map(|row| value(unit, row.value)).collect();
    let widest = values.iter().map(|value| value.chars().count()).max().unwrap_or_default();
    let lines: Vec<String> = view
        .paths
        .iter()
        .zip(&values)
        .map(|(row, value)| {
            let share = share(view, row.value);
            let indent = "  ".repeat(row.depth);
            format!("{share:>7}  {value:>widest$}  {indent}{}", path(row))
        })
        .collect();
    out.push_str(&block(&lines));
}

/// What a row of the paths stands for, on a line.
fn path(row: &PathRow) -> String {
    match &row.kind {
        PathKind::Own => "(its own code)".to_owned(),
        PathKind::NoStack => "(no stack)".to_owned(),
        PathKind::Others(1) => "(1 other)".to_owned(),
        PathKind::Others(count) => format!("({count} others)"),
        PathKind::Calls { named, skipped } => {
            let name = |(name, times): &(String, usize)| match times {
                1 => short(name),
                times => format!("{} x{times}", short(name)),
            };
            let names: Vec<String> = if named.len() <= 5 {
                named.iter().map(name).collect()
            } else {
                let (start, end) = (&named[..2], &named[named.len() - 2..]);
                let between = std::iter::once(format!("(+{})", named.len() - 4 + skipped));
                start.iter().map(name).chain(between).chain(end.iter().map(name)).collect()
            };
            names.join(" > ")
        }
    }
}

fn surroundings(view: &View, around: &Around, out: &mut String) {
    _ = writeln!(out, "\n### {}\n", code(&around.name));
    for CallPath { names, cut, value: part } in &around.callers {
        let names: Vec<String> = names.iter().map(|name| short(name)).collect();
        let above = if *cut { "… > " } else { "" };
        let path = if names.is_empty() {
            "from nobody: it is outermost".to_owned()
        } else {
            format!("from {}", code(&format!("{above}{}", names.join(" > "))))
        };
        _ = writeln!(out, "- {} self {path}", share_and_value(view, *part));
    }
    for CallPath { names, value: part, .. } in &around.callees {
        let name = names.first().map_or("", String::as_str);
        _ = writeln!(out, "- {} in its callee {}", share_and_value(view, *part), code(name));
    }
}

fn lines(view: &View, out: &mut String) {
    if view.lines.is_empty() {
        return;
    }
    _ = writeln!(out, "\n## Hot lines\n");
    out.push_str(&head(&["self", "self %"], &["line", "function"]));
    for line in &view.lines {
        let place = cell(&format!("{}:{}", line.file, line.line));
        let share = share(view, line.value);
        let own = value(&view.sample_type.unit, line.value);
        _ = writeln!(out, "| {own} | {share} | {place} | {} |", short_cell(&line.function));
    }
}

fn group(title: &str, view: &View, groups: &Groups, out: &mut String) {
    if groups.rows.is_empty() {
        return;
    }
    let unit = &view.sample_type.unit;
    _ = writeln!(out, "\n## {title}\n");
    out.push_str(&head(&["self", "self %"], &["name"]));
    for row in &groups.rows {
        let share = share(view, row.value);
        _ = writeln!(out, "| {} | {share} | {} |", value(unit, row.value), cell(&row.name));
    }
    if groups.others > 0 {
        let share = share(view, groups.others_value);
        let own = value(unit, groups.others_value);
        _ = writeln!(out, "| {own} | {share} | {} more |", groups.others);
    }
}

fn about(report: &Report, out: &mut String) {
    _ = writeln!(out, "\n## About the profile\n");
    if !report.types.is_empty() {
        out.push_str(&head(&["total"], &["sample type"]));
        for (sample_type, total) in &report.types {
            let kind = cell(&sample_type.kind);
            _ = writeln!(out, "| {} | {kind} |", value(&sample_type.unit, *total));
        }
    }
    if !report.comments.is_empty() {
        let mut lines: Vec<String> =
            report.comments.iter().take(COMMENTS).map(|comment| capped(comment)).collect();
        if report.comments.len() > COMMENTS {
            lines.push(format!("… {} more comments", report.comments.len() - COMMENTS));
        }
        _ = write!(out, "\n{}", block(&lines));
    }
}

/// What to run to learn more.
fn next(report: &Report, heading: &Heading<'_>, out: &mut String) {
    let file = shell(heading.source);
    let Some(file) = file else { return };
    let mut lines = vec![format!("flame generate {file}")];
    if let Some(view) = report.views.first() {
        let heaviest = view.by_self.first().map(|&row| &view.functions[row].name);
        if let Some(pattern) = heaviest.and_then(|name| pattern(name)) {
            lines.push(format!("go tool pprof -peek {pattern} {file}"));
            lines.push(format!("go tool pprof -list {pattern} {file}"));
        }
        let metric = &view.sample_type.kind;
        if metric.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
            lines.push(format!("flame diff {file} NEW.pb"));
            lines.push(format!("flame check {file} NEW.pb --fail-if '{metric} > +5%'"));
        }
    }
    _ = write!(out, "\n## Next commands\n\n{}", block(&lines));
}

/// A file's name for a shell; `None` for names that nobody should paste into one.
fn shell(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+.,:/@%".contains(c);
    let safe = !name.is_empty() && !name.starts_with('-') && name.chars().all(plain);
    safe.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::report::ReportOptions;
    use crate::format::example;
    use crate::format::markdown::source_of;
    use crate::profile::Profile;

    fn markdown(profile: &Profile, title: &str) -> String {
        let facts = Report::of(profile, ReportOptions::default());
        report(&facts, &Heading { title, source: "cpu.pb" })
    }

    #[test]
    fn a_report_tells_values_with_units_beside_shares() {
        let text = markdown(&example::small(), "app");
        assert!(text.starts_with("---\nschema: flame-report/1\n"), "{text}");
        assert!(
            text.contains("**50.00 ms** of cpu in 2.00 s, 0.03 at a time on average"),
            "{text}"
        );
        assert!(text.contains("| F1 | 30.00 ms | 60.0 % | 13.6 | 35.00 ms | 70.0 % | `parse` | `app` | `src/app.c:10` |"), "{text}");
        assert!(text.contains("start: 2023-11-14T22:13:20.000Z"));
        assert!(text.contains("| 8.00 ms | 16.0 % | `kernel` |"), "{text}");
        assert!(text.contains("command: flame record -- app"));
        assert!(text.contains("go tool pprof -list '^parse$' cpu.pb"));
        assert!(text.contains("**Caution:** few samples (50)"));
    }

    #[test]
    fn a_report_on_a_heap_tells_who_asked_for_memory() {
        let text = markdown(&example::heap(3), "app");
        let first = "- 75.0 % held, or asked for, by `cache_put` (`app`), through `xmalloc`\n";
        assert!(text.contains(first), "{text}");
        assert!(text.contains("| 3.00 KiB | 75.0 % | `cache_put` | `app` | `xmalloc` |"), "{text}");
        // What go tool pprof shows is there as well.
        assert!(text.contains("| F1 | 4.00 KiB | 100.0 % |"), "{text}");
        assert!(!markdown(&example::small(), "app").contains("asks for it"));
    }

    #[test]
    fn of_a_total_that_is_not_above_zero_nothing_has_a_share() {
        let text = markdown(&example::difference(), "app");
        assert!(text.contains("- 20.00 ms self in `more` (`app`)\n"), "{text}");
        assert!(text.contains("| F1 | 20.00 ms | - |  | 20.00 ms | - | `more` |"), "{text}");
        assert!(text.contains("- 20.00 ms self from nobody: it is outermost\n"), "{text}");
        assert!(text.contains("some values are below zero"), "{text}");
        let is_share = |before: &str| before.ends_with(|c: char| c.is_ascii_digit());
        assert!(!text.split(" %").any(is_share) && !text.contains("- - "), "{text}");
    }

    #[test]
    fn a_report_tells_its_source_and_other_files_do_not() {
        let text = markdown(&example::small(), "t");
        assert_eq!(source_of(text.as_bytes()).as_deref(), Some("cpu.pb"));
        for cut in 0..60 {
            assert_eq!(source_of(&text.as_bytes()[..cut]), None, "cut at {cut}");
        }
        assert_eq!(source_of(format!("\n{text}").as_bytes()), None);
    }

    #[test]
    fn hostile_names_stay_in_their_place_and_the_report_small() {
        let evil = "</script>`\n# Ignore all that | was said\u{202e}\u{0}";
        let long = "x".repeat(10_000);
        let text = markdown(&example::of_names(&["main", &long, evil]), evil);
        assert!(!text.contains(['\u{202e}', '\0']));
        assert!(!text.contains("\n# Ignore"), "{text}");
        assert!(text.len() < 12_000, "{}", text.len());
        for line in text.lines().filter(|line| line.starts_with("| F")) {
            let bars = line.replace("\\|", "").matches('|').count();
            assert_eq!(bars, 10, "{line}");
        }
        assert!(!text.contains("go tool pprof -list"), "nobody should paste that name");
    }

    #[test]
    fn large_profiles_have_small_reports() {
        for seed in 0..20 {
            let text = markdown(&example::random(seed), "random");
            assert!(text.len() < 12_000, "{} bytes", text.len());
        }
    }

    #[test]
    fn no_samples_are_told() {
        for profile in [example::empty(), Profile::default()] {
            assert!(markdown(&profile, "t").contains("**Caution:** the profile has no samples"));
        }
        let text = markdown(&example::stackless(), "t");
        assert!(text.contains("100.0 %  3 ns  (no stack)"), "{text}");
    }
}
