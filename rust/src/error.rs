//! The crate's error type: each variant says what is wrong, and where.

/// Any error of this crate.
///
/// Malformed input never causes a panic: it causes one of these errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data ends before a part that must follow.
    #[error("truncated at byte {offset}: {what}")]
    Truncated {
        /// The part that is missing or incomplete.
        what: &'static str,
        /// Byte position in the data being read.
        offset: usize,
    },
    /// The data contradicts its format or its own checksum.
    #[error("corrupt at byte {offset}: {what}")]
    Corrupt {
        /// The contradiction.
        what: String,
        /// Byte position in the data being read.
        offset: usize,
    },
    /// The data may be valid, but this release cannot read it.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Reading the data would take more than the caller's [`Limits`](crate::Limits) allow.
    #[error("{what} of {value} exceeds the limit of {limit}")]
    LimitExceeded {
        /// The limited quantity.
        what: &'static str,
        /// The quantity that the data asks for.
        value: u64,
        /// The quantity that the caller allows.
        limit: u64,
    },
    /// The system has no memory for the decoded data.
    #[error("no memory for {bytes} bytes")]
    OutOfMemory {
        /// The size of the allocation that failed.
        bytes: u64,
    },
    /// The caller passed an argument that is wrong in itself or does not fit the others.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// The caller cancelled the work.
    #[error("interrupted")]
    Interrupted,
}

/// The reason why this release cannot read some data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// The format's version is not the one that this release reads.
    #[error("{format} of version {found}: this release reads version {newest}")]
    Version {
        /// The format's name.
        format: &'static str,
        /// The version of the data.
        found: u8,
        /// The newest version that this release reads.
        newest: u8,
    },
    /// The container holds another kind of content than this release knows.
    #[error("content of kind {0}")]
    Kind(u8),
    /// The content is compressed by a method that this release does not know.
    #[error("{format} method {method}")]
    Method {
        /// The format's name.
        format: &'static str,
        /// The method's number.
        method: u8,
    },
    /// The array's type is not one that this release knows.
    #[error("dtype {0}")]
    Dtype(u8),
    /// The JPEG file is coded by a process that this crate does not read.
    #[error("{process} JPEG (marker FF{marker:02X})")]
    JpegProcess {
        /// The process's name.
        process: &'static str,
        /// The second byte of the frame's marker.
        marker: u8,
    },
    /// Another reason, in words.
    #[error("{0}")]
    Other(String),
}

impl From<&str> for Unsupported {
    fn from(reason: &str) -> Self {
        Self::Other(reason.into())
    }
}

impl From<String> for Unsupported {
    fn from(reason: String) -> Self {
        Self::Other(reason)
    }
}

impl Error {
    /// Returns the same error for data that begins `bytes` bytes earlier.
    #[must_use]
    pub(crate) fn offset_by(mut self, bytes: usize) -> Self {
        if let Self::Truncated { offset, .. } | Self::Corrupt { offset, .. } = &mut self {
            *offset += bytes;
        }
        self
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
