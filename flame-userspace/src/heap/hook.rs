//! Where an allocator is probed: what the search for its functions finds.

use flame_common::heap::{Arguments, Role};

use super::Allocator;
use super::probe_point::Emulated;

/// A function of an allocator, and where to probe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hook {
    pub(crate) role: Role,
    /// Its name; of several names for one address, the most public one.
    pub(crate) name: String,
    pub(crate) allocator: Allocator,
    /// Where the probe goes: an offset in the file.
    pub(crate) offset: u64,
    /// Where the function begins: an offset in the file.
    pub(crate) entry: u64,
    /// How the kernel emulates the instruction at `offset`. Others are single-stepped, which costs
    /// many times as much.
    pub(crate) emulated: Option<Emulated>,
    /// The offset of the function's first `push`, if it has one, and its length in bytes.
    pub(crate) push: Option<(u64, i32)>,
    /// From the instruction at `offset` to where it leads if it is a branch that is taken, else to
    /// the next one, in bytes.
    pub(crate) leads_to: i32,
    /// In which registers the arguments are at `offset`.
    pub(crate) arguments: Arguments,
    /// For `realloc`: called without an old block it jumps on to `malloc`, which has a hook of its
    /// own. Such a call is not to be counted here: nothing tells it from a call to `malloc` there.
    pub(crate) null_is_malloc: bool,
    /// For glibc's `memalign` and its like: called for an alignment that `malloc` gives anyway it
    /// jumps on to that, and is not to be counted here either.
    pub(crate) plain_is_malloc: bool,
    /// An exception may leave it: then its return is not taken where it may come to that.
    pub(crate) may_throw: bool,
}

/// What is found in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hooks {
    /// By `entry`, each once.
    pub(crate) probed: Vec<Hook>,
    /// Return addresses, as offsets in the file and sorted, of the calls that the allocator's own
    /// functions make to hooked ones (`realloc` to `malloc`, say) or to a computed address, behind
    /// which another library's allocator may be. A sampled call that returns to one of these was
    /// counted by its caller and is to be left out.
    pub(crate) own_calls: Vec<u64>,
    /// Functions that do no more than call or jump on to a hooked one, here or in another file,
    /// and so have no hook: name, and the name that they lead to.
    pub(crate) forwarders: Vec<(String, String)>,
}
