//! A probe of one function by a perf event of its own (Linux 5.15 lets its program have a cookie),
//! for kernels before links of many probes. Dear to close: the kernel waits for all CPUs, up to a
//! tenth of a second for each, one after the other.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use aya_obj::generated::bpf_cmd;

use super::call::{bpf, zeroed};
use super::perf;
use super::uprobe::Probe;

/// Where the kernel tells the number of the events' kind, and which bit of their configuration asks
/// for a function's return (`config:N`).
const KIND: &str = "/sys/bus/event_source/devices/uprobe/type";
const AT_RETURN: &str = "/sys/bus/event_source/devices/uprobe/format/retprobe";
/// `BPF_PERF_EVENT` (`enum bpf_attach_type`)
const PERF_EVENT: u32 = 41;

/// Opens a probe in a file, in one process (by flame's numbers) or in all, and has it run a program.
/// What is returned is to be closed in this order.
pub(super) fn open(
    program: &OwnedFd,
    path: &CStr,
    probe: Probe,
    at_return: bool,
    pid: Option<u32>,
) -> io::Result<[OwnedFd; 2]> {
    let config = if at_return { 1 << number(AT_RETURN)? } else { 0 };
    let event = perf::open_probe(number(KIND)?, config, path, probe.offset, pid)?;
    let mut attr = zeroed();
    attr.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd() as u32;
    attr.link_create.__bindgen_anon_2.target_fd = event.as_raw_fd() as u32;
    attr.link_create.attach_type = PERF_EVENT;
    attr.link_create.__bindgen_anon_3.perf_event.bpf_cookie = probe.cookie;
    let link = bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr)?;
    Ok([link, event])
}

/// The number in one of these files.
fn number(path: &str) -> io::Result<u32> {
    let text = fs::read_to_string(path)?;
    let parsed = text.trim().trim_start_matches("config:").parse();
    parsed.map_err(|_| io::Error::other(format!("{path} holds no number but {text:?}")))
}
