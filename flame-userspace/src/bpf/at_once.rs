//! Loading kernel programs all at once: the kernel looks at some of them for a tenth of a second
//! each, on the CPU of whoever asks.

use std::thread;

use aya::Ebpf;
use aya::programs::{Program, ProgramError};

/// Loads the programs of these names that the object has, each in a thread of its own, and does
/// something else beside them. One that cannot be loaded is as it was: whoever attaches it finds out
/// why.
pub(super) fn load_beside<T>(ebpf: &mut Ebpf, names: &[&str], beside: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        for (name, program) in ebpf.programs_mut() {
            if names.contains(&name) {
                scope.spawn(move || {
                    if let Err(error) = load(program) {
                        log::debug!("load {name}: {error}");
                    }
                });
            }
        }
        beside()
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
