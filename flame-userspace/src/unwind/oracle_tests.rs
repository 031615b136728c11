//! Every rule of this machine's files beside what gimli computes: at every row's first and last
//! byte and at every instruction's first. Both sides take the step from the same registers and
//! memory, and must come to the same caller; nothing of ours reads the entries on gimli's side.
//!
//! What is not compared is counted, and each kind of it has a limit.

use std::fs::{self, File};
use std::path::PathBuf;

use flame_common::sample::StackEnd;
use flame_common::unwind::{FP, Kind, Registers, Rule, SP, Step, step};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, Evaluation, EvaluationResult, FrameDescriptionEntry,
    LittleEndian, Location, Register, RegisterRule, UnwindExpression, Value,
};
use iced_x86::{Decoder, DecoderOptions, Instruction};

use super::compile::{Code, PADDING, SLICE_PAGES, Sources, UnwindInformation};
use super::entries::for_each_function;
use super::evaluate::Frame;
use super::section::FrameSection;
use super::source::{self, read_section, text_of};
use super::table::UnwindTable;
use super::test_memory::{Scattered, scattered};
use super::translate::{RA, Row, Slice};
use crate::process::{ElfLayout, vdso};

/// Files that are compared, of each of the folders.
const OF_A_FOLDER: usize = 40;
/// The fewest that will do.
const FEWEST: usize = 40;

/// Files of the distribution, some of which have what others lack: stubs, signal frames, code by
/// hand, expressions.
fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = vec!["/proc/self/exe".into()];
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
        let step = (rest.len() / OF_A_FOLDER).max(1);
        files.extend(rest.into_iter().step_by(step).take(OF_A_FOLDER));
    }
    files
}

/// What a frame's caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Caller {
    Nobody,
    /// By the return address, the stack pointer and the frame pointer.
    Called(u64, u64, u64),
    /// All registers, for a frame that was interrupted.
    Interrupted(u64, [u64; 16]),
    /// It cannot be computed.
    Unknown,
}

/// What was compared and what was not.
#[derive(Debug, Default, Clone, Copy)]
struct Count {
    files: usize,
    functions: usize,
    rows: usize,
    instructions: usize,
    /// Rows that no rule holds: compared with what is computed where a stack comes through.
    computed: usize,
    /// Gaps between functions.
    gaps: usize,
    /// Not compared: functions of code that is not in the file, as linkers leave them.
    outside: usize,
    /// Compared up to where another entry begins to speak of the same code.
    shared: usize,
    /// Rows whose caller cannot be computed, which neither side does.
    unknown: usize,
    /// Steps to a caller that would not be above, which end a walk here.
    not_above: usize,
    /// Steps by each kind of rule.
    kinds: [usize; 9],
}

impl Count {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.functions += other.functions;
        self.rows += other.rows;
        self.instructions += other.instructions;
        self.computed += other.computed;
        self.gaps += other.gaps;
        self.outside += other.outside;
        self.shared += other.shared;
        self.unknown += other.unknown;
        self.not_above += other.not_above;
        for (sum, own) in self.kinds.iter_mut().zip(other.kinds) {
            *sum += own;
        }
    }
}

/// What gimli computes.
struct Gimli<'a> {
    section: EhFrame<Slice<'a>>,
    fde: &'a FrameDescriptionEntry<Slice<'a>>,
    registers: Registers,
}

impl Gimli<'_> {
    fn caller(&self, row: &Row) -> Caller {
        if row.register(RA) == Some(RegisterRule::Undefined) {
            return Caller::Nobody;
        }
        self.known_caller(row).unwrap_or(Caller::Unknown)
    }

    fn known_caller(&self, row: &Row) -> Option<Caller> {
        let cfa = match *row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.register(register)?.wrapping_add_signed(offset)
            }
            CfaRule::Expression(expression) => self.evaluate(expression, None)?,
        };
        let restored = |register: Register| match row.register(register) {
            None if register.0 == u16::from(SP) => Some(cfa),
            // A caller that needs a register does not lose it: as if it were unchanged.
            None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => {
                self.register(register)
            }
            Some(RegisterRule::Offset(offset)) => Some(word(cfa.wrapping_add_signed(offset))),
            Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::Register(other)) => self.register(other),
            Some(RegisterRule::Expression(e)) => self.evaluate(e, Some(cfa)).map(word),
            Some(RegisterRule::ValExpression(e)) => self.evaluate(e, Some(cfa)),
            Some(_) => None,
        };
        let ip = restored(RA)?;
        if self.fde.is_signal_trampoline() {
            let mut all = [0; 16];
            for (number, value) in (0..).zip(&mut all) {
                *value = restored(Register(number))?;
            }
            return Some(Caller::Interrupted(ip, all));
        }
        let [sp, fp] = [SP, FP].map(|number| restored(Register(number.into())));
        Some(Caller::Called(ip, sp?, fp?))
    }

    fn register(&self, register: Register) -> Option<u64> {
        if register == RA {
            return Some(self.registers.ip);
        }
        self.registers.general.get(usize::from(register.0)).copied()
    }

    fn evaluate(&self, expression: UnwindExpression<usize>, cfa: Option<u64>) -> Option<u64> {
        let expression = expression.get(&self.section).ok()?;
        let mut evaluation: Evaluation<Slice<'_>> =
            expression.evaluation(self.fde.cie().encoding());
        evaluation.set_max_iterations(1000);
        if let Some(cfa) = cfa {
            evaluation.set_initial_value(cfa);
        }
        let mut state = evaluation.evaluate().ok()?;
        loop {
            state = match state {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresMemory { address, size: 8, space: None, .. } => {
                    evaluation.resume_with_memory(Value::Generic(word(address))).ok()?
                }
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = Value::Generic(self.register(register)?);
                    evaluation.resume_with_register(value).ok()?
                }
                _ => return None,
            };
        }
        match evaluation.as_result() {
            [gimli::Piece { location: Location::Address { address }, .. }] => Some(*address),
            _ => None,
        }
    }
}

fn word(address: u64) -> u64 {
    use flame_common::unwind::Memory as _;
    Scattered.word(address).expect("all of this memory is there")
}

/// What is compared of a file.
struct Compared {
    information: UnwindInformation,
    slices: Vec<UnwindTable>,
    code: Code,
    count: Count,
}

impl Compared {
    fn rule(&self, address: u64) -> Rule {
        let slice = self.information.slice_of(address).expect("an address of the code");
        self.slices[slice as usize].rule(address)
    }

    /// Compares a function, whose rows from `end` on are another's.
    fn function(
        &mut self,
        section: EhFrame<Slice<'_>>,
        fde: &FrameDescriptionEntry<Slice<'_>>,
        rows: &[(u64, u64, Row)],
        end: u64,
    ) {
        let start = fde.initial_address();
        let bytes = self.code.read(start..end).expect("code that is in the file");
        let mut instructions = Decoder::with_ip(64, &bytes, start, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        for (from, to, row) in rows {
            let (from, to) = (*from.max(&start), *to.min(&end));
            if from >= to {
                continue;
            }
            self.count.rows += 1;
            self.address(section, fde, row, from);
            self.address(section, fde, row, to - 1);
            let rule = self.rule(from);
            while instructions.can_decode() && instructions.ip() < to {
                let at = instructions.ip();
                if matches!(rule.kind(), Kind::Plt11 | Kind::Plt10) {
                    self.address(section, fde, row, at);
                }
                assert_eq!(self.rule(at), rule, "at {at:#x}, in the row from {from:#x} on");
                instructions.decode_out(&mut instruction);
                self.count.instructions += 1;
            }
        }
        self.count.functions += 1;
    }

    /// Compares the step of both sides at an address.
    fn address(
        &mut self,
        section: EhFrame<Slice<'_>>,
        fde: &FrameDescriptionEntry<Slice<'_>>,
        row: &Row,
        address: u64,
    ) {
        let registers = Registers { ip: address, ..scattered() };
        let theirs = Gimli { section, fde, registers }.caller(row);
        let rule = self.rule(address);
        self.count.kinds[rule.kind() as usize] += 1;
        let (found, frame) = if rule == Rule::EXPRESSION {
            self.count.computed += 1;
            let mut frame = Frame::new(registers);
            let found = frame.compute(&self.information, address, &mut Scattered);
            (found.expect("an entry speaks of it"), frame.registers)
        } else {
            let mut frame = registers;
            (step(&mut frame, rule, &mut Scattered), frame)
        };
        let ours = match found {
            Ok(Step::Called) => Caller::Called(frame.ip, frame.sp(), frame.fp()),
            Ok(Step::Interrupted) => Caller::Interrupted(frame.ip, frame.general),
            Err(StackEnd::Root) => Caller::Nobody,
            Err(StackEnd::Expression) => {
                self.count.unknown += 1;
                Caller::Unknown
            }
            Err(StackEnd::Implausible) => {
                let is_above = matches!(theirs, Caller::Called(_, sp, _) if sp > registers.sp());
                assert!(!is_above, "at {address:#x}: {theirs:x?} is above");
                self.count.not_above += 1;
                return;
            }
            other => panic!("at {address:#x}: {rule:?}: {other:?}, and {theirs:x?}"),
        };
        assert_eq!(ours, theirs, "at {address:#x}: {rule:?}");
    }
}

/// Compares all of a file; `None` if it is no ELF file with unwind information.
fn compare(file: File) -> Option<Count> {
    let layout = ElfLayout::read(&file)?;
    let section = layout.unwind_section.filter(|section| section.length > 0)?;
    let bytes = read_section(&file, section).expect("a section that is in the file");
    let text = text_of(&layout);
    let information = source::from_file(&file, &layout, None)?;
    let eh_frame = EhFrame::new(&bytes, LittleEndian);
    let bases = BaseAddresses::default().set_eh_frame(section.address);
    let mut compared = Compared {
        slices: all_slices(&information),
        information,
        code: Code { file, segments: layout.segments.clone() },
        count: Count { files: 1, ..Count::default() },
    };
    let mut starts = Vec::new();
    for_each_function(&eh_frame, &bases, |fde, _| {
        starts.push((fde.initial_address(), fde.end_address(), fde.offset()));
    });
    let is_code = |start, end| text.iter().any(|t| t.start <= start && end <= t.end);
    let all = starts.len();
    starts.retain(|&(start, end, _)| start < end && is_code(start, end));
    compared.count.outside = all - starts.len();
    // Of entries for the same start the last one counts.
    starts.sort_by_key(|&(start, ..)| start);
    for_each_function(&eh_frame, &bases, |fde, context| {
        let behind = starts.partition_point(|&(start, ..)| start <= fde.initial_address());
        let known = behind.checked_sub(1).map(|last| starts[last]);
        let next = starts.get(behind).map_or(u64::MAX, |next| next.0);
        let end = fde.end_address().min(next);
        if end < fde.end_address() {
            compared.count.shared += 1;
        }
        if known.is_none_or(|(.., offset)| offset != fde.offset()) {
            let start = (fde.initial_address(), fde.end_address());
            compared.count.shared += usize::from(start.0 < start.1 && is_code(start.0, start.1));
            return;
        }
        let mut rows = Vec::new();
        let mut found = fde.rows(&eh_frame, &bases, context).expect("an entry that is understood");
        while let Some(row) = found.next_row().expect("a row that is understood") {
            rows.push((row.start_address(), row.end_address(), row.clone()));
        }
        compared.function(eh_frame, fde, &rows, end);
    });
    compared.count.gaps = compare_gaps(&bytes, section.address, &text, &starts)?;
    Some(compared.count)
}

/// Behind a function that no other follows, `.eh_frame` says nothing.
fn compare_gaps(
    bytes: &[u8],
    address: u64,
    text: &[std::ops::Range<u64>],
    functions: &[(u64, u64, usize)],
) -> Option<usize> {
    let eh_frame = Some(FrameSection::whole(bytes.to_vec(), address));
    let sources = Sources { eh_frame, ..Sources::default() };
    let information = UnwindInformation::read(sources, text, None)?;
    let slices = all_slices(&information);
    let mut gaps = 0;
    let mut reached = 0;
    for (at, &(_, end, _)) in functions.iter().enumerate() {
        reached = reached.max(end);
        let next = functions.get(at + 1).map_or(u64::MAX, |next| next.0);
        let is_gap = next >= reached.saturating_add(PADDING);
        let in_text = text.iter().any(|text| text.contains(&reached));
        if let Some(slice) = information.slice_of(reached).filter(|_| is_gap && in_text) {
            let rule = slices[slice as usize].rule(reached);
            assert_eq!(rule, Rule::GAP, "behind the function at {reached:#x}");
            gaps += 1;
        }
    }
    Some(gaps)
}

fn all_slices(information: &UnwindInformation) -> Vec<UnwindTable> {
    (0..information.extent().1 / SLICE_PAGES).map(|slice| information.compile(slice)).collect()
}

#[test]
fn every_rule_of_this_machines_files_leads_where_gimli_comes_to() {
    let mut sum = Count::default();
    let mut without = Vec::new();
    let opened = files().into_iter().map(|path| (File::open(&path).ok(), path));
    for (file, path) in opened.chain([(vdso(), "the kernel's vDSO".into())]) {
        match file.and_then(compare) {
            Some(count) => {
                println!("{}: {count:?}", path.display());
                sum.add(count);
            }
            None => without.push(path),
        }
    }
    println!("{sum:?}; no ELF files with unwind information: {without:?}");
    assert!(sum.files > FEWEST, "{} files, and {without:?}", sum.files);
    for kind in [Kind::Offset, Kind::Deref, Kind::Plt11, Kind::Signal, Kind::Root, Kind::Expression]
    {
        assert!(sum.kinds[kind as usize] > 0, "no {kind:?} in {} files", sum.files);
    }
    // None of these are here on Debian 12; other linkers and assembly may have some.
    let left_out = (sum.outside + sum.shared) * 1000 < sum.functions;
    assert!(left_out, "{} entries outside of code, {} shared", sum.outside, sum.shared);
    let not_followed = (sum.unknown + sum.not_above) * 100_000 < sum.kinds.iter().sum();
    assert!(not_followed, "{} callers unknown, {} not above", sum.unknown, sum.not_above);
}
