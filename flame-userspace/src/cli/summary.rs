//! What is told at the end of a session: for people on stderr, as JSON on stdout.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::output::Written;
use super::talk::{Talk, shown};
use crate::analyze::normalize::is_whole_run;
use crate::analyze::{self, Heaviest, noise};
use crate::format::Format;
use crate::format::share::percent;
use crate::profile::tree::{CallTree, TreeOptions};
use crate::profile::{Profile, Unit};
use crate::session::{
    HeapFunction, HeapGrowth, HeapHolder, ProbeCost, ProfileType, Quality, Recorded,
};

/// How many of the heaviest functions are told.
const HEAVIEST: usize = 5;
/// How many of the stacks that hold more and more are told.
const GROWING: usize = 3;
/// Below these a profile is too small to conclude from.
const FEW_SAMPLES: u64 = 200;
const SHORT: Duration = Duration::from_secs(10);
/// A file whose share of the unnamed frames, in percent of all frames, is worth a line.
const UNNAMED_PERCENT: u64 = 1;

/// The sample type of memory that is there, by who touched it.
const RESIDENT: &str = "resident_space";
/// What its functions are.
const TOUCHED: &str = "who touched the memory that the processes grew by and still have:";

/// A finished part of a session.
#[derive(Debug)]
pub(super) struct Summary {
    written: Vec<Written>,
    heaviest: Vec<Heaviest>,
    /// Who touched what is resident, and how much that is, where it is not what is shown anyway.
    grown: (Vec<Heaviest>, i64),
    /// Who is told to people: of a heap not the functions that only pass on what they are asked for.
    told: Vec<Heaviest>,
    total: i64,
    /// Its standard error, as a share of it, if that is stated.
    error: Option<f64>,
    unit: Unit,
    duration: Duration,
    /// Whether it is the whole run of its command.
    is_whole: bool,
    quality: Quality,
    functions: Vec<HeapFunction>,
    holders: Vec<HeapHolder>,
    growing: Vec<HeapHolder>,
    cost: Option<ProbeCost>,
    sample_types: Vec<String>,
    of: ProfileType,
    /// What the value is that is shown: the profile's default sample type.
    shown_type: String,
}

impl Summary {
    /// Sums up a profile and its files.
    pub(super) fn new(recorded: &Recorded, written: Vec<Written>) -> Self {
        let Recorded { profile, quality, of, .. } = recorded;
        let column = profile.default_sample_type();
        let resident = profile.sample_type_index(RESIDENT).filter(|&other| other != column);
        let grown = resident.map(|resident| first(profile, resident)).unwrap_or_default();
        let (told, total) = first(profile, column);
        let heaviest = most(analyze::top(profile, &tree(profile, column)));
        Self {
            written,
            heaviest,
            grown,
            told,
            total,
            error: noise::stated(profile)
                .get(profile.sample_types()[column].kind.as_str())
                .copied(),
            unit: profile.sample_types()[column].unit.clone(),
            duration: Duration::from_nanos(profile.duration_ns().max(0) as u64),
            is_whole: is_whole_run(profile),
            quality: quality.clone(),
            functions: recorded.functions.clone(),
            holders: recorded.holders.clone(),
            growing: recorded.growing.clone(),
            cost: recorded.cost,
            sample_types: profile.sample_types().iter().map(|one| one.kind.clone()).collect(),
            of: *of,
            shown_type: profile.sample_types()[column].kind.clone(),
        }
    }

    /// Tells it to people.
    pub(super) fn tell(&self, talk: &Talk) {
        let Self { quality, .. } = self;
        let processes = match quality.processes {
            1 => "1 process".to_owned(),
            count => format!("{count} processes"),
        };
        let error = self.error.map(|error| format!(" ± {:.1} %", error * 100.0));
        talk.say(&format!(
            "{} {}{} {} in {:.1} s of {processes}",
            talk.bold("flame:"),
            self.unit.format(self.total),
            error.unwrap_or_default(),
            self.meaning(),
            self.duration.as_secs_f64(),
        ));
        self.tell_files(talk);
        if self.holders.is_empty() {
            self.tell_heaviest(talk);
        } else {
            self.tell_holders(talk);
        }
        talk.say(&format!("quality: {}", quality.line()));
        self.tell_caveats(talk);
    }

    /// What the total is of, for people.
    fn meaning(&self) -> &str {
        match (self.of, self.shown_type.as_str()) {
            (ProfileType::Cpu, "cpu") => "of CPU time",
            (ProfileType::Cpu, event) => event,
            (ProfileType::Heap, "inuse_space") => "of heap in use at the end",
            (ProfileType::Heap, "peak_space") => "of heap in use at the peak, nothing at the end,",
            (ProfileType::Heap, RESIDENT) => "of memory touched and still there at the end",
            (ProfileType::Heap, _) => "allocated",
        }
    }

    fn tell_files(&self, talk: &Talk) {
        for Written { path, format, bytes } in &self.written {
            let size = Unit::Bytes.format(*bytes as i64);
            talk.say(&format!("  {}  {size}", shown(&path.to_string_lossy())));
            if *format == Format::Html {
                talk.say(&format!("  {}", talk.bold(&link(path))));
            }
        }
    }

    fn tell_heaviest(&self, talk: &Talk) {
        if !self.told.is_empty() {
            talk.say(match (self.of, self.shown_type.as_str()) {
                (ProfileType::Cpu, _) => "heaviest functions by self time:",
                (ProfileType::Heap, "inuse_space") => "heaviest holders of memory:",
                (ProfileType::Heap, "peak_space") => "heaviest holders of memory at the peak:",
                (ProfileType::Heap, RESIDENT) => TOUCHED,
                (ProfileType::Heap, _) => "heaviest allocators of memory:",
            });
        }
        Self::tell_functions(talk, &self.told, self.total);
        if !self.grown.0.is_empty() {
            talk.say(TOUCHED);
            Self::tell_functions(talk, &self.grown.0, self.grown.1);
        }
    }

    fn tell_functions(talk: &Talk, functions: &[Heaviest], total: i64) {
        for function in functions {
            let share = percent(function.self_value, total, 1);
            let module = match function.module.as_str() {
                "" => String::new(),
                module => format!("  ({})", shown(module)),
            };
            let through = through(function.through.as_deref());
            talk.say(&format!("  {share:>7}  {}{module}{through}", shown(&function.name)));
        }
    }

    /// Who holds what was not freed, and whose holdings grow.
    fn tell_holders(&self, talk: &Talk) {
        talk.say("heaviest holders of memory:");
        for holder in self.holders.iter().take(HEAVIEST) {
            let share = holder.bytes * 100.0 / self.total.max(1) as f64;
            let (function, holdings) = (shown(&holder.function()), holder.holdings());
            let way = shown(&holder.way());
            talk.say(&format!("  {share:5.1} %  {function}{way}  {holdings}"));
        }
        if !self.growing.is_empty() {
            talk.say("growing, a leak or a cache that fills:");
        }
        for holder in self.growing.iter().take(GROWING) {
            let growth = holder.growth.as_ref().map_or_else(String::new, HeapGrowth::text);
            let (function, callers) = (shown(&holder.function()), shown(&holder.callers()));
            let way = shown(&holder.way());
            talk.say(&format!("  {growth}  {function} < {callers}{way}"));
        }
    }

    fn tell_caveats(&self, talk: &Talk) {
        let Self { quality, .. } = self;
        for (cause, count) in &quality.lost {
            talk.say(&format!("  {cause}: {count}"));
        }
        for file in &quality.unnamed_files {
            if file.frames * 100 >= quality.frames * UNNAMED_PERCENT {
                let share = file.frames as f64 * 100.0 / quality.frames.max(1) as f64;
                let path = shown(&file.path.to_string_lossy());
                talk.say(&format!(
                    "  {share:.1} % of frames in {path} have no name: {}",
                    file.advice
                ));
            }
        }
        for note in &quality.notes {
            talk.say(&format!("  {}", shown(note)));
        }
        if quality.samples == 0 {
            talk.say(match self.of {
                ProfileType::Cpu => "no samples: the targets did not run on a CPU meanwhile",
                ProfileType::Heap => "no samples: the targets allocated nothing meanwhile where probes see it, or too little to be sampled",
            });
        } else if quality.samples < FEW_SAMPLES {
            talk.say(&format!(
                "{} samples are few: shares of a few percent may be chance",
                quality.samples
            ));
        } else if self.duration < SHORT && !self.is_whole {
            talk.say(&format!(
                "{:.1} s are short: they may not have shown all there is",
                self.duration.as_secs_f64()
            ));
        }
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let files = self.written.iter().map(|file| {
            json!({
                "path": file.path.to_string_lossy(),
                "format": file.format.name(),
                "bytes": file.bytes,
            })
        });
        let heaviest = self.heaviest.iter().map(|function| {
            json!({
                "name": function.name,
                "module": function.module,
                "self": function.self_value,
                "total": function.total,
            })
        });
        let counts = |list: &[(String, u64)]| -> Value {
            list.iter().map(|(cause, count)| (cause.clone(), json!(count))).collect()
        };
        let functions = self.functions.iter().map(|function| {
            let types = self.sample_types.iter().zip(&function.values);
            let values: serde_json::Map<String, Value> = types
                .map(|(kind, (value, error))| {
                    (kind.clone(), json!({ "value": value, "standard_error": error }))
                })
                .collect();
            json!({ "name": function.name, "values": values })
        });
        let Quality {
            samples,
            missed,
            not_whole,
            truncated,
            frames,
            guesses,
            unnamed,
            processes,
            ..
        } = self.quality;
        json!({
            "profile": self.of.name(),
            "files": files.collect::<Vec<_>>(),
            "duration_seconds": self.duration.as_secs_f64(),
            "total": self.total,
            "standard_error": self.error.map(|error| error * self.total as f64),
            "sample_type": self.shown_type,
            "unit": self.unit.name(),
            "samples": samples,
            "processes": processes,
            "lost": counts(&self.quality.lost),
            "missed": missed,
            "not_whole": not_whole,
            "truncated": truncated,
            "guessed_frames": guesses,
            "stack_ends": counts(&self.quality.stack_ends),
            "frames": frames,
            "unnamed_frames": unnamed,
            "notes": self.quality.notes,
            "heaviest": heaviest.collect::<Vec<_>>(),
            "functions": functions.collect::<Vec<_>>(),
            "holders": self.holders.iter().map(holder_json).collect::<Vec<_>>(),
            "growing": self.growing.iter().map(holder_json).collect::<Vec<_>>(),
            "probes": self.cost.map(|cost| json!({
                "hits": cost.hits,
                "price_ns": cost.price_ns,
                "clock_ns": cost.clock_ns,
                "percent": cost.percent,
                "attach_ns": cost.attach_ns,
                "detach_ns": cost.detach_ns,
            })),
        })
    }
}

fn holder_json(holder: &HeapHolder) -> Value {
    let growth = holder.growth.as_ref().map(|growth| {
        json!({
            "bytes": growth.bytes,
            "standard_error": growth.standard_error,
            "seconds": growth.over.as_secs_f64(),
            "rises": growth.rises,
            "steps": growth.steps,
        })
    });
    json!({
        "stack": holder.stack,
        "module": holder.module,
        "through": holder.through,
        "bytes": holder.bytes,
        "standard_error": holder.standard_error,
        "objects": holder.objects,
        "oldest_seconds": holder.ages.map(|ages| ages.oldest.as_secs_f64()),
        "median_seconds": holder.ages.map(|ages| ages.median.as_secs_f64()),
        "growth": growth,
    })
}

/// The functions of a profile to look at first by one of its sample types, and its total.
pub(super) fn first(profile: &Profile, column: usize) -> (Vec<Heaviest>, i64) {
    if profile.sample_types().is_empty() {
        return (Vec::new(), 0);
    }
    let tree = tree(profile, column);
    (most(analyze::first(profile, &tree, column)), tree.total)
}

fn tree(profile: &Profile, sample_type: usize) -> CallTree {
    CallTree::build(profile, TreeOptions { sample_type, by_process: false })
}

fn most(mut functions: Vec<Heaviest>) -> Vec<Heaviest> {
    functions.retain(|function| function.self_value > 0);
    functions.truncate(HEAVIEST);
    functions
}

/// By which function another asked for most, for the end of a line.
pub(super) fn through(name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| format!("  through {}", shown(name)))
}

/// A link to a file that terminals make clickable.
pub(super) fn link(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut link = String::from("file://");
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~+".contains(&byte) {
            link.push(byte.into());
        } else {
            write!(link, "%{byte:02X}").expect("writing to a text cannot fail");
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_escape_what_a_terminal_would_stumble_over() {
        assert_eq!(link(Path::new("/tmp/a b/\u{e4}.html")), "file:///tmp/a%20b/%C3%A4.html");
    }
}
