//! Whether a thread is in a probe's trap, told by its user instruction pointer.
//!
//! While the kernel handles a breakpoint, the saved instruction pointer is that of the probed
//! instruction or one more (`int3` has been executed), and at the end that of where the program
//! goes on; what is due while interrupts are off at the trap's end comes right after it, with the
//! same pointer. An instruction that is not emulated is executed in a page of its own, as are the
//! trampolines of returns (`kernel/events/uprobes.c`: `__create_xol_area`); from those the program
//! goes on at the return address. Returns may be taken that nobody here asked for: Linux 6.18 takes
//! each that a session of another process might want (`handler_chain`).

/// Places that are kept for each CPU.
const PLACES: usize = 16;
/// The longest instruction that the kernel emulates.
const LONGEST: u64 = 6;
/// The lowest address that code is at (`vm.mmap_min_addr`, of which this is the least in use).
const LOWEST: u64 = 0x1000;
/// Where the kernel puts the page of its own: the last page but one of user space, for either depth
/// of page tables.
const OWN_PAGES: [u64; 2] = [0x7fff_ffff_e000, 0xff_ffff_ffff_e000];

/// A place whose probe was hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ProbedPlace {
    /// The instruction's address.
    pub address: u64,
    /// Where it leads, if it is a branch that is taken; else the next instruction.
    pub leads_to: u64,
}

/// The places whose probes a CPU met last: addresses of instructions, and of where they lead, each
/// at the slot of its eight bytes of code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ProbedPlaces {
    addresses: [u64; PLACES],
    leads_to: [u64; PLACES],
    returns_to: [u64; PLACES],
}

impl ProbedPlaces {
    /// Keeps a place.
    #[inline(always)]
    pub fn note(&mut self, place: ProbedPlace) {
        let ProbedPlace { address, leads_to } = place;
        keep(&mut self.addresses, address);
        keep(&mut self.leads_to, leads_to);
    }

    /// Keeps where a probed function returns to, whose return is taken.
    #[inline(always)]
    pub fn note_return(&mut self, returns_to: u64) {
        keep(&mut self.returns_to, returns_to);
    }

    /// Whether a thread with this user instruction pointer is in a trap.
    // verifier: three look-ups and not a loop, whose paths would double at each place.
    #[inline(always)]
    pub fn is_trap(&self, ip: u64) -> bool {
        if ip < LOWEST {
            return false;
        }
        let group = ip >> 3;
        self.is_at(group, ip)
            || self.is_at(group - 1, ip)
            || self.leads_to.get(slot(group)) == Some(&ip)
            || self.returns_to.get(slot(group)) == Some(&ip)
            || OWN_PAGES.contains(&(ip & !0xfff))
    }

    /// Whether an instruction pointer is at a probed instruction that begins in these eight bytes.
    #[inline(always)]
    fn is_at(&self, group: u64, ip: u64) -> bool {
        self.addresses.get(slot(group)).is_some_and(|&at| ip.wrapping_sub(at) <= LONGEST)
    }
}

#[inline(always)]
fn keep(places: &mut [u64; PLACES], address: u64) {
    if let Some(kept) = places.get_mut(slot(address >> 3))
        && *kept != address
    {
        *kept = address;
    }
}

/// Fibonacci hashing (Knuth, "The Art of Computer Programming", vol. 3, section 6.4).
#[inline(always)]
const fn slot(group: u64) -> usize {
    (group.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize
}

const _: () = assert!(size_of::<ProbedPlaces>() == 384);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trap_is_the_instruction_and_where_it_leads() {
        let mut places = ProbedPlaces::default();
        assert!(!places.is_trap(0) && !places.is_trap(5));
        for at in 1..=4 {
            let address = at * 0x1000;
            places.note(ProbedPlace { address, leads_to: address + 0x200 });
            places.note_return(address + 0x301);
        }
        for ip in [0x1000, 0x1001, 0x1006, 0x1200, 0x1301, 0x4000, 0x7fff_ffff_e00d] {
            assert!(places.is_trap(ip), "{ip:#x}");
        }
        for ip in [0xfff, 0x1007, 0x11ff, 0x1201, 0x1300, 0x7fff_ffff_d000] {
            assert!(!places.is_trap(ip), "{ip:#x}");
        }
    }
}
