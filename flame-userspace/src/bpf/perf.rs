//! `perf_event_open(2)`: opening events, and reading the records that the kernel puts into an
//! event's ring.

use std::ffi::CStr;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use aya_obj::generated::perf_event_attr;

/// What a CPU's sampling event counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// Time on the CPU, by its timer: works everywhere.
    CpuClock,
    /// A counter of the CPU's performance monitoring unit.
    Hardware(Counter),
}

/// A hardware counter that the kernel knows by name (`perf_hw_id`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Counter {
    /// Cycles.
    Cycles = 0,
    /// Retired instructions.
    Instructions = 1,
    /// Cache references.
    CacheReferences = 2,
    /// Cache misses.
    CacheMisses = 3,
    /// Retired branch instructions.
    Branches = 4,
    /// Mispredicted branches.
    BranchMisses = 5,
}

/// The events by the names that a user gives them.
const NAMES: [(&str, Event); 7] = [
    ("cpu-clock", Event::CpuClock),
    ("cycles", Event::Hardware(Counter::Cycles)),
    ("instructions", Event::Hardware(Counter::Instructions)),
    ("cache-references", Event::Hardware(Counter::CacheReferences)),
    ("cache-misses", Event::Hardware(Counter::CacheMisses)),
    ("branches", Event::Hardware(Counter::Branches)),
    ("branch-misses", Event::Hardware(Counter::BranchMisses)),
];

impl Event {
    /// The event of a name, such as `cycles`.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, event)| *event)
    }

    /// The event's name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, event)| *event == self).map_or("", |(name, _)| name)
    }

    /// Every name.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}

const TYPE_HARDWARE: u32 = 0;
const TYPE_SOFTWARE: u32 = 1;
const SOFTWARE_CPU_CLOCK: u64 = 0;
const SOFTWARE_DUMMY: u64 = 9;
/// `PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU`, at the end of each side-band record.
const SAMPLE_ID: u64 = 1 << 1 | 1 << 2 | 1 << 7;
const FLAG_CLOEXEC: libc::c_ulong = 1 << 3;
/// `_IOW('$', 8, __u32)`
const IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
/// `_IO('$', 0)`
const IOC_ENABLE: libc::c_ulong = 0x2400;
/// `_IO('$', 1)`
const IOC_DISABLE: libc::c_ulong = 0x2401;
/// `_IOW('$', 4, __u64)`
const IOC_PERIOD: libc::c_ulong = 0x4008_2404;

/// All fields zero: an event that counts nothing special.
fn zeroed() -> perf_event_attr {
    // SAFETY: the struct is made of integers alone, for which zero is valid.
    let mut attr: perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = size_of::<perf_event_attr>() as u32;
    attr
}

fn open(attr: &perf_event_attr, cpu: u32) -> io::Result<OwnedFd> {
    open_for(attr, -1, cpu as i32)
}

/// Of a task (-1: of all) on a CPU (-1: on all; then it is of one task).
fn open_for(attr: &perf_event_attr, task: i32, cpu: i32) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads `attr.size` bytes of a struct that lives through the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const *attr, task, cpu, -1, FLAG_CLOEXEC)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// A probe of user code (an event of the kind `uprobe`) at an offset of a file, in the process of a
/// task or in all. What is to happen there is not said yet.
pub(super) fn open_probe(
    kind: u32,
    config: u64,
    path: &CStr,
    offset: u64,
    task: Option<u32>,
) -> io::Result<OwnedFd> {
    let mut attr = zeroed();
    (attr.type_, attr.config) = (kind, config);
    attr.__bindgen_anon_3.uprobe_path = path.as_ptr() as u64;
    attr.__bindgen_anon_4.probe_offset = offset;
    // Of all tasks it is on any one CPU: the program runs on whichever is hit.
    match task {
        Some(task) => open_for(&attr, task as i32, -1),
        None => open_for(&attr, -1, 0),
    }
}

/// A sampling event of one CPU; closing it ends the sampling.
#[derive(Debug)]
pub(crate) struct SamplingEvent(OwnedFd);

impl SamplingEvent {
    /// Opens the event on a CPU, disabled, with a BPF program to run each time it fires.
    pub(crate) fn open(
        event: Event,
        frequency: u64,
        cpu: u32,
        program: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let mut attr = zeroed();
        match event {
            Event::CpuClock => {
                attr.type_ = TYPE_SOFTWARE;
                attr.config = SOFTWARE_CPU_CLOCK;
                // The kernel makes a fixed period of a clock's frequency; asked for here so that
                // it is known exactly.
                attr.__bindgen_anon_1.sample_period = clock_period(frequency);
            }
            Event::Hardware(counter) => {
                attr.type_ = TYPE_HARDWARE;
                attr.config = counter as u64;
                attr.set_freq(1);
                attr.__bindgen_anon_1.sample_freq = frequency;
            }
        }
        attr.set_disabled(1);
        let event = Self(open(&attr, cpu)?);
        event.ioctl(IOC_SET_BPF, program.as_raw_fd() as libc::c_ulong)?;
        Ok(event)
    }

    /// Starts it.
    pub(crate) fn enable(&self) -> io::Result<()> {
        self.ioctl(IOC_ENABLE, 0)
    }

    /// Sets how often a clock fires in a second.
    pub(crate) fn set_clock_frequency(&self, frequency: u64) -> io::Result<()> {
        let period = clock_period(frequency);
        self.ioctl(IOC_PERIOD, &raw const period as libc::c_ulong)
    }

    /// Stops it.
    pub(crate) fn disable(&self) -> io::Result<()> {
        self.ioctl(IOC_DISABLE, 0)
    }

    fn ioctl(&self, request: libc::c_ulong, argument: libc::c_ulong) -> io::Result<()> {
        // SAFETY: a request takes a number, or reads one that lives through the call; none writes
        // to this process's memory.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), request, argument) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Nanoseconds between two ticks of a clock.
fn clock_period(frequency: u64) -> u64 {
    1_000_000_000 / frequency
}

/// A ring of side-band records of one CPU: its processes' exec, fork, exit and executable mmap.
#[derive(Debug)]
pub(crate) struct RecordRing {
    /// Keeps the event open.
    _event: OwnedFd,
    base: NonNull<u8>,
    /// Bytes mapped: a page of control, then the data.
    mapped: NonZeroUsize,
    page: usize,
}

// SAFETY: the mapping belongs to this value alone and may be read from whichever thread has it.
unsafe impl Send for RecordRing {}

/// Offsets in `struct perf_event_mmap_page` (`include/uapi/linux/perf_event.h`).
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

impl RecordRing {
    /// Opens the records of a CPU with room for `bytes` (a power of two), or half as much until
    /// the kernel grants it.
    pub(crate) fn open(cpu: u32, bytes: usize) -> Result<Self> {
        let mut attr = zeroed();
        attr.type_ = TYPE_SOFTWARE;
        attr.config = SOFTWARE_DUMMY;
        attr.sample_type = SAMPLE_ID;
        attr.set_sample_id_all(1);
        attr.set_mmap(1);
        attr.set_mmap2(1);
        // No build IDs: kernels mark the records of all later events of the same mapping as having
        // one, too, if one event asks for them (`perf_event_mmap_output`, seen on Linux 6.18), and
        // other profilers' recordings break.
        attr.set_comm(1);
        attr.set_comm_exec(1);
        attr.set_task(1);
        attr.set_use_clockid(1);
        attr.clockid = libc::CLOCK_MONOTONIC;
        attr.set_watermark(1);
        attr.__bindgen_anon_2.wakeup_watermark = u32::MAX;
        let event = open(&attr, cpu)?;
        // SAFETY: sysconf takes a number and returns one.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let mut data = bytes;
        while data >= page {
            let mapped = page + data;
            // SAFETY: a new shared mapping of the event's pages, at an address of the kernel's
            // choice; nothing else uses that range.
            let base = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    mapped,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_SHARED,
                    event.as_raw_fd(),
                    0,
                )
            };
            if base != libc::MAP_FAILED
                && let (Some(base), Some(mapped)) =
                    (NonNull::new(base.cast::<u8>()), NonZeroUsize::new(mapped))
            {
                return Ok(Self { _event: event, base, mapped, page });
            }
            data /= 2;
        }
        bail!("map the process records of CPU {cpu}: {}", io::Error::last_os_error());
    }

    /// Calls `each` with every waiting record: its type, its misc bits and its body.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(u32, u16, &[u8])) {
        let data = self.mapped.get() - self.page;
        let head = self.control(DATA_HEAD).load(Ordering::Acquire);
        let mut tail = self.control(DATA_TAIL).load(Ordering::Relaxed);
        let mut record = Vec::new();
        while tail < head {
            let mut header = [0; 8];
            self.copy(tail, &mut header, data);
            let kind = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
            let misc = u16::from_ne_bytes([header[4], header[5]]);
            let size = u64::from(u16::from_ne_bytes([header[6], header[7]]));
            if size < 8 || tail + size > head {
                // Cannot happen with a sound kernel; skipping all is the only safe way on.
                tail = head;
                break;
            }
            record.resize(size as usize - 8, 0);
            self.copy(tail + 8, &mut record, data);
            each(kind, misc, &record);
            tail += size;
        }
        self.control(DATA_TAIL).store(tail, Ordering::Release);
    }

    fn control(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the control page is mapped as long as this value lives; both fields are aligned
        // 64-bit words that the kernel writes and reads as such.
        unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(offset).cast()) }
    }

    /// Copies bytes at a position of the ring, which wraps around.
    fn copy(&self, position: u64, into: &mut [u8], data: usize) {
        let start = (position % data as u64) as usize;
        let first = into.len().min(data - start);
        let (head, tail) = into.split_at_mut(first);
        // SAFETY: both ranges lie in the data pages, which are mapped as long as this value
        // lives; the kernel does not write between tail and head.
        unsafe {
            let base = self.base.as_ptr().add(self.page);
            std::ptr::copy_nonoverlapping(base.add(start), head.as_mut_ptr(), head.len());
            std::ptr::copy_nonoverlapping(base, tail.as_mut_ptr(), tail.len());
        }
    }
}

impl Drop for RecordRing {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `open` and is unmapped once. A failure would leave it
        // mapped until the process ends, which harms nobody.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.mapped.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_name_reads_back() {
        for name in Event::names() {
            assert_eq!(Event::from_name(name).map(Event::name), Some(name));
        }
        assert_eq!(Event::from_name("watts"), None);
    }
}
