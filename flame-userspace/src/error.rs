//! The library's one public error.

use std::fmt;

/// What kind of failure an [`Error`] is: what a caller may want to branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// This process may not do what was asked.
    Permission,
    /// The kernel lacks what flame's programs need.
    KernelTooOld,
    /// There is nothing (left) to profile.
    NoTarget,
    /// A command was not found.
    CommandNotFound,
    /// A command was found and cannot be executed.
    CommandNotExecutable,
    /// Anything else; the message tells.
    Other,
}

/// An error with its causes; shown, it tells what was attempted and what to do next.
pub struct Error {
    kind: ErrorKind,
    source: anyhow::Error,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, source: anyhow::Error) -> Self {
        Self { kind, source }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<anyhow::Error> for Error {
    fn from(source: anyhow::Error) -> Self {
        let denied = source.chain().any(|cause| {
            cause
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
        });
        Self::new(if denied { ErrorKind::Permission } else { ErrorKind::Other }, source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.source)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

/// The causes are in the text already; as sources they would be told twice.
impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once() {
        let cause = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = Error::from(anyhow::Error::from(cause).context("open the door"));
        assert_eq!(error.kind(), ErrorKind::Permission);
        let told = format!("{:#}", anyhow::Error::from(error));
        assert_eq!(told.matches("denied").count(), 1, "{told}");
    }
}
