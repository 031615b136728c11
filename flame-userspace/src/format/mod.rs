//! Writers and readers of profiles: one file or folder a format, each on a
//! [`Profile`](crate::profile::Profile) alone.

pub mod pprof;
