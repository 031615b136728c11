//! CPU profiles of real programs, by what is in them.

mod attach;
mod beside;
mod go;
mod processes;
mod shares;
mod stacks;
mod symbols;
