//! Where in a function its probe goes.
//!
//! The kernel replaces the probed instruction by a breakpoint, and then has to have its effect
//! come about. Some instructions it emulates; all others it executes elsewhere under single-step,
//! a second trap that costs many times the first. x86-64, `arch/x86/kernel/uprobes.c`:
//!
//! | emulated | since |
//! |---|---|
//! | `jmp`, `jcc`, `call` to an address relative to the instruction; `nop` (`90`) | Linux 3.15 |
//! | `push` of a register | Linux 4.16 |
//! | longer `nop`s | Linux 6.16 and later, not taken here |
//!
//! `endbr64`, `test`, `mov`, `sub` and the rest are not. A prefix `66` makes a branch one that
//! cannot be probed at all, as do segment prefixes and `lock` with any instruction.
//!
//! Instead of the first instruction a later one may be probed, if nothing can tell the difference:
//!
//! - every call comes through it, and once: from the entry on nothing branches away before it, and
//!   nothing branches to between the entry and it;
//! - the stack pointer is still that of the entry, so that the return address lies where it points
//!   (a `push` or `call` at the point itself has not happened yet when the probe fires);
//! - the arguments are still in registers, their own or those that they were copied to.

use flame_common::heap::{Arguments, Role};
use iced_x86::{
    Code, FlowControl, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register,
};

use super::code::decode;

/// How far behind the entry a probe may lie, in bytes.
pub(super) const REACH: u64 = 128;

/// Where to probe a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProbePoint {
    /// Distance from the entry, in bytes.
    pub(crate) distance: u64,
    /// How the kernel emulates the instruction there; `None` if it is single-stepped.
    pub(crate) emulated: Option<Emulated>,
    /// From there to where the instruction leads: for a branch its target, else the next one.
    pub(crate) leads_to: i32,
    /// Where the arguments are then. Those that do not matter to the role are as at the entry.
    pub(crate) arguments: Arguments,
}

/// What may be probed for a function whose code begins with `bytes`, and whose arguments are
/// `at_entry`. `is_target` says whether
/// something branches to the byte at this distance from the entry. At the entry itself, with a
/// single step, if there is nothing better.
pub(crate) fn probe_point(
    bytes: &[u8],
    role: Role,
    at_entry: Arguments,
    is_target: impl Fn(u64) -> bool,
) -> ProbePoint {
    let reach = bytes.len().min(REACH as usize);
    let mut holders = Holders::at_entry(role, at_entry);
    let mut uses = InstructionInfoFactory::new();
    for instruction in decode(&bytes[..reach], 0) {
        let distance = instruction.ip();
        if distance > 0 && is_target(distance) {
            break;
        }
        let start = distance as usize;
        let emulated = emulated(&bytes[start..start + instruction.len()]);
        if emulated.is_some() {
            let arguments = holders.arguments();
            let leads_to = leads_to(&instruction);
            return ProbePoint { distance, emulated, leads_to, arguments };
        }
        if !may_precede(&instruction, &mut uses) || !holders.follow(&instruction, &mut uses) {
            break;
        }
    }
    ProbePoint { distance: 0, emulated: None, leads_to: 0, arguments: at_entry }
}

/// How the kernel emulates a probed instruction. Each takes it a time of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emulated {
    Push,
    Branch,
    Nop,
}

/// The first `push` that a function, whose code begins with `bytes`, comes to if it takes no branch:
/// its distance from the entry, and its length, in bytes. Not all calls need come through it.
pub(super) fn first_push(bytes: &[u8]) -> Option<(u64, i32)> {
    let reach = bytes.len().min(REACH as usize);
    for instruction in decode(&bytes[..reach], 0) {
        let start = instruction.ip() as usize;
        let length = instruction.len();
        if emulated(&bytes[start..start + length]) == Some(Emulated::Push) {
            return Some((instruction.ip(), length as i32));
        }
        let goes_on = matches!(
            instruction.flow_control(),
            FlowControl::Next | FlowControl::ConditionalBranch
        );
        if !goes_on {
            break;
        }
    }
    None
}

/// From an instruction to where it leads.
fn leads_to(instruction: &Instruction) -> i32 {
    let to = match instruction.op0_kind() {
        OpKind::NearBranch64 => instruction.near_branch_target(),
        _ => instruction.next_ip(),
    };
    // A near branch reaches 2 GiB.
    to.wrapping_sub(instruction.ip()) as i32
}

/// How the kernel emulates an instruction, in all versions from 4.16 on.
fn emulated(instruction: &[u8]) -> Option<Emulated> {
    match instruction {
        [0x90] => Some(Emulated::Nop),
        [0x50..=0x57] | [0x41, 0x50..=0x57] => Some(Emulated::Push),
        // `bnd` before a branch does nothing on today's processors.
        [0xf2, rest @ ..] | rest => matches!(
            rest,
            [0xeb | 0x70..=0x7f, _] | [0xe8 | 0xe9, _, _, _, _] | [0x0f, 0x80..=0x8f, _, _, _, _]
        )
        .then_some(Emulated::Branch),
    }
}

/// Whether a probe may lie behind this instruction, as far as control and the stack go.
fn may_precede(instruction: &Instruction, uses: &mut InstructionInfoFactory) -> bool {
    instruction.flow_control() == FlowControl::Next
        && !instruction.is_stack_instruction()
        && written(instruction, uses) & mask(Register::RSP) == 0
}

/// Which registers hold each of the arguments that matter: a bit for each of the sixteen, by
/// number.
#[derive(Debug, Clone, Copy)]
struct Holders {
    at_entry: Arguments,
    of: [u16; 3],
    count: usize,
}

impl Holders {
    fn at_entry(role: Role, at_entry: Arguments) -> Self {
        let of = at_entry.0.map(|register| 1 << register);
        Self { at_entry, of, count: role.arguments() }
    }

    /// Takes account of an instruction; `false` once an argument is in no register any more.
    fn follow(&mut self, instruction: &Instruction, uses: &mut InstructionInfoFactory) -> bool {
        let written = written(instruction, uses);
        let copied = copied(instruction);
        self.of[..self.count].iter_mut().all(|holders| {
            let had = *holders;
            *holders &= !written;
            if let Some((to, from)) = copied
                && had & from != 0
            {
                *holders |= to;
            }
            *holders != 0
        })
    }

    fn arguments(self) -> Arguments {
        let mut registers = self.at_entry.0;
        for (register, holders) in registers.iter_mut().zip(self.of).take(self.count) {
            if holders & 1 << *register == 0 {
                *register = holders.trailing_zeros() as u8;
            }
        }
        Arguments(registers)
    }
}

/// The general registers that an instruction writes, or may write, to.
fn written(instruction: &Instruction, uses: &mut InstructionInfoFactory) -> u16 {
    let used = uses.info(instruction).used_registers().iter();
    let changed = used.filter(|used| !matches!(used.access(), OpAccess::Read | OpAccess::CondRead));
    changed.fold(0, |all, used| all | mask(used.register()))
}

/// For a copy of a whole register: to where, from where.
fn copied(instruction: &Instruction) -> Option<(u16, u16)> {
    let is_copy = matches!(instruction.code(), Code::Mov_r64_rm64 | Code::Mov_rm64_r64);
    let (to, from) = (mask(instruction.op0_register()), mask(instruction.op1_register()));
    (is_copy && to != 0 && from != 0).then_some((to, from))
}

/// A general register's bit; no bit for others.
fn mask(register: Register) -> u16 {
    let whole = register.full_register();
    if whole.is_gpr64() { 1 << whole.number() } else { 0 }
}

/// The distances from the entry, up to [`REACH`], that branches of these instructions lead to.
/// Calls are none: what they call begins there, and does not come into its middle.
pub(super) fn targets_behind(
    entry: u64,
    instructions: impl Iterator<Item = Instruction>,
) -> Vec<u64> {
    let of_branch = |instruction: Instruction| {
        let is_branch = matches!(
            instruction.flow_control(),
            FlowControl::ConditionalBranch
                | FlowControl::UnconditionalBranch
                | FlowControl::XbeginXabortXend
        );
        let is_near = instruction.op0_kind() == OpKind::NearBranch64;
        let target = (is_branch && is_near).then(|| instruction.near_branch_target())?;
        target.checked_sub(entry).filter(|distance| (1..=REACH).contains(distance))
    };
    instructions.filter(|i| i.code() != Code::INVALID).filter_map(of_branch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(bytes: &[u8], role: Role) -> (u64, bool) {
        let point = probe_point(bytes, role, Arguments::AT_ENTRY, |_| false);
        (point.distance, point.emulated.is_some())
    }

    #[test]
    fn an_emulated_first_instruction_is_probed() {
        for first in [
            &[0x55][..],
            &[0x41, 0x57],
            &[0x90],
            &[0xeb, 0x10],
            &[0xe9, 1, 2, 3, 4],
            &[0xf2, 0xe9, 1, 2, 3, 4],
            &[0xe8, 1, 2, 3, 4],
            &[0x74, 0x10],
            &[0x0f, 0x84, 1, 2, 3, 4],
        ] {
            assert_eq!(point(first, Role::Malloc), (0, true), "{first:x?}");
        }
    }

    #[test]
    fn what_looks_alike_is_not_taken_for_emulated() {
        for first in [
            &[0xf3, 0x0f, 0x1e, 0xfa, 0xc3][..], // endbr64; ret
            &[0x66, 0x90, 0xc3],                 // a nop of two bytes
            &[0x0f, 0x1f, 0x44, 0, 0, 0xc3],     // a nop of five bytes
            &[0xf3, 0x90, 0xc3],                 // pause
            &[0x6a, 1],                          // push of a number
            &[0xff, 0x75, 0],                    // push of memory
            &[0x66, 0x55],                       // push %bp
            &[0xff, 0xe0],                       // jmp *%rax
            &[0xff, 0x25, 0, 0, 0, 0],           // jmp *0(%rip)
            &[0xe3, 0x10, 0x55],                 // jrcxz
            &[0x3e, 0x74, 0x10],                 // a branch with a hint, which cannot be probed
        ] {
            assert_eq!(point(first, Role::Malloc), (0, false), "{first:x?}");
        }
    }

    #[test]
    fn frees_of_glibc_are_probed_at_the_test_for_null() {
        // test %rdi,%rdi; je; push %rbp
        let bytes = [0x48, 0x85, 0xff, 0x0f, 0x84, 0xb5, 0, 0, 0, 0x55];
        assert_eq!(point(&bytes, Role::Free), (3, true));
    }

    #[test]
    fn endbr64_is_stepped_over() {
        // endbr64; push %rbx
        assert_eq!(point(&[0xf3, 0x0f, 0x1e, 0xfa, 0x53], Role::Malloc), (4, true));
    }

    #[test]
    fn a_moved_stack_pointer_ends_the_search() {
        // sub $8,%rsp; test %rdi,%rdi; je
        let bytes = [0x48, 0x83, 0xec, 8, 0x48, 0x85, 0xff, 0x74, 1];
        assert_eq!(point(&bytes, Role::Malloc), (0, false));
        // lea -8(%rsp),%rsp; je
        assert_eq!(point(&[0x48, 0x8d, 0x64, 0x24, 0xf8, 0x74, 1], Role::Malloc), (0, false));
        // lea 8(%rsp),%rax; je: it is only read.
        assert_eq!(point(&[0x48, 0x8d, 0x44, 0x24, 8, 0x74, 1], Role::Malloc), (5, true));
        // pop %rax; je
        assert_eq!(point(&[0x58, 0x74, 1], Role::Malloc), (0, false));
    }

    #[test]
    fn an_argument_that_is_lost_ends_the_search_if_it_matters() {
        // mov (%rsi),%rdx; je
        let bytes = [0x48, 0x8b, 0x16, 0x74, 1];
        assert_eq!(point(&bytes, Role::ReallocArray), (0, false));
        assert_eq!(point(&bytes, Role::Malloc), (3, true));
        // xor %edi,%edi; je, and mov $1,%dil; je: a part is the whole.
        assert_eq!(point(&[0x31, 0xff, 0x74, 1], Role::Malloc), (0, false));
        assert_eq!(point(&[0x40, 0xb7, 1, 0x74, 1], Role::Malloc), (0, false));
        // cmovne %rdi,%rsi; je: perhaps is as good as surely.
        assert_eq!(point(&[0x48, 0x0f, 0x45, 0xf7, 0x74, 1], Role::Calloc), (0, false));
    }

    #[test]
    fn arguments_are_followed_into_other_registers() {
        // mov %rsi,%rdx; mov %rdi,%rsi; mov %fs:(%rax),%rdi; jmp: realloc of mimalloc
        let bytes = [0x48, 0x89, 0xf2, 0x48, 0x89, 0xfe, 0x64, 0x48, 0x8b, 0x38, 0xe9, 0, 0, 0, 0];
        let none = |_| false;
        let point = probe_point(&bytes, Role::Realloc, Arguments::AT_ENTRY, none);
        assert_eq!((point.distance, point.emulated), (10, Some(Emulated::Branch)));
        assert_eq!(point.arguments, Arguments([6, 2, 2]));
        assert_eq!(
            probe_point(&bytes, Role::ReallocArray, Arguments::AT_ENTRY, none).distance,
            0,
            "rdx is lost"
        );
        // mov %rdi,%r15; je: the own register is as good.
        let point =
            probe_point(&[0x49, 0x89, 0xff, 0x74, 0], Role::Free, Arguments::AT_ENTRY, none);
        assert_eq!((point.distance, point.arguments), (3, Arguments::AT_ENTRY));
        // mov %edi,%eax; mov %rsi,%rdi; je: half of it is not it.
        assert_eq!(
            probe_point(
                &[0x89, 0xf8, 0x48, 0x89, 0xf7, 0x74, 0],
                Role::Free,
                Arguments::AT_ENTRY,
                none
            )
            .distance,
            0
        );
        // mov %rdi,%rax; xor %edi,%edi; mov %rax,%r9; xor %eax,%eax; je
        let bytes = [0x48, 0x89, 0xf8, 0x31, 0xff, 0x49, 0x89, 0xc1, 0x31, 0xc0, 0x74, 0];
        assert_eq!(
            probe_point(&bytes, Role::Malloc, Arguments::AT_ENTRY, none).arguments,
            Arguments([9, 6, 2])
        );
    }

    #[test]
    fn arguments_of_other_registers_are_followed() {
        let none = |_| false;
        // mov r12, rcx; je
        let at_entry = Arguments([1, 6, 2]);
        let point = probe_point(&[0x49, 0x89, 0xcc, 0x74, 0], Role::Malloc, at_entry, none);
        assert_eq!((point.distance, point.arguments.0[0]), (3, 1));
        // mov ecx, 0; je: the argument is lost.
        let point = probe_point(&[0xb9, 0, 0, 0, 0, 0x74, 0], Role::Malloc, at_entry, none);
        assert_eq!((point.distance, point.arguments), (0, at_entry));
    }

    #[test]
    fn a_point_that_is_come_to_from_elsewhere_is_not_taken() {
        // test %rdi,%rdi; je; and a loop back to the je, or to the middle.
        let bytes = [0x48, 0x85, 0xff, 0x74, 1];
        let at = |target| {
            probe_point(&bytes, Role::Free, Arguments::AT_ENTRY, |distance| distance == target)
                .distance
        };
        assert_eq!(at(3), 0);
        assert_eq!(at(5), 3, "behind it does not matter");
        assert_eq!(at(0), 3, "to the entry is a call of its own");
    }

    #[test]
    fn branches_back_are_found() {
        // test %rdi,%rdi; je -2 (to itself: 3); jmp -7 (to 0)
        let bytes = [0x48, 0x85, 0xff, 0x74, 0xfe, 0xeb, 0xf9];
        let targets = targets_behind(0x1000, decode(&bytes, 0x1000));
        assert_eq!(targets, [3]);
    }

    #[test]
    fn any_bytes_give_a_point_within_them_or_the_entry() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut shifted = 0;
        for round in 0..200_000 {
            let length = (random() % 48) as usize;
            let bytes: Vec<u8> = (0..length).map(|_| (random() >> 24) as u8).collect();
            let role = Role::ALL[round % Role::ALL.len()];
            let point = probe_point(&bytes, role, Arguments::AT_ENTRY, |distance| {
                distance == random_target(round)
            });
            assert!(point.distance == 0 || point.emulated.is_some());
            assert!(point.distance == 0 || (point.distance as usize) < length);
            shifted += u32::from(point.distance > 0);
        }
        assert!(shifted > 1000, "{shifted} of the points are shifted: the search was run");
    }

    fn random_target(round: usize) -> u64 {
        (round % 64) as u64
    }
}
