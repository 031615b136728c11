//! The hooks, a file each.

mod cpu;
mod process;
