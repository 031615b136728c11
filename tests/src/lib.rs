//! What the end-to-end tests share: workloads, the flame runner, assertions on profiles.
