//! A row of an unwind table: from this address on, this rule.

/// Where a rule begins to hold. The rows of a text page are sorted and the first is at its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Row {
    /// The address within the text page.
    pub pc_low: u16,
    /// The number of the [`Rule`](super::Rule): in the kernel as [`Rule::number`](super::Rule::number)
    /// says, before that the rule's place in its table.
    pub rule: u16,
}

const _: () = assert!(size_of::<Row>() == 4);
