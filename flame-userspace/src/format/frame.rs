//! What a viewer says of a frame: the texts, made safe to show, and the side of the system that
//! it runs on.

use super::text;
use crate::analyze::{frame_module, frame_name};
use crate::profile::Profile;
use crate::profile::tree::FrameName;

/// Where the code of a frame runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Side {
    /// Nowhere: the frame is a process's name.
    Process,
    /// In user space.
    User,
    /// In the kernel or a module of it.
    Kernel,
}

/// A frame of a call tree, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) name: String,
    /// The file name of the mapping; empty if unknown.
    pub(super) module: String,
    /// The source file; empty if unknown.
    pub(super) file: String,
    pub(super) side: Side,
    /// Whether the function was inlined into its caller.
    pub(super) inlined: bool,
}

/// Describes `frame`.
pub(super) fn describe(profile: &Profile, frame: FrameName) -> Description {
    let module = frame_module(profile, frame);
    let (side, file, inlined) = match frame {
        FrameName::Process { .. } => (Side::Process, "", false),
        FrameName::Nameless { .. } | FrameName::Address { .. } => (side_of(&module), "", false),
        FrameName::Function { function, inlined, .. } => {
            let file = profile.string(profile.function(function).file);
            (side_of(&module), file, inlined)
        }
    };
    let name = frame_name(profile, frame);
    Description {
        name: if name.is_empty() {
            "[unknown]".to_owned()
        } else {
            text::visible(&name).into_owned()
        },
        module: text::visible(&module).into_owned(),
        file: text::visible(file).into_owned(),
        side,
        inlined,
    }
}

/// The kernel's mappings are called `[kernel...]`, its modules' `name.ko` with or without the
/// suffix of a compressed file.
fn side_of(module: &str) -> Side {
    let plain = [".xz", ".zst", ".gz"]
        .iter()
        .find_map(|suffix| module.strip_suffix(suffix))
        .unwrap_or(module);
    let is_module =
        std::path::Path::new(plain).extension().is_some_and(|extension| extension == "ko");
    if is_module || module.starts_with("[kernel") { Side::Kernel } else { Side::User }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_and_its_modules_are_told_from_user_space() {
        for kernel in ["[kernel.kallsyms]", "nf_tables.ko", "xfs.ko.zst"] {
            assert_eq!(side_of(kernel), Side::Kernel, "{kernel}");
        }
        for user in ["", "[vdso]", "libkernel.so", "tool.ko.d", "ko"] {
            assert_eq!(side_of(user), Side::User, "{user}");
        }
    }
}
