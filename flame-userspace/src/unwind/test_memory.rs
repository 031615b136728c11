//! Registers and memory of known content, for tests.

use flame_common::unwind::{Memory, Registers, SP};

/// A memory in which each word follows from its address: a number above all stacks here, so that
/// a dereferenced CFA is plausible.
pub(super) struct Scattered;

impl Memory for Scattered {
    fn word(&mut self, address: u64) -> Option<u64> {
        Some((address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20 | 1 << 50) & !7)
    }
}

/// Registers that are all known and all different, of which the stack pointer is the lowest.
pub(super) fn scattered() -> Registers {
    let mut registers = Registers { ip: 0x40_0009, all_known: 1, ..Registers::default() };
    for (number, register) in registers.general.iter_mut().enumerate() {
        *register = 0x7ffd_0000_0000 + 0x1_0000 * number as u64;
    }
    registers.general[usize::from(SP)] = 0x7ffc_0000_0000;
    registers
}
