//! flame's own tasks.
fn main() {}
