//! Where the paths through a function lead: which functions it calls or jumps on to, and whether
//! it does anything itself. This is what tells a function that allocates from one that only hands
//! its arguments on (C++'s operator new to `malloc`, musl's `calloc` to `malloc`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iced_x86::{FlowControl, Instruction, InstructionInfoFactory, OpAccess, OpKind, Register};

use super::code::Code;

/// The most instructions that are followed in one function. Real allocators' functions have some
/// hundreds.
const MOST_STEPS: usize = 20_000;

/// What a place in code is, as far as calls to it go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Callee {
    /// An allocator's function.
    Wanted(Goal),
    /// Returns where `errno` lies, which is what a function does that fails at once.
    Errno,
    /// Does not return.
    Never,
    /// Another function of the file.
    Inside(u64),
    /// Another function of another file, or nobody knows which.
    Elsewhere,
}

/// An allocator's function that is called.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Goal {
    pub(super) name: String,
    /// Where it is, if it is surely the one of the same file; a call through a slot may reach that
    /// of another.
    pub(super) address: Option<u64>,
}

/// Names of functions, for the walk.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The allocators' functions, helpers and functions that do not return, by address.
    pub(super) by_address: HashMap<u64, Callee>,
    /// What the slots of the global offset table are for.
    pub(super) slots: HashMap<u64, Callee>,
}

/// What is found on the paths through a function.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Paths {
    /// The allocator's functions that it calls, by the return address of each call.
    pub(super) calls: BTreeMap<u64, Goal>,
    /// Those that it jumps on to.
    pub(super) jumps: BTreeSet<Goal>,
    /// Return addresses of its calls to where nothing but its running tells.
    pub(super) computed: BTreeSet<u64>,
    /// Other functions of the file that it calls, each with the return addresses of the calls.
    pub(super) inside: BTreeMap<u64, BTreeSet<u64>>,
    /// Addresses that branches lead to.
    pub(super) targets: BTreeSet<u64>,
    /// Whether a path ends that did something and met no function of an allocator.
    pub(super) works_alone: bool,
    /// How many instructions were followed.
    pub(super) steps: usize,
}

impl Paths {
    /// Whether the function does no more than hand its arguments on: every path leads to an
    /// allocator's function, but for those that fail at once.
    pub(super) fn only_forwards(&self) -> bool {
        let leads_on = !self.calls.is_empty() || !self.jumps.is_empty();
        leads_on && !self.works_alone
    }
}

/// What a path has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Done {
    Nothing,
    /// Something that only the function itself can have done: it read memory, or called others.
    Work,
    /// It met a function of an allocator.
    Forwarded,
}

/// Follows all paths through the function at `entry`. Jumps out of it are followed too: parts of a
/// function may lie elsewhere, and a jump to another function is a call that does not come back.
pub(super) fn follow(code: &Code<'_>, names: &Names, entry: u64) -> Paths {
    let mut walk = Walk {
        code,
        names,
        entry,
        paths: Paths::default(),
        seen: BTreeSet::new(),
        open: vec![(entry, Done::Nothing)],
        uses: InstructionInfoFactory::new(),
    };
    while let Some((address, done)) = walk.open.pop() {
        walk.run(address, done);
        if walk.paths.steps >= MOST_STEPS {
            walk.paths.works_alone = true;
            break;
        }
    }
    walk.paths
}

struct Walk<'a> {
    code: &'a Code<'a>,
    names: &'a Names,
    entry: u64,
    paths: Paths,
    seen: BTreeSet<(u64, Done)>,
    open: Vec<(u64, Done)>,
    uses: InstructionInfoFactory,
}

impl Walk<'_> {
    /// Goes straight on from an address to the next jump or return.
    fn run(&mut self, address: u64, mut done: Done) {
        for instruction in self.code.straight(address) {
            if !self.seen.insert((instruction.ip(), done)) || self.paths.steps >= MOST_STEPS {
                return;
            }
            self.paths.steps += 1;
            let goes_on = match instruction.flow_control() {
                FlowControl::Next => {
                    if done == Done::Nothing && self.reads_memory(&instruction) {
                        done = Done::Work;
                    }
                    true
                }
                FlowControl::ConditionalBranch => {
                    self.branch(instruction.near_branch_target(), done);
                    true
                }
                FlowControl::UnconditionalBranch | FlowControl::IndirectBranch => {
                    self.jump(&instruction, done);
                    false
                }
                FlowControl::Call | FlowControl::IndirectCall => self.call(&instruction, &mut done),
                FlowControl::Return => {
                    self.end(done);
                    false
                }
                // A trap that is meant never to be met.
                FlowControl::Exception | FlowControl::Interrupt => false,
                FlowControl::XbeginXabortXend => {
                    done = done.max(Done::Work);
                    true
                }
            };
            if !goes_on {
                return;
            }
        }
        // Code that cannot be read or decoded may do anything.
        self.end(done.max(Done::Work));
    }

    fn end(&mut self, done: Done) {
        self.paths.works_alone |= done == Done::Work;
    }

    fn branch(&mut self, target: u64, done: Done) {
        self.paths.targets.insert(target);
        if !self.seen.contains(&(target, done)) {
            self.open.push((target, done));
        }
    }

    fn jump(&mut self, instruction: &Instruction, done: Done) {
        match self.callee(instruction) {
            Some(Callee::Wanted(goal)) if goal.address != Some(self.entry) => {
                self.paths.jumps.insert(goal);
            }
            Some(Callee::Errno) => self.end(done),
            Some(Callee::Never) => {}
            Some(Callee::Wanted(_)) => self.branch(self.entry, done),
            Some(Callee::Inside(target)) => self.branch(target, done),
            Some(Callee::Elsewhere) | None => self.end(done.max(Done::Work)),
        }
    }

    /// Whether the path goes on behind the call.
    fn call(&mut self, instruction: &Instruction, done: &mut Done) -> bool {
        match self.callee(instruction) {
            Some(Callee::Wanted(goal)) => {
                self.paths.calls.insert(instruction.next_ip(), goal);
                *done = Done::Forwarded;
            }
            Some(Callee::Errno) => {}
            Some(Callee::Never) => return false,
            Some(Callee::Inside(target)) => {
                let returns = self.paths.inside.entry(target).or_default();
                returns.insert(instruction.next_ip());
                *done = (*done).max(Done::Work);
            }
            Some(Callee::Elsewhere) => *done = (*done).max(Done::Work),
            None => {
                self.paths.computed.insert(instruction.next_ip());
                *done = (*done).max(Done::Work);
            }
        }
        true
    }

    /// Where a call or jump leads; `None` where it is computed.
    fn callee(&self, instruction: &Instruction) -> Option<Callee> {
        let of_slot = |slot: u64| self.names.slots.get(&slot).cloned().unwrap_or(Callee::Elsewhere);
        if instruction.op0_kind() == OpKind::NearBranch64 {
            let target = instruction.near_branch_target();
            if let Some(callee) = self.names.by_address.get(&target) {
                return Some(callee.clone());
            }
            return Some(self.stub(target).map_or(Callee::Inside(target), of_slot));
        }
        slot_of(instruction).map(of_slot)
    }

    /// The slot that a stub of the procedure linkage table at this address jumps through.
    fn stub(&self, address: u64) -> Option<u64> {
        let mut first = self.code.straight(address).take(2);
        let instruction = first.next()?;
        let is_endbr = instruction.code() == iced_x86::Code::Endbr64;
        let jump = if is_endbr { first.next()? } else { instruction };
        if jump.flow_control() != FlowControl::IndirectBranch {
            return None;
        }
        slot_of(&jump)
    }

    /// Whether an instruction reads memory that is neither the stack nor named by the code itself:
    /// a structure of the function's own.
    fn reads_memory(&mut self, instruction: &Instruction) -> bool {
        let info = self.uses.info(instruction);
        info.used_memory().iter().any(|memory| {
            let is_read = matches!(
                memory.access(),
                OpAccess::Read | OpAccess::ReadWrite | OpAccess::CondRead | OpAccess::ReadCondWrite
            );
            let base = memory.base().full_register();
            let is_plain =
                matches!(base, Register::None | Register::RSP | Register::RBP | Register::RIP);
            let is_thread_local = matches!(memory.segment(), Register::FS | Register::GS);
            is_read && !is_plain && !is_thread_local
        })
    }
}

/// The slot that a call or jump goes through, if the code names it.
fn slot_of(instruction: &Instruction) -> Option<u64> {
    let is_named = instruction.is_ip_rel_memory_operand();
    is_named.then(|| instruction.ip_rel_memory_address())
}
