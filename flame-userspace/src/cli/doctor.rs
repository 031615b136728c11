//! `flame doctor`: what this kernel and this user can do, what is missing, and what mends it.

use std::fs;
use std::path::Path;

use super::args::DoctorArgs;
use super::print::print;
use super::privilege::{Privilege, capabilities_to_grant, program};
use super::status;
use super::talk::{shown, tell};
use crate::bpf::{self, Feature};
use crate::process::{self, Named, Piece};
use crate::unwind::{self, Way};

/// How a check went.
enum Found {
    Good(String),
    /// It limits flame, and this mends it.
    Limits(String, String),
    /// flame cannot work, and this mends it.
    Missing(String, String),
}

/// Runs the command; the exit status: 1 if flame cannot work.
pub(super) fn run(args: &DoctorArgs) -> u8 {
    let mut lines = Vec::new();
    let mut status = 0;
    for found in checks() {
        lines.push(match found {
            Found::Good(what) => format!("ok       {what}\n"),
            Found::Limits(what, mend) => format!("limited  {what}\n         {mend}\n"),
            Found::Missing(what, mend) => {
                status = status::NOTHING;
                format!("missing  {what}\n         {mend}\n")
            }
        });
    }
    if let Some(pid) = args.pid {
        status = status.max(of_process(pid, &mut lines));
    }
    match print(&lines.concat()) {
        Ok(()) => status,
        Err(error) => {
            tell(&error);
            status::NOTHING
        }
    }
}

fn checks() -> Vec<Found> {
    vec![kernel(), heap(), types(), rights(), memory(), hardware(), files(), symbols()]
}

fn kernel() -> Found {
    let release = bpf::kernel_release();
    let version = bpf::kernel_version();
    if version >= (5, 17) {
        Found::Good(format!("kernel {release} (5.15 or later is needed)"))
    } else if version >= bpf::OLDEST_KERNEL {
        let what = format!("kernel {release} walks 64 frames of a stack (5.17 and later: 2048)");
        Found::Limits(what, "use a newer kernel for deeper stacks".to_owned())
    } else {
        let what = format!("kernel {release} is older than 5.15, which flame needs");
        Found::Missing(what, "use a newer kernel".to_owned())
    }
}

fn heap() -> Found {
    let version = bpf::kernel_version();
    if version >= bpf::SESSION_PROBES {
        return Found::Good("heap profiles: a trap for each call of an allocator".to_owned());
    }
    let what = if version >= bpf::MULTI_PROBES {
        "heap profiles: two traps for each allocation that is followed (6.13 and later: one)"
    } else {
        "heap profiles: two traps for each allocation that is followed, and none of programs that \
         allocate much (6.6 and later: in windows)"
    };
    Found::Limits(what.to_owned(), "use a newer kernel for cheaper heap profiles".to_owned())
}

fn types() -> Found {
    match bpf::kernel_types() {
        Ok(()) => Found::Good("the kernel tells its struct layouts (BTF)".to_owned()),
        Err(error) => Found::Limits(
            format!("no kernel struct layouts: {error:#}"),
            "children are followed a moment late, and flame works in the machine's own pid \
             namespace alone; a kernel with CONFIG_DEBUG_INFO_BTF has them"
                .to_owned(),
        ),
    }
}

fn rights() -> Found {
    match Privilege::of_this_process() {
        Privilege::Full => Found::Good("this user may profile every process".to_owned()),
        Privilege::OfFile { .. } => Found::Limits(
            "the program's file capabilities let you profile your own processes".to_owned(),
            "for others', for --all and for kernel stacks: sudo flame".to_owned(),
        ),
        Privilege::Missing => Found::Missing(
            "this user may not load kernel programs (CAP_BPF, CAP_PERFMON)".to_owned(),
            format!("run flame by sudo, or: sudo setcap {} {}", capabilities_to_grant(), program()),
        ),
    }
}

fn memory() -> Found {
    let limit = bpf::lockable_memory();
    if limit == u64::MAX {
        return Found::Good("locked memory is not limited".to_owned());
    }
    Found::Good(format!(
        "locked memory is limited to {} KiB, which does not matter since Linux 5.11",
        limit / 1024
    ))
}

fn hardware() -> Found {
    let devices = "/sys/bus/event_source/devices";
    let cpu = ["cpu", "cpu_core"].map(|name| format!("{devices}/{name}"));
    if cpu.iter().any(|path| Path::new(path).exists()) {
        Found::Good("the CPU has hardware counters (--event cycles)".to_owned())
    } else {
        let what = "the CPU shows no hardware counters (virtual machines often hide them)";
        let mend = "flame samples on the CPU's clock; --event cycles is not to be had";
        Found::Limits(what.to_owned(), mend.to_owned())
    }
}

fn files() -> Found {
    if process::can_open_map_files() {
        return Found::Good("mapped files can be opened even when deleted or replaced".to_owned());
    }
    let capability = Feature::CheckpointRestore.name();
    Found::Limits(
        "files that were deleted or replaced while mapped have no names".to_owned(),
        format!("{capability} lets flame open them (root has it)"),
    )
}

fn symbols() -> Found {
    let text = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let known = text.lines().take(100).any(|line| !line.starts_with("0000000000000000"));
    if known {
        Found::Good("kernel functions have names (/proc/kallsyms)".to_owned())
    } else {
        Found::Limits(
            "kernel functions have no names: /proc/kallsyms hides their addresses".to_owned(),
            "run flame by sudo, or: sudo sysctl kernel.kptr_restrict=0".to_owned(),
        )
    }
}

/// Adds which of a process's files have names; the exit status.
fn of_process(pid: u32, lines: &mut Vec<String>) -> u8 {
    let Some(comm) = process::process_name(pid) else {
        lines.push(format!("missing  there is no process {pid}\n"));
        return status::NOTHING;
    };
    lines.push(format!("process {pid} ({}):\n", shown(&comm)));
    let Some(files) = process::inspect(pid, ways) else {
        lines.push("  its mappings cannot be read: run flame by sudo\n".to_owned());
        return status::NOTHING;
    };
    if files.is_empty() {
        lines.push("  no code of its own (a kernel thread?)\n".to_owned());
    }
    for file in files {
        let named = match file.named {
            Named::BySymbols => "function names from its symbol table",
            Named::ByDebugFile => "function names from its debug file",
            Named::ByGoFunctions => "function names from .gopclntab",
            Named::ByExportsAlone => "names of exported functions alone",
            Named::ByPerfMap => "generated code; names from its perf map",
            Named::NotAtAll => "generated code without names",
            Named::Unreadable => "cannot be opened",
        };
        let (path, code) = (shown(&file.path), walked(&file.code));
        lines.push(format!("  {path}: {named}; stacks {code}\n"));
    }
    0
}

fn ways(piece: Piece<'_>) -> Vec<(Way, f64)> {
    match piece {
        Piece::File(executable) => unwind::ways(executable),
        Piece::Vdso => vec![(Way::EhFrame, 100.0)],
        Piece::Generated => vec![(Way::FramePointer, 100.0)],
    }
}

/// How stacks go through a piece of code, for people.
fn walked(ways: &[(Way, f64)]) -> String {
    let by = |way: Way| match way {
        Way::EhFrame => "by unwind table (.eh_frame)",
        Way::DebugFrame => "by unwind table (.debug_frame)",
        Way::GoFunctions => "by unwind table (.gopclntab)",
        Way::Instructions => "by what its instructions do",
        Way::FramePointer => "by frame pointer",
    };
    match ways {
        [] => by(Way::FramePointer).to_owned(),
        [(way, _)] => by(*way).to_owned(),
        [(way, share), rest @ ..] => rest
            .iter()
            .fold(format!("{} in {share:.0} % of its code", by(*way)), |told, (way, share)| {
                format!("{told}, {} in {share:.0} %", by(*way))
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_is_told_by_itself_and_several_with_their_shares() {
        assert_eq!(walked(&[(Way::GoFunctions, 99.7)]), "by unwind table (.gopclntab)");
        assert_eq!(
            walked(&[(Way::FramePointer, 96.6), (Way::EhFrame, 3.4)]),
            "by frame pointer in 97 % of its code, by unwind table (.eh_frame) in 3 %"
        );
    }
}
