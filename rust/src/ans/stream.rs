//! The bytes of a stream.

use super::comb::Chosen;
use super::constants::{HAS_COMBS, HAS_ESCAPES, IS_CALIBRATED, LOWER_BOUND, MAX_LANES, STATE_BYTES_SHIFT};
use crate::bytes::put_varint;
use crate::{Error, Result};

/// Words, which are written last to first.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: Vec<u16>,
    /// The position of the first word; the positions before it are free.
    first: usize,
}

impl Words {
    /// Returns no words, with room for this many.
    pub(super) fn with_room(room: usize) -> Self {
        Self { words: vec![0; room], first: room }
    }

    /// Returns the last `N` free positions, of which the last are filled first.
    #[inline]
    pub(super) fn room<const N: usize>(&mut self) -> &mut [u16; N] {
        if self.first < N {
            self.grow(N);
        }
        self.words[..self.first].last_chunk_mut().expect("there is room now")
    }

    #[cold]
    fn grow(&mut self, room: usize) {
        let more = self.words.len().max(room);
        let mut words = vec![0; more + self.words.len()];
        words[more + self.first..].copy_from_slice(&self.words[self.first..]);
        self.first += more;
        self.words = words;
    }

    /// Adds the words that were written to the last `count` free positions.
    #[inline]
    pub(super) fn put(&mut self, count: usize) {
        self.first -= count;
    }

    /// Returns all words, first to last.
    fn of(words: Vec<u16>) -> Self {
        Self { words, first: 0 }
    }

    fn get(&self) -> &[u16] {
        &self.words[self.first..]
    }
}

/// A coded stream, which can be written to any place.
#[derive(Debug, Default)]
pub struct Stream {
    head: Vec<u8>,
    words: Words,
}

impl Stream {
    /// Takes what a stream is made of, whether it is calibrated, and the contexts with combs if it is.
    pub(super) fn new(states: &[u32], escapes: &[u8], words: Words, calibrated: Option<&Chosen>) -> Self {
        let highest = states.iter().map(|state| state - LOWER_BOUND).max().unwrap_or(0);
        if calibrated.is_none() && highest == 0 && words.get().is_empty() && escapes.is_empty() {
            return Self::default();
        }
        let state_bytes = (u32::BITS - highest.leading_zeros()).div_ceil(8);
        let lanes_log2 = states.len().ilog2() as u8;
        let mut head = vec![(state_bytes << STATE_BYTES_SHIFT) as u8];
        head[0] |= if calibrated.is_some() { IS_CALIBRATED } else { 0 };
        match calibrated.filter(|combs| !combs.is_empty()) {
            Some(combs) => {
                head[0] |= HAS_COMBS;
                head.push(lanes_log2);
                combs.write(&mut head);
            }
            None => head[0] |= lanes_log2,
        }
        if !escapes.is_empty() {
            head[0] |= HAS_ESCAPES;
            put_varint(&mut head, escapes.len() as u64);
            head.extend(escapes);
        }
        for state in states {
            head.extend(&(state - LOWER_BOUND).to_le_bytes()[..state_bytes as usize]);
        }
        Self { head, words }
    }

    /// Takes what was coded elsewhere: the first state of each lane, the distances of all escapes, and all words.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the number of states is not 1, 2, 4, … or 64, or a state is less than 2^16.
    pub fn of_lanes(states: &[u32], outside: &[u64], words: Vec<u16>) -> Result<Self> {
        let lanes = states.len();
        if !lanes.is_power_of_two() || lanes > MAX_LANES || states.iter().any(|&state| state < LOWER_BOUND) {
            return Err(Error::InvalidArgument(format!("no {lanes} first states of a stream")));
        }
        let mut escapes = Vec::new();
        outside.iter().for_each(|&distance| put_varint(&mut escapes, distance));
        Ok(Self::new(states, &escapes, Words::of(words), None))
    }

    /// Returns the length in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + 2 * self.words.get().len()
    }

    /// Returns whether the stream carries no information.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// Writes the stream.
    ///
    /// # Panics
    /// If the length of `bytes` is not [`Stream::len`].
    pub fn write(&self, bytes: &mut [u8]) {
        assert_eq!(bytes.len(), self.len());
        let (head, words) = bytes.split_at_mut(self.head.len());
        head.copy_from_slice(&self.head);
        for (bytes, word) in words.as_chunks_mut().0.iter_mut().zip(self.words.get()) {
            *bytes = word.to_le_bytes();
        }
    }

    /// Returns the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.write(&mut bytes);
        bytes
    }
}
