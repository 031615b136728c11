//! From unwind information (`.eh_frame`) to a table. Any bytes give a table or none.

use std::ops::Range;

use flame_common::limits::TEXT_PAGE_BITS;
use flame_common::unwind::{FP, Rule, SP, SavedFp};
use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EhFrameOffset, EndianSlice, Expression,
    FrameDescriptionEntry, LittleEndian, Operation, Register, RegisterRule, UnwindContext,
    UnwindExpression, UnwindSection as _, UnwindTableRow,
};

use super::table::{Builder, UnwindTable};

type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Row = UnwindTableRow<usize>;

/// The return address among DWARF's registers of x86-64.
const RA: Register = Register(16);
/// Between functions lie at most so many bytes of padding, which never run.
const PADDING: u64 = 16;
/// Start-up code without unwind information is at most so long.
const ENTRY: u64 = 64;
/// Bytes below a signal frame's CFA at which the kernel keeps the stack pointer; see
/// `flame_common::unwind::Rule`.
const SIGNAL_SP: i64 = 160;

/// Text pages that are compiled at one time: some tens of functions, a few of which are needed.
pub(crate) const SLICE_PAGES: u32 = 4;
const SLICE_BYTES: u64 = (SLICE_PAGES as u64) << TEXT_PAGE_BITS;
/// Most text pages of a file: 4 GiB of text.
const MOST_PAGES: u64 = 1 << (32 - TEXT_PAGE_BITS);

/// The unwind information of a file, compiled a slice of its code at a time.
#[derive(Debug)]
pub(crate) struct UnwindInformation {
    /// `.eh_frame`, and its address.
    eh_frame: Vec<u8>,
    address: u64,
    /// What each entry speaks of, in the order of addresses.
    functions: Vec<Function>,
    first_page: u64,
    pages: u32,
}

/// Code that one entry speaks of.
#[derive(Debug)]
struct Function {
    code: Range<u64>,
    /// Where the entry is; `None` for an entry point without one.
    entry: Option<usize>,
}

impl UnwindInformation {
    /// Reads `.eh_frame`, which is at `address`, for the code in `text`; `None` if it speaks of
    /// none of it. Entries that cannot be understood are left out. Where the code begins to run,
    /// at `entry`, nobody called it: loaders and some C libraries have no entry for it.
    pub(super) fn read(
        eh_frame: Vec<u8>,
        address: u64,
        text: &[Range<u64>],
        entry: Option<u64>,
    ) -> Option<Self> {
        let section = EhFrame::new(&eh_frame, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame(address);
        let mut functions = Vec::new();
        for_each_function(&section, &bases, |fde, _| {
            let code = fde.initial_address()..fde.end_address();
            let within = |text: &Range<u64>| text.start <= code.start && code.end <= text.end;
            if !code.is_empty() && text.iter().any(within) {
                functions.push(Function { code, entry: Some(fde.offset()) });
            }
        });
        if let Some(start) = entry.filter(|entry| text.iter().any(|text| text.contains(entry)))
            && !functions.iter().any(|function| function.code.contains(&start))
        {
            let next = functions.iter().map(|f| f.code.start).filter(|&at| at > start).min();
            let end = next.unwrap_or(u64::MAX).min(start.saturating_add(ENTRY));
            functions.push(Function { code: start..end, entry: None });
        }
        functions.sort_by_key(|function| function.code.start);
        let page_of = |address: u64| address >> TEXT_PAGE_BITS;
        let first_page = page_of(functions.first()?.code.start);
        let end = functions.iter().map(|function| function.code.end).max()?;
        let pages = page_of(end) - first_page + 1;
        if pages > MOST_PAGES {
            return None;
        }
        let pages = (pages as u32).next_multiple_of(SLICE_PAGES);
        Some(Self { eh_frame, address, functions, first_page, pages })
    }

    /// The address at which the first text page begins, and the number of pages: whole slices.
    pub(crate) fn extent(&self) -> (u64, u32) {
        (self.first_page << TEXT_PAGE_BITS, self.pages)
    }

    /// The number of the slice that an address lies in, if the information reaches there.
    pub(super) fn slice_of(&self, address: u64) -> Option<u32> {
        let into = address.checked_sub(self.extent().0)?;
        let slice = u32::try_from(into / SLICE_BYTES).ok()?;
        (slice < self.pages / SLICE_PAGES).then_some(slice)
    }

    /// Compiles a slice.
    pub(super) fn compile(&self, slice: u32) -> UnwindTable {
        let section = EhFrame::new(&self.eh_frame, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame(self.address);
        let start = self.extent().0 + u64::from(slice) * SLICE_BYTES;
        let mut builder = Builder::new();
        let mut context = UnwindContext::new();
        // The function that reaches into the slice from before is the last that begins there.
        let begins_before = self.functions.partition_point(|f| f.code.start <= start);
        let mut at = begins_before.saturating_sub(1);
        while let Some(function) = self.functions.get(at)
            && function.code.start < start + SLICE_BYTES
        {
            at += 1;
            let next = self.functions.get(at).map_or(u64::MAX, |next| next.code.start);
            let end = push_function(function, next, &section, &bases, &mut context, &mut builder);
            if next > end && next - end >= PADDING {
                builder.push(end, Builder::GAP);
            }
        }
        builder.finish(start >> TEXT_PAGE_BITS, SLICE_PAGES)
    }
}

/// Pushes a function's rows, of which those from `next` on are another's; where it ends.
fn push_function<'a>(
    function: &Function,
    next: u64,
    section: &EhFrame<Slice<'a>>,
    bases: &BaseAddresses,
    context: &mut UnwindContext<usize>,
    builder: &mut Builder,
) -> u64 {
    let mut from = function.code.start;
    let mut push = |builder: &mut Builder, address: u64, rule: Rule| {
        if address >= from && address < next {
            let number = builder.number(rule);
            builder.push(address, number);
            from = address;
        }
    };
    let Some(entry) = function.entry else {
        push(builder, function.code.start, Rule::ROOT);
        return function.code.end;
    };
    let cie = |section: &EhFrame<Slice<'a>>, bases: &BaseAddresses, offset| {
        section.cie_from_offset(bases, offset)
    };
    let Ok(fde) = section.fde_from_offset(bases, EhFrameOffset(entry), cie) else {
        return function.code.end;
    };
    let Ok(mut rows) = fde.rows(section, bases, context) else { return function.code.end };
    // What was understood of a damaged entry stays; the rest of its code has the last rule.
    while let Ok(Some(row)) = rows.next_row() {
        let address = row.start_address().clamp(function.code.start, function.code.end);
        push(builder, address, rule_of(row, section, &fde));
    }
    function.code.end.max(from)
}

/// Calls back for each entry that can be understood.
pub(super) fn for_each_function<'a>(
    section: &EhFrame<Slice<'a>>,
    bases: &BaseAddresses,
    mut each: impl FnMut(&FrameDescriptionEntry<Slice<'a>>, &mut UnwindContext<usize>),
) {
    let mut context = UnwindContext::new();
    let mut entries = section.entries(bases);
    // Most entries share a few headers, and their neighbours' above all.
    let mut last_cie = None;
    while let Ok(Some(entry)) = entries.next() {
        let CieOrFde::Fde(partial) = entry else { continue };
        let fde = partial.parse(|section, bases, offset| match &last_cie {
            Some((known, cie)) if *known == offset => Ok(gimli::CommonInformationEntry::clone(cie)),
            _ => {
                let cie = section.cie_from_offset(bases, offset)?;
                last_cie = Some((offset, cie.clone()));
                Ok(cie)
            }
        });
        if let Ok(fde) = fde {
            each(&fde, &mut context);
        }
    }
}

/// A row of gimli's as a rule of ours.
pub(super) fn rule_of<'a>(
    row: &Row,
    section: &EhFrame<Slice<'a>>,
    fde: &FrameDescriptionEntry<Slice<'a>>,
) -> Rule {
    match row.register(RA) {
        Some(RegisterRule::Undefined) => return Rule::ROOT,
        Some(RegisterRule::Offset(-8)) => {}
        _ if is_signal_frame(row, section, fde) => return Rule::SIGNAL,
        _ => return Rule::EXPRESSION,
    }
    simple_rule(row, section, fde).unwrap_or(Rule::EXPRESSION)
}

/// Whether this is the frame in which the kernel calls a signal handler: so marked, and its CFA
/// where the kernel keeps the stack pointer.
fn is_signal_frame<'a>(
    row: &Row,
    section: &EhFrame<Slice<'a>>,
    fde: &FrameDescriptionEntry<Slice<'a>>,
) -> bool {
    let CfaRule::Expression(expression) = row.cfa() else { return false };
    let known = Known::read(*expression, section, fde);
    fde.is_signal_trampoline()
        && matches!(known, Some(Known::Deref { base: SP, offset: SIGNAL_SP, post: 0 }))
}

fn simple_rule<'a>(
    row: &Row,
    section: &EhFrame<Slice<'a>>,
    fde: &FrameDescriptionEntry<Slice<'a>>,
) -> Option<Rule> {
    let cfa = match *row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            Known::Offset { base: number(register)?, offset }
        }
        CfaRule::Expression(expression) => Known::read(expression, section, fde)?,
    };
    let (Known::Offset { base, .. } | Known::Deref { base, .. }) = cfa else {
        // A stub keeps no frame pointer of its own.
        return match cfa {
            Known::Plt(11) => Some(Rule::PLT11),
            Known::Plt(10) => Some(Rule::PLT10),
            _ => None,
        };
    };
    let fp = match row.register(Register(FP.into())) {
        // "Undefined" code does not need it any more; its callers have no use for it either.
        None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => SavedFp::Unchanged,
        Some(RegisterRule::Offset(offset)) => SavedFp::AtCfa(offset),
        Some(RegisterRule::Expression(expression)) => {
            match Known::read(expression, section, fde)? {
                Known::Offset { base: of, offset } if of == base => SavedFp::AtBase(offset),
                _ => return None,
            }
        }
        Some(_) => return None,
    };
    match cfa {
        Known::Offset { base, offset } => Rule::offset(base, offset, fp),
        Known::Deref { base, offset, post } => Rule::deref(base, offset, post, fp),
        Known::Plt(_) => None,
    }
}

/// An expression of a form that rows have.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// `base + offset`
    Offset { base: u8, offset: i64 },
    /// `*(base + offset) + post`
    Deref { base: u8, offset: i64, post: i64 },
    /// A lazy-binding stub whose push is at this byte.
    Plt(u64),
}

impl Known {
    fn read<'a>(
        expression: UnwindExpression<usize>,
        section: &EhFrame<Slice<'a>>,
        fde: &FrameDescriptionEntry<Slice<'a>>,
    ) -> Option<Self> {
        let expression: Expression<Slice<'a>> = expression.get(section).ok()?;
        let mut operations = expression.operations(fde.cie().encoding());
        // The longest known form has ten operations.
        let mut all = Vec::with_capacity(10);
        while let Some(operation) = operations.next().ok()? {
            if all.len() == 10 {
                return None;
            }
            all.push(operation);
        }
        Self::of(&all)
    }

    fn of(operations: &[Operation<Slice<'_>>]) -> Option<Self> {
        use Operation as O;
        let (O::RegisterOffset { register, offset, .. }, rest) = operations.split_first()? else {
            return None;
        };
        let (base, offset) = (number(*register), *offset);
        match *rest {
            [] => Some(Self::Offset { base: base?, offset }),
            [O::Deref { .. }] => Some(Self::Deref { base: base?, offset, post: 0 }),
            [O::Deref { .. }, O::PlusConstant { value }] => {
                Some(Self::Deref { base: base?, offset, post: value.try_into().ok()? })
            }
            // ((rip & 15) >= from) << 3 + rsp + 8
            [
                O::RegisterOffset { register: RA, offset: 0, .. },
                O::UnsignedConstant { value: 15 },
                O::And,
                O::UnsignedConstant { value: from @ (10 | 11) },
                O::Ge,
                O::UnsignedConstant { value: 3 },
                O::Shl,
                O::Plus,
            ] if base == Some(SP) && offset == 8 => Some(Self::Plt(from)),
            _ => None,
        }
    }
}

/// DWARF's number of a general register.
fn number(register: Register) -> Option<u8> {
    u8::try_from(register.0).ok().filter(|number| *number < 16)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Instant;

    use super::*;
    use crate::process::ElfLayout;
    use crate::unwind::source::{read_section, text_of};

    /// Files of Debian and of most distributions; those that are not there are left out.
    fn files() -> Vec<std::path::PathBuf> {
        let mut files: Vec<std::path::PathBuf> = vec!["/proc/self/exe".into()];
        for folder in ["/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/bin"] {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut found: Vec<_> = entries
                .map(|entry| entry.path())
                .filter(|path| path.is_file() && !path.is_symlink())
                .filter(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > 200_000))
                .collect();
            found.sort();
            let wanted = ["libc.so", "libcrypto.so", "libstdc++.so", "python3.", "ld-linux"];
            let (first, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                wanted.iter().any(|wanted| name.starts_with(wanted))
            });
            files.extend(first);
            let step = (rest.len() / 40).max(1);
            files.extend(rest.into_iter().step_by(step).take(40));
        }
        files
    }

    fn all_slices(information: &UnwindInformation) -> Vec<UnwindTable> {
        (0..information.extent().1 / SLICE_PAGES).map(|slice| information.compile(slice)).collect()
    }

    /// Compares every row of a file; the number of rows compared.
    fn compare(file: &File) -> Option<usize> {
        let layout = ElfLayout::read(file)?;
        let section = layout.unwind_section?;
        let bytes = read_section(file, section)?;
        let text = text_of(&layout);
        let began = Instant::now();
        let information = UnwindInformation::read(bytes.clone(), section.address, &text, None)?;
        let read = began.elapsed();
        let slices = all_slices(&information);
        let took = began.elapsed();
        let rule = |address| {
            let slice = information.slice_of(address).expect("an address of the code");
            slices[slice as usize].rule(address)
        };
        let eh_frame = EhFrame::new(&bytes, LittleEndian);
        let bases = BaseAddresses::default().set_eh_frame(section.address);
        let (mut rows, mut functions) = (0, Vec::new());
        for_each_function(&eh_frame, &bases, |fde, _| {
            functions.push((fde.initial_address(), fde.end_address()));
        });
        functions.sort_unstable();
        let overlaps = functions.windows(2).filter(|pair| pair[0].1 > pair[1].0).count();
        for_each_function(&eh_frame, &bases, |fde, context| {
            let code = fde.initial_address()..fde.end_address();
            let in_text = text.iter().any(|t| t.start <= code.start && code.end <= t.end);
            if !in_text || code.is_empty() || overlaps > 0 {
                return;
            }
            let Ok(mut table_rows) = fde.rows(&eh_frame, &bases, context) else { return };
            while let Ok(Some(row)) = table_rows.next_row() {
                let (start, end) = (row.start_address(), row.end_address().min(code.end));
                if start >= end {
                    continue;
                }
                let expected = rule_of(row, &eh_frame, fde);
                for address in [start, end - 1, start.midpoint(end)] {
                    assert_eq!(rule(address), expected, "at {address:#x}");
                }
                rows += 1;
            }
            let behind = code.end;
            let covered = functions.partition_point(|function| function.0 < behind + PADDING);
            let next = functions.get(covered - 1).is_some_and(|f| f.0 >= behind);
            if !next
                && information.slice_of(behind).is_some()
                && text.iter().any(|t| t.contains(&behind))
            {
                assert_eq!(rule(behind), Rule::GAP, "behind the function at {behind:#x}");
            }
        });
        println!(
            "{rows} rows compared, {} kept, {} bytes, read in {read:?}, all compiled in {took:?}, \
             {overlaps} overlaps",
            slices.iter().map(|slice| slice.rows().len()).sum::<usize>(),
            slices.iter().map(UnwindTable::kernel_bytes).sum::<usize>(),
        );
        Some(rows)
    }

    #[test]
    fn every_row_of_this_machines_files_has_the_rule_that_gimli_computes() {
        let (mut rows, mut compared) = (0, 0);
        for path in files() {
            let Ok(file) = File::open(&path) else { continue };
            if let Some(found) = compare(&file) {
                println!("  {}", path.display());
                rows += found;
                compared += 1;
            }
        }
        println!("{rows} rows of {compared} files");
        assert!(compared > 0 && rows > 1000, "this test binary at least");
    }

    #[test]
    fn the_c_library_has_a_root_a_signal_frame_and_stubs() {
        let maps = fs::read_to_string("/proc/self/maps").expect("own mappings");
        let Some(path) = maps
            .lines()
            .filter_map(|line| line.split_whitespace().nth(5))
            .find(|path| path.rsplit('/').next().is_some_and(|name| name.starts_with("libc.so")))
        else {
            println!("skipped: no C library of its own");
            return;
        };
        let file = File::open(path).expect("the C library");
        let layout = ElfLayout::read(&file).expect("an ELF file");
        let section = layout.unwind_section.expect("unwind information");
        let bytes = read_section(&file, section).expect("a readable section");
        let text = text_of(&layout);
        let information = UnwindInformation::read(bytes, section.address, &text, layout.entry);
        let slices = all_slices(&information.expect("unwind information"));
        for rule in [Rule::ROOT, Rule::SIGNAL, Rule::PLT11] {
            let has = slices.iter().any(|slice| slice.rules().contains(&rule));
            assert!(has, "{rule:?} in {path}");
        }
    }

    #[test]
    fn damaged_bytes_give_a_table_or_none_in_time() {
        let file = File::open("/proc/self/exe").expect("this test binary");
        let layout = ElfLayout::read(&file).expect("an ELF file");
        let section = layout.unwind_section.expect("unwind information");
        let mut bytes = read_section(&file, section).expect("a readable section");
        bytes.truncate(20_000);
        let text = text_of(&layout);
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..200 {
            let mut damaged = bytes.clone();
            for _ in 0..20 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = state as usize % damaged.len();
                damaged[at] = (state >> 32) as u8;
            }
            let information =
                UnwindInformation::read(damaged, section.address, &text, layout.entry);
            let slices = information.as_ref().map(all_slices).unwrap_or_default();
            assert!(slices.iter().map(|slice| slice.rows().len()).sum::<usize>() < 1_000_000);
        }
        assert!(UnwindInformation::read(Vec::new(), 0, &text, None).is_none());
        assert!(UnwindInformation::read(vec![0xff; 64], 0, &text, None).is_none());
    }
}
