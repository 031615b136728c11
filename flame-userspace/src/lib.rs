//! flame: an eBPF-based, system-wide profiler for Linux.

pub mod analyze;
pub mod format;
pub mod profile;

mod aggregate;
mod bpf;
mod process;
mod runtime;
mod symbolize;
