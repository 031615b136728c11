//! The report on one profile.

use serde_json::{Value, json};

use super::{known, text};
use crate::analyze::report::{
    Around, CallPath, FunctionRow, Groups, HoldingRow, HotLine, PathKind, PathRow, Report, View,
};
use crate::format::date::Date;
use crate::format::markdown::Heading;

/// The report as an object of the schema `flame-report/1`. Values are whole numbers in the unit of
/// their view, shares are from 0 to 1 and `null` where the total is not above 0, rows are those of
/// the array `functions`.
pub fn report(report: &Report, heading: &Heading<'_>) -> Value {
    let types = report.types.iter().map(|(sample_type, total)| {
        json!({
            "kind": text(&sample_type.kind),
            "unit": text(sample_type.unit.name()),
            "total": total,
        })
    });
    json!({
        "schema": "flame-report/1",
        "flame": env!("CARGO_PKG_VERSION"),
        "title": text(heading.title),
        "profile": text(heading.source),
        "start": (report.start_ns > 0).then(|| Date::utc(report.start_ns / 1_000_000).iso()),
        "duration_ns": report.duration_ns,
        "period": report.period.as_ref().map(|(period_type, period)| json!({
            "kind": text(&period_type.kind),
            "unit": text(period_type.unit.name()),
            "value": period,
        })),
        "samples": report.samples,
        "processes": report.processes,
        "threads": report.threads,
        "types": types.collect::<Vec<_>>(),
        "default_type": report.default,
        "warnings": report.warnings.iter().map(|line| text(line)).collect::<Vec<_>>(),
        "comments": report.comments.iter().map(|line| text(line)).collect::<Vec<_>>(),
        "views": report.views.iter().map(view).collect::<Vec<_>>(),
    })
}

fn view(view: &View) -> Value {
    let function = |function: &FunctionRow| {
        let share = view.share(function.worth.self_value);
        json!({
            "name": text(&function.name),
            "module": known(&function.module),
            "file": known(&function.file),
            "line": (function.line > 0).then_some(function.line),
            "self": function.worth.self_value,
            "self_share": share,
            "self_share_error": share.and_then(|share| view.share_error(share)),
            "total": function.worth.total,
            "total_share": view.share(function.worth.total),
            "self_objects": function.objects.map(|objects| objects.self_value),
            "total_objects": function.objects.map(|objects| objects.total),
        })
    };
    let line = |line: &HotLine| {
        json!({
            "file": text(&line.file),
            "line": line.line,
            "function": text(&line.function),
            "self": line.value,
        })
    };
    json!({
        "type": view.column,
        "total": view.total,
        "effective_samples": view.samples,
        "unnamed": view.unnamed,
        "without_stack": view.stackless,
        "functions": view.functions.iter().map(function).collect::<Vec<_>>(),
        "by_self": view.by_self,
        "by_self_rest": { "functions": view.self_rest.rows, "self": view.self_rest.value },
        "by_total": view.by_total,
        "by_holding": view.by_holding.iter().map(holding).collect::<Vec<_>>(),
        "lines": view.lines.iter().map(line).collect::<Vec<_>>(),
        "paths": view.paths.iter().map(path).collect::<Vec<_>>(),
        "around": view.around.iter().map(around).collect::<Vec<_>>(),
        "modules": groups(&view.modules),
        "sides": groups(&view.sides),
        "processes": groups(&view.processes),
        "threads": groups(&view.threads),
    })
}

fn holding(row: &HoldingRow) -> Value {
    json!({
        "function": row.function,
        "held": row.value,
        "through": row.through.as_ref().map(|name| text(name)),
    })
}

fn path(row: &PathRow) -> Value {
    let (kind, calls, skipped, others) = match &row.kind {
        PathKind::Calls { named, skipped } => {
            let call =
                |(name, times): &(String, usize)| json!({ "name": text(name), "times": times });
            ("calls", named.iter().map(call).collect(), *skipped, 0)
        }
        PathKind::Own => ("own", Vec::new(), 0, 0),
        PathKind::Others(count) => ("others", Vec::new(), 0, *count),
        PathKind::NoStack => ("no_stack", Vec::new(), 0, 0),
    };
    json!({
        "depth": row.depth,
        "kind": kind,
        "calls": calls,
        "skipped": skipped,
        "others": others,
        "value": row.value,
        "ends": row.ends,
    })
}

fn around(around: &Around) -> Value {
    let paths = |paths: &[CallPath]| -> Vec<Value> {
        let path = |path: &CallPath| {
            json!({
                "names": path.names.iter().map(|name| text(name)).collect::<Vec<_>>(),
                "cut": path.cut,
                "value": path.value,
            })
        };
        paths.iter().map(path).collect()
    };
    json!({
        "name": text(&around.name),
        "self": around.worth.self_value,
        "total": around.worth.total,
        "callers": paths(&around.callers),
        "callees": paths(&around.callees),
    })
}

fn groups(groups: &Groups) -> Value {
    let rows = groups.rows.iter().map(|row| json!({ "name": text(&row.name), "self": row.value }));
    json!({
        "rows": rows.collect::<Vec<_>>(),
        "rest": { "rows": groups.others, "self": groups.others_value },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::report::ReportOptions;
    use crate::format::example;
    use crate::format::json::{REPORT_SCHEMA, schema};
    use crate::profile::Profile;

    fn json(profile: &Profile) -> Value {
        let facts = Report::of(profile, ReportOptions { top: 3 });
        report(&facts, &Heading { title: "a\u{202e}", source: "cpu.pb" })
    }

    #[test]
    fn reports_are_what_the_schema_says() {
        let mut profiles = vec![
            example::small(),
            example::heap(3),
            example::empty(),
            example::stackless(),
            example::difference(),
            Profile::default(),
            example::of_names(&["main", "evil\u{202e}\u{9b}\n", &"x".repeat(10_000)]),
        ];
        profiles.extend((0..20).map(example::random));
        for profile in &profiles {
            let written = json(profile);
            schema::assert_valid(REPORT_SCHEMA, &written);
            let text = written.to_string();
            assert!(!text.contains(['\u{202e}', '\u{9b}']), "{text}");
        }
    }

    #[test]
    fn of_a_total_that_is_not_above_zero_nothing_has_a_share() {
        let written = json(&example::difference());
        let function = &written["views"][0]["functions"][0];
        assert_eq!(function["self"], json!(20_000_000));
        for share in ["self_share", "self_share_error", "total_share"] {
            assert_eq!(function[share], Value::Null, "{share}");
        }
    }

    #[test]
    fn the_schema_refuses_what_is_not_a_report() {
        let whole = json(&example::small());
        for (pointer, wrong) in [
            ("/schema", json!("flame-report/2")),
            ("/types/0/total", json!("1")),
            ("/views/0/functions/0/self_share", json!("1")),
            ("/views/0/paths/0/kind", json!("guess")),
            ("/views/0/sides", json!([])),
        ] {
            let mut broken = whole.clone();
            *broken.pointer_mut(pointer).expect(pointer) = wrong;
            assert!(!schema::errors(REPORT_SCHEMA, &broken).is_empty(), "{pointer}");
        }
        let mut more = whole.clone();
        more["views"][0]["colour"] = json!(1);
        assert!(!schema::errors(REPORT_SCHEMA, &more).is_empty());
        let mut less = whole;
        less.as_object_mut().expect("an object").remove("title");
        assert!(!schema::errors(REPORT_SCHEMA, &less).is_empty());
    }
}
