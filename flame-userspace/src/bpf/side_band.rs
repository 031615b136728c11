//! perf's side-band records, decoded: exec, fork, exit and executable mmap of every process, with
//! the time at which they happened.
//!
//! Layouts are those of `enum perf_event_type` in `include/uapi/linux/perf_event.h`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use anyhow::Result;

use super::perf::RecordRing;
use crate::process::{FileIdentity, ProcessEvent};

const LOST: u32 = 2;
const COMM: u32 = 3;
const EXIT: u32 = 4;
const FORK: u32 = 7;
const MMAP2: u32 = 10;

const MISC_COMM_EXEC: u16 = 1 << 13;
/// Bytes of pid, tid, time, cpu and a reserved word, which end every record.
const SAMPLE_ID_BYTES: usize = 24;
/// Protection bit of executable memory in an mmap record.
const PROT_EXEC: u32 = 4;
/// Room for the records of a CPU, in bytes: what the kernel grants each user without privilege.
const RING_BYTES: usize = 512 << 10;

/// The side-band records of all CPUs.
#[derive(Debug)]
pub(crate) struct SideBand {
    rings: Vec<RecordRing>,
}

/// What was read at one time.
#[derive(Debug, Default)]
pub(crate) struct SideBandBatch {
    /// Events with their times (`CLOCK_MONOTONIC`, nanoseconds), in no order.
    pub(crate) events: Vec<(u64, ProcessEvent)>,
    /// Records that the kernel had no room for.
    pub(crate) lost: u64,
    /// Records that could not be understood.
    pub(crate) malformed: u64,
}

impl SideBand {
    /// Opens the records of these CPUs. They flow from now on.
    pub(crate) fn open(cpus: &[u32]) -> Result<Self> {
        let rings = cpus.iter().map(|&cpu| RecordRing::open(cpu, RING_BYTES));
        Ok(Self { rings: rings.collect::<Result<_>>()? })
    }

    /// Reads all waiting records.
    pub(crate) fn drain(&mut self, batch: &mut SideBandBatch) {
        for ring in &mut self.rings {
            ring.drain(|kind, misc, body| batch.take_in(kind, misc, body));
        }
    }
}

impl SideBandBatch {
    fn take_in(&mut self, kind: u32, misc: u16, body: &[u8]) {
        match decode(kind, misc, body) {
            Some(Decoded::Event(time, event)) => self.events.push((time, event)),
            Some(Decoded::Lost(count)) => self.lost += count,
            Some(Decoded::Other) => {}
            None => self.malformed += 1,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Decoded {
    Event(u64, ProcessEvent),
    Lost(u64),
    Other,
}

/// Understands one record; `None` if it is malformed.
fn decode(kind: u32, misc: u16, body: &[u8]) -> Option<Decoded> {
    let (own, id) = body.split_at(body.len().checked_sub(SAMPLE_ID_BYTES)?);
    let time = long(id, 8)?;
    let event = match kind {
        LOST => return Some(Decoded::Lost(long(own, 8)?)),
        COMM => ProcessEvent::Comm {
            pid: word(own, 0)?,
            tid: word(own, 4)?,
            comm: String::from_utf8_lossy(text(own, 8)?).into_owned(),
            exec: misc & MISC_COMM_EXEC != 0,
        },
        FORK => {
            ProcessEvent::Fork { pid: word(own, 0)?, parent: word(own, 4)?, tid: word(own, 8)? }
        }
        EXIT => ProcessEvent::Exit { pid: word(own, 0)?, tid: word(own, 8)? },
        MMAP2 if word(own, 56)? & PROT_EXEC != 0 => ProcessEvent::Mmap {
            pid: word(own, 0)?,
            start: long(own, 8)?,
            length: long(own, 16)?,
            offset: long(own, 24)?,
            path: PathBuf::from(std::ffi::OsStr::from_bytes(text(own, 64)?)),
            identity: identity(own)?,
        },
        _ => return Some(Decoded::Other),
    };
    Some(Decoded::Event(time, event))
}

/// The file, by its inode: flame asks for no build IDs, and a mark that there is one is another
/// event's (see `RecordRing::open`).
fn identity(own: &[u8]) -> Option<FileIdentity> {
    Some(FileIdentity {
        major: word(own, 32)?,
        minor: word(own, 36)?,
        inode: long(own, 40)?,
        generation: long(own, 48)?,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The text at `at`, up to its NUL.
fn text(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    Some(&rest[..rest.iter().position(|&byte| byte == 0)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mark of a record that it tells a build ID.
    const MISC_MMAP_BUILD_ID: u16 = 1 << 14;

    /// A record body: the fields, then the sample id with `time`.
    fn body(fields: &[&[u8]], time: u64) -> Vec<u8> {
        let mut bytes = fields.concat();
        bytes.extend([0; 8]);
        bytes.extend(time.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes
    }

    fn mmap(misc: u16, tail: &[u8]) -> Option<Decoded> {
        let numbers = [[7u8, 0, 0, 0], [8, 0, 0, 0]].concat();
        let range: Vec<u8> =
            [0x1000u64, 0x2000, 0x3000].iter().flat_map(|n| n.to_ne_bytes()).collect();
        let protection = [5u32, 2].map(u32::to_ne_bytes).concat();
        let path = b"/bin/true\0\0\0\0\0\0\0";
        decode(MMAP2, misc, &body(&[&numbers, &range, tail, &protection, path], 99))
    }

    #[test]
    fn an_mmap_record_tells_the_file_by_inode_also_where_it_is_marked_as_anothers() {
        let inode = [[8u32, 1].map(u32::to_ne_bytes).concat(), vec![5; 8], vec![6; 8]].concat();
        for misc in [0, MISC_MMAP_BUILD_ID] {
            let Some(Decoded::Event(
                99,
                ProcessEvent::Mmap { pid, start, offset, path, identity, .. },
            )) = mmap(misc, &inode)
            else {
                panic!("an mmap event");
            };
            assert_eq!((pid, start, offset), (7, 0x1000, 0x3000));
            assert_eq!(path, PathBuf::from("/bin/true"));
            let (inode, generation) = (0x0505_0505_0505_0505, 0x0606_0606_0606_0606);
            assert_eq!(identity, FileIdentity { major: 8, minor: 1, inode, generation });
        }
    }

    #[test]
    fn a_truncated_record_is_refused_at_any_length() {
        let whole = body(&[&[1; 64], b"/x\0"], 1);
        for length in 0..whole.len() {
            for kind in [LOST, COMM, EXIT, FORK, MMAP2, 77] {
                // Without a panic; a short one is never an event with a made-up path.
                let decoded = decode(kind, MISC_MMAP_BUILD_ID, &whole[..length]);
                assert!(length >= SAMPLE_ID_BYTES || decoded.is_none());
            }
        }
    }
}
