//! What is x86-64's own: its registers by DWARF's numbers, and the frame of a signal handler.

use super::Memory;

/// DWARF's number of the frame pointer, rbp.
pub const FP: u8 = 6;
/// DWARF's number of the stack pointer, rsp.
pub const SP: u8 = 7;

/// The registers that a function keeps for its caller, and of which a walk by rules keeps no
/// track: rbx and r12 to r15. Bit n is DWARF's number n.
const OTHERS_SAVED: u16 = 1 << 3 | 0b1111 << 12;

/// The registers of a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp and r8 to r15: by DWARF's numbers.
    pub general: [u64; 16],
    /// The instruction pointer.
    pub ip: u64,
    /// Whether `ip` is a return address, which is behind the call that the frame is in.
    pub is_return: u32,
    /// Whether all of `general` is the frame's own; else the frame and stack pointers alone are.
    pub all_known: u32,
}

/// Words of a [`Registers`].
pub const REGISTER_WORDS: usize = size_of::<Registers>() / 8;

const _: () = assert!(size_of::<Registers>() == 8 * 18);

impl Registers {
    /// The stack pointer.
    #[inline(always)]
    pub const fn sp(&self) -> u64 {
        self.general[SP as usize]
    }

    /// The frame pointer.
    #[inline(always)]
    pub const fn fp(&self) -> u64 {
        self.general[FP as usize]
    }

    /// A register by DWARF's number, if it is known. A caller's register that functions need not
    /// keep is taken for unchanged: code that counts on it calls such that leaves it alone.
    #[inline(always)]
    pub fn known(&self, number: u8) -> Option<u64> {
        if self.all_known == 0 && OTHERS_SAVED & 1 << (number & 15) != 0 {
            return None;
        }
        // verifier: the mask bounds the index.
        self.general.get(usize::from(number & 15)).copied()
    }

    /// An address inside the instruction that runs or calls: what tables are looked up by.
    #[inline(always)]
    pub const fn lookup(&self) -> u64 {
        self.ip.wrapping_sub((self.is_return != 0) as u64)
    }

    /// Goes to the caller.
    #[inline(always)]
    pub fn return_to(&mut self, ip: u64, sp: u64, fp: u64) {
        self.ip = ip;
        self.general[SP as usize] = sp;
        self.general[FP as usize] = fp;
        self.is_return = 1;
        self.all_known = 0;
    }
}

/// The bytes that the kernel's code to which probed functions return has on the stack, where the
/// walk is in that code: it begins a page, saves rax, rcx and r11, calls the kernel and takes them
/// back. `None` outside of it. (Before Linux 6.11 it is one instruction and saves nothing.)
#[inline(always)]
pub const fn saved_by_return_probe(ip: u64) -> Option<u64> {
    match ip & 0xfff {
        0x00 => Some(0),
        0x01 | 0x10 => Some(8),
        0x02 | 0x0f => Some(16),
        0x04..=0x0d => Some(24),
        _ => None,
    }
}

/// Goes to the registers that were saved when a signal interrupted the frame below its handler; at
/// memory that cannot be read it stops, with some of them.
///
/// At the stack pointer is a `struct ucontext` (arch/x86/include/uapi/asm/sigcontext.h): 40 bytes
/// of flags and alternative stack, then the registers:
///
/// ```text
/// sp + 40  r8 r9 r10 r11 r12 r13 r14 r15  +104 rdi rsi  +120 rbp rbx rdx rax rcx  +160 rsp  +168 rip
/// ```
// verifier: in place, since the kernel's stack has no room for a second set of registers.
#[inline(always)]
pub(super) fn before_signal(registers: &mut Registers, memory: &mut impl Memory) -> Option<()> {
    /// DWARF's numbers in the order of the saved registers, the instruction pointer's behind them.
    const SAVED: [u8; 17] = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16];
    let at = registers.sp().wrapping_add(40);
    memory.words::<{ SAVED.len() }>(at, |place, word| {
        let number = SAVED.get(place).copied().unwrap_or_default();
        match registers.general.get_mut(usize::from(number)) {
            Some(register) => *register = word,
            None => registers.ip = word,
        }
    })?;
    registers.is_return = 0;
    registers.all_known = 1;
    Some(())
}

/// How far the return address is above the stack pointer in a lazy-binding stub, whose second
/// instruction, at byte `from`, pushes a word.
#[inline(always)]
pub(super) const fn plt_offset(ip: u64, from: u64) -> u64 {
    if ip & 15 >= from { 16 } else { 8 }
}
