//! An ordinary user, for tests of privileges.
