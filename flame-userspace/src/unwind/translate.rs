//! From what DWARF says of a frame to a rule that a row can hold.

use flame_common::unwind::{FP, Rule, SP, SavedFp};
use gimli::{
    CfaRule, EndianSlice, Expression, FrameDescriptionEntry, LittleEndian, Operation, Register,
    RegisterRule, UnwindExpression, UnwindSection, UnwindTableRow,
};

pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;
pub(super) type Row = UnwindTableRow<usize>;

/// The return address among DWARF's registers of x86-64.
pub(super) const RA: Register = Register(16);
/// Bytes below a signal frame's CFA at which the kernel keeps the stack pointer; see
/// `flame_common::unwind::Rule`.
const SIGNAL_SP: i64 = 160;

/// A row of gimli's as a rule of ours.
pub(super) fn rule_of<'a>(
    row: &Row,
    section: &impl UnwindSection<Slice<'a>>,
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
    section: &impl UnwindSection<Slice<'a>>,
    fde: &FrameDescriptionEntry<Slice<'a>>,
) -> bool {
    let CfaRule::Expression(expression) = row.cfa() else { return false };
    let known = Known::read(*expression, section, fde);
    fde.is_signal_trampoline()
        && matches!(known, Some(Known::Deref { base: SP, offset: SIGNAL_SP, post: 0 }))
}

fn simple_rule<'a>(
    row: &Row,
    section: &impl UnwindSection<Slice<'a>>,
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
        section: &impl UnwindSection<Slice<'a>>,
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
