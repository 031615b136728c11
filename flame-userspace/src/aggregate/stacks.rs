//! Distinct stacks as a tree: callers that stacks share are there once, and an address is a number.

use foldhash::HashMap;

use crate::process::CodeAddress;

/// Most nodes that are kept: some 40 bytes each.
const MOST_NODES: usize = 1 << 21;

/// A stack, by its innermost frame; `None` for a stack without frames.
pub(crate) type Stack = Option<u32>;

/// A frame and what called it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    caller: Stack,
    /// Index of its address.
    address: u32,
}

/// The tree.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    addresses: Vec<CodeAddress>,
    address_numbers: HashMap<CodeAddress, u32>,
    /// Callers come before what they call.
    nodes: Vec<Node>,
    node_numbers: HashMap<Node, u32>,
}

impl Stacks {
    /// The number of an address.
    pub(crate) fn address(&mut self, address: CodeAddress) -> u32 {
        *self.address_numbers.entry(address).or_insert_with(|| {
            self.addresses.push(address);
            (self.addresses.len() - 1) as u32
        })
    }

    /// The stack of these addresses, given outermost first; `None` where there is no more room.
    pub(crate) fn stack(&mut self, outermost_first: impl Iterator<Item = u32>) -> Option<Stack> {
        let mut caller = None;
        for address in outermost_first {
            let node = Node { caller, address };
            let number = match self.node_numbers.get(&node) {
                Some(&number) => number,
                None if self.nodes.len() >= MOST_NODES => return None,
                None => self.add(node),
            };
            caller = Some(number);
        }
        Some(caller)
    }

    /// Adds the stacks of another tree; where each of its frames is in this one.
    pub(super) fn absorb(&mut self, other: &Self) -> Vec<u32> {
        self.open();
        let mut places: Vec<u32> = Vec::with_capacity(other.nodes.len());
        for (caller, address) in other.frames() {
            let node = Node {
                caller: caller.map(|caller| places[caller as usize]),
                address: self.address(address),
            };
            places.push(self.add(node));
        }
        self.close();
        places
    }

    fn add(&mut self, node: Node) -> u32 {
        *self.node_numbers.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        })
    }

    /// Makes adding possible again.
    fn open(&mut self) {
        self.address_numbers = (0..).zip(&self.addresses).map(|(at, &found)| (found, at)).collect();
        self.node_numbers = (0..).zip(&self.nodes).map(|(at, &node)| (node, at)).collect();
    }

    /// Lets go of what only adding takes.
    pub(super) fn close(&mut self) {
        (self.address_numbers, self.node_numbers) = Default::default();
    }

    /// All distinct addresses.
    pub(crate) fn addresses(&self) -> &[CodeAddress] {
        &self.addresses
    }

    /// A frame's caller, and its address.
    pub(crate) fn frame(&self, at: u32) -> (Stack, CodeAddress) {
        let node = self.nodes[at as usize];
        (node.caller, self.addresses[node.address as usize])
    }

    /// Every frame, callers first: see [`frame`](Self::frame).
    pub(crate) fn frames(
        &self,
    ) -> impl DoubleEndedIterator<Item = (Stack, CodeAddress)> + ExactSizeIterator {
        (0..self.nodes.len()).map(|at| self.frame(at as u32))
    }

    /// The addresses of a stack, innermost first.
    pub(crate) fn of(&self, stack: Stack) -> impl Iterator<Item = CodeAddress> {
        std::iter::successors(stack, |&at| self.frame(at).0).map(|at| self.frame(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_share_their_callers_and_read_back_innermost_first() {
        let mut stacks = Stacks::default();
        let [main, a, b] = [1, 2, 3].map(|at| stacks.address(CodeAddress::Kernel(at)));
        assert_eq!(stacks.address(CodeAddress::Kernel(2)), a);
        let first = stacks.stack([main, a].into_iter()).expect("room");
        let second = stacks.stack([main, b].into_iter()).expect("room");
        assert_eq!(stacks.stack([main, a].into_iter()), Some(first));
        assert_eq!(stacks.stack([].into_iter()), Some(None));
        let read: Vec<_> = stacks.of(second).collect();
        assert_eq!(read, [CodeAddress::Kernel(3), CodeAddress::Kernel(1)]);
        assert_eq!((stacks.frames().count(), stacks.addresses().len()), (3, 3));
    }

    #[test]
    fn the_stacks_of_another_tree_find_their_like() {
        let mut stacks = Stacks::default();
        let [main, a] = [1, 2].map(|at| stacks.address(CodeAddress::Kernel(at)));
        let known = stacks.stack([main, a].into_iter()).expect("room");
        stacks.close();
        let mut other = Stacks::default();
        let [b, main, a] = [3, 1, 2].map(|at| other.address(CodeAddress::Kernel(at)));
        let same = other.stack([main, a].into_iter()).expect("room").expect("a frame");
        let new = other.stack([main, b].into_iter()).expect("room").expect("a frame");
        let places = stacks.absorb(&other);
        assert_eq!(Some(places[same as usize]), known);
        let read: Vec<_> = stacks.of(Some(places[new as usize])).collect();
        assert_eq!(read, [CodeAddress::Kernel(3), CodeAddress::Kernel(1)]);
        assert_eq!((stacks.frames().count(), stacks.addresses().len()), (3, 3));
    }
}
