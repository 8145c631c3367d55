//! Byte buffers: a [`Cursor`] that reads them, and the base-128 integers of all formats.
//!
//! A *varint* holds an unsigned integer in little-endian base 128: seven bits to a byte, with the high bit set on every
//! byte but the last. Only the shortest form is valid.

use crate::{Error, Result};

/// Appends a varint.
pub(crate) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Returns the number of bytes that [`put_varint`] appends.
pub(crate) fn varint_len(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Reads the varint at `position` and moves past it; see [`Cursor::varint`].
pub(crate) fn take_varint(bytes: &[u8], position: &mut usize, what: &'static str) -> Result<u64> {
    let mut cursor = Cursor::at(bytes, *position);
    let value = cursor.varint(what);
    *position = cursor.position();
    value
}

/// Reads a buffer from front to back. `what` names the part being read, for the error.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self::at(bytes, 0)
    }

    /// Starts at `position`, which must not be beyond the end.
    pub(crate) fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { bytes, position }
    }

    /// Returns the position of the next byte.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Returns the bytes that have not been read yet, without reading them.
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    /// Reads `count` bytes.
    ///
    /// # Errors
    /// [`Error::Truncated`] at the buffer's end if fewer are left.
    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8]> {
        let truncated = Error::Truncated { what, offset: self.bytes.len() };
        let taken = self.rest().get(..count).ok_or(truncated)?;
        self.position += count;
        Ok(taken)
    }

    /// Reads `count` bytes, where `count` comes from the data.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub(crate) fn take_u64(&mut self, count: u64, what: &'static str) -> Result<&'a [u8]> {
        self.take(usize::try_from(count).unwrap_or(usize::MAX), what)
    }

    /// Reads `N` bytes.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// As [`Cursor::take`].
    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8> {
        self.array(what).map(|[byte]| byte)
    }

    /// Reads a varint.
    ///
    /// # Errors
    /// [`Error::Truncated`], or [`Error::Corrupt`] if the bytes are not a 64-bit integer in its shortest form.
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            value |= bits << shift;
            let too_large = bits << shift >> shift != bits;
            let too_long = byte == 0 && shift > 0;
            if too_large || too_long {
                break;
            }
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Error::Corrupt { what: format!("{what} is not a base-128 integer"), offset: self.position })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip() {
        for value in [0, 1, 127, 128, 16383, 16384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(bytes.len(), varint_len(value));
            let mut position = 0;
            assert_eq!(take_varint(&bytes, &mut position, "value"), Ok(value));
            assert_eq!(position, bytes.len());
            let cut = Cursor::new(&bytes[..bytes.len() - 1]).varint("value");
            assert_eq!(cut, Err(Error::Truncated { what: "value", offset: bytes.len() - 1 }));
        }
    }

    #[test]
    fn each_value_has_one_varint() {
        for bytes in [&[0x80, 0][..], &[0xff; 11], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]]
        {
            assert!(matches!(Cursor::new(bytes).varint("value"), Err(Error::Corrupt { .. })));
        }
    }

    #[test]
    fn a_cursor_stops_at_the_end() {
        let mut cursor = Cursor::new(&[1, 2, 3, 4]);
        assert_eq!(cursor.take(2, "head"), Ok(&[1, 2][..]));
        for count in [3, u64::MAX] {
            assert_eq!(cursor.take_u64(count, "tail"), Err(Error::Truncated { what: "tail", offset: 4 }));
        }
        assert_eq!((cursor.position(), cursor.rest()), (2, &[3, 4][..]));
        assert_eq!(cursor.array("tail"), Ok([3, 4]));
        assert!(cursor.byte("more").is_err());
    }
}
