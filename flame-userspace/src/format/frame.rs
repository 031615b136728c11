//! What a viewer says of a frame: the texts, made safe to show, and the side of the system that
//! it runs on.

use super::text;
use crate::analyze::{Role, frame_module, frame_name, is_kernel};
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

impl Description {
    /// What it is to what ends in it.
    pub(super) fn role(&self) -> Role {
        match self.side {
            Side::Process => Role::Process,
            Side::User | Side::Kernel => Role::of(&self.name, &self.module),
        }
    }
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

fn side_of(module: &str) -> Side {
    if is_kernel(module) { Side::Kernel } else { Side::User }
}
