//! A row of an unwind table: from this address on, this rule.

use core::hash::{Hash, Hasher};

/// Where a rule begins to hold. The rows of a text page are sorted and the first is at its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Row {
    /// The address within the text page.
    pub pc_low: u16,
    /// The number of the [`Rule`](super::Rule): in the kernel as [`Rule::number`](super::Rule::number)
    /// says, before that the rule's place in its table.
    pub rule: u16,
}

/// In one piece: tables of many rows are told apart by their hashes.
impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(u32::from(self.pc_low) << 16 | u32::from(self.rule));
    }
}

const _: () = assert!(size_of::<Row>() == 4);
