//! The `flame` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    flame::cli::run()
}
