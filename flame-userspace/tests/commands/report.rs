//! `flame report`, and the reports that `flame generate` writes.

use crate::Bench;
use crate::bench::Cpu;

fn bench() -> Bench {
    let bench = Bench::new();
    let mut cpu = Cpu::new();
    cpu.add(&["main", "work"], 700).add(&["main", "libc_read"], 200).add(&["main"], 100);
    bench.save_profile("app.pb", &cpu.finish());
    bench
}

#[test]
fn the_report_is_data_on_stdout_as_text_and_as_json() {
    let bench = bench();
    let text = bench.flame(&["report", "app.pb"]).with_code(0);
    assert_eq!(text.stderr, "");
    assert!(text.stdout.contains("| F1 | 700.00 ms | 70.0 % |"), "{}", text.stdout);
    assert!(text.stdout.contains("profile: \"app.pb\""));

    let json = bench.flame(&["report", "app.pb", "--json", "--top", "1"]).with_code(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["schema"], "flame-report/1");
    let view = &json["views"][0];
    assert_eq!(view["total"], 1_000_000_000);
    assert_eq!(view["by_self"].as_array().map(Vec::len), Some(1));
    assert_eq!(view["functions"][0]["name"], "work");
    assert_eq!(view["functions"][0]["self"], 700_000_000);
    assert_eq!(view["by_self_rest"]["self"], 300_000_000);
}

#[test]
fn generate_writes_the_page_and_the_report_and_renews_its_own() {
    let bench = bench();
    bench.flame(&["generate", "app.pb"]).with_code(0);
    assert_eq!(bench.names(), ["app.html", "app.md", "app.pb"]);
    let first = bench.text("app.md");
    assert_eq!(first, bench.flame(&["report", "app.pb"]).with_code(0).stdout);
    bench.flame(&["generate", "app.pb"]).with_code(0);
    bench.save("app.md", b"my own notes");
    let refused = bench.flame(&["generate", "app.pb"]).with_code(1);
    assert!(refused.stderr.contains("app.md is already there"), "{}", refused.stderr);
    assert_eq!(bench.text("app.md"), "my own notes");
}

#[test]
fn what_generate_writes_is_told_by_the_format_or_the_ending() {
    let bench = bench();
    bench.flame(&["generate", "app.pb", "-o", "there.md"]).with_code(0);
    bench.flame(&["generate", "app.pb", "-f", "folded,svg,svg"]).with_code(0);
    bench.flame(&["generate", "app.pb", "-f", "pb", "-o", "copy.pb"]).with_code(0);
    assert_eq!(bench.names(), ["app.folded", "app.pb", "app.svg", "copy.pb", "there.md"]);
    let own = bench.flame(&["generate", "app.pb", "-f", "pb", "--force"]).with_code(1);
    assert!(own.stderr.contains("would replace the profile"), "{}", own.stderr);
}

#[test]
fn a_file_that_is_no_profile_is_refused_by_name() {
    let bench = bench();
    bench.save("other.pb", b"\x7fELF");
    let refused = bench.flame(&["report", "other.pb"]).with_code(1);
    assert!(refused.stderr.contains("read other.pb") && refused.stderr.contains("an ELF file"));
    assert!(bench.flame(&["report", "none.pb"]).with_code(1).stderr.contains("none.pb"));
    assert_eq!(refused.stdout, "");
    bench.flame(&["report", "app.pb", "--top", "0"]).with_code(2);
}
