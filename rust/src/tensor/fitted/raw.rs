//! Values as little-endian bytes.

use crate::interrupt::{PIECE, pieces};
use crate::tensor::{Dtype, Element};

/// Returns the values as little-endian bytes.
pub(super) fn to_bytes<T: Element>(values: &[T]) -> Vec<u8> {
    let size = size_of::<T>();
    let mut bytes = vec![0; size_of_val(values)];
    for (bytes, values) in bytes.chunks_mut(PIECE * size).zip(pieces(values)) {
        for (bytes, value) in bytes.chunks_exact_mut(size).zip(values) {
            bytes.copy_from_slice(&value.to_i64().to_le_bytes()[..size]);
        }
    }
    bytes
}

/// Returns the values of little-endian bytes, sign-extended for a signed type.
pub(super) fn from_bytes<T: Element>(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    let size = size_of::<T>();
    let unused = 64 - 8 * size as u32;
    let signed = matches!(T::DTYPE, Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64);
    bytes.chunks_exact(size).map(move |bytes| {
        let mut wide = [0; 8];
        wide[..size].copy_from_slice(bytes);
        let value = i64::from_le_bytes(wide);
        if signed { value << unused >> unused } else { value }
    })
}
