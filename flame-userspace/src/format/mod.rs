//! Writers and readers of profiles: one file or folder a format, each on a
//! [`Profile`](crate::profile::Profile) alone.

#[cfg(test)]
mod example;
pub mod folded;
mod frame;
pub mod html;
pub mod svg;
pub mod text;
pub mod pprof;
