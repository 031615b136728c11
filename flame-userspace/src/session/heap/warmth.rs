//! How much cheaper hits of probes are where they come twice as densely: seen in a loop of flame's
//! own, beside the sampling.
//!
//! What runs between two traps pushes the kernel's own code and data out of the CPU's caches, and
//! so does whoever shares the core: in a virtual machine a hit takes 1.4 times as long for a tenth
//! of a second, and for hours some percent more, and then dense hits are 5 % cheaper, else 0.6.

use std::time::Instant;

use anyhow::{Context as _, Result};
use flame_common::block::OWN;

use super::calibrate::median;
use super::own_code::{OwnProbes, place};
use crate::bpf::{HeapPrograms, Probe};

/// Rounds of arithmetic between the places that are probed: 0.3 us. What comes out is the same for
/// a tenth of that and for five times as much.
const APART: usize = 400;
/// A look: so many batches of so many rounds of each loop: half a millisecond.
const BATCHES: usize = 15;
const ROUNDS: u32 = 10;
/// The instruction that is probed, `nop`: one that the kernel emulates.
const PROBED: u8 = 0x90;
/// Bytes in which a loop's second place is.
const REACH: usize = 32;

/// A loop of two halves, each of which begins with a place for a probe. All are the same code, so
/// that they differ by their probes alone.
macro_rules! two_places {
    ($name:ident) => {
        #[unsafe(naked)]
        extern "C" fn $name(_rounds: usize) {
            core::arch::naked_asm!(
                ".p2align 6",
                "nop",
                "mov rcx, rdi",
                "2: imul rax, rcx",
                "dec rcx",
                "jnz 2b",
                "nop",
                "mov rcx, rdi",
                "3: imul rax, rcx",
                "dec rcx",
                "jnz 3b",
                "ret",
            )
        }
    };
}

two_places!(without);
two_places!(with_one);
two_places!(with_two);

/// What a hit took in nanoseconds, at one density and at twice that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Warmth {
    pub(super) once: f64,
    pub(super) twice: f64,
}

/// The loops, probed.
pub(super) struct Loops {
    /// Out when they are dropped.
    _probes: OwnProbes,
}

impl Loops {
    /// Puts probes into flame's own code.
    pub(super) fn probe(programs: &HeapPrograms) -> Result<Self> {
        // SAFETY: the loop is longer than that.
        let code = unsafe { std::slice::from_raw_parts(with_two as *const u8, REACH) };
        let second = code.iter().skip(1).position(|&byte| byte == PROBED);
        let second = second.context("find the second place in flame's own code")? as u64 + 1;
        let (one, two) = (place(with_one)?, place(with_two)?);
        let probes = [one, two, two + second].map(|offset| Probe { offset, cookie: OWN });
        Ok(Self { _probes: OwnProbes::open(programs, &probes)? })
    }

    /// Looks how it is now. (Medians: in the mean, one moment in which the machine does other things
    /// would count for hundreds of rounds.)
    #[expect(clippy::unused_self, reason = "without the probes it would see nothing")]
    pub(super) fn look(&self) -> Warmth {
        let mut took = [const { Vec::new() }; 3];
        for _ in 0..BATCHES {
            for (code, took) in [without, with_one, with_two].into_iter().zip(&mut took) {
                let start = Instant::now();
                (0..ROUNDS).for_each(|_| code(APART));
                took.push(start.elapsed().as_nanos() as f64 / f64::from(ROUNDS));
            }
        }
        let [bare, one, two] = took.map(median);
        Warmth { once: one - bare, twice: (two - bare) / 2.0 }
    }
}
