//! What the fuzz targets in `fuzz/` call: the readers of hostile bytes, which are no part of the
//! library's surface. Each takes any bytes, and panics if something that always holds does not.

pub use crate::process::fuzzing::maps;
pub use crate::runtime::fuzzing::perf_map;
pub use crate::unwind::fuzzing::{debug_frame, eh_frame, elf, gopclntab, stack};

use crate::analyze::diff::Diff;
use crate::analyze::normalize::Pair;
use crate::analyze::report::{Report, ReportOptions};
use crate::format::{Format, Presentation, json, markdown, pprof, read, write};

/// A profile of any kind: it is refused, or written in every format, and what is written as pprof
/// reads back with the same totals.
///
/// # Panics
/// If something that always holds does not.
pub fn profile(bytes: &[u8]) {
    let Ok(profile) = read::read(bytes) else { return };
    let presentation =
        Presentation { title: "t", by_process: true, source_id: "s", flat_inlines: false };
    for format in Format::ALL {
        let mut out = Vec::new();
        let written = write(format, &profile, &presentation, &mut out);
        // Others have tables, and no end that a file which was read could come to.
        let bounded = matches!(format, Format::Firefox | Format::Folded | Format::Svg);
        assert!(written.is_ok() || bounded, "{format:?}: {written:?}");
        if format == Format::Pprof {
            let again = pprof::read(&out).expect("flame reads what it wrote");
            for column in 0..profile.sample_types().len() {
                assert_eq!(again.total(column), profile.total(column));
            }
        }
    }
    let facts = Report::of(&profile, ReportOptions::default());
    drop(json::report(&facts, &markdown::Heading { title: "t", source: "s" }));
    if let Ok(pair) = Pair::by(&profile, &profile, None) {
        let diff = Diff::of(pair, None).expect("a profile compares with itself");
        assert!(diff.rows.iter().all(|row| row.base == row.new), "nothing has changed");
    }
}
