//! CPU profiles of real programs, by what is in them.

mod attach;
mod go;
mod processes;
mod shares;
mod stacks;
mod symbols;
