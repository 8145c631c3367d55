//! Signed integers as varints: 0, −1, 1, −2, … become 0, 1, 2, 3, ….

use crate::Result;
use crate::bytes::{Cursor, put_varint};

/// Appends a zigzag.
pub(in crate::tensor) fn put_zigzag(bytes: &mut Vec<u8>, value: i64) {
    put_varint(bytes, (value << 1 ^ value >> 63) as u64);
}

/// Reads a zigzag.
pub(in crate::tensor) fn read_zigzag(cursor: &mut Cursor, what: &'static str) -> Result<i64> {
    let value = cursor.varint(what)?;
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}
