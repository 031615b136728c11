//! Loading kernel programs all at once: the kernel looks at some of them for a tenth of a second
//! each, on the CPU of whoever asks. Where no thread can be had all is done in turn.

use std::panic::resume_unwind;
use std::thread::{self, Builder};

use aya::Ebpf;
use aya::programs::{Program, ProgramError};

/// Loads the programs of these names that the object has, each in a thread of its own, and does
/// something else beside them. One that cannot be loaded is as it was: whoever attaches it finds out
/// why.
pub(super) fn load_beside<T>(ebpf: &mut Ebpf, names: &[&str], beside: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        for (name, program) in ebpf.programs_mut() {
            if names.contains(&name) {
                let thread = Builder::new().spawn_scoped(scope, move || {
                    if let Err(error) = load(program) {
                        log::debug!("load {name}: {error}");
                    }
                });
                if let Err(error) = thread {
                    log::debug!("{name} is loaded when it is attached: {error}");
                }
            }
        }
        beside()
    })
}

/// Does two things: the first on a thread of its own, if one can be had.
pub(super) fn both<A: Send, B>(there: impl Fn() -> A + Sync, here: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let thread = Builder::new().spawn_scoped(scope, &there);
        let here = here();
        let there = match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(error) => {
                log::debug!("one thing after the other: {error}");
                there()
            }
        };
        (there, here)
    })
}

/// Loads a program, if it is not loaded yet.
pub(super) fn load(program: &mut Program) -> Result<(), ProgramError> {
    if program.fd().is_ok() {
        return Ok(());
    }
    match program {
        Program::PerfEvent(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}
