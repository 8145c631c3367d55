//! Integers in little-endian base 128: every count and length that the formats hold.

use crate::{Error, Result};

/// Appends `value`, seven bits to a byte, the high bit on every byte but the last.
pub(crate) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// How many bytes [`put`] appends.
pub(crate) fn length(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Reads the integer at `position` and moves past it.
///
/// # Errors
/// [`Error::Truncated`] or, if that is no 64-bit integer in its shortest form, [`Error::Corrupt`]; both name
/// `what`.
pub(crate) fn take(bytes: &[u8], position: &mut usize, what: &'static str) -> Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*position).ok_or(Error::Truncated { what, offset: *position })?;
        *position += 1;
        let bits = u64::from(byte & 0x7f);
        value |= bits << shift;
        if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
            break; // too large, or longer than need be
        }
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Error::Corrupt { what: format!("{what} is not a base-128 integer"), offset: *position })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for value in [0, 1, 127, 128, 16383, 16384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            assert_eq!(bytes.len(), length(value));
            let mut position = 0;
            assert_eq!(take(&bytes, &mut position, "value"), Ok(value));
            assert_eq!(position, bytes.len());
            let cut = take(&bytes[..bytes.len() - 1], &mut 0, "value");
            assert!(matches!(cut, Err(Error::Truncated { .. })));
        }
    }

    #[test]
    fn one_encoding_for_each_value() {
        for bytes in [&[0x80, 0][..], &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]]
        {
            assert!(matches!(take(bytes, &mut 0, "value"), Err(Error::Corrupt { .. })));
        }
    }
}
