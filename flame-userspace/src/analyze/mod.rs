//! Questions asked of a [`Profile`](crate::profile::Profile), whatever its source.

pub mod check;
pub mod diff;
mod functions;
pub mod noise;
pub mod normalize;
mod passing;
pub mod report;
mod top;

pub use functions::{Children, Function, FunctionNode, FunctionTree, Worth, is_kernel};
pub use passing::passes_on;
pub use top::{Heaviest, frame_module, frame_name, holders, top};
