//! Return addresses that the kernel has put others in place of, for probes at a function's return:
//! it keeps those that are meant, innermost first.

use crate::config::config;
use crate::memory::kernel;
use crate::task;

/// The innermost one that the walk has not come past (a `return_instance` of the kernel's); all
/// zero if there is none.
#[repr(C)]
pub(crate) struct Replaced {
    /// Where on the stack.
    pub(crate) at: u64,
    /// The address that is meant.
    pub(crate) address: u64,
    next: u64,
}

impl Replaced {
    /// Starts with the current task's innermost.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        self.go_to(first().unwrap_or_default());
    }

    /// The address that is meant at a place of the stack, if another is there.
    #[inline(always)]
    pub(super) fn take(&mut self, at: u64) -> Option<u64> {
        if self.at == 0 || self.at != at {
            return None;
        }
        let address = self.address;
        self.go_to(self.next);
        Some(address)
    }

    #[inline(always)]
    fn go_to(&mut self, instance: u64) {
        (self.at, self.address, self.next) = read(instance).unwrap_or_default();
    }
}

#[inline(always)]
fn first() -> Option<u64> {
    let offset = config!(offsets.task_utask);
    if offset == 0 {
        return None;
    }
    let utask: u64 = kernel(task::current(), offset)?;
    if utask == 0 { None } else { kernel(utask, config!(offsets.utask_instances)) }
}

#[inline(always)]
fn read(instance: u64) -> Option<(u64, u64, u64)> {
    if instance == 0 {
        return None;
    }
    let at = kernel(instance, config!(offsets.instance_stack))?;
    let address = kernel(instance, config!(offsets.instance_address))?;
    Some((at, address, kernel(instance, config!(offsets.instance_next))?))
}
