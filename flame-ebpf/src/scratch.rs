//! What each CPU has to itself.

use core::mem::offset_of;

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use flame_common::limits::HEAP_PLACES;
use flame_common::sample::SampleBuffer;
use flame_common::stat::FIRED;

use crate::config::config;
use crate::maps::{BUSY, PLACES};
use crate::memory::exchange;
use crate::slot::Turn;
use crate::stack::{RememberedRules, Walk};

/// Where a sample is put together. A page that was not touched for a millisecond costs as much as many
/// lines of one: what every sample needs lies in one page, up to the first hundreds of its frames.
#[repr(C)]
pub(crate) struct Place {
    /// The clock's: how often it fired.
    fired: u64,
    turn: Turn,
    walk: Walk,
    buffer: SampleBuffer,
    remembered: RememberedRules,
}

const _: () = assert!(offset_of!(Place, fired) == FIRED * 8);

/// A CPU's own.
pub(crate) struct Scratch {
    pub(crate) buffer: &'static mut SampleBuffer,
    pub(crate) walk: &'static mut Walk,
    pub(crate) remembered: &'static mut RememberedRules,
    /// Which of the clock's slots is next.
    pub(crate) turn: &'static mut Turn,
}

impl Scratch {
    #[inline(always)]
    fn of(place: &'static mut Place) -> Self {
        let Place { turn, walk, buffer, remembered, .. } = place;
        Self { buffer, walk, remembered, turn }
    }
}

/// This CPU's own, for its sampling event, which is counted. The program asks for it once.
#[inline(always)]
pub(crate) fn of_event() -> Option<Scratch> {
    let place = place(0)?;
    place.fired = place.fired.wrapping_add(1);
    Some(Scratch::of(place))
}

/// One of this CPU's own for allocations and a thread's end, and its number, which is to be given back;
/// `None` if all are in use.
///
/// A program on a probe may be preempted by another task of the CPU, which hits a probe too.
// verifier: no function that is given what to do, which would be one of its own with a stack of its
// own: kernels before 6.13 have 512 bytes for all that call each other.
#[inline(always)]
pub(crate) fn take() -> Option<(Scratch, u32)> {
    let number = free_place()?;
    let place = place(1 + number);
    if place.is_none() {
        give_back(number);
    }
    Some((Scratch::of(place?), number))
}

/// Lets others have a place.
#[inline(always)]
pub(crate) fn give_back(number: u32) {
    if let Some(mark) = BUSY.get_ptr_mut(number) {
        exchange(mark, 0);
    }
}

/// Takes a place that nobody uses. What marks it as used is its number and one.
#[inline(always)]
fn free_place() -> Option<u32> {
    let mut place = 0;
    while place < HEAP_PLACES {
        let mark = BUSY.get_ptr_mut(place)?;
        if exchange(mark, u64::from(place) + 1) == 0 {
            // verifier: the number as memory has it, or it would follow all that is done with each
            // place, one after the other.
            // SAFETY: the mark is a map's value, which lives as long as the program runs.
            let number = unsafe { mark.read_volatile() };
            return Some((number as u32).wrapping_sub(1) & (HEAP_PLACES - 1));
        }
        place += 1;
    }
    None
}

const _: () = assert!(HEAP_PLACES.is_power_of_two());

#[inline(always)]
fn place(index: u32) -> Option<&'static mut Place> {
    // SAFETY: the helper takes nothing and cannot fail.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let of_cpu = cpu.wrapping_mul(config!(places)).wrapping_add(index);
    let place = PLACES.get_ptr_mut(of_cpu)?;
    // SAFETY: the places are this CPU's own. The first is asked for once by the program of the
    // sampling event, and the kernel runs one such program at a time on a CPU (`bpf_prog_active`);
    // the others are marked in `BUSY` while they are in use, and a program on a probe stays on its
    // CPU. There are no second references.
    Some(unsafe { &mut *place })
}

/// The same number, of which the verifier knows nothing any more.
///
/// verifier: it follows every value of a loop's counter through all that comes after the loop,
/// and most of the time that loading takes goes there. What was in memory meanwhile is any number
/// to it, so that the ways out of the loop are one to it. `black_box` alone hides a value from the
/// compiler and not from the verifier.
#[inline(always)]
pub(crate) fn unknown(buffer: &mut SampleBuffer, number: usize) -> usize {
    let slot = &raw mut buffer.header.time_ns;
    // SAFETY: the slot is a part of the buffer that is borrowed here, and any bits are a number.
    unsafe {
        slot.write_volatile(number as u64);
        slot.read_volatile() as usize
    }
}
