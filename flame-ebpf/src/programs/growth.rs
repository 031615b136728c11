//! Memory that targets get from the kernel: pages that come when anonymous memory is first touched,
//! by the program or by a system call on its behalf, and that go when they are given back.
//!
//! The page allocator's own tracepoints tell it, and not the page fault's: they know how large a
//! piece is (a huge page comes by one fault), see what system calls touch, and see it go.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use flame_common::block::Block;
use flame_common::sample::SampleKind;
use flame_common::stat::Stat;

use crate::collect::{self, Measured};
use crate::emit::tell_end;
use crate::filter::wanted;
use crate::maps::{GROWTH, GROWTH_COUNTDOWN, RESIDENT};
use crate::poisson::{self, new_id};
use crate::scratch;
use crate::stat::bump;
use crate::task::{self, Ids};

/// Bytes of a page, as a power of two.
const PAGE_BITS: u64 = 12;
/// The largest piece that the page allocator gives is far below this many times doubled a page.
const MOST_DOUBLED: u64 = 20;

/// Flags that an allocation is asked with (`include/linux/gfp_types.h`; the same since Linux 4.14).
mod gfp {
    /// Memory of user space, which can be moved.
    pub(super) const HIGHMEM: u64 = 0x02;
    pub(super) const MOVABLE: u64 = 0x08;
    /// Zeroed, as an anonymous page is: those of files are read.
    pub(super) const ZERO: u64 = 0x100;
    /// Not from the reserves: of all memory of user space, huge pages alone.
    pub(super) const NOMEMALLOC: u64 = 0x8_0000;
}

/// `mm_page_alloc(struct page *page, unsigned int order, gfp_t gfp_flags, int migratetype)`
#[raw_tracepoint(tracepoint = "mm_page_alloc")]
fn growth_touch(ctx: RawTracePointContext) -> i32 {
    let (page, order, flags) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1), ctx.arg::<u64>(2));
    if is_touch(order, flags) && page != 0 {
        touch(page, order);
    }
    0
}

/// Whether a page is given because anonymous memory is touched for the first time.
#[inline(always)]
fn is_touch(order: u64, flags: u64) -> bool {
    let of_user = gfp::HIGHMEM | gfp::MOVABLE;
    let huge = order > 0 && flags & gfp::NOMEMALLOC != 0;
    flags & of_user == of_user && (flags & gfp::ZERO != 0 || huge)
}

#[inline(always)]
fn touch(page: u64, order: u64) -> Option<()> {
    if order > MOST_DOUBLED {
        return None;
    }
    // First the countdown, and over the pages of all processes: where the next sample lies does not
    // depend on whose pages came before it, and most pages are done with here.
    let bytes = 1 << (PAGE_BITS + order);
    let interval = poisson::sampled(bytes, &GROWTH, &GROWTH_COUNTDOWN)?;
    let ids = task::current_ids().filter(|&ids| wanted(ids))?;
    let block = Block { id: new_id(), size: bytes };
    if let Some(missed) = take(page) {
        bump(Stat::BlockReplaced);
        tell_end(ids, missed, page);
    }
    let kept = RESIDENT.insert(page, block, u64::from(BPF_ANY)).is_ok();
    if !kept {
        bump(Stat::ResidentFull);
    }
    send(ids, &block, interval, if kept { page } else { 0 });
    Some(())
}

/// Sends the sample, with the stack of the code that touched the memory.
#[inline(always)]
fn send(ids: Ids, block: &Block, interval: u64, address: u64) {
    let measured =
        Measured { kind: SampleKind::Growth, value: block.size, id: block.id, interval, address };
    let Some((mut scratch, place)) = scratch::take() else {
        bump(Stat::GrowthBusy);
        return;
    };
    let has_user = task::saved_user_registers(&mut scratch.walk.registers);
    collect::send(&mut scratch, &measured, ids, has_user, |registers| {
        task::saved_user_registers(registers);
    });
    scratch::give_back(place);
}

/// `mm_page_free(struct page *page, unsigned int order)`
#[raw_tracepoint(tracepoint = "mm_page_free")]
fn growth_release(ctx: RawTracePointContext) -> i32 {
    let page = ctx.arg::<u64>(0);
    if let Some(block) = take(page)
        // What a process has at its end counts as held.
        && !task::is_exiting()
        && let Some(ids) = task::current_ids()
    {
        tell_end(ids, block, page);
    }
    0
}

/// Takes a page out of those that are there.
#[inline(always)]
fn take(page: u64) -> Option<Block> {
    // SAFETY: read once; a page is freed by one alone.
    let block = *unsafe { RESIDENT.get(page) }?;
    // Gone already if user space was first.
    RESIDENT.remove(page).ok().map(|()| block)
}
