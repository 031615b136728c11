//! `flame diff`: what has changed from one profile to another.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::args::DiffArgs;
use super::caller::{Caller, acting_for};
use super::generate::{several_processes, was_made_of};
use super::place::{IfThere, parent, place};
use super::print::print;
use super::read::{name_of, read};
use super::status;
use super::summary::{link, through};
use super::talk::{shown, tell};
use crate::analyze::diff::{self, Diff};
use crate::analyze::normalize::Pair;
use crate::format::change::{comparison, held, presence, relative, signed, totals};
use crate::format::table::{Align, Table};
use crate::format::{Format, html, markdown, pprof};

/// Runs the command; the exit status.
pub(super) fn run(args: &DiffArgs) -> u8 {
    match acting_for(Caller::of_sudo().as_ref(), || run_for_caller(args)) {
        Ok(()) => 0,
        Err(error) => {
            tell(&error);
            status::NOTHING
        }
    }
}

fn run_for_caller(args: &DiffArgs) -> Result<()> {
    let (base, new) = (read(&args.base)?, read(&args.new)?);
    let pair = Pair::by(&base, &new, args.sample_type.as_deref())?;
    let diff = Diff::of(pair, args.normalize)?;
    print(&table(&diff, args.top))?;
    let (base_name, new_name) = (name_of(&args.base), name_of(&args.new));
    let sides = markdown::Sides { base: &base_name, new: &new_name };
    let title = sides.source_id();
    for (path, format) in files(args) {
        let mut bytes = Vec::new();
        match format {
            Format::Markdown => {
                bytes = markdown::diff(&diff, &sides, args.top.max(50)).into_bytes();
            }
            Format::Pprof => {
                pprof::write(&diff::profile(pair, &diff.scale, args.normalize), &mut bytes)
                    .context("make the pprof file of the difference")?;
            }
            Format::Html => {
                let page = html::DiffPage {
                    title: &title,
                    base_name: &base_name,
                    new_name: &new_name,
                    by_process: [&base, &new].iter().any(|profile| several_processes(profile)),
                    sample_type: Some(&diff.sample_type.kind),
                    normalize: args.normalize,
                    source_id: &title,
                };
                html::write_diff(&base, &new, &page, &mut bytes)
                    .context("make the page of the difference")?;
            }
            other => bail!("a difference cannot be written as {}", other.name()),
        }
        let replace = args.force || was_made_of(&path, format, &title);
        let there = if replace { IfThere::Replace } else { IfThere::Refuse };
        let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
        place(&parent(&path), name, &bytes, there)?;
        let path = fs::canonicalize(&path).unwrap_or(path);
        match format {
            Format::Html => eprintln!("{}", link(&path)),
            _ => eprintln!("{}", shown(&path.to_string_lossy())),
        }
    }
    Ok(())
}

/// What to write: what OUT ends in, or OUT with the ending of each format. Without OUT, or in the
/// folder that it is, the new profile's name stands in front.
fn files(args: &DiffArgs) -> Vec<(PathBuf, Format)> {
    let mut stem = args.new.file_stem().unwrap_or_default().to_owned();
    stem.push("-diff");
    let out = match &args.output {
        None => parent(&args.new).join(stem),
        Some(folder) if folder.is_dir() => folder.join(stem),
        Some(out) => {
            let ending = out.extension().and_then(|ending| Format::from_name(ending.to_str()?));
            match (args.format.as_slice(), ending) {
                ([], Some(format)) => return vec![(out.clone(), format)],
                ([one], Some(format)) if *one == format => return vec![(out.clone(), format)],
                _ => out.clone(),
            }
        }
    };
    let formats = if args.format.is_empty() { &DEFAULT[..] } else { &args.format };
    let file = |&format: &Format| {
        let mut name = OsString::from(&out);
        name.push(".");
        name.push(format.ending());
        (PathBuf::from(name), format)
    };
    formats.iter().map(file).collect()
}

/// What is written where nothing was asked for.
const DEFAULT: [Format; 2] = [Format::Html, Format::Markdown];

/// The functions whose self values have changed most.
fn table(diff: &Diff, top: usize) -> String {
    let unit = &diff.sample_type.unit;
    let mut table = Table::new(&[
        ("change", Align::Right),
        ("±", Align::Right),
        ("change %", Align::Right),
        ("base", Align::Right),
        ("new", Align::Right),
        ("total change", Align::Right),
        ("", Align::Left),
        ("function", Align::Left),
    ]);
    let changed: Vec<_> = diff.rows.iter().filter(|row| row.base != row.new).collect();
    for row in changed.iter().take(top) {
        let (base, new) = (row.base.self_value, row.new.self_value);
        let module = match row.module.as_str() {
            "" => String::new(),
            module => format!("  ({})", shown(module)),
        };
        let through = through(row.through.as_deref());
        table.row([
            signed(unit, row.self_change()),
            unit.format(diff.error(base, new) as i64),
            relative(row.self_change() as f64, base as f64),
            unit.format(base),
            unit.format(new),
            signed(unit, row.total_change()),
            presence(row).to_owned(),
            format!("{}{module}{through}", shown(&row.name)),
        ]);
    }
    let mut text = format!("{}\n{}\n", shown(&totals(diff)), comparison(&diff.scale));
    if let Some(held) = held(diff) {
        text.push_str(held);
        text.push('\n');
    }
    if changed.is_empty() {
        text.push_str("no function has changed\n");
        return text;
    }
    text.push_str(&table.text());
    let rest = &changed[changed.len().min(top)..];
    if !rest.is_empty() {
        let change = rest.iter().fold(0i64, |sum, row| sum.saturating_add(row.self_change()));
        let what = if diff.held { "held" } else { "self" };
        let change = shown(&signed(unit, change));
        // Writing to a text cannot fail.
        _ = writeln!(text, "… {} more, {change} {what}", rest.len());
    }
    text
}
