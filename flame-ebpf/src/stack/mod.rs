//! Taking stacks. Frames go into the sample's buffer: the kernel's first, then the user's.

pub(crate) mod kernel;
pub(crate) mod user;
