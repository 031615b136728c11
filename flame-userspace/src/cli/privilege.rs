//! With which rights flame runs, and what to do without enough of them.

use crate::bpf::{Feature, has_capability};

/// What loading programs and opening events for others takes.
const NEEDED: [Feature; 2] = [Feature::Bpf, Feature::Perfmon];

/// The rights that this process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Privilege {
    /// They are the caller's own: any process may be profiled.
    Full,
    /// They are the program file's (file capabilities), which serve any local user: only the
    /// caller's processes may be profiled, and the kernel's addresses stay hidden.
    OfFile { uid: u32 },
    /// They do not suffice.
    Missing,
}

impl Privilege {
    /// Finds out.
    pub(super) fn of_this_process() -> Self {
        if !NEEDED.into_iter().all(has_capability) {
            return Self::Missing;
        }
        // SAFETY: the calls take nothing or a number, and cannot fail.
        let (uid, secure) = unsafe { (libc::getuid(), libc::getauxval(libc::AT_SECURE)) };
        // The kernel tells a program that it got rights from its file which its caller lacks.
        if uid != 0 && secure != 0 { Self::OfFile { uid } } else { Self::Full }
    }

    /// The one user whose processes may be profiled, if not every user's.
    pub(super) fn only_user(self) -> Option<u32> {
        match self {
            Self::OfFile { uid } => Some(uid),
            Self::Full | Self::Missing => None,
        }
    }

    /// What is missing, and the commands that mend it; `arguments` are flame's own.
    pub(super) fn advice(arguments: &str) -> String {
        let missing = NEEDED.into_iter().filter(|feature| !has_capability(*feature));
        let missing: Vec<&str> = missing.map(Feature::name).collect();
        let program = program();
        format!(
            "flame needs {} to profile.\n\
             Run it as root:\n  sudo {program} {arguments}\n\
             or let every local user profile their own processes:\n  \
             sudo setcap {} {program}",
            missing.join(" and "),
            capabilities_to_grant(),
        )
    }
}

/// What a program file needs to serve ordinary users.
pub(super) fn capabilities_to_grant() -> &'static str {
    "cap_bpf,cap_perfmon,cap_checkpoint_restore=ep"
}

/// The path of the running program.
pub(super) fn program() -> String {
    let path = std::env::current_exe().unwrap_or_else(|_| "flame".into());
    path.to_string_lossy().into_owned()
}
