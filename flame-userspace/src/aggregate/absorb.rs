//! One sum of two.

use super::{Aggregate, Stack};

impl Aggregate {
    /// Adds another sum, and gives what each of its stacks is in this one.
    pub(crate) fn absorb(&mut self, other: Self) -> impl Fn(Stack) -> Stack + use<> {
        let places = self.stacks.absorb(&other.stacks);
        let of = move |stack: Stack| stack.map(|frame| places[frame as usize]);
        for (mut key, (count, value)) in other.sums {
            key.stack = of(key.stack);
            let sum = self.sums.entry(key).or_default();
            *sum = (sum.0 + count, sum.1.saturating_add(value));
        }
        self.samples += other.samples;
        self.lost += other.lost;
        for (to, from) in self.ends.iter_mut().zip(other.ends) {
            *to += from;
        }
        of
    }
}
