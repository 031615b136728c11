//! `flame report`: the report on a profile, on stdout.

use anyhow::Result;

use super::args::ReportArgs;
use super::caller::{Caller, acting_for};
use super::print::print;
use super::read::{name_of, read};
use super::status;
use super::talk::tell;
use crate::analyze::report::{Report, ReportOptions};
use crate::format::{json, markdown};

/// Runs the command; the exit status.
pub(super) fn run(args: &ReportArgs) -> u8 {
    match report(args) {
        Ok(()) => 0,
        Err(error) => {
            tell(&error);
            status::NOTHING
        }
    }
}

fn report(args: &ReportArgs) -> Result<()> {
    let profile = acting_for(Caller::of_sudo().as_ref(), || read(&args.file))?;
    let name = name_of(&args.file);
    let facts = Report::of(&profile, ReportOptions { top: args.top });
    let heading = markdown::Heading { title: &name, source: &name };
    let text = if args.json {
        format!("{:#}\n", json::report(&facts, &heading))
    } else {
        markdown::report(&facts, &heading)
    };
    print(&text)
}
