//! What a profile's numbers do not cover: every loss, by cause.

use std::path::PathBuf;

use flame_common::sample::StackEnd;
use flame_common::stat::Stat;

use crate::aggregate::Aggregate;
use crate::bpf::Counts;
use crate::profile::Unit;
use crate::unwind::Refused;

/// How good a recording is. Counts are of samples unless they say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quality {
    /// Samples in the profile.
    pub samples: u64,
    /// Samples that did not get into it, by cause; causes that did not occur are left out.
    pub lost: Vec<(String, u64)>,
    /// Times that the sampling clocks of all CPUs should have fired and did not: a timer that came
    /// late, as in virtual machines whose CPU was taken away, or rested on an idle CPU. What they
    /// would have sampled is not known.
    pub missed: u64,
    /// Samples by why their user stack ended.
    pub stack_ends: Vec<(String, u64)>,
    /// Samples whose user stack did not reach its root, whatever the reason.
    pub not_whole: u64,
    /// Those of them whose stack was cut at the frame limit, or goes on beyond what was copied of it.
    pub truncated: u64,
    /// Frames of all samples.
    pub frames: u64,
    /// Those of them that are guesses: found by a frame pointer, in code without unwind tables.
    pub guesses: u64,
    /// Frames of all samples that have no name.
    pub unnamed: u64,
    /// Where the unnamed frames lie, most first.
    pub unnamed_files: Vec<UnnamedFile>,
    /// Processes that were sampled.
    pub processes: u64,
    /// Samples with a frame in generated code that has no name.
    pub generated: u64,
    /// What else is to be known: files that could not be read, process records that were lost.
    pub notes: Vec<String>,
}

/// A file whose code was sampled and has no names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnnamedFile {
    /// The file.
    pub path: PathBuf,
    /// Its build ID in hexadecimal; empty if it has none.
    pub build_id: String,
    /// Unnamed frames in it, of all samples.
    pub frames: u64,
    /// What would give names.
    pub advice: String,
}

impl Quality {
    /// What the kernel and the aggregation tell, names left aside.
    pub(super) fn count(
        sum: &Aggregate,
        kernel: &Counts,
        side: &SideLosses,
        expected: Option<u64>,
    ) -> Self {
        let missed = expected.map_or(0, |times| times.saturating_sub(kernel.get(Stat::Fired)));
        let lost = [Stat::RingFull, Stat::NoPid];
        Self { missed, ..Self::of(sum, kernel, side, &lost, &[Stat::NoKernelStack]) }
    }

    /// The same for allocations.
    pub(super) fn count_allocations(sum: &Aggregate, kernel: &Counts, side: &SideLosses) -> Self {
        let lost = [Stat::HeapRingFull, Stat::HeapBusy, Stat::CallsFull];
        let noted = [
            Stat::FreeRingFull,
            Stat::BlockReplaced,
            Stat::BlocksFull,
            Stat::MayThrow,
            Stat::NestedCall,
            Stat::GrowthRingFull,
            Stat::GrowthBusy,
            Stat::ResidentFull,
        ];
        Self::of(sum, kernel, side, &lost, &noted)
    }

    fn of(
        sum: &Aggregate,
        kernel: &Counts,
        side: &SideLosses,
        lost: &[Stat],
        noted: &[Stat],
    ) -> Self {
        let lost = lost.iter().map(|stat| (stat.meaning().to_owned(), kernel.get(*stat))).chain([
            ("samples lost: too many distinct stacks".to_owned(), sum.lost),
            ("samples lost: not understood".to_owned(), side.malformed_samples),
        ]);
        let ends = StackEnd::ALL.iter().zip(sum.ends);
        let short = ends.clone().filter(|(end, _)| !end.is_whole());
        let not_whole = short.map(|(_, count)| count).sum();
        let mut quality = Self {
            samples: sum.samples,
            lost: lost.filter(|(_, count)| *count > 0).collect(),
            stack_ends: ends
                .filter(|(_, count)| *count > 0)
                .map(|(end, count)| (end.meaning().to_owned(), count))
                .collect(),
            not_whole,
            guesses: sum.guesses,
            truncated: sum.ends[StackEnd::Truncated as usize]
                + sum.ends[StackEnd::CopyTooShort as usize],
            ..Self::default()
        };
        let all = [Stat::TargetsFull, Stat::Copied, Stat::NotCopied, Stat::ProcessesFull];
        for &stat in noted.iter().chain(&all) {
            quality.note_count(kernel.get(stat), stat.meaning());
        }
        quality.note_count(side.lost_records, "process records lost: names may be wrong");
        quality.note_count(side.malformed_records, "process records not understood");
        quality.note_count(
            side.refused.tables,
            "unwind tables found no room in the kernel: their code was walked by frame pointer",
        );
        quality.note_count(
            side.refused.slices,
            "pieces of unwind tables made room for others in the kernel: stacks through them were \
             finished in user space until they were back",
        );
        quality.note_count(
            side.refused.processes,
            "times a process's mappings found no room in the kernel",
        );
        quality
    }

    fn note_count(&mut self, count: u64, meaning: &str) {
        if count > 0 {
            self.notes.push(format!("{count} {meaning}"));
        }
    }

    /// All samples that did not get into the profile.
    pub fn lost_total(&self) -> u64 {
        self.lost.iter().map(|(_, count)| count).sum()
    }

    /// The whole in one line for people.
    pub fn line(&self) -> String {
        let number = |count: u64| Unit::Count.format(count as i64);
        format!(
            "{} samples, {} lost, {} stacks not whole, {} of frames without a name",
            number(self.samples),
            number(self.lost_total()),
            number(self.not_whole),
            percent(self.unnamed, self.frames),
        )
    }

    /// The whole as lines of text, for the profile's comments.
    pub fn comments(&self) -> Vec<String> {
        let mut lines = vec![format!("quality: {}", self.line())];
        lines.extend(self.lost.iter().map(|(cause, count)| format!("{cause}: {count}")));
        if self.missed > 0 {
            lines.push(format!(
                "timer: the sampling clocks of all CPUs fired {} times fewer than their rate asks: \
                 late under load, or at rest on an idle CPU",
                self.missed
            ));
        }
        let ends: Vec<String> =
            self.stack_ends.iter().map(|(end, count)| format!("{end} {count}")).collect();
        if !ends.is_empty() {
            lines.push(format!("user stacks ended: {}", ends.join(", ")));
        }
        if self.guesses > 0 {
            lines.push(format!(
                "{} frames are guesses: found by frame pointer, in code without unwind tables",
                self.guesses
            ));
        }
        for file in &self.unnamed_files {
            let (path, frames) = (file.path.display(), file.frames);
            lines.push(format!("no names: {frames} frames in {path}; {}", file.advice));
        }
        lines.extend(self.notes.iter().cloned());
        lines
    }
}

/// What was lost on the way, besides what the kernel programs count.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SideLosses {
    pub(super) lost_records: u64,
    pub(super) malformed_records: u64,
    pub(super) malformed_samples: u64,
    pub(super) refused: Refused,
}

/// A share for people.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    format!("{:.1} %", part as f64 * 100.0 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_add_up_and_stand_in_the_comments() {
        let quality = Quality {
            samples: 1000,
            lost: vec![("samples lost: a".into(), 2), ("samples lost: b".into(), 3)],
            not_whole: 2,
            guesses: 7,
            frames: 200,
            unnamed: 1,
            ..Quality::default()
        };
        assert_eq!(quality.lost_total(), 5);
        assert_eq!(
            quality.line(),
            "1,000 samples, 5 lost, 2 stacks not whole, 0.5 % of frames without a name"
        );
        assert!(quality.comments().contains(&"samples lost: b: 3".to_owned()));
        assert!(quality.comments().iter().any(|line| line.starts_with("7 frames are guesses")));
    }
}
