//! flame's own tasks. Each subcommand is one module; this file only names them.

mod command;
mod tidy;
mod workspace;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// flame's own tasks: build the kernel programs, test, install.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check the import rules and the other rules that no compiler knows
    Tidy,
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Tidy => tidy::run(),
    }
}
