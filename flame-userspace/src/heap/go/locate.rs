//! Where the Go runtime keeps its heap profile: by its symbols, or, where the program was stripped
//! of them, by the table of functions that every Go program carries (`.gopclntab`) and the code of
//! two of them. Layouts of that table: `runtime/symtab.go`, `pcHeader` and `_func`, Go 1.18 to
//! 1.26.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, bail, ensure};
use iced_x86::{Code as Opcode, Instruction, OpKind};

use super::words::word;
use crate::heap::code::Code;
use crate::heap::symbols::SymbolTables;
use crate::process::{ElfLayout, GoSections, Memory, Section};

/// The largest function table that is read, in bytes.
const LARGEST_TABLE: u64 = 256 << 20;
/// The most instructions of a function that are looked at.
const MOST_STEPS: usize = 2000;
/// The most functions of one name that are looked at: two are known.
const MOST_NAMESAKES: usize = 16;

/// The runtime's variables: addresses in the file's address space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Variables {
    /// `mbuckets`: the first bucket.
    pub(crate) buckets: u64,
    /// `MemProfileRate`.
    pub(crate) rate: Option<u64>,
    /// `mProfCycle`: which cycle's counts are not published yet.
    pub(crate) cycle: Option<u64>,
    /// Whether the program has a function that reads the profile. The linker turns profiling off
    /// where it has not.
    pub(crate) has_reader: bool,
}

/// Finds the variables in a Go program's file; `None` if it is no Go program. `memory` and `bias`
/// are those of a process that runs it: what a loader fills in is read there.
pub(crate) fn locate(
    file: &File,
    layout: &ElfLayout,
    memory: &impl Memory,
    bias: u64,
) -> anyhow::Result<Option<Variables>> {
    let Some(go) = layout.go else { return Ok(None) };
    if let Some(found) = by_symbols(file)? {
        return Ok(Some(found));
    }
    let names = [
        "runtime.mProf_FlushLocked",
        "runtime.schedinit",
        // Go from 1.21 on, and before.
        "runtime.memProfileInternal",
        "runtime.MemProfile",
    ];
    let text = text_start(go, memory, bias).context("find where the Go program's code begins")?;
    let [flush, start, reader, old_reader] = functions(file, go.functions, text, names)?;
    let code = Code::new(file, layout);
    let flush =
        *flush.first().context("the Go program has no function that publishes its heap profile")?;
    let buckets = code.straight(flush).take(MOST_STEPS).find_map(|i| loaded_word(&i));
    let buckets = buckets.context("that function reads no variable")?;
    let rate = start.iter().find_map(|&start| cleared_behind_test(&code, start));
    let has_reader = !reader.is_empty() || !old_reader.is_empty();
    Ok(Some(Variables { buckets, rate, cycle: None, has_reader }))
}

fn by_symbols(file: &File) -> anyhow::Result<Option<Variables>> {
    let tables = SymbolTables::of(file)?;
    let names = ["runtime.mbuckets", "runtime.MemProfileRate", "runtime.mProfCycle"];
    let found = tables.variables(&names)?;
    let address = |name: usize| found.iter().find(|s| s.name == name).map(|s| s.address);
    let readers = ["runtime.memProfileInternal", "runtime.MemProfile"];
    Ok(address(0).map(|buckets| Variables {
        buckets,
        rate: address(1),
        cycle: address(2),
        has_reader: tables.functions(&readers).is_ok_and(|found| !found.is_empty()),
    }))
}

/// Where the program's code begins, which the entries of the table count from: as the table says,
/// or (Go 1.26, where the word is 0) as the module's description says.
fn text_start(go: GoSections, memory: &impl Memory, bias: u64) -> Option<u64> {
    const IN_TABLE: u64 = 24;
    // pcHeader; five slices; the slice ftab; findfunctab, minpc, maxpc.
    const IN_MODULE: u64 = 8 + 5 * 24 + 24 + 3 * 8;
    let loaded = |address: u64| {
        let value = word(memory, address.wrapping_add(bias)).filter(|&value| value != 0)?;
        Some(value.wrapping_sub(bias))
    };
    let in_module = |module: Section| loaded(module.address.wrapping_add(IN_MODULE));
    loaded(go.functions.address.wrapping_add(IN_TABLE))
        .or_else(|| go.module.and_then(in_module))
        .or_else(|| Some(go.text).filter(|&text| text != 0))
}

/// The addresses of functions by their names. What assembly calls is there twice: the function,
/// and a wrapper of the same name that takes its arguments from the stack.
fn functions<const N: usize>(
    file: &File,
    table: Section,
    text: u64,
    names: [&str; N],
) -> anyhow::Result<[Vec<u64>; N]> {
    ensure!(table.length <= LARGEST_TABLE, "a function table of {} bytes", table.length);
    let mut bytes = vec![0; table.length as usize];
    file.read_exact_at(&mut bytes, table.offset).context("read the Go function table")?;
    let u32_at = |at: u64| -> Option<u32> {
        let at = usize::try_from(at).ok()?;
        bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
    };
    let u64_at = |at: u64| -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
    };
    // Go 1.18, and Go 1.20 and later.
    if !matches!(u32_at(0), Some(0xffff_fff0 | 0xffff_fff1)) {
        bail!("this program's Go is older than 1.18, or newer than what flame knows");
    }
    let (Some(count), Some(all_names), Some(entries)) = (u64_at(8), u64_at(32), u64_at(64)) else {
        bail!("the Go function table ends in its header");
    };
    let mut found = [const { Vec::new() }; N];
    for index in 0..count.min(table.length / 8) {
        let entry = entries.saturating_add(index * 8);
        let (Some(start), Some(function)) = (u32_at(entry), u32_at(entry.saturating_add(4))) else {
            break;
        };
        let name_at = u32_at(entries.saturating_add(u64::from(function)).saturating_add(4));
        let Some(name_at) = name_at else { continue };
        let at =
            usize::try_from(all_names.saturating_add(u64::from(name_at))).unwrap_or(usize::MAX);
        let Some(rest) = bytes.get(at..) else { continue };
        for (found, name) in found.iter_mut().zip(names) {
            let is_it = rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&0);
            if is_it && found.len() < MOST_NAMESAKES {
                found.push(text.wrapping_add(u64::from(start)));
            }
        }
    }
    Ok(found)
}

/// The variable that an instruction loads a word of.
fn loaded_word(instruction: &Instruction) -> Option<u64> {
    let is_load = instruction.code() == Opcode::Mov_r64_rm64;
    (is_load && instruction.is_ip_rel_memory_operand()).then(|| instruction.ip_rel_memory_address())
}

/// The word that is set to 0 behind the test of a byte (`if disableMemoryProfiling {
/// MemProfileRate = 0 }`), right behind its branch.
fn cleared_behind_test(code: &Code<'_>, function: u64) -> Option<u64> {
    let mut before = [Opcode::INVALID; 2];
    for instruction in code.straight(function).take(MOST_STEPS) {
        let is_cleared = instruction.code() == Opcode::Mov_rm64_imm32
            && instruction.is_ip_rel_memory_operand()
            && instruction.op1_kind() == OpKind::Immediate32to64
            && instruction.immediate32to64() == 0;
        let is_tested = before[0] == Opcode::Cmp_rm8_imm8
            && matches!(before[1], Opcode::Je_rel8_64 | Opcode::Je_rel32_64);
        if is_cleared && is_tested {
            return Some(instruction.ip_rel_memory_address());
        }
        before = [before[1], instruction.code()];
    }
    None
}
