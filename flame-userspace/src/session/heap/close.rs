//! Closing the books: what a part of a session found out of the heap.

use super::governor::Probing;
use super::grown::Grown;
use super::growth::Growth;
use super::report::HeapPart;
use super::{Heap, go, residency};
use crate::process::ProcessTable;
use crate::session::timeline;

impl Heap {
    /// Closes the books of a part.
    pub(in crate::session) fn close(&mut self, processes: &ProcessTable) -> HeapPart {
        self.listen(processes);
        self.come_to(u64::MAX);
        self.adapted_samples = 0;
        self.settle();
        let go = self.go.close(processes);
        go.addresses().for_each(|address| self.ledger.want(address));
        let now_ns = timeline::now_ns();
        let mut books = self.ledger.close(now_ns);
        self.forget(std::mem::take(&mut books.dropped));
        let has_samples = books.sum.samples > 0;
        let mut in_use = go::in_use(&books.rows);
        go.add_in_use(&mut in_use);
        let explained = self.residency.explained(&in_use, processes);
        let intervals = std::mem::replace(&mut self.intervals, (self.interval, self.interval));
        let knows_in_use = std::mem::replace(&mut self.followed, self.probing == Probing::Follow)
            || (!has_samples && go.knows());
        let unseen = if self.blocks.is_some() {
            let grows = self.growth.is_some();
            self.unseen.sentences(&go.processes, &explained, grows, processes)
        } else {
            Vec::new()
        };
        self.unseen.leave_ended(processes);
        self.residency.leave_ended(processes);
        // In its own part, since what is closed starts afresh.
        let growth = self.growth.as_mut().map(Growth::close);
        let shown = growth.filter(|_| !knows_in_use || !unseen.is_empty());
        let grown = shown.map(|closed| Grown::new(closed, &mut books.sum, processes));
        HeapPart {
            books,
            closed_ns: now_ns,
            began_ns: std::mem::replace(&mut self.began_ns, now_ns),
            has_samples,
            knows_allocations: self.probes() || go.knows(),
            knows_in_use,
            grown,
            probing: self.probing,
            stepped_down: self.stepped_down,
            overhead: self.options.overhead,
            cost: self.cost,
            intervals,
            found: self.found.clone(),
            failures: self.failures.iter().cloned().chain(self.own_missing()).collect(),
            unseen,
            memory: residency::lines(&explained, processes),
            go_knows: go.knows(),
            go,
            left_out: std::mem::take(&mut self.left_out),
            thinned: self.thinned,
            settled: std::mem::take(&mut self.settled),
        }
    }

    /// Whether allocations are sampled up to now.
    fn probes(&self) -> bool {
        self.blocks.is_some() && self.probing != Probing::Nothing
    }

    /// The functions of the user's that no file has.
    fn own_missing(&self) -> impl Iterator<Item = String> {
        let missing = self.options.own.iter().filter(|own| !self.own_found.contains(&own.name));
        missing.map(|own| {
            format!(
                "{}: no file of the targets has such a function in its symbol table: it may be inlined everywhere, or have another linker's name",
                own.text()
            )
        })
    }
}
