//! A terminal of a test's own: what flame does on Ctrl-C depends on one.
