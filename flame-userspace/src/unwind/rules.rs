//! The kernel's dictionary of the rules that rows cannot tell whole: each is there once, as long as
//! rows use it.

use flame_common::unwind::{DICTIONARY, Rule};
use foldhash::HashMap;

use super::KernelTables;

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
        let known = rule.number().or_else(|| self.numbers.get(&rule).copied());
        let Some(number) = known.or_else(|| self.add(rule, kernel)) else {
            return Rule::EXPRESSION_NUMBER;
        };
        if let Some((_, users)) = self.known.get_mut(usize::from(number)) {
            *users += 1;
        }
        number
    }

    fn add(&mut self, rule: Rule, kernel: &mut impl KernelTables) -> Option<u16> {
        let number = match self.free.pop() {
            Some(number) => {
                self.known[usize::from(number)] = (rule, 0);
                number
            }
            None if self.known.len() < DICTIONARY => {
                self.known.push((rule, 0));
                (self.known.len() - 1) as u16
            }
            None => return None,
        };
        self.numbers.insert(rule, number);
        kernel.write_rule(number, rule);
        Some(number)
    }

    /// A user does without a rule: none of its rows may be looked at any more.
    pub(super) fn give_back(&mut self, number: u16) {
        // That of a whole rule is beyond all of the dictionary.
        let Some((rule, users)) = self.known.get_mut(usize::from(number)) else { return };
        *users -= 1;
        if *users == 0 {
            self.numbers.remove(rule);
            self.free.push(number);
        }
    }
}
