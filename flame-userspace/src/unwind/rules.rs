//! The kernel's dictionary of rules: each is there once, as long as rows use it.

use flame_common::limits::RULES;
use flame_common::unwind::Rule;
use foldhash::HashMap;

use super::KernelTables;

/// The number of [`Rule::EXPRESSION`], which stands for the rules that found no number.
const EXPRESSION: u16 = 0;

/// The rules that the kernel knows, by number.
#[derive(Debug)]
pub(super) struct RuleNumbers {
    numbers: HashMap<Rule, u16>,
    /// Each number's rule, and how many slices of tables use it.
    known: Vec<(Rule, u32)>,
    /// Numbers that nobody uses any more.
    free: Vec<u16>,
}

impl RuleNumbers {
    pub(super) fn new() -> Self {
        Self { numbers: HashMap::default(), known: Vec::new(), free: Vec::new() }
    }

    /// The number of a rule, for one more user. Rules beyond the last number have to be computed.
    pub(super) fn take(&mut self, rule: Rule, kernel: &mut impl KernelTables) -> u16 {
        if self.known.is_empty() {
            // Nobody gives back this use.
            self.add(Rule::EXPRESSION, kernel);
            self.known[usize::from(EXPRESSION)].1 = 1;
        }
        let number = self.numbers.get(&rule).copied().unwrap_or_else(|| self.add(rule, kernel));
        self.known[usize::from(number)].1 += 1;
        number
    }

    fn add(&mut self, rule: Rule, kernel: &mut impl KernelTables) -> u16 {
        let number = match self.free.pop() {
            Some(number) => {
                self.known[usize::from(number)] = (rule, 0);
                number
            }
            None if self.known.len() < RULES => {
                self.known.push((rule, 0));
                (self.known.len() - 1) as u16
            }
            None => return EXPRESSION,
        };
        self.numbers.insert(rule, number);
        kernel.write_rule(number, rule);
        number
    }

    /// A user does without a rule: none of its rows may be looked at any more.
    pub(super) fn give_back(&mut self, number: u16) {
        let (rule, users) = &mut self.known[usize::from(number)];
        *users -= 1;
        if *users == 0 {
            self.numbers.remove(rule);
            self.free.push(number);
        }
    }
}
