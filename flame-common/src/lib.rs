//! What flame's kernel programs and its user space agree on: the records of the ring buffer, the
//! load-time configuration, the counters, and the steps of the unwinder.
//!
//! Rules for what lives here. No dependency and no allocation: the same source is compiled for
//! the BPF machine and for the host. Shared structs are `repr(C)`, made of fixed-width integers,
//! largest first, with explicit padding, and their size is asserted. Whatever can be computed
//! without the kernel is computed here, so that `cargo test` runs it.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod block;
pub mod config;
pub mod cpu_time;
pub mod frame;
pub mod heap;
pub mod limits;
pub mod mapping;
pub mod poisson;
pub mod sample;
pub mod slot;
pub mod stat;
pub mod trap;
pub mod unwind;
