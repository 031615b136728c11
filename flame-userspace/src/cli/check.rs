//! `flame check`: limits on how much a profile may have grown, for CI.

use anyhow::{Context as _, Result};

use super::args::CheckArgs;
use super::caller::{Caller, acting_for};
use super::place::{IfThere, parent, place};
use super::print::print;
use super::read::{name_of, read};
use super::status;
use super::talk::tell;
use crate::analyze::check::{Check, CheckOptions};
use crate::analyze::normalize::NotComparable;
use crate::format::change::{notes, told};
use crate::format::table::{Align, Table};
use crate::format::{junit, markdown};

/// Runs the command; the exit status.
pub(super) fn run(args: &CheckArgs) -> u8 {
    match acting_for(Caller::of_sudo().as_ref(), || run_for_caller(args)) {
        Ok(0) => 0,
        Ok(_) => status::REGRESSION,
        Err(error) => {
            tell(&error);
            if error.is::<NotComparable>() { status::USAGE } else { status::NOTHING }
        }
    }
}

/// How many limits failed.
fn run_for_caller(args: &CheckArgs) -> Result<usize> {
    let (base, new) = (read(&args.base)?, read(&args.new)?);
    let options = CheckOptions { normalize: args.normalize, strict: args.strict };
    let check = Check::of(&base, &new, &args.fail_if, options)?;
    let (base, new) = (name_of(&args.base), name_of(&args.new));
    let sides = markdown::Sides { base: &base, new: &new };
    if let Some(path) = &args.junit {
        let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
        let xml = junit::check(&check, &base, &new);
        // Made anew by each run, as by other test runners.
        place(&parent(path), name, xml.as_bytes(), IfThere::Replace)?;
    }
    print(&if args.markdown { markdown::check(&check, &sides) } else { text(&check) })?;
    Ok(check.failures())
}

/// The outcome for a terminal.
fn text(check: &Check) -> String {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("limit", Align::Left),
        ("base", Align::Right),
        ("new", Align::Right),
        ("growth (95 %)", Align::Right),
        ("would fail from", Align::Right),
    ]);
    for outcome in &check.outcomes {
        let told = told(check, outcome);
        let verdict = told.verdict.to_owned();
        table.row([verdict, told.limit, told.base, told.new, told.growth, told.smallest]);
    }
    let mut text = table.text();
    for note in notes(check) {
        text.push_str(&crate::format::text::visible(&note));
        text.push('\n');
    }
    text
}
