//! CPU profiles of real programs, by what is in them.

mod shares;
mod stacks;
