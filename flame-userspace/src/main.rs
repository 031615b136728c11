//! The `flame` command.

fn main() {}
