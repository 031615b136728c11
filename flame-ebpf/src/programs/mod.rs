//! The hooks, a file each.

mod cpu;
mod heap;
mod process;
mod trap_clock;
