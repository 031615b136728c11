//! Walking the list of buckets, and what its counts stand for. The program may have written any
//! list: it is bounded in buckets and in the words of their stacks, and has no circle.

use std::collections::HashSet;
use std::fmt;

use super::Variables;
use super::words::{word, words};
use crate::process::Memory;

/// How often a bucket is read until it is read twice alike.
const TRIES: usize = 4;
/// What Go samples by unless told otherwise, in bytes.
const DEFAULT_RATE: u64 = 512 << 10;
/// The most buckets that are read.
const MOST_BUCKETS: usize = 1 << 20;
/// The most words of all stacks that are read: 64 MiB, where large programs have a tenth.
const MOST_WORDS: usize = 8 << 20;
/// The deepest stack that a bucket may have (`maxProfStackDepth` is 1024).
const DEEPEST: u64 = 2048;
/// Words of a bucket before its stack: next, allnext, typ, hash, size, nstk.
const HEADER: usize = 6;
/// Words behind the stack: one published cycle and three to come, of four counts each.
const RECORD: usize = 16;
/// `memProfile` among the kinds of buckets.
const MEMORY_KIND: u64 = 1;
/// Words that are read at first: most stacks fit.
const FIRST_READ: usize = HEADER + 32 + RECORD;

/// A Go program's own heap profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoProfile {
    pub(crate) records: Vec<GoRecord>,
    /// Mean bytes between samples.
    pub(crate) rate: u64,
    /// The rate is not known, and taken for Go's default.
    pub(crate) is_rate_assumed: bool,
    /// Why the list was not read to its end.
    pub(crate) cut: Option<Cut>,
}

/// Why a list was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// More buckets, or words of their stacks, than are read.
    TooMany,
    /// A bucket is none.
    Astray,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "it has more stacks than flame reads",
            Self::Astray => "its list of stacks could not be followed to the end",
        })
    }
}

/// What was allocated with one stack in one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoRecord {
    /// Return addresses, innermost first. Each inlined call has an address of its own: where
    /// symbols tell n functions at an address, the n - 1 addresses behind it tell them again.
    /// The innermost frames are the runtime's own.
    pub(crate) stack: Vec<u64>,
    /// What was sampled.
    pub(crate) sampled: Counts,
}

/// A bucket's counts of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) allocs: u64,
    pub(crate) frees: u64,
    pub(crate) alloc_bytes: u64,
    pub(crate) free_bytes: u64,
}

/// Why a Go program has no profile to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoProfile {
    /// The linker left profiling out, as nothing in the program would read a profile.
    LeftOut,
    /// The program set `MemProfileRate` to 0.
    TurnedOff,
    /// Its memory cannot be read: it has gone, or flame may not.
    Unreadable,
    /// Its list of stacks leads back to itself, as none of Go's own does.
    Circular,
}

impl NoProfile {
    /// For the user, with what to do.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::LeftOut => {
                "this Go program takes no heap profile of itself: nothing in it reads one, so the linker left it out. Import net/http/pprof or runtime/pprof and use it, or profile its CPU time"
            }
            Self::TurnedOff => {
                "this Go program takes no heap profile of itself: its runtime.MemProfileRate is 0"
            }
            Self::Unreadable => "this Go program's memory cannot be read",
            Self::Circular => {
                "this Go program's heap profile cannot be read: its list of stacks leads back to itself"
            }
        }
    }
}

/// Reads the profile of a process whose program's variables were found ([`super::locate`]).
pub(crate) fn read(
    variables: &Variables,
    memory: &impl Memory,
    bias: u64,
) -> Result<GoProfile, NoProfile> {
    let value = |address: u64| word(memory, address.wrapping_add(bias));
    if !variables.has_reader {
        return Err(NoProfile::LeftOut);
    }
    let rate = match variables.rate {
        Some(address) => Some(value(address).ok_or(NoProfile::Unreadable)?),
        None => None,
    };
    if rate.is_some_and(|rate| rate as i64 <= 0) {
        return Err(NoProfile::TurnedOff);
    }
    let first = value(variables.buckets).ok_or(NoProfile::Unreadable)?;
    let (buckets, cut) = buckets(memory, first)?;
    let cycle = variables.cycle.and_then(value).map(|word| word as u32);
    let published = published(&buckets, cycle);
    let known_rate = rate.unwrap_or(DEFAULT_RATE);
    let records = buckets
        .into_iter()
        .zip(published)
        .filter(|(_, sampled)| *sampled != Counts::default())
        .map(|(bucket, sampled)| GoRecord { stack: bucket.stack, sampled })
        .collect();
    Ok(GoProfile { records, rate: known_rate, is_rate_assumed: rate.is_none(), cut })
}

/// A bucket as it was read.
#[derive(Debug)]
struct Bucket {
    stack: Vec<u64>,
    active: Counts,
    future: [Counts; 3],
}

/// The buckets from the first on, and why not all, if so. New ones are put before the first, so
/// that the list as it was when the first was read stays whole.
fn buckets(memory: &impl Memory, first: u64) -> Result<(Vec<Bucket>, Option<Cut>), NoProfile> {
    let (mut found, mut words) = (Vec::new(), 0);
    let mut seen = HashSet::new();
    let mut at = first;
    while at != 0 {
        if !seen.insert(at) {
            return Err(NoProfile::Circular);
        }
        if found.len() == MOST_BUCKETS {
            return Ok((found, Some(Cut::TooMany)));
        }
        let Some((bucket, next)) = bucket(memory, at) else {
            return Ok((found, Some(Cut::Astray)));
        };
        words += bucket.stack.len();
        if words > MOST_WORDS {
            return Ok((found, Some(Cut::TooMany)));
        }
        found.push(bucket);
        at = next;
    }
    Ok((found, None))
}

/// A bucket and the address of the next.
fn bucket(memory: &impl Memory, address: u64) -> Option<(Bucket, u64)> {
    let mut bytes = vec![0; FIRST_READ * 8];
    let read = memory.read(address, &mut bytes);
    bytes.truncate(read);
    let head = words(&bytes);
    let &[_, next, kind, _, _, depth] = head.first_chunk::<HEADER>()?;
    if kind != MEMORY_KIND || depth == 0 || depth > DEEPEST {
        return None;
    }
    let whole = HEADER + depth as usize + RECORD;
    // The counts change while they are read: what is read twice alike was not changing.
    let mut last = if head.len() >= whole { head } else { Vec::new() };
    for _ in 0..TRIES {
        let mut bytes = vec![0; whole * 8];
        if memory.read(address, &mut bytes) != bytes.len() {
            return None;
        }
        let again = words(&bytes);
        if last.get(..whole) == Some(&again) {
            break;
        }
        last = again;
    }
    let stack = last.get(HEADER..HEADER + depth as usize)?.to_vec();
    let counts = |index: usize| {
        let at = HEADER + depth as usize + index * 4;
        let &[allocs, frees, alloc_bytes, free_bytes] = last.get(at..)?.first_chunk::<4>()?;
        Some(Counts { allocs, frees, alloc_bytes, free_bytes })
    };
    let future = [counts(1)?, counts(2)?, counts(3)?];
    Some((Bucket { stack, active: counts(0)?, future }, next))
}

/// The counts that Go itself would tell now: those published, with those of a finished cycle that
/// are to be published next; of a program that has not collected garbage yet, all.
fn published(buckets: &[Bucket], cycle: Option<u32>) -> Vec<Counts> {
    // The lowest bit tells that the cycle's counts have been published.
    let pending = cycle.filter(|word| word & 1 == 0).map(|word| ((word >> 1) % 3) as usize);
    let with_pending = buckets.iter().map(|bucket| {
        let more = pending.map(|index| bucket.future[index]).unwrap_or_default();
        bucket.active.plus(more)
    });
    let counts: Vec<Counts> = with_pending.collect();
    if counts.iter().any(|counts| counts.allocs != 0 || counts.frees != 0) {
        return counts;
    }
    let all = |bucket: &Bucket| bucket.future.iter().fold(bucket.active, |sum, c| sum.plus(*c));
    buckets.iter().map(all).collect()
}

impl Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            allocs: self.allocs.wrapping_add(other.allocs),
            frees: self.frees.wrapping_add(other.frees),
            alloc_bytes: self.alloc_bytes.wrapping_add(other.alloc_bytes),
            free_bytes: self.free_bytes.wrapping_add(other.free_bytes),
        }
    }
}

/// What samples stand for. Of blocks of S bytes one is sampled with probability
/// `1 - exp(-S / rate)`, so that each stands for the inverse of that; rounded down, as
/// `runtime/pprof`'s `scaleHeapSample` does it, so that the numbers are those of Go's own dump.
pub(super) fn scaled(objects: u64, bytes: u64, rate: u64) -> (u64, u64) {
    if objects == 0 || bytes == 0 {
        return (0, 0);
    }
    if rate <= 1 {
        return (objects, bytes);
    }
    let mean = bytes as f64 / objects as f64;
    let scale = 1.0 / (1.0 - (-mean / rate as f64).exp());
    ((objects as f64 * scale) as u64, (bytes as f64 * scale) as u64)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
