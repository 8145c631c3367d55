//! The decoder.

use super::header::{Header, Method};
use super::sink::Sink;
use super::{dictionary, slices};
use crate::tensor::array::with_dtype;
use crate::tensor::{ArrayInfo, Element, Library, Values};
use crate::{Limits, Result, limits};

/// A decoded array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The library that the array came from.
    pub library: Library,
    /// The dimensions; empty for a single value.
    pub shape: Vec<u64>,
    /// The values in row-major order.
    pub values: Values,
}

/// Inverts [`encode`](super::encode). Any change to the bytes is an error.
///
/// # Errors
/// [`Truncated`](crate::Error::Truncated), [`Corrupt`](crate::Error::Corrupt),
/// [`Unsupported`](crate::Error::Unsupported) or [`LimitExceeded`](crate::Error::LimitExceeded).
pub fn decode(bytes: &[u8], bounds: &Limits) -> Result<Tensor> {
    let header = Header::read(bytes)?;
    let count = header.array.elements().unwrap_or(u64::MAX);
    let dtype = header.array.dtype;
    let size = count.saturating_mul(dtype.bytes() as u64);
    let limit = bounds.max_output_bytes.min(isize::MAX as u64);
    limits::check("size of the tensor", size, limit)?;
    let values = with_dtype!(dtype, T => T::wrap(decode_values::<T>(&header, count as usize)?));
    Ok(Tensor { library: header.array.library, shape: header.array.shape, values })
}

/// Returns type, library and shape of the array, once the CRC of the bytes is verified.
///
/// # Errors
/// [`Truncated`](crate::Error::Truncated), [`Corrupt`](crate::Error::Corrupt) or
/// [`Unsupported`](crate::Error::Unsupported).
pub fn read_head(bytes: &[u8]) -> Result<ArrayInfo> {
    Ok(Header::read(bytes)?.array)
}

fn decode_values<T: Element>(header: &Header, count: usize) -> Result<Vec<T>> {
    let mut sink = Sink::new(header, count);
    match Method::from_number(header.method)? {
        Method::Raw => sink.push_raw(header.payload)?,
        Method::Zstd => sink.push_zstd(header.payload)?,
        Method::Dictionary => dictionary::decode(header.payload, &mut sink)?,
        Method::GaussianSlices => slices::decode(header.payload, slices::SliceTables::gaussian(), &mut sink)?,
        Method::LaplaceSlices => slices::decode(header.payload, slices::SliceTables::laplace(), &mut sink)?,
    }
    sink.finish()
}
