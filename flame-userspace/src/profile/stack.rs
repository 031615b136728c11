//! Stacks: a prefix tree of locations, so that shared callers are stored once.

use super::{LocationId, StackId};

/// A frame and the stack that called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StackNode {
    /// The caller's stack; `None` for an outermost frame. Always an earlier node.
    pub parent: Option<StackId>,
    /// The frame.
    pub location: LocationId,
}

/// The locations of a stack, innermost first.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    nodes: &'a [StackNode],
    next: Option<StackId>,
}

impl<'a> Frames<'a> {
    pub(super) fn new(nodes: &'a [StackNode], leaf: Option<StackId>) -> Self {
        Self { nodes, next: leaf }
    }
}

impl Iterator for Frames<'_> {
    type Item = LocationId;

    fn next(&mut self) -> Option<LocationId> {
        let node = self.nodes[self.next?.index()];
        self.next = node.parent;
        Some(node.location)
    }
}
