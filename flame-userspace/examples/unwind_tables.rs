//! What the unwind tables of files take: `cargo run --release --example unwind_tables -- FILE...`
//! prints a row of a table for each.

use std::path::Path;

use flame::measuring::table_figures;

fn main() {
    println!("| file | bytes | rows | table | rules | first stack | all of it |");
    println!("|---|---|---|---|---|---|---|");
    for file in std::env::args().skip(1) {
        let path = Path::new(&file);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match table_figures(path) {
            Some(figures) => println!("| {name} | {figures} |"),
            None => println!("| {name} | no unwind information |"),
        }
    }
}
