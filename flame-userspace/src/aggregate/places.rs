//! What lies at the addresses of stacks, looked up once for each address of a process, as long as
//! its mappings are the same.

use foldhash::HashMap;

use super::Stacks;
use crate::process::{CodeAddress, ProcessId, ProcessTable};

/// Most addresses that are remembered; then it begins anew.
const MOST: usize = 1 << 18;

/// What was looked up.
#[derive(Debug, Default)]
pub(super) struct Places {
    processes: HashMap<ProcessId, Known>,
    count: usize,
}

/// A process's addresses, in a state of its mappings.
#[derive(Debug, Default)]
struct Known {
    epoch: u32,
    numbers: HashMap<u64, u32>,
}

impl Places {
    /// The number that `stacks` has for what lies at an address of a process.
    pub(super) fn number(
        &mut self,
        process: ProcessId,
        address: u64,
        processes: &mut ProcessTable,
        stacks: &mut Stacks,
    ) -> u32 {
        let known = self.processes.entry(process).or_default();
        let epoch = processes.epoch(process);
        if known.epoch != epoch {
            self.count -= known.numbers.len();
            *known = Known { epoch, ..Known::default() };
        }
        if let Some(&number) = known.numbers.get(&address) {
            return number;
        }
        let place = processes.locate(process, address);
        let number = stacks.address(place);
        // What is not known yet may be known later.
        if !matches!(place, CodeAddress::Unmapped(_)) {
            known.numbers.insert(address, number);
            self.count += 1;
        }
        if self.count > MOST {
            *self = Self::default();
        }
        number
    }
}
