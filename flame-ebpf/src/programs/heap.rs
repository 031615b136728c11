//! The probes of allocators. Each allocation counts down the bytes to the next sample of its CPU;
//! the one that passes it is sampled, with the stack of its caller. Sampled blocks are kept until
//! the call that frees them.
//!
//! A session's program serves entry and return, and asks for the return of sampled calls alone. On
//! kernels without sessions two programs share the work, and every call returns through the
//! second. `heap_alloc` knows entries alone: it samples allocations and does not know their fate.

use core::ffi::c_void;
use core::mem::offset_of;

use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::{BPF_ANY, pt_regs};
use aya_ebpf::helpers::generated::{bpf_get_attach_cookie, bpf_get_func_ip};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;
use flame_common::block::{
    ARGUMENTS_SHIFT, Block, BlockKey, Call, LEADS_SHIFT, MAY_THROW, NULL_IS_MALLOC, OF_TARGET, OWN,
    PLAIN_ALIGNMENT, PLAIN_IS_MALLOC,
};
use flame_common::heap::{Arguments, Role};
use flame_common::limits::LONGEST_SAMPLE_NS;
use flame_common::sample::SampleKind;
use flame_common::stat::Stat;
use flame_common::trap::ProbedPlace;

use crate::collect::{self, Measured};
use crate::config::config;
use crate::emit::tell_end;
use crate::filter::{allowed, note_probes, wanted};
use crate::maps::{BLOCK_COUNTERS, BLOCKS, CALLS, COUNTDOWN, HEAP, PROBED};
use crate::memory::{add_shared, kernel, user};
use crate::poisson::{self, new_id};
use crate::scratch;
use crate::stat::{add, bump};
use crate::task::{self, Ids};

/// What a session's program returns for its return to be called, and for it to be left out.
const WITH_RETURN: u32 = 0;
const WITHOUT_RETURN: u32 = 1;

/// Not by aya's `uprobe`, which has every program return 0: then each call returns through this.
#[unsafe(no_mangle)]
#[unsafe(link_section = "uprobe")]
fn heap_session(ctx: *mut c_void) -> u32 {
    session(&ProbeContext::new(ctx))
}

#[inline(always)]
fn session(ctx: &ProbeContext) -> u32 {
    let regs = registers(ctx);
    // SAFETY: the helper takes the context and returns the probe's address, at both its ends.
    let probe = unsafe { bpf_get_func_ip(ctx.as_ptr()) };
    if regs.rip == probe {
        enter(ctx, regs, false).unwrap_or(WITHOUT_RETURN)
    } else {
        leave(regs);
        0
    }
}

#[uprobe]
fn heap_enter(ctx: ProbeContext) -> u32 {
    enter(&ctx, registers(&ctx), true).unwrap_or(WITHOUT_RETURN);
    0
}

#[uprobe]
fn heap_leave(ctx: ProbeContext) -> u32 {
    leave(registers(&ctx));
    0
}

#[uprobe]
fn heap_alloc(ctx: ProbeContext) -> u32 {
    allocate(&ctx, registers(&ctx));
    0
}

#[inline(always)]
fn registers(ctx: &ProbeContext) -> &'static pt_regs {
    // SAFETY: the kernel passes the registers of the thread that hit the probe, valid while the
    // program runs.
    unsafe { &*ctx.regs }
}

/// A call of a target into an allocator.
struct Entry {
    role: Role,
    ids: Ids,
    /// Its first argument.
    first: u64,
    /// Bytes asked for; [`NO_SIZE`] where none are, or where they cannot be had.
    // verifier: no `Option`, see `take_block`.
    size: u64,
    /// Whether an exception may leave it.
    may_throw: bool,
}

/// More than a call can ask for.
const NO_SIZE: u64 = u64::MAX;

/// Understands a hit, whose return may be a trap or is not; `None` if nothing further is to be done.
#[inline(always)]
fn entry(ctx: &ProbeContext, regs: &pt_regs, may_return: bool) -> Option<Entry> {
    // SAFETY: the helper takes the context.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let ids = task::current_ids()?;
    let is_wanted = if cookie & OF_TARGET != 0 { allowed() } else { wanted(ids) };
    if !is_wanted || cookie & OWN != 0 {
        return None;
    }
    let is_free = cookie as u32 & 0xff == Role::Free as u32;
    bump(if is_free { Stat::HeapFrees } else { Stat::HeapMakes });
    note(regs, cookie);
    if may_return {
        note_return(user(regs.rsp).unwrap_or(0));
    }
    let [first, second, third] = arguments(regs, (cookie >> ARGUMENTS_SHIFT) as u32)?;
    if cookie & NULL_IS_MALLOC != 0 && first == 0 {
        return None;
    }
    if cookie & PLAIN_IS_MALLOC != 0 && first <= PLAIN_ALIGNMENT {
        return None;
    }
    let role = Role::try_from(cookie as u32 & 0xff).ok()?;
    let size = role.size(first, second, third).unwrap_or(NO_SIZE);
    Some(Entry { role, ids, first, size, may_throw: cookie & MAY_THROW != 0 })
}

/// Keeps the probe's place for the clock of traps.
#[inline(always)]
fn note(regs: &pt_regs, cookie: u64) {
    if let Some(places) = PROBED.get_ptr_mut(0) {
        let address = regs.rip;
        let distance = (cookie >> LEADS_SHIFT) as i32;
        let leads_to = address.wrapping_add_signed(i64::from(distance));
        // SAFETY: the slot is this CPU's own; see the clock for what interrupts this.
        unsafe { &mut *places }.note(ProbedPlace { address, leads_to });
    }
}

/// Keeps for the clock of traps where a function returns to, whose return is a trap too.
#[inline(always)]
fn note_return(returns_to: u64) {
    if let Some(places) = PROBED.get_ptr_mut(0) {
        // SAFETY: as in `note`.
        unsafe { &mut *places }.note_return(returns_to);
    }
}

/// The function's first three arguments, in the registers that these bits tell of.
#[inline(always)]
fn arguments(regs: &pt_regs, bits: u32) -> Option<[u64; 3]> {
    if Arguments::are_at_entry(bits) {
        return Some([regs.rdi, regs.rsi, regs.rdx]);
    }
    let [first, second, third] = Arguments::unpack(bits).0;
    // verifier: a register of the context that is only known at run time is read as any memory.
    let read = |number: u8| {
        let offset = *REGISTERS.get(usize::from(number & 15))?;
        kernel((&raw const *regs) as u64, offset)
    };
    Some([read(first)?, read(second)?, read(third)?])
}

/// Where each register is, by the number that x86-64 encodes it by.
const REGISTERS: [u32; 16] = [
    offset_of!(pt_regs, rax) as u32,
    offset_of!(pt_regs, rcx) as u32,
    offset_of!(pt_regs, rdx) as u32,
    offset_of!(pt_regs, rbx) as u32,
    offset_of!(pt_regs, rsp) as u32,
    offset_of!(pt_regs, rbp) as u32,
    offset_of!(pt_regs, rsi) as u32,
    offset_of!(pt_regs, rdi) as u32,
    offset_of!(pt_regs, r8) as u32,
    offset_of!(pt_regs, r9) as u32,
    offset_of!(pt_regs, r10) as u32,
    offset_of!(pt_regs, r11) as u32,
    offset_of!(pt_regs, r12) as u32,
    offset_of!(pt_regs, r13) as u32,
    offset_of!(pt_regs, r14) as u32,
    offset_of!(pt_regs, r15) as u32,
];

/// An entry whose fate matters. `Some` if the return is wanted; where it `always_returns`, all the
/// same.
#[inline(always)]
fn enter(ctx: &ProbeContext, regs: &pt_regs, always_returns: bool) -> Option<u32> {
    let Entry { role, ids, first, size, may_throw } = entry(ctx, regs, always_returns)?;
    let gives_up = !role.makes() || role.gives_up();
    let old = if gives_up { take_block(ids, first) } else { Block::default() };
    if role == Role::Free {
        tell_end_of(ids, old, first);
        return None;
    }
    let interval = sampled(size).unwrap_or(0);
    if interval == 0 && old.id == 0 {
        return None;
    }
    if may_throw && task::may_be_refused(size) {
        bump(Stat::MayThrow);
        // If the old block is still there, it is from now on one that is not known.
        tell_end_of(ids, old, first);
        return None;
    }
    let caller = user(regs.rsp).unwrap_or(0);
    note_return(caller);
    let call = Call {
        stack_pointer: regs.rsp,
        caller,
        argument: first,
        size,
        interval,
        old,
        role: role as u32,
        pad: 0,
    };
    if let Err(why) = await_return(&call) {
        bump(why);
        // It will most likely succeed.
        tell_end_of(ids, old, first);
        return None;
    }
    Some(WITH_RETURN)
}

/// Keeps a call until its return.
#[inline(always)]
fn await_return(call: &Call) -> Result<(), Stat> {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: read once; the thread itself writes it, and nobody else.
    let outer = unsafe { CALLS.get(thread) }.map(|outer| outer.stack_pointer);
    // A call that lies deeper than one that waits was made by it, and is a part of it. One that
    // waits below has been left by a jump.
    if outer.is_some_and(|outer| outer > call.stack_pointer) {
        return Err(Stat::NestedCall);
    }
    CALLS.insert(thread, call, u64::from(BPF_ANY)).map_err(|_| Stat::CallsFull)
}

/// The return of a call that was kept.
#[inline(always)]
fn leave(regs: &pt_regs) -> Option<()> {
    let thread = bpf_get_current_pid_tgid();
    // verifier: looked at where it lies. Kernels before 6.13 have 512 bytes of stack for all.
    // SAFETY: it stays until it is removed, which the thread itself does below.
    let call = unsafe { CALLS.get(thread) }?;
    // The return address has been taken off the stack. Another height is another call's.
    if call.stack_pointer.wrapping_add(8) != regs.rsp {
        return None;
    }
    let done = returned(regs, call);
    _ = CALLS.remove(thread);
    done
}

/// What a call that has returned did.
#[inline(always)]
fn returned(regs: &pt_regs, call: &Call) -> Option<()> {
    let ids = task::current_ids()?;
    let role = Role::try_from(call.role).ok()?;
    // verifier: 0 for none. An `Option` is moved whole, with what was never written where it is none.
    let made = match role {
        Role::PosixMemalign if regs.rax as u32 != 0 => 0,
        Role::PosixMemalign => user(call.argument).unwrap_or(0),
        Role::InPlace => call.argument,
        _ => regs.rax,
    };
    if call.old.id != 0 {
        // With a size of 0 `realloc` frees and returns null.
        if made != 0 || call.size == 0 {
            tell_end(ids, call.old, call.argument);
        } else {
            keep_block(ids, call.argument, call.old);
        }
    }
    if call.interval == 0 || made == 0 {
        return None;
    }
    let block = Block { id: new_id(), size: call.size };
    let missed = take_block(ids, made);
    if missed.id != 0 {
        bump(Stat::BlockReplaced);
        tell_end(ids, missed, made);
    }
    let followed = keep_block(ids, made, block);
    let Some((mut scratch, place)) = scratch::take() else {
        bump(Stat::HeapBusy);
        forget(ids, made);
        return None;
    };
    let measured = Measured {
        kind: SampleKind::Alloc,
        value: block.size,
        id: block.id,
        interval: call.interval,
        address: if followed { made } else { 0 },
    };
    task::returned_registers(regs, &mut scratch.walk.registers);
    let sent = collect::send(&mut scratch, &measured, ids, true, |registers| {
        task::returned_registers(regs, registers);
    });
    scratch::give_back(place);
    if !sent {
        forget(ids, made);
    }
    Some(())
}

/// An allocation whose fate is not followed.
#[inline(always)]
fn allocate(ctx: &ProbeContext, regs: &pt_regs) -> Option<()> {
    // A session in another process may have the kernel take the return.
    let Entry { role, ids, size, may_throw, .. } = entry(ctx, regs, true)?;
    if role == Role::Free {
        // For the contrast of windows a hit of this kind has to cost what others do.
        _ = sampled(0);
        return None;
    }
    let interval = sampled(size)?;
    if may_throw && size >= config!(refused_bytes) && config!(refused_bytes) != 0 {
        bump(Stat::MayThrow);
        return None;
    }
    note_probes(ids);
    // SAFETY: the helper takes nothing and cannot fail.
    let began_ns = unsafe { bpf_ktime_get_ns() };
    let measured = Measured { kind: SampleKind::Alloc, value: size, id: 0, interval, address: 0 };
    let Some((mut scratch, place)) = scratch::take() else {
        bump(Stat::HeapBusy);
        return None;
    };
    if task::caller_registers(regs, &mut scratch.walk.registers) {
        collect::send(&mut scratch, &measured, ids, true, |registers| {
            task::caller_registers(regs, registers);
        });
    }
    scratch::give_back(place);
    // SAFETY: as above.
    let took_ns = unsafe { bpf_ktime_get_ns() }.wrapping_sub(began_ns);
    add(Stat::HeapSamplingNs, took_ns.min(LONGEST_SAMPLE_NS));
    Some(())
}

/// Counts an allocation; the interval by which it is sampled, if it is.
#[inline(always)]
fn sampled(size: u64) -> Option<u64> {
    poisson::sampled(size, &HEAP, &COUNTDOWN)
}

#[inline(always)]
fn key(ids: Ids, address: u64) -> BlockKey {
    BlockKey::of(ids.pid, address)
}

/// Takes a block out of those that live; its number is 0 if there is none.
// verifier: an `Option` is moved whole, with what was never written where it is none, which kernels
// before 6.3 refuse.
#[inline(always)]
fn take_block(ids: Ids, address: u64) -> Block {
    let key = key(ids, address);
    if !may_live(&key) {
        return Block::default();
    }
    // SAFETY: read once; a block's owner alone may free it.
    let Some(&block) = (unsafe { BLOCKS.get(key) }) else { return Block::default() };
    // Gone already if user space was first.
    if BLOCKS.remove(key).is_err() {
        return Block::default();
    }
    count(&key, -1);
    block
}

/// Tells the end of a block, if it is one.
#[inline(always)]
fn tell_end_of(ids: Ids, block: Block, address: u64) {
    if block.id != 0 {
        tell_end(ids, block, address);
    }
}

/// Whether one of the blocks that share a counter lives.
#[inline(always)]
fn may_live(key: &BlockKey) -> bool {
    // SAFETY: a map's value, which lives as long as the program runs; others add to it.
    BLOCK_COUNTERS
        .get_ptr(key.counter())
        .is_some_and(|counter| unsafe { counter.read_volatile() } != 0)
}

/// Puts a block among those that live; whether there was room.
// verifier: a function of its own, for the stack's sake; see `tell_end`.
#[inline(never)]
fn keep_block(ids: Ids, address: u64, block: Block) -> bool {
    let key = key(ids, address);
    count(&key, 1);
    let kept = BLOCKS.insert(key, block, u64::from(BPF_ANY)).is_ok();
    if !kept {
        count(&key, -1);
        bump(Stat::BlocksFull);
    }
    kept
}

/// Follows a block no more of which user space will not hear: nobody else would take it out.
// verifier: a function of its own, which is looked at once.
#[inline(never)]
fn forget(ids: Ids, address: u64) {
    _ = take_block(ids, address);
}

/// Adds to a block's counter, which other CPUs and user space change as well.
#[inline(always)]
fn count(key: &BlockKey, blocks: i64) {
    let Some(counter) = BLOCK_COUNTERS.get_ptr_mut(key.counter()) else { return };
    add_shared(counter, blocks);
}
