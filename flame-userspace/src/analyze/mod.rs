//! Questions asked of a [`Profile`](crate::profile::Profile), whatever its source.

pub mod check;
pub mod diff;
mod functions;
mod holders;
pub mod noise;
pub mod normalize;
pub mod report;
mod top;

pub use functions::{Children, Function, FunctionNode, FunctionTree, Worth, is_kernel};
pub use holders::{Holding, Role, first, holding_nodes, is_held};
pub use top::{Heaviest, frame_module, frame_name, top};
