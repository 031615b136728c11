//! `flame diff`.

use std::process::Command;

use flame::format::pprof;

use crate::Bench;
use crate::bench::{Cpu, go_top, heap};

/// Two profiles of ten seconds: `slow` grew, `old` went, `fresh` came.
fn bench() -> Bench {
    let bench = Bench::new();
    let mut base = Cpu::new();
    base.add(&["main", "slow"], 1000).add(&["main", "old"], 300).add(&["main", "libc_read"], 500);
    bench.save_profile("base.pb", &base.finish());
    let mut new = Cpu::new();
    new.add(&["main", "slow"], 1500).add(&["main", "fresh"], 200).add(&["main", "libc_read"], 510);
    bench.save_profile("new.pb", &new.finish());
    bench
}

#[test]
fn the_table_tells_the_largest_changes_first() {
    let bench = bench();
    let ran = bench.flame(&["diff", "base.pb", "new.pb"]).with_code(0);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[0].starts_with("cpu: 1.80 s -> 2.21 s, +410.00 ms (+22.8 % ± "),
        "{}",
        ran.stdout
    );
    let words = |line: &str| line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
    let names: Vec<String> = lines[3..].iter().map(|line| words(line).join(" ")).collect();
    assert!(names[0].starts_with("+500.00 ms ") && names[0].ends_with(" slow (app)"), "{names:?}");
    assert!(names[1].ends_with("gone old (app)"), "{names:?}");
    assert!(names[2].ends_with("new fresh (app)"), "{names:?}");
    assert_eq!(bench.names(), ["base.pb", "new-diff.html", "new-diff.md", "new.pb"]);
    assert!(ran.stderr.contains("file://"), "{}", ran.stderr);
    assert!(bench.text("new-diff.html").contains("flame-data"));
    let short = bench.flame(&["diff", "base.pb", "new.pb", "--top", "1"]).with_code(0);
    assert!(short.stdout.contains("… 4 more, -90.00 ms self"), "{}", short.stdout);
}

#[test]
fn of_heaps_who_asked_for_memory_is_told_and_not_the_function_that_passed_it_on() {
    let bench = Bench::new();
    bench.save_profile("base.pb", &heap(&[(&["main", "cache_put", "xmalloc"], 3)]));
    let new: [(&[&str], i64); 2] =
        [(&["main", "cache_put", "xmalloc"], 8), (&["main", "index_add", "libc_strdup"], 1)];
    bench.save_profile("new.pb", &heap(&new));
    let ran = bench.flame(&["diff", "base.pb", "new.pb"]).with_code(0);
    let rows: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with('+')).collect();
    let [first, second] = rows.as_slice() else { panic!("{}", ran.stdout) };
    assert!(first.ends_with("cache_put  (app)  through xmalloc"), "{}", ran.stdout);
    assert!(second.ends_with("new  index_add  (app)  through libc_strdup"), "{}", ran.stdout);
    assert!(ran.stdout.contains("are passed over for their callers"), "{}", ran.stdout);
    let text = bench.text("new-diff.md");
    assert!(text.contains("| `cache_put` | `app` |  | `xmalloc` |\n"), "{text}");
    let ran = bench.flame(&["generate", "new.pb"]).with_code(0);
    assert!(ran.stderr.contains(" 88.9 %  cache_put  through xmalloc\n"), "{}", ran.stderr);
}

#[test]
fn markdown_and_pprof_are_written_where_asked() {
    let bench = bench();
    bench.flame(&["diff", "base.pb", "new.pb", "-o", "d.md"]).with_code(0);
    assert!(bench.text("d.md").contains("| `old` | `app` | gone |"), "{}", bench.text("d.md"));
    bench.flame(&["diff", "base.pb", "new.pb", "-o", "d"]).with_code(0);
    bench.flame(&["diff", "base.pb", "new.pb", "-o", "d.pb"]).with_code(0);
    assert_eq!(bench.names(), ["base.pb", "d.html", "d.md", "d.pb", "new.pb"]);
    bench.save("d.md", b"notes");
    bench.flame(&["diff", "base.pb", "new.pb", "-o", "d.md"]).with_code(1);
    bench.flame(&["diff", "base.pb", "new.pb", "-o", "d.md", "--force"]).with_code(0);
    let bytes = std::fs::read(bench.path("d.pb")).expect("read the difference");
    let difference = pprof::read(&bytes).expect("a pprof file");
    assert_eq!(difference.total(0), 410);
    bench.flame(&["diff", "base.pb", "new.pb", "-o", "d.svg"]).with_code(1);
    bench.flame(&["diff", "base.pb", "new.pb", "-t", "heap"]).with_code(1);
}

#[test]
fn sessions_of_different_length_are_compared_by_second_where_asked() {
    let bench = bench();
    let mut long = Cpu::new();
    long.builder.time(1, 20_000_000_000);
    long.add(&["main", "slow"], 2000).add(&["main", "old"], 600).add(&["main", "libc_read"], 1000);
    bench.save_profile("long.pb", &long.finish());
    let ran = bench.flame(&["diff", "base.pb", "long.pb", "--normalize", "rate"]).with_code(0);
    assert!(ran.stdout.contains("no function has changed"), "{}", ran.stdout);
    let ran = bench.flame(&["diff", "base.pb", "long.pb"]).with_code(0);
    assert!(ran.stdout.contains("compared by totals"), "{}", ran.stdout);
}

#[test]
fn the_page_opens_on_the_sample_type_that_was_asked_for() {
    let bench = bench();
    let row = |asked: &[&str]| {
        let always = ["diff", "base.pb", "new.pb", "-o", "d.html", "--force"];
        bench.flame(&[&always[..], asked].concat()).with_code(0);
        let page = bench.text("d.html");
        let (_, rows) = page.split_once("<tbody>\n").expect("a table for readers without scripts");
        rows.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(row(&[]), "<tr><td>+500.00 ms<td>1.00 s<td>1.50 s<td>slow<td>app");
    assert_eq!(row(&["-t", "samples"]), "<tr><td>+500<td>1,000<td>1,500<td>slow<td>app");
}

#[test]
fn go_tool_pprof_reads_the_difference_as_its_own() {
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("skipped: needs the `go` command, which is not here");
        return;
    }
    let bench = bench();
    bench.flame(&["diff", "base.pb", "new.pb", "-o", "d.pb"]).with_code(0);
    let [base, new, ours] = ["base.pb", "new.pb", "d.pb"].map(|name| bench.path(name));
    let base = format!("-diff_base={}", base.display());
    let own = go_top(&[&base, &new.display().to_string()]);
    let read = go_top(&[&ours.display().to_string()]);
    assert_eq!(own, read);
    assert!(read.iter().any(|row| row.starts_with("0.50s 27.78%")), "{read:?}");
}
