//! flame's kernel programs: on each sampling event the stacks of the task that runs, and the
//! processes that targets start. No logic here; see `collect` for a sample's way.
#![no_std]
#![no_main]
// Two atomic instructions, in `memory` and `scratch`.
#![feature(asm_experimental_arch)]

mod collect;
mod config;
mod emit;
mod filter;
mod known;
mod maps;
mod memory;
mod poisson;
mod programs;
mod scratch;
mod slot;
mod stack;
mod stat;
mod task;

/// The kernel gives some helpers to programs under the GPL alone; flame's may be used under it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// No panic is left in the finished programs: the verifier would refuse this loop.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
