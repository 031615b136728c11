//! The commands that work on files: the real binary, on profiles with known numbers.

mod bench;
mod report;

use bench::Bench;
