//! What a session gives.

use std::sync::Arc;

use super::{HeapHolder, Quality};
use crate::priority::GiveWay;
use crate::profile::Profile;

/// What a session can profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProfileType {
    /// Where CPU time goes.
    Cpu,
    /// Who allocates memory, and who holds it.
    Heap,
}

impl ProfileType {
    /// Every type.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Heap];

    /// The type of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The type's name, which its files begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Heap => "heap",
        }
    }
}

/// What a session recorded.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The profiles, of each type one: those that were asked for and could be had.
    pub profiles: Vec<Recorded>,
    /// Profiles that could not be had, and why.
    pub missing: Vec<(ProfileType, String)>,
    /// Processes of the session that run on at its end: name and pid. Empty where the target was
    /// no list of pids.
    pub running: Vec<(String, u32)>,
    /// While there is this, flame gives way.
    #[expect(dead_code, reason = "its end is what matters")]
    pub(super) way: Option<Arc<GiveWay>>,
}

impl Recording {
    /// Adds a line to the comments of its profiles.
    pub(crate) fn add_comment(&mut self, line: &str) {
        for recorded in &mut self.profiles {
            recorded.profile.add_comment(line);
            recorded.processes.iter_mut().for_each(|(_, _, profile)| profile.add_comment(line));
        }
    }
}

/// A profile of a session.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// What it profiles.
    pub of: ProfileType,
    /// All samples in one profile.
    pub profile: Profile,
    /// Each process's samples in a profile of its own: name, pid, profile; most samples first.
    /// Empty unless they were asked for.
    pub processes: Vec<(String, u32, Profile)>,
    /// What the numbers do not cover.
    pub quality: Quality,
    /// Heap: the heaviest functions with the errors of their numbers; else empty.
    pub functions: Vec<HeapFunction>,
    /// Heap: the functions that hold most of what flame saw allocated, most first; empty where
    /// that is not known.
    pub holders: Vec<HeapHolder>,
    /// Heap: the stacks whose holdings grew in the second half of the session, and not by chance,
    /// the fastest first. Leaks are among them, and what fills up.
    pub growing: Vec<HeapHolder>,
    /// Heap: what its probes cost the processes, if there were any.
    pub cost: Option<ProbeCost>,
}

/// What the probes of a heap profile cost the processes that were profiled: an estimate, by what a
/// clock finds them in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbeCost {
    /// Hits of probes.
    pub hits: f64,
    /// CPU time for each, in nanoseconds.
    pub price_ns: f64,
    /// CPU time that the clock itself took, in nanoseconds.
    pub clock_ns: f64,
    /// All of it as a share of the processes' own CPU time, in percent.
    pub percent: f64,
    /// The longest that it took to put probes in, in nanoseconds of time.
    pub attach_ns: f64,
    /// The longest that it took to take them out, likewise.
    pub detach_ns: f64,
}

/// What a function and those that it called allocated and hold.
#[derive(Debug, Clone, PartialEq)]
pub struct HeapFunction {
    /// Its name.
    pub name: String,
    /// For each sample type of the profile, the value of the samples with the function on their
    /// stack, and its standard error.
    pub values: Vec<(f64, f64)>,
}
