//! What is asked of a heap profile.

use crate::heap::OwnFunction;

/// How allocations are sampled, and at what price.
#[derive(Debug, Clone, PartialEq)]
pub struct HeapOptions {
    /// Mean bytes between two samples; `None` to follow what is allocated.
    pub interval: Option<u64>,
    /// What is recorded.
    pub mode: HeapMode,
    /// How much heap profiling may slow a program down, in percent.
    pub overhead: f64,
    /// Functions of the programs' own allocators.
    pub own: Vec<OwnFunction>,
    /// Probe as on a kernel of this version, older than the one that runs: for tests.
    #[doc(hidden)]
    pub as_kernel: Option<(u32, u32)>,
}

impl Default for HeapOptions {
    fn default() -> Self {
        Self {
            interval: None,
            mode: HeapMode::Auto,
            overhead: 5.0,
            own: Vec::new(),
            as_kernel: None,
        }
    }
}

/// What a heap profile records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeapMode {
    /// As much as its price allows.
    Auto,
    /// Allocations and what of them is in use.
    Exact,
    /// Allocations alone, at half the price.
    Alloc,
    /// Allocations alone, in short windows at random moments.
    Governed,
    /// Who makes the processes grow, without a probe.
    Growth,
}

/// The modes by their names.
const NAMES: [(&str, HeapMode); 5] = [
    ("auto", HeapMode::Auto),
    ("exact", HeapMode::Exact),
    ("alloc", HeapMode::Alloc),
    ("governed", HeapMode::Governed),
    ("growth", HeapMode::Growth),
];

impl HeapMode {
    /// Whether allocators are probed.
    pub(in crate::session) fn probes(self) -> bool {
        self != Self::Growth
    }

    /// Whether growth is recorded, for where it is not known what is in use.
    pub(in crate::session) fn takes_growth(self) -> bool {
        self != Self::Exact
    }

    /// The mode of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, mode)| *mode)
    }

    /// The mode's name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }

    /// Every name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}
