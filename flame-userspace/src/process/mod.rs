//! Processes and the files they run: who is who at a time, what is mapped where, and the
//! executables behind the mappings, held open so that they outlive their process.

mod bounded;
mod debug_file;
mod elf;
mod event;
mod executable;
pub(crate) mod fuzzing;
mod inspect;
mod mapping;
mod maps;
mod memory;
mod procfs;
mod range;
mod root;
mod table;
#[cfg(test)]
pub(crate) mod test_elf;
mod vdso;

pub(crate) use bounded::Bounded;
pub(crate) use debug_file::{debug_path, is_installed as is_installed_debug_file};
pub(crate) use elf::{ElfLayout, GoSections, Section, Segment};
pub(crate) use event::{FileIdentity, ProcessEvent};
pub(crate) use executable::{
    Executable, ExecutableId, Executables, can_open_map_files, hex, reopened,
};
pub(crate) use inspect::{Named, Piece, inspect};
pub(crate) use memory::{Memory, ProcessMemory};
pub(crate) use procfs::{
    Resident, cgroup, code_mappings, cpu_ns, descendants, kernel_thread, machine_cpu_ns,
    own_file_offset, owner, parent, pids_named, process_name, resident, state, threads,
};
pub(crate) use range::{CodeRange, RangeCode};
pub(crate) use table::{CodeAddress, ProcessId, ProcessTable};
pub(crate) use vdso::vdso;
