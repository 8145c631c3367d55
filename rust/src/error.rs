//! The one error type: what is wrong, and where.

/// Everything that can go wrong in this crate.
///
/// No input, however malformed, makes the crate panic: it gets one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data ends before something that must follow.
    #[error("truncated at byte {offset}: {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Byte position in the data being read.
        offset: usize,
    },
    /// The data contradicts its format or its own checksum.
    #[error("corrupt at byte {offset}: {what}")]
    Corrupt {
        /// What is wrong.
        what: String,
        /// Byte position in the data being read.
        offset: usize,
    },
    /// The data is of a kind or version that this crate does not handle.
    #[error("{0}")]
    Unsupported(String),
    /// Honouring the data would take more than the caller allows.
    #[error("{what} of {value} exceeds the limit of {limit}")]
    LimitExceeded {
        /// The limited quantity.
        what: &'static str,
        /// What the data asks for.
        value: u64,
        /// What is allowed.
        limit: u64,
    },
    /// There is no memory for what the data holds.
    #[error("no memory for {bytes} bytes")]
    OutOfMemory {
        /// What could not be had.
        bytes: u64,
    },
    /// The caller passed something that cannot be honoured.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// Whoever wanted the work wants it no more.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The same for data that begins with what was read only after `bytes` bytes.
    #[must_use]
    pub(crate) fn further(mut self, bytes: usize) -> Self {
        if let Self::Truncated { offset, .. } | Self::Corrupt { offset, .. } = &mut self {
            *offset += bytes;
        }
        self
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
