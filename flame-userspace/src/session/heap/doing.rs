//! What the thread does that probes allocators.

/// What the thread does, besides what it is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// All probes are open.
    Open,
    /// It waits for the next window.
    Gap,
    /// It waits for the stratum's end.
    Rest,
    /// A stretch before a window, in which the usual work is measured.
    Before,
    /// A window is open.
    Window,
    /// A moment behind a window, in which calls that free trap as well.
    Contrast,
    /// All is over.
    Closed,
}
