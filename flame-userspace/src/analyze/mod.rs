//! Questions asked of a [`Profile`](crate::profile::Profile), whatever its source.

mod top;

pub use top::{Heaviest, frame_module, frame_name, top};
