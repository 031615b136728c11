//! Files for the Firefox Profiler (<https://profiler.firefox.com>): its "processed profile" as
//! gzip-compressed JSON.
//!
//! A profile knows how often a stack was seen and not when, while a file of this format is a
//! sequence of samples. Each stack of a thread becomes one sample with a weight, one after the
//! other by the time that they stand for: the call tree and the flame graph are right, the order on
//! the timeline means nothing. Modules are the subcategories of user space and kernel.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use fxprof_processed_profile::{
    CategoryColor, CategoryHandle, CategoryPairHandle, CpuDelta, Frame, FrameFlags, FrameInfo,
    ProcessHandle, ReferenceTimestamp, SamplingInterval, ThreadHandle, Timestamp, WeightType,
};

use super::frame::{Side, describe};
use super::pprof;
use super::text::visible;
use crate::analyze::noise::Noise;
use crate::profile::size::tree_nodes;
use crate::profile::tree::FrameName;
use crate::profile::{LabelSetId, LocationId, Profile, Unit};

/// The most samples that one stack's value is written as: the format's weights have 32 bits.
const PIECES: i64 = 1 << 10;

/// The most samples that are written for values beyond 32 bits: as many rows more at most.
const MAX_PIECES: usize = 1 << 20;

/// The most modules of user space, or of the kernel, that are told apart: the format's subcategories
/// have 16 bits, and the first of them is "Other".
const MAX_MODULES: usize = u16::MAX as usize - 1;

/// The most frames of the stacks of all threads.
const MAX_FRAMES: u64 = pprof::MAX_FRAMES as u64;

/// Writes `profile`, by its default sample type: as counts of samples where they are known, in
/// bytes, or as milliseconds.
pub fn write(profile: &Profile, title: &str, out: impl io::Write) -> io::Result<()> {
    let mut gzip = GzEncoder::new(out, Compression::default());
    let file = Converter::new(profile, title).convert()?;
    serde_json::to_writer(&mut gzip, &file)?;
    io::Write::flush(&mut gzip.finish()?)
}

/// What a sample's weight is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// The value of a column.
    Column(usize),
    /// A time in nanoseconds, as milliseconds.
    Milliseconds(usize),
}

struct Converter<'a> {
    profile: &'a Profile,
    file: fxprof_processed_profile::Profile,
    weight: Weight,
    weight_type: WeightType,
    /// The column that tells how long a sample's stack ran, if any does.
    time: Option<usize>,
    user: CategoryHandle,
    kernel: CategoryHandle,
    processes: HashMap<Option<i64>, ProcessHandle>,
    /// By process and thread, with the time up to which it is filled, in nanoseconds.
    threads: HashMap<(Option<i64>, Option<i64>), (ThreadHandle, u64)>,
    frames: HashMap<LocationId, Vec<FrameInfo>>,
    /// The frames of all locations: very many may have one of a long name.
    named: HashMap<FrameName, FrameInfo>,
    /// The subcategories of modules.
    modules: HashMap<(CategoryHandle, String), CategoryPairHandle>,
}

impl<'a> Converter<'a> {
    fn new(profile: &'a Profile, title: &str) -> Self {
        let start = Duration::from_nanos(profile.time_ns().max(0) as u64);
        let interval = match profile.period_type() {
            Some(t) if t.unit == Unit::Nanoseconds && profile.period() > 0 => profile.period(),
            _ => 1_000_000,
        };
        let mut file = fxprof_processed_profile::Profile::new(
            &visible(title),
            ReferenceTimestamp::from(UNIX_EPOCH + start),
            SamplingInterval::from_nanos(interval as u64),
        );
        file.set_symbolicated(true);
        let user = file.add_category("User", CategoryColor::Yellow);
        let kernel = file.add_category("Kernel", CategoryColor::Orange);
        let column = profile.default_sample_type();
        let unit = profile.sample_types().get(column).map(|t| &t.unit);
        let is_time = unit == Some(&Unit::Nanoseconds);
        let (weight, weight_type) = match unit {
            Some(Unit::Bytes) => (Weight::Column(column), WeightType::Bytes),
            Some(Unit::Nanoseconds) => match Noise::of(profile, column) {
                Noise::Counted { samples } => (Weight::Column(samples), WeightType::Samples),
                _ => (Weight::Milliseconds(column), WeightType::TracingMs),
            },
            _ => (Weight::Column(column), WeightType::Samples),
        };
        Self {
            profile,
            file,
            weight,
            weight_type,
            time: is_time.then_some(column),
            user,
            kernel,
            processes: HashMap::new(),
            threads: HashMap::new(),
            frames: HashMap::new(),
            named: HashMap::new(),
            modules: HashMap::new(),
        }
    }

    fn convert(mut self) -> io::Result<fxprof_processed_profile::Profile> {
        // Threads have tables of their own, which share nothing.
        let sets = (0..self.profile.label_sets().len()).map(LabelSetId::new);
        let threads: Vec<_> = sets.map(|set| self.thread_ids(set)).collect();
        if tree_nodes(self.profile, &threads, MAX_FRAMES) > MAX_FRAMES {
            return Err(io::Error::other(format!(
                "the stacks of all threads have more than {MAX_FRAMES} frames, the most that are \
                 written for the Firefox Profiler"
            )));
        }
        let mut more_pieces = 0;
        for sample in self.profile.samples() {
            let value = match self.weight {
                Weight::Column(column) => sample.values[column],
                Weight::Milliseconds(column) => milliseconds(sample.values[column]),
            };
            if value == 0 {
                continue;
            }
            let nanoseconds = self.time.map_or(1_000_000, |column| sample.values[column].max(1));
            let (key, thread) = self.thread(sample.labels);
            let mut frames = Vec::new();
            let locations: Vec<LocationId> = self.profile.frames(sample.stack).collect();
            for &location in locations.iter().rev() {
                frames.extend(self.frames(location));
            }
            let stack = self.file.intern_stack_frames(thread, frames.into_iter());
            let pieces = pieces(value)?;
            more_pieces += pieces.len() - 1;
            if more_pieces > MAX_PIECES {
                return Err(io::Error::other(format!(
                    "the stacks' values are too large for the Firefox Profiler's format: they would \
                     take more than {MAX_PIECES} samples of 32 bits"
                )));
            }
            let filled = &mut self.threads.get_mut(&key).expect("made above").1;
            *filled = filled.saturating_add(nanoseconds as u64);
            let at = Timestamp::from_nanos_since_reference(*filled);
            let ran = if self.time.is_some() { nanoseconds as u64 } else { 0 };
            let mut ran = CpuDelta::from_nanos(ran);
            for piece in pieces {
                self.file.add_sample(thread, at, stack, ran, piece);
                ran = CpuDelta::ZERO;
            }
        }
        Ok(self.file)
    }

    /// The process and the thread that samples with these labels are of.
    fn thread_ids(&self, labels: LabelSetId) -> (Option<i64>, Option<i64>) {
        let number = |key| self.profile.number_label(labels, key);
        (number("pid"), number("tid"))
    }

    fn thread(&mut self, labels: LabelSetId) -> ((Option<i64>, Option<i64>), ThreadHandle) {
        let text =
            |key| self.profile.text_label(labels, key).map(|text| visible(text).into_owned());
        let key = self.thread_ids(labels);
        let (pid, tid) = key;
        if let Some((thread, _)) = self.threads.get(&key) {
            return (key, *thread);
        }
        let start = Timestamp::from_nanos_since_reference(0);
        let file = &mut self.file;
        let id = |id: Option<i64>| u32::try_from(id.unwrap_or_default()).unwrap_or(u32::MAX);
        let process = *self.processes.entry(pid).or_insert_with(|| {
            let name = text("comm").unwrap_or_else(|| "all".to_owned());
            file.add_process(&name, id(pid), start)
        });
        let thread = file.add_thread(process, id(tid), start, tid.is_none() || tid == pid);
        if let Some(name) = text("thread").or_else(|| text("thread name")) {
            file.set_thread_name(thread, &name);
        }
        file.set_thread_samples_weight_type(thread, self.weight_type.clone());
        self.threads.insert(key, (thread, 0));
        (key, thread)
    }

    /// The frames of a location, the outermost first.
    fn frames(&mut self, id: LocationId) -> Vec<FrameInfo> {
        if let Some(frames) = self.frames.get(&id) {
            return frames.clone();
        }
        let location = self.profile.location(id);
        let mapping = location.mapping;
        let names: Vec<FrameName> = if location.lines.is_empty() {
            vec![match mapping {
                Some(mapping) => FrameName::Nameless { mapping },
                None => FrameName::Address { address: location.address },
            }]
        } else {
            let function = |function| FrameName::Function { function, mapping, inlined: false };
            location.lines.iter().rev().map(|line| function(line.function)).collect()
        };
        let frames: Vec<FrameInfo> = names.into_iter().map(|name| self.frame(name)).collect();
        self.frames.insert(id, frames.clone());
        frames
    }

    fn frame(&mut self, name: FrameName) -> FrameInfo {
        if let Some(frame) = self.named.get(&name) {
            return frame.clone();
        }
        let shown = describe(self.profile, name);
        let side = if shown.side == Side::Kernel { self.kernel } else { self.user };
        let category_pair = self.module(side, shown.module);
        let frame = Frame::Label(self.file.intern_string(&shown.name));
        let frame = FrameInfo { frame, category_pair, flags: FrameFlags::empty() };
        self.named.insert(name, frame.clone());
        frame
    }

    /// The subcategory of a module: "Other" for what has none, and for one too many.
    fn module(&mut self, side: CategoryHandle, module: String) -> CategoryPairHandle {
        if module.is_empty() {
            return side.into();
        }
        let known = self.modules.len();
        let file = &mut self.file;
        *self.modules.entry((side, module)).or_insert_with_key(|(_, module)| {
            if known < MAX_MODULES { file.add_subcategory(side, module) } else { side.into() }
        })
    }
}

/// Nanoseconds as the nearest whole number of milliseconds.
fn milliseconds(nanoseconds: i64) -> i64 {
    nanoseconds.saturating_add(500_000) / 1_000_000
}

/// A value as weights of 32 bits.
fn pieces(value: i64) -> io::Result<Vec<i32>> {
    let most = i64::from(i32::MAX);
    if value.unsigned_abs() > (most * PIECES) as u64 {
        return Err(io::Error::other(format!(
            "a stack's value of {value} is too large for the Firefox Profiler's format"
        )));
    }
    let mut pieces = vec![(most * value.signum()) as i32; (value.abs() / most) as usize];
    let rest = value % most;
    if rest != 0 {
        pieces.push(rest as i32);
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use serde_json::Value;

    use super::*;
    use crate::format::example;
    use crate::profile::{Builder, Location, SampleType};

    fn file(profile: &Profile) -> Value {
        let mut bytes = Vec::new();
        write(profile, "title", &mut bytes).expect("a Vec takes every write");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The sum of the weights of all threads.
    fn weights(file: &Value) -> i64 {
        let threads = file["threads"].as_array().expect("threads");
        let of = |thread: &Value| -> i64 {
            let weights = thread["samples"]["weight"].as_array().expect("weights");
            weights.iter().map(|weight| weight.as_i64().expect("a number")).sum()
        };
        threads.iter().map(of).sum()
    }

    #[test]
    fn every_sample_is_in_the_file_and_inlined_functions_are_frames() {
        let file = file(&example::small());
        assert_eq!(weights(&file), 50, "samples, not nanoseconds");
        let text = file.to_string();
        for name in ["inlined_helper", "[libc.so.6]", "ksys_write", "libc.so.6"] {
            assert!(text.contains(&format!("\"{name}\"")), "{name}");
        }
        assert_eq!(file["threads"][0]["samples"]["weightType"], "samples");
    }

    #[test]
    fn random_profiles_keep_their_totals() {
        for seed in 0..20 {
            let profile = example::random(seed);
            assert_eq!(weights(&file(&profile)), profile.total(0), "seed {seed}");
        }
        assert_eq!(weights(&file(&example::stackless())), 3);
        assert_eq!(file(&Profile::default())["threads"], serde_json::json!([]));
    }

    #[test]
    fn more_bytes_than_a_weight_holds_are_several_samples() {
        let heap = |bytes| {
            let mut b = Builder::new(vec![SampleType::new("inuse_space", "bytes")], 0);
            let none = b.label_set(Vec::new());
            b.sample(None, none, &[bytes]);
            b.finish()
        };
        assert_eq!(weights(&file(&heap(5 << 30))), 5 << 30);
        assert_eq!(weights(&file(&heap(-(5 << 30)))), -(5 << 30));
        let huge = write(&heap(i64::MAX), "t", &mut Vec::new()).expect_err("2^63 bytes");
        assert!(huge.to_string().contains("too large"), "{huge}");
        assert!(write(&heap(i64::MIN), "t", &mut Vec::new()).is_err());
    }

    #[test]
    fn many_values_of_many_pieces_are_refused() {
        let mut b = Builder::new(vec![SampleType::new("inuse_space", "bytes")], 0);
        for address in 0..=(MAX_PIECES as u64 / 1000) {
            let location = b.location(Location { mapping: None, address, lines: Vec::new() });
            let stack = b.stack([location]);
            let none = b.label_set(Vec::new());
            b.sample(stack, none, &[i64::from(i32::MAX) * 1001]);
        }
        let error = write(&b.finish(), "t", &mut Vec::new()).expect_err("2^20 pieces");
        assert!(error.to_string().contains("too large"), "{error}");
    }

    #[test]
    fn a_module_is_one_subcategory_and_one_too_many_is_none() {
        let profile = Profile::default();
        let mut converter = Converter::new(&profile, "t");
        let (user, kernel) = (converter.user, converter.kernel);
        let first = converter.module(user, "libc.so.6".to_owned());
        assert_eq!(converter.module(user, "libc.so.6".to_owned()), first);
        assert_ne!(converter.module(kernel, "libc.so.6".to_owned()), first);
        for other in 0..70_000 {
            converter.module(user, other.to_string());
        }
        assert_eq!(converter.module(user, "libc.so.6".to_owned()), first);
        assert_eq!(converter.module(user, "69999".to_owned()), user.into());
        assert_eq!(converter.module(user, String::new()), user.into());
    }

    #[test]
    fn times_of_2_to_the_63_are_told_and_do_not_turn_below_zero() {
        assert_eq!(milliseconds(i64::MAX), i64::MAX / 1_000_000);
        assert_eq!(milliseconds(i64::MIN + 1), (i64::MIN + 500_001) / 1_000_000);
        assert_eq!([499_999, 500_000, 1_499_999].map(milliseconds), [0, 1, 1]);
        let mut b = Builder::new(vec![SampleType::new("cpu", "nanoseconds")], 0);
        let none = b.label_set(Vec::new());
        b.sample(None, none, &[i64::MAX]);
        let error = write(&b.finish(), "t", &mut Vec::new()).expect_err("292 years");
        assert!(error.to_string().contains("too large"), "{error}");
    }

    #[test]
    fn hostile_names_are_made_visible() {
        let text = file(&example::of_names(&["a\u{202e}\u{0}", "b"])).to_string();
        assert!(!text.contains(['\u{202e}']) && !text.contains("\\u0000"), "{text}");
    }
}
