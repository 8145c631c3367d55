//! The one set of limits that every decoder takes.

use crate::{Error, Result};

/// The most that a file may ask for. They bound memory and time: a small file can claim to be large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Blocks of 64 samples in all components of all pictures.
    pub max_blocks: u64,
    /// Bytes of the file, image or tensor that is restored.
    pub max_output_bytes: u64,
}

impl Default for Limits {
    /// 512 megapixels in 4:4:4, and 2 GiB.
    fn default() -> Self {
        Self { max_blocks: 24 << 20, max_output_bytes: 1 << 31 }
    }
}

impl Limits {
    pub(crate) fn check_blocks(&self, blocks: u64) -> Result<()> {
        check("number of JPEG blocks", blocks, self.max_blocks)
    }

    pub(crate) fn check_output(&self, what: &'static str, bytes: u64) -> Result<()> {
        check(what, bytes, self.max_output_bytes)
    }
}

#[inline(always)]
pub(crate) fn check(what: &'static str, value: u64, limit: u64) -> Result<()> {
    match value > limit {
        true => Err(Error::LimitExceeded { what, value, limit }),
        false => Ok(()),
    }
}

#[cfg(test)]
pub(crate) fn up_to(max_output_bytes: u64) -> Limits {
    Limits { max_output_bytes, ..Limits::default() }
}
