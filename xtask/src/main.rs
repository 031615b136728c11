//! flame's own tasks. Each subcommand is one module; this file only names them.

mod bench;
mod command;
mod ebpf;
mod install;
mod packages;
mod steps;
mod test;
mod tidy;
mod vm;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

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
    /// Measure what flame costs on real programs: `bench cpu`, beside perf (as root)
    #[command(disable_help_flag = true)]
    Bench {
        /// What to measure, and its options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build the kernel programs from source into the tree, with a record of what they came from
    BuildEbpf,
    /// Check that the kernel programs in the tree are those of the sources
    CheckEbpf,
    /// Build flame and put it where sudo finds it
    Install {
        /// The directory that gets the binary
        #[arg(long, value_name = "DIR", default_value = "/usr/local/bin")]
        to: PathBuf,
    },
    /// Run what CI runs: lints and every test (installs, as root, the packages they need)
    Test,
    /// Check the import rules and the other rules that no compiler knows
    Tidy,
    /// Try flame on other kernels, in an emulator: what the verifier says, and whether stacks of a
    /// known program are whole there
    VmTest(vm::VmTestArgs),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Bench { args } => bench::run(&args),
        Task::BuildEbpf => ebpf::build(),
        Task::CheckEbpf => ebpf::check().map(|_| ()),
        Task::Install { to } => install::run(&to),
        Task::Test => test::run(),
        Task::Tidy => tidy::run(),
        Task::VmTest(args) => vm::run(&args),
    };
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
