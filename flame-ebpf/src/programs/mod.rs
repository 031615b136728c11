//! The hooks, a file each.

mod cpu;
mod growth;
mod heap;
mod process;
mod trap_clock;
