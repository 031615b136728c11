//! A profile as assertions want it: every stack written out, with its names and labels.

use std::collections::BTreeSet;

use flame::profile::{LabelSetId, Location, Profile};

/// What the kernel's frames have as their mapping.
const KERNEL: &str = "[kernel.kallsyms]";

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The function's name; empty if it has none.
    pub name: String,
    /// The source file; empty if unknown.
    pub file: String,
    /// The line; 0 if unknown.
    pub line: i64,
    /// The file that the code lies in; empty if unknown.
    pub mapping: String,
    /// That file's build ID; empty if unknown.
    pub build_id: String,
    /// The address in it.
    pub address: u64,
    /// Whether it was inlined into the frame before it.
    pub inlined: bool,
}

/// A stack and what it weighs.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Outermost first.
    pub frames: Vec<Frame>,
    /// Label `pid`.
    pub pid: u32,
    /// Label `tid`.
    pub tid: u32,
    /// Label `comm`.
    pub comm: String,
    /// Label `thread`.
    pub thread: String,
    /// Label `guessed_frames`; 0 without it.
    pub guesses: i64,
    /// Label `stack_end`: why the stack is not known to its root; empty without it.
    pub cut: String,
    /// Samples.
    pub count: i64,
    /// CPU time in nanoseconds.
    pub value: i64,
}

impl Stack {
    /// The frames outside the kernel, outermost first.
    pub fn user_frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| frame.mapping != KERNEL)
    }

    /// Their names.
    pub fn user(&self) -> Vec<&str> {
        self.user_frames().map(|frame| frame.name.as_str()).collect()
    }

    /// Whether a function is in it.
    pub fn has(&self, function: &str) -> bool {
        self.frames.iter().any(|frame| frame.name == function)
    }
}

/// The stacks of a profile.
#[derive(Debug, Clone)]
pub struct Seen {
    /// All of them, rows of the profile.
    pub stacks: Vec<Stack>,
    /// The profile's comments.
    pub comments: Vec<String>,
    /// Nanoseconds that a sample stands for.
    pub period: i64,
}

impl Seen {
    /// The number that a comment begins with, of those that speak of `meaning`; 0 if none does.
    pub fn told(&self, meaning: &str) -> i64 {
        let count = |line: &String| line.split_once(' ')?.0.parse::<i64>().ok();
        self.comments.iter().filter(|line| line.contains(meaning)).find_map(count).unwrap_or(0)
    }

    /// Writes a profile out.
    pub fn new(profile: &Profile) -> Self {
        let cpu = profile.sample_type_index("cpu").expect("a sample type called cpu");
        let samples = profile.sample_type_index("samples").expect("a sample type called samples");
        let stacks = profile.samples().map(|sample| {
            let mut frames: Vec<Frame> = profile
                .frames(sample.stack)
                .flat_map(|location| frames(profile, profile.location(location)))
                .collect();
            frames.reverse();
            let text = |key| profile.text_label(sample.labels, key).unwrap_or_default().to_owned();
            Stack {
                frames,
                pid: number(profile, sample.labels, "pid"),
                tid: number(profile, sample.labels, "tid"),
                comm: text("comm"),
                thread: text("thread"),
                guesses: profile.number_label(sample.labels, "guessed_frames").unwrap_or(0),
                cut: text("stack_end"),
                count: sample.values[samples],
                value: sample.values[cpu],
            }
        });
        let stacks = stacks.collect();
        Self { stacks, comments: profile.comments().to_vec(), period: profile.period() }
    }

    /// The stacks that pass.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&Stack) -> bool) -> Self {
        let stacks = self.stacks.iter().filter(|stack| wanted(stack)).cloned().collect();
        Self { stacks, ..self.clone() }
    }

    /// The stacks of one process.
    #[must_use]
    pub fn of_pid(&self, pid: u32) -> Self {
        self.only(|stack| stack.pid == pid)
    }

    /// CPU time of all, in nanoseconds.
    pub fn total(&self) -> i64 {
        self.stacks.iter().map(|stack| stack.value).sum()
    }

    /// Samples of all.
    pub fn count(&self) -> i64 {
        self.stacks.iter().map(|stack| stack.count).sum()
    }

    /// CPU time of the stacks that a function is in.
    pub fn total_of(&self, function: &str) -> i64 {
        self.only(|stack| stack.has(function)).total()
    }

    /// The same in percent of everything.
    pub fn share_of(&self, function: &str) -> f64 {
        percent(self.total_of(function), self.total())
    }

    /// CPU time of the stacks whose innermost frames outside the kernel are these, outermost
    /// first, in percent of everything.
    pub fn share_ending(&self, names: &[&str]) -> f64 {
        percent(self.only(|stack| stack.user().ends_with(names)).total(), self.total())
    }

    /// CPU time of the stacks with these frames one below the other, in percent of everything.
    pub fn share_through(&self, names: &[&str]) -> f64 {
        let through = |stack: &Stack| stack.user().windows(names.len()).any(|run| run == names);
        percent(self.only(through).total(), self.total())
    }

    /// Every pid.
    pub fn pids(&self) -> BTreeSet<u32> {
        self.stacks.iter().map(|stack| stack.pid).collect()
    }

    /// Every process name.
    pub fn comms(&self) -> BTreeSet<&str> {
        self.stacks.iter().map(|stack| stack.comm.as_str()).collect()
    }

    /// Every frame.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.stacks.iter().flat_map(|stack| &stack.frames)
    }

    /// Every frame of the kernel.
    pub fn kernel_frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames().filter(|frame| frame.mapping == KERNEL)
    }

    /// Every name.
    pub fn names(&self) -> BTreeSet<&str> {
        self.frames().map(|frame| frame.name.as_str()).collect()
    }

    /// The heaviest stacks as text, with their inner frames, for messages.
    pub fn shown(&self) -> String {
        let mut stacks: Vec<&Stack> = self.stacks.iter().collect();
        stacks.sort_by_key(|stack| -stack.value);
        let line = |stack: &&Stack| {
            let frames: Vec<&str> = stack.frames.iter().map(|f| f.name.as_str()).collect();
            let inner = &frames[frames.len().saturating_sub(12)..];
            let Stack { count, pid, comm, thread, .. } = stack;
            format!("{count:6} {pid} {comm}/{thread} {}\n", inner.join(";"))
        };
        stacks.iter().take(20).map(line).collect()
    }
}

/// A part of a whole in percent; nothing of nothing is 0.
pub fn percent(part: i64, whole: i64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// The frames at a location, innermost first.
fn frames(profile: &Profile, location: &Location) -> Vec<Frame> {
    let mapping = location.mapping.map(|id| profile.mapping(id));
    let frame = |name: &str, file: &str, line, inlined| Frame {
        name: name.to_owned(),
        file: file.to_owned(),
        line,
        mapping: mapping.map_or("", |m| profile.string(m.path)).to_owned(),
        build_id: mapping.map_or("", |m| profile.string(m.build_id)).to_owned(),
        address: location.address,
        inlined,
    };
    if location.lines.is_empty() {
        return vec![frame("", "", 0, false)];
    }
    let last = location.lines.len() - 1;
    let rows = location.lines.iter().enumerate().map(|(row, line)| {
        let function = profile.function(line.function);
        let (name, file) = (profile.string(function.name), profile.string(function.file));
        frame(name, file, line.line, row < last)
    });
    rows.collect()
}

fn number(profile: &Profile, labels: LabelSetId, key: &str) -> u32 {
    let number = profile.number_label(labels, key);
    u32::try_from(number.unwrap_or_else(|| panic!("a sample without {key}"))).expect("a pid")
}
