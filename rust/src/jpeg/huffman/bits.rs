//! Reading and writing the bits of an entropy-coded segment, with its byte stuffing: 0x00 follows each 0xFF.

/// Returns whether any byte of `word` is 0xFF.
#[inline(always)]
fn has_ff(word: u64) -> bool {
    const LOW: u64 = u64::MAX / 0xFF;
    word & !word.wrapping_add(LOW) & (LOW << 7) != 0
}

/// Reads bits up to the next marker or the end of the data.
#[derive(Clone, Copy)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    next: usize,
    /// The next bits, from the top down. Below the first `len` of them there may be a copy of later bits.
    buffer: u64,
    len: u32,
}

impl<'a> BitReader<'a> {
    pub fn new(data: &'a [u8], position: usize) -> Self {
        Self { data, next: position, buffer: 0, len: 0 }
    }

    /// Makes at least 32 bits available, unless the data end earlier.
    #[inline(always)]
    pub fn refill(&mut self) {
        if self.len < 32 {
            self.refill_buffer();
        }
    }

    #[inline(always)]
    fn refill_buffer(&mut self) {
        if let Some(&bytes) = self.data.get(self.next..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_be_bytes(bytes);
            if !has_ff(word) {
                let bytes = (63 - self.len) / 8;
                self.buffer |= word >> self.len;
                self.len += 8 * bytes;
                self.next += bytes as usize;
                return;
            }
        }
        *self = self.refilled_bytewise();
    }

    // Takes and returns the reader by value, so that a reader in a loop can live in registers.
    #[inline(never)]
    fn refilled_bytewise(mut self) -> Self {
        while self.len <= 56 {
            let (byte, step) = match self.data.get(self.next..).unwrap_or_default() {
                [0xFF, 0x00, ..] => (0xFF, 2),
                [0xFF, ..] | [] => break,
                [byte, ..] => (*byte, 1),
            };
            self.buffer |= u64::from(byte) << (56 - self.len);
            self.len += 8;
            self.next += step;
        }
        self
    }

    /// Returns the next `count` bits (1 to 16) without consuming them; bits beyond the end are arbitrary.
    #[inline(always)]
    pub fn peek(&self, count: u32) -> u32 {
        (self.buffer >> (64 - count)) as u32
    }

    #[inline(always)]
    pub fn consume(&mut self, count: u32) -> Option<()> {
        self.len = self.len.checked_sub(count)?;
        self.buffer <<= count;
        Some(())
    }

    /// Reads `count` bits (0 to 16) as a number; `None` at the end. Needs a refilled reader.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> Option<u32> {
        let value = (self.buffer >> 1 >> (63 - count)) as u32;
        self.consume(count)?;
        Some(value)
    }

    /// Reads a value of `size` bits (0 to 16) in the standard's sign representation (EXTEND). Needs a refilled reader.
    #[inline(always)]
    pub fn take_signed(&mut self, size: u32) -> Option<i32> {
        let negative = !(self.buffer as i64 >> 63) as i32;
        let value = self.take(size)? as i32;
        Some(value + (negative & (1 - (1 << size))))
    }

    /// Reads a single bit; refills if needed.
    #[inline(always)]
    pub fn take_bit(&mut self) -> Option<bool> {
        self.refill();
        Some(self.take(1)? != 0)
    }

    /// Returns the bits before the marker or the end, with zeros above them, and their number; `None` for a byte or
    /// more.
    pub fn padding(&mut self) -> Option<(u8, u32)> {
        self.refill();
        let len = self.len;
        (len < 8).then(|| ((self.buffer >> 1 >> (63 - len)) as u8, len))
    }

    /// Returns the position of the marker or the end of the data, once [`padding`](Self::padding) has found it.
    pub fn end(&self) -> usize {
        self.next
    }

    /// Returns the position of the byte that contains the next bit.
    pub fn position(&self) -> usize {
        let unread_bytes = self.len.div_ceil(8);
        (0..unread_bytes).fold(self.next, |position, _| match self.data[..position] {
            [.., 0xFF, 0x00] => position - 2,
            _ => position - 1,
        })
    }
}

/// Appends bits to a byte vector.
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Its last `len` (less than 32) bits are not written yet.
    buffer: u64,
    len: u32,
}

impl<'a> BitWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, buffer: 0, len: 0 }
    }

    /// Returns the length of the output so far, without the bits still in the buffer.
    pub fn output_len(&self) -> usize {
        self.out.len()
    }

    /// Appends the `count` (0 to 32) low bits of `bits`, whose other bits are 0.
    #[inline(always)]
    pub fn put(&mut self, bits: u32, count: u32) {
        self.buffer = self.buffer << count | u64::from(bits);
        self.len += count;
        if self.len >= 32 {
            self.len -= 32;
            self.put_word((self.buffer >> self.len) as u32);
        }
    }

    #[inline(always)]
    fn put_word(&mut self, word: u32) {
        let bytes = word.to_be_bytes();
        if has_ff(word.into()) {
            put_stuffed(self.out, &bytes);
        } else {
            self.out.extend_from_slice(&bytes);
        }
    }

    /// Completes the last byte with the low bits of `padding`.
    pub fn pad(&mut self, padding: u8) {
        let count = self.len.wrapping_neg() % 8;
        self.put(u32::from(padding) & ((1 << count) - 1), count);
        self.drop_partial_byte();
    }

    /// Writes the whole bytes and forgets the bits after them.
    pub fn drop_partial_byte(&mut self) {
        while self.len >= 8 {
            self.len -= 8;
            put_stuffed(self.out, &[(self.buffer >> self.len) as u8]);
        }
        self.len = 0;
    }

    /// Appends bytes unchanged. The last byte must be complete.
    pub fn put_raw(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.len, 0);
        self.out.extend_from_slice(bytes);
    }
}

// Not a method, so that a writer in a loop can live in registers.
#[inline(never)]
fn put_stuffed(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        out.push(byte);
        if byte == 0xFF {
            out.push(0);
        }
    }
}
