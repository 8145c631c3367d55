//! The values of an array that is being decoded.

use std::io::Read;

use xxhash_rust::xxh3::Xxh3;

use super::header::Header;
use super::raw;
use crate::interrupt::{self, Watched};
use crate::tensor::Element;
use crate::{Error, Result};

/// Values decoded at a time, so that memory grows only with values that the payload really holds. A multiple of the lanes.
pub(super) const BLOCK: usize = 1 << 16;

/// Collects and hashes values as they are decoded.
pub(super) struct Sink<'a, T> {
    values: Vec<T>,
    hash: Xxh3,
    /// The number of values of the whole array.
    count: usize,
    header: &'a Header<'a>,
}

impl<'a, T: Element> Sink<'a, T> {
    pub(super) fn new(header: &'a Header<'a>, count: usize) -> Self {
        Self { values: Vec::new(), hash: Xxh3::new(), count, header }
    }

    /// Returns the number of values that are missing.
    pub(super) fn left(&self) -> usize {
        self.count - self.values.len()
    }

    /// Appends values, at most as many as are missing.
    pub(super) fn push(&mut self, values: impl Iterator<Item = i64>) -> Result<()> {
        interrupt::check()?;
        let start = self.values.len();
        let more = values.size_hint().0.min(self.left());
        let bytes = ((start + more) * size_of::<T>()) as u64;
        self.values.try_reserve(more).map_err(|_| Error::OutOfMemory { bytes })?;
        for value in values.take(self.left()) {
            let value = T::from_i64(value)
                .ok_or_else(|| self.header.corrupt(format!("{value} is no {:?}", T::DTYPE)))?;
            self.values.push(value);
        }
        self.hash.update(&raw::to_bytes(&self.values[start..]));
        Ok(())
    }

    /// Appends all missing values, given as little-endian bytes.
    pub(super) fn push_raw(&mut self, bytes: &[u8]) -> Result<()> {
        let size = T::DTYPE.bytes();
        if bytes.len() != self.left() * size {
            return Err(self.header.corrupt(format!("{} bytes for {} values", bytes.len(), self.left())));
        }
        bytes.chunks(BLOCK * size).try_for_each(|block| self.push(raw::from_bytes::<T>(block)))
    }

    /// Appends all missing values, given as little-endian bytes compressed by Zstandard.
    pub(super) fn push_zstd(&mut self, payload: &[u8]) -> Result<()> {
        let error = |error: std::io::Error| self.header.corrupt(format!("zstd: {error}"));
        let most = (self.left() * T::DTYPE.bytes()) as u64;
        let mut bytes = Vec::new();
        let decoder = zstd::Decoder::new(payload).map_err(error)?;
        Watched(decoder.take(most + 1)).read_to_end(&mut bytes).map_err(error)?;
        self.push_raw(&bytes)
    }

    /// Checks the values' number and checksum, and returns the values.
    pub(super) fn finish(self) -> Result<Vec<T>> {
        if self.left() > 0 {
            let what = format!("{} values instead of {}", self.values.len(), self.count);
            return Err(self.header.corrupt(what));
        }
        if self.hash.digest() != self.header.checksum {
            return Err(self.header.corrupt("checksum of the values"));
        }
        Ok(self.values)
    }
}

/// Blames errors of tables and streams inside a payload on the payload.
pub(super) fn in_payload<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| match error {
        Error::InvalidArgument(what) => Error::Corrupt { what, offset: 0 },
        other => other,
    })
}
