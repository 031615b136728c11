//! The command line: what is asked, done through the library's own surface, and told. Only this
//! module prints, reads arguments and the environment, and decides the exit status.

mod age;
mod args;
mod attach;
mod caller;
mod check;
mod child;
mod collect;
mod diff;
mod doctor;
mod files;
mod front;
mod generate;
mod output;
mod place;
mod print;
mod privilege;
mod read;
mod record;
mod recorder;
mod report;
mod signals;
mod stamp;
mod summary;
mod talk;
mod values;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};

use crate::symbolize;

/// Exit statuses that are not CMD's own (as those of env(1) and timeout(1)).
mod status {
    /// Nothing is left to profile, or a file cannot be read.
    pub(super) const NOTHING: u8 = 1;
    /// A usage error, as clap has it.
    pub(super) const USAGE: u8 = 2;
    /// `check` found a regression.
    pub(super) const REGRESSION: u8 = 3;
    /// flame itself failed.
    pub(super) const FAILED: u8 = 125;
    /// CMD cannot be executed.
    pub(super) const NOT_EXECUTABLE: u8 = 126;
    /// CMD was not found.
    pub(super) const NOT_FOUND: u8 = 127;
}

/// Runs the command that the arguments ask for.
pub fn run() -> ExitCode {
    crate::memory::give_back();
    // clap ends the process with status 2 on a usage error.
    let cli = Cli::parse();
    let Some(command) = cli.command else {
        // A full disk behind stdout is all that can go wrong.
        let printed = print::print(args::INTRODUCTION);
        return printed.map_or(ExitCode::from(status::FAILED), |()| ExitCode::SUCCESS);
    };
    symbolize::read_files_apart();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("flame: start the event loop: {error}");
            return ExitCode::from(status::FAILED);
        }
    };
    let code = runtime.block_on(async {
        match command {
            Command::Record(args) => record::run(args).await,
            Command::Attach(args) => attach::run(args).await,
            Command::Generate(args) => generate::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Diff(args) => diff::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Collect(args) => collect::run(args).await,
            Command::Symbolize => symbols(),
        }
    });
    ExitCode::from(code)
}

/// Reads a file's symbols for the flame that started this one.
fn symbols() -> u8 {
    match symbolize::serve() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("flame: this is no command for people: {error:#}");
            status::FAILED
        }
    }
}
