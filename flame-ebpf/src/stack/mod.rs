//! Taking stacks. Frames go into the sample's buffer: the kernel's first, then the user's, then,
//! where the walk could not be finished here, what user space needs to go on.

mod copy;
pub(crate) mod kernel;
mod return_probe;
mod table;
pub(crate) mod user;

pub(crate) use copy::CopyBudget;
pub(crate) use table::RememberedRules;
pub(crate) use user::Walk;
