//! The kernel programs' counters: what they could not do, by cause.

/// A counter. Its number is its index in the programs' `STATS` map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Stat {
    /// The sampling event fired, whoever was running. Counted with what each CPU's clock has to itself
    /// ([`FIRED`]), and not with the others.
    Fired = 0,
    /// A sample was lost: the ring buffer was full.
    RingFull = 1,
    /// A sample was lost: its task is not visible in flame's pid namespace.
    NoPid = 2,
    /// A child process was not followed: the set of targets was full.
    TargetsFull = 3,
    /// A kernel stack could not be taken.
    NoKernelStack = 4,
    /// A user stack was copied to user space, which has to finish it.
    Copied = 5,
    /// A user stack that user space would have had to finish was not copied: too many a second, or no
    /// room.
    NotCopied = 6,
    /// The mappings of a process that began were not kept: the kernel's set was full.
    ProcessesFull = 7,
    /// A call of a target that makes a block, or makes another of it, hit a probe.
    HeapMakes = 8,
    /// A sampled allocation was lost: the ring buffer was full.
    HeapRingFull = 9,
    /// A sampled allocation was lost: the CPU was taking others.
    HeapBusy = 10,
    /// A sampled allocation was lost: too many calls were waiting for their return.
    CallsFull = 11,
    /// A sampled call was left out: it came from within another one that was sampled.
    NestedCall = 12,
    /// A sampled block's end will not be told: the set of live blocks was full.
    BlocksFull = 13,
    /// A sampled block was found where one was thought to live: its end had been missed.
    BlockReplaced = 14,
    /// The end of a sampled block was not told: the ring buffer was full.
    FreeRingFull = 15,
    /// A call of a target that frees hit a probe: most blocks are not known, since they were not
    /// sampled or are from before the start.
    HeapFrees = 16,
    /// A sample of touched memory was lost: the ring buffer was full.
    GrowthRingFull = 17,
    /// A sample of touched memory was lost: the CPU was taking others.
    GrowthBusy = 18,
    /// The release of sampled memory will not be told: the set of it was full.
    ResidentFull = 19,
    /// The clock of probes' traps fired in a target.
    Ticks = 20,
    /// The same, in a trap.
    TicksInTraps = 21,
    /// Nanoseconds that the samples of windows took.
    HeapSamplingNs = 22,
    /// A sampled call was left out: its function throws where there is no memory, and there may be
    /// none. Its return is not taken, since an exception would not find a way through it.
    MayThrow = 23,
}

impl Stat {
    /// Every counter, in the order of its number.
    pub const ALL: [Self; 24] = [
        Self::Fired,
        Self::RingFull,
        Self::NoPid,
        Self::TargetsFull,
        Self::NoKernelStack,
        Self::Copied,
        Self::NotCopied,
        Self::ProcessesFull,
        Self::HeapMakes,
        Self::HeapRingFull,
        Self::HeapBusy,
        Self::CallsFull,
        Self::NestedCall,
        Self::BlocksFull,
        Self::BlockReplaced,
        Self::FreeRingFull,
        Self::HeapFrees,
        Self::GrowthRingFull,
        Self::GrowthBusy,
        Self::ResidentFull,
        Self::Ticks,
        Self::TicksInTraps,
        Self::HeapSamplingNs,
        Self::MayThrow,
    ];

    /// What it counts, for people.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Fired => "times the sampling event fired",
            Self::RingFull => "samples lost: ring buffer full",
            Self::NoPid => "samples lost: task outside flame's pid namespace",
            Self::TargetsFull => "child processes not followed: target set full",
            Self::NoKernelStack => "kernel stacks not taken",
            Self::Copied => "user stacks finished in user space",
            Self::NotCopied => "user stacks not finished: too many to copy",
            Self::ProcessesFull => {
                "processes unknown to the kernel's unwinder for a moment: its set was full"
            }
            Self::HeapMakes => "calls that make blocks, at probes",
            Self::HeapRingFull => "sampled allocations lost: ring buffer full",
            Self::HeapBusy => "sampled allocations lost: CPU taking others",
            Self::CallsFull => "sampled allocations lost: too many calls waiting for their return",
            Self::NestedCall => "sampled allocations left out: made by another sampled one",
            Self::BlocksFull => "sampled blocks not followed to their end: set of live blocks full",
            Self::BlockReplaced => "sampled blocks whose end was missed",
            Self::FreeRingFull => "ends of sampled blocks lost: ring buffer full",
            Self::HeapFrees => {
                "calls that free, at probes: of blocks sampled or not, or from before the start"
            }
            Self::GrowthRingFull => "samples of touched memory lost: ring buffer full",
            Self::GrowthBusy => "samples of touched memory lost: CPU taking others",
            Self::ResidentFull => {
                "samples of touched memory not followed to its release: their set was full"
            }
            Self::Ticks => "times the clock of probes' traps fired in a target",
            Self::TicksInTraps => "times it fired in a trap",
            Self::HeapSamplingNs => "nanoseconds that samples of windows took",
            Self::MayThrow => {
                "sampled allocations left out: of functions that throw where memory is refused, \
                 which may be"
            }
        }
    }
}

/// Where in a CPU's first place for samples it counts how often its clock fired, in 64-bit words.
pub const FIRED: usize = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_stands_at_its_number() {
        for (index, stat) in Stat::ALL.into_iter().enumerate() {
            assert_eq!(stat as usize, index);
        }
    }
}
