//! The commands that work on files: the real binary, on profiles with known numbers.

mod bench;
mod check;
mod diff;
mod formats;
mod report;

use bench::Bench;
