//! Offsets of fields in this kernel's structs, from its type information.
//!
//! The format is that of the kernel's Documentation/bpf/btf.rst: a header, a table of types and
//! a table of strings. Rust's BPF target does not emit CO-RE relocations, so that flame looks
//! the few fields up itself and hands them to its programs.

use std::fs;

use anyhow::{Context as _, Result, bail};
use flame_common::config::KernelOffsets;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
/// No kernel's type information is near this size.
const LARGEST: usize = 256 << 20;

/// The offsets that flame's programs need on the running kernel.
pub(crate) fn kernel_offsets() -> Result<KernelOffsets> {
    let bytes = fs::read(VMLINUX).with_context(|| format!("read {VMLINUX}"))?;
    let types = Types::parse(&bytes).with_context(|| format!("understand {VMLINUX}"))?;
    let [task, cred, pid, upid, namespace] =
        types.structs(["task_struct", "cred", "pid", "upid", "pid_namespace"])?;
    let ns_common = types.structs(["ns_common"])?[0];
    let at = |of: Struct<'_>, field| types.field(of, field);
    let (task_mm, mm_start_stack) = first_stack(&types).unwrap_or_default();
    let (task_signal, signal_limits) = limits(&types).unwrap_or_default();
    let offsets = KernelOffsets {
        task_pid: at(task, "pid")?,
        task_tgid: at(task, "tgid")?,
        task_group_leader: at(task, "group_leader")?,
        task_thread_pid: at(task, "thread_pid")?,
        task_cred: at(task, "cred")?,
        cred_euid: at(cred, "euid")?,
        cred_suid: at(cred, "suid")?,
        pid_level: at(pid, "level")?,
        pid_numbers: at(pid, "numbers")?,
        upid_size: upid.size,
        upid_nr: at(upid, "nr")?,
        upid_ns: at(upid, "ns")?,
        pid_namespace_inode: at(namespace, "ns")? + at(ns_common, "inum")?,
        task_flags: at(task, "flags")?,
        known: 1,
        task_runtime: runtime(&types).unwrap_or(0),
        task_mm,
        mm_start_stack,
        task_signal,
        signal_limits,
        ..KernelOffsets::default()
    };
    // A kernel may have been built without uprobes.
    Ok(return_probes(&types, offsets).unwrap_or(offsets))
}

/// Where the scheduler keeps what a task has run.
fn runtime(types: &Types<'_>) -> Result<u32> {
    let [task, entity] = types.structs(["task_struct", "sched_entity"])?;
    Ok(types.field(task, "se")? + types.field(entity, "sum_exec_runtime")?)
}

/// Where the kernel keeps what the threads of a process share, and there its limits.
fn limits(types: &Types<'_>) -> Result<(u32, u32)> {
    let [task, process] = types.structs(["task_struct", "signal_struct"])?;
    Ok((types.field(task, "signal")?, types.field(process, "rlim")?))
}

/// Where the kernel keeps the memory of a task, and there the beginning of its first stack.
fn first_stack(types: &Types<'_>) -> Result<(u32, u32)> {
    let [task, memory] = types.structs(["task_struct", "mm_struct"])?;
    Ok((types.field(task, "mm")?, types.field(memory, "start_stack")?))
}

/// Adds where the kernel keeps the return addresses in whose place it has put its own.
fn return_probes(types: &Types<'_>, offsets: KernelOffsets) -> Result<KernelOffsets> {
    let [task, utask, instance] =
        types.structs(["task_struct", "uprobe_task", "return_instance"])?;
    Ok(KernelOffsets {
        return_probes_known: 1,
        task_utask: types.field(task, "utask")?,
        utask_return_instances: types.field(utask, "return_instances")?,
        utask_returned: types.field(utask, "ri_pool").unwrap_or(0),
        return_instance_stack: types.field(instance, "stack")?,
        return_instance_address: types.field(instance, "orig_ret_vaddr")?,
        return_instance_next: types.field(instance, "next")?,
        ..offsets
    })
}

/// Whether the running kernel tells what flame needs of its types.
pub(crate) fn kernel_types() -> Result<()> {
    kernel_offsets().map(drop)
}

/// The type table, with the place of each type.
struct Types<'a> {
    table: &'a [u8],
    strings: &'a [u8],
    /// Offset of each type in `types`, by its number less one.
    places: Vec<u32>,
}

/// A struct: its size in bytes and its members.
#[derive(Clone, Copy)]
struct Struct<'a> {
    name: &'a str,
    size: u32,
    members: &'a [u8],
    /// Whether member offsets carry a bit-field size in their high byte.
    bit_fields: bool,
}

const STRUCT: u32 = 4;
const UNION: u32 = 5;

impl<'a> Types<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > LARGEST || u16::from_ne_bytes(*bytes.first_chunk()?) != MAGIC {
            return None;
        }
        let header = word(bytes, 4)? as usize;
        let part = |offset, length| {
            let start = header.checked_add(word(bytes, offset)? as usize)?;
            bytes.get(start..start.checked_add(word(bytes, length)? as usize)?)
        };
        let (types, strings) = (part(8, 12)?, part(16, 20)?);
        let mut places = Vec::with_capacity(types.len() / 20);
        let mut at = 0;
        while at < types.len() {
            places.push(at as u32);
            at += 12 + tail_bytes(word(types, at + 4)?)?;
        }
        Some(Self { table: types, strings, places })
    }

    /// The structs of these names, each the first of its name.
    fn structs<const N: usize>(&self, names: [&'a str; N]) -> Result<[Struct<'a>; N]> {
        let mut found = [None; N];
        for &at in &self.places {
            let Some(of) = self.aggregate(at as usize) else {
                continue;
            };
            if let Some(slot) = names.iter().position(|&name| name == of.name) {
                found[slot] = found[slot].or(Some(of));
            }
        }
        let mut all = [None; N];
        for (slot, name) in names.iter().enumerate() {
            let Some(of) = found[slot] else { bail!("the kernel has no struct {name}") };
            all[slot] = Some(of);
        }
        Ok(all.map(|of| of.expect("each was just checked")))
    }

    /// The struct or union at a place of the type table.
    fn aggregate(&self, at: usize) -> Option<Struct<'a>> {
        let info = word(self.table, at + 4)?;
        if !matches!(info >> 24 & 0x1f, STRUCT | UNION) {
            return None;
        }
        let members = self.table.get(at + 12..at + 12 + tail_bytes(info)?)?;
        Some(Struct {
            name: self.string(word(self.table, at)?)?,
            size: word(self.table, at + 8)?,
            members,
            bit_fields: info >> 31 != 0,
        })
    }

    /// The byte offset of a field, looked for in nameless members too.
    fn field(&self, of: Struct<'_>, name: &str) -> Result<u32> {
        self.find(of, name, 0)
            .with_context(|| format!("the kernel's struct {} has no field {name}", of.name))
    }

    fn find(&self, of: Struct<'_>, name: &str, depth: u32) -> Option<u32> {
        for member in of.members.chunks_exact(12) {
            let bits = word(member, 8)? & if of.bit_fields { 0x00ff_ffff } else { u32::MAX };
            let member_name = self.string(word(member, 0)?)?;
            if member_name == name {
                return Some(bits / 8);
            }
            if member_name.is_empty() && depth < 8 {
                let place = self.places.get((word(member, 4)? as usize).checked_sub(1)?)?;
                let inner = self.aggregate(*place as usize);
                if let Some(found) = inner.and_then(|inner| self.find(inner, name, depth + 1)) {
                    return Some(bits / 8 + found);
                }
            }
        }
        None
    }

    fn string(&self, offset: u32) -> Option<&'a str> {
        let text = self.strings.get(offset as usize..)?;
        let end = text.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&text[..end]).ok()
    }
}

/// The 32-bit word at a byte offset.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(four.try_into().ok()?))
}

/// How many bytes follow the first 12 of a type.
fn tail_bytes(info: u32) -> Option<usize> {
    let entries = (info & 0xffff) as usize;
    Some(match info >> 24 & 0x1f {
        // Pointer, forward, typedef, volatile, const, restrict, function, float, type tag.
        2 | 7..=12 | 16 | 18 => 0,
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Array, struct, union, data section, 64-bit enumeration: 12 bytes an entry.
        3 => 12,
        STRUCT | UNION | 15 | 19 => 12 * entries,
        // Enumeration, function prototype: 8 bytes an entry.
        6 | 13 => 8 * entries,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernels_offsets_are_found() {
        if fs::metadata(VMLINUX).is_err() {
            println!("skipped: this kernel has no {VMLINUX}");
            return;
        }
        let offsets = kernel_offsets().expect("this kernel's types");
        assert_eq!(offsets.task_tgid, offsets.task_pid + 4, "tgid follows pid");
        assert_eq!(offsets.upid_size, 16);
        assert!(offsets.task_runtime > 0 && offsets.task_mm > 0 && offsets.mm_start_stack > 0);
        assert!(offsets.task_signal > 0 && offsets.signal_limits > 0);
        assert_eq!((offsets.known, offsets.return_probes_known), (1, 1));
        assert_eq!(offsets.return_instance_address, offsets.return_instance_stack + 8);
    }

    #[test]
    fn truncated_types_are_refused() {
        let Ok(bytes) = fs::read(VMLINUX) else { return };
        for length in [0, 1, 23, 24, 1000, bytes.len() / 2] {
            assert!(Types::parse(&bytes[..length]).is_none());
        }
    }
}
