//! Programs on probes of user-space functions, by bpf(2) itself: aya neither loads nor attaches
//! those that serve many functions by one link (`uprobe_multi`, Linux 6.6) or both ends of a call
//! (sessions, Linux 6.13).
//!
//! One link with all of a file's probes is opened and closed in some milliseconds; a link for each
//! probe, as older kernels want it, takes a tenth of a second each to close.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use anyhow::{Context as _, Result, anyhow};
use aya_obj::Object;
use aya_obj::generated::bpf_cmd;

use super::apart::apart;
use super::call::{bpf, zeroed};
use super::let_go::let_go;
use super::uprobe_event;

/// `BPF_PROG_TYPE_KPROBE`
const KPROBE: u32 = 2;
/// `BPF_F_UPROBE_MULTI_RETURN`
const MULTI_RETURN: u32 = 1;
/// Room for what the verifier says of a program that it refuses.
const LOG_BYTES: usize = 1 << 20;
/// How much of its end is told.
const LOG_TOLD: usize = 600;

/// What a program is attached to (`enum bpf_attach_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attach {
    /// One function, at one end, by a perf event of its own.
    Single = 0,
    /// Any number of functions, at one end.
    Multi = 48,
    /// Any number of functions, at both ends.
    Session = 57,
}

/// A place to probe in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Offset in the file.
    pub(crate) offset: u64,
    /// What the program is told at each hit.
    pub(crate) cookie: u64,
}

/// A loaded program.
#[derive(Debug)]
pub(super) struct ProbeProgram {
    fd: OwnedFd,
    attach: Attach,
}

/// Probes that are there as long as this is, and some ten milliseconds longer.
#[derive(Debug)]
pub(crate) struct ProbeLink {
    /// Held open, and not used otherwise.
    fds: Vec<OwnedFd>,
}

impl ProbeLink {
    /// Several as one.
    pub(crate) fn of(links: impl IntoIterator<Item = Self>) -> Self {
        Self { fds: links.into_iter().flat_map(|mut link| std::mem::take(&mut link.fds)).collect() }
    }
}

impl Drop for ProbeLink {
    fn drop(&mut self) {
        let fds = std::mem::take(&mut self.fds);
        if !fds.is_empty() {
            let_go(fds);
        }
    }
}

/// The object, bound to maps that are there already.
pub(super) struct Linked {
    object: Object,
    /// Its type information in the kernel, without which there are no callbacks.
    types: OwnedFd,
}

impl Linked {
    /// Understands the object and binds it to the maps of these names.
    pub(super) fn new(object: &[u8], maps: &[(String, RawFd)]) -> Result<Self> {
        let mut object = Object::parse(object).context("understand the kernel object")?;
        let types = load_types(&mut object)?;
        let sections: HashSet<usize> =
            object.functions.keys().map(|(section, _)| *section).collect();
        let known = std::mem::take(&mut object.maps);
        let bound =
            maps.iter().filter_map(|(name, fd)| Some((name.as_str(), *fd, known.get(name)?)));
        object.relocate_maps(bound, &sections).context("bind the kernel programs to their maps")?;
        object.relocate_calls(&sections).context("bind the kernel programs' functions")?;
        Ok(Self { object, types })
    }

    /// Loads a program into the kernel.
    pub(super) fn load(&self, name: &str, attach: Attach) -> Result<ProbeProgram> {
        let program = self.object.programs.get(name);
        let code = program.and_then(|program| self.object.functions.get(&program.function_key()));
        let (program, code) = program.zip(code).ok_or_else(|| {
            anyhow!(
                "the embedded kernel object has no {name}: rebuild it with `cargo xtask build-ebpf`"
            )
        })?;
        let mut attr = zeroed();
        // SAFETY: all of the union is zero, which is valid for each of its structs.
        let load = unsafe { &mut attr.__bindgen_anon_3 };
        load.prog_type = KPROBE;
        load.expected_attach_type = attach as u32;
        load.insns = code.instructions.as_ptr() as u64;
        load.insn_cnt = code.instructions.len() as u32;
        load.license = program.license.as_ptr() as u64;
        let functions = code.func_info.func_info_bytes();
        load.prog_btf_fd = self.types.as_raw_fd() as u32;
        load.func_info = functions.as_ptr() as u64;
        load.func_info_cnt = code.func_info.len() as u32;
        load.func_info_rec_size = code.func_info_rec_size as u32;
        for (to, from) in load.prog_name.iter_mut().take(15).zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        let error = match bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) {
            Ok(fd) => return Ok(ProbeProgram { fd, attach }),
            Err(error) => error,
        };
        let mut log = vec![0u8; LOG_BYTES];
        attr.__bindgen_anon_3.log_level = 1;
        attr.__bindgen_anon_3.log_buf = log.as_mut_ptr() as u64;
        attr.__bindgen_anon_3.log_size = log.len() as u32;
        if let Ok(fd) = bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) {
            return Ok(ProbeProgram { fd, attach });
        }
        let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
        let told = String::from_utf8_lossy(&log[end.saturating_sub(LOG_TOLD)..end]).into_owned();
        let context = format!("load the kernel program {name}: {}", told.trim());
        Err(anyhow::Error::from(error).context(context))
    }
}

impl ProbeProgram {
    /// Attaches it to places of a file, in one process (by flame's numbers) or in all: to one after
    /// the other.
    pub(super) fn attach(
        &self,
        file: &File,
        probes: &[Probe],
        at_return: bool,
        pid: Option<u32>,
    ) -> io::Result<ProbeLink> {
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))
            .expect("a number has no NUL in it");
        if self.attach == Attach::Single {
            let open = |&probe| uprobe_event::open(&self.fd, &path, probe, at_return, pid);
            let fds: Vec<[OwnedFd; 2]> = apart(|| probes.iter().map(open).collect())?;
            return Ok(ProbeLink { fds: fds.into_iter().flatten().collect() });
        }
        let offsets: Vec<u64> = probes.iter().map(|probe| probe.offset).collect();
        let cookies: Vec<u64> = probes.iter().map(|probe| probe.cookie).collect();
        let mut attr = zeroed();
        attr.link_create.__bindgen_anon_1.prog_fd = self.fd.as_raw_fd() as u32;
        attr.link_create.attach_type = self.attach as u32;
        // SAFETY: all of the union is zero but for what was just set, which lies outside of this.
        let multi = unsafe { &mut attr.link_create.__bindgen_anon_3.uprobe_multi };
        multi.path = path.as_ptr() as u64;
        multi.offsets = offsets.as_ptr() as u64;
        multi.cookies = cookies.as_ptr() as u64;
        multi.cnt = probes.len() as u32;
        multi.flags = if at_return { MULTI_RETURN } else { 0 };
        multi.pid = pid.unwrap_or(0);
        let fd = apart(|| bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr))?;
        Ok(ProbeLink { fds: vec![fd] })
    }
}

/// Loads the object's type information into the kernel.
fn load_types(object: &mut Object) -> Result<OwnedFd> {
    let features = aya::features().btf().context("this kernel takes no type information (BTF)")?;
    let types = object.fixup_and_sanitize_btf(features).context("read the object's types")?;
    let bytes = types.context("the embedded kernel object has no types")?.to_bytes();
    let mut attr = zeroed();
    attr.__bindgen_anon_7.btf = bytes.as_ptr() as u64;
    attr.__bindgen_anon_7.btf_size = bytes.len() as u32;
    bpf(bpf_cmd::BPF_BTF_LOAD, &mut attr).context("load the kernel programs' types")
}
