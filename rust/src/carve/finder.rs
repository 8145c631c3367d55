//! The question whether a file that comes in pieces holds JPEGs at all.

use super::search::START;
use crate::jpeg::{SOI, begins_segment};

/// Segments after SOI that must follow one another before a JPEG is assumed. In random bytes that happens once in 10^11.
const SEGMENTS: usize = 2;
/// Bytes from SOI to the end of the length after these segments.
const SPAN: usize = SOI.len() + SEGMENTS * (2 + 0xFFFF) + 4;

/// Finds out whether a file holds an undamaged JPEG, from its pieces.
#[derive(Debug, Default)]
pub struct Finder {
    /// The last bytes, in which a JPEG may begin.
    tail: Vec<u8>,
    started: bool,
    found: bool,
}

impl Finder {
    /// Adds the next bytes.
    pub fn update(&mut self, piece: &[u8]) {
        if self.found {
            return;
        }
        self.tail.extend_from_slice(piece);
        // At the beginning of a file, SOI is enough, as for `read`.
        if !self.started && self.tail.len() >= SOI.len() {
            self.started = true;
            self.found = self.tail.starts_with(&SOI);
        }
        if let Some(end) = self.tail.len().checked_sub(SPAN) {
            self.search(end);
            self.tail.drain(..end);
        }
    }

    /// Returns whether the file holds a JPEG, now that all of it was added.
    pub fn finish(&mut self) -> bool {
        self.search(self.tail.len());
        self.tail.clear();
        self.found
    }

    /// Searches for JPEGs that begin before `end`.
    fn search(&mut self, end: usize) {
        let starts = self.tail.windows(START.len()).take(end).enumerate();
        let mut starts = starts.filter(|(_, bytes)| *bytes == START).map(|(start, _)| start);
        self.found |= starts.any(|start| begins(&self.tail[start..]));
    }
}

/// Returns whether `data` begin like an undamaged JPEG.
fn begins(data: &[u8]) -> bool {
    let mut position = SOI.len();
    for _ in 0..=SEGMENTS {
        match data.get(position..position + 4) {
            // What is cut short, or has fill bytes, is for others to judge.
            None | Some([0xFF, 0xFF, ..]) => return true,
            Some(&[0xFF, marker, high, low]) if begins_segment(marker) => {
                position += 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
            }
            Some(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carve;

    fn found(data: &[u8], piece: usize) -> bool {
        let mut finder = Finder::default();
        data.chunks(piece).for_each(|piece| finder.update(piece));
        finder.finish()
    }

    #[test]
    fn pictures_are_found_wherever_they_are() {
        let picture = include_bytes!("../jpeg/tests/data/baseline.jpg");
        for (before, after) in [(0, 0), (1, 5), (3 * SPAN, 10), (10, 3 * SPAN)] {
            let file = [&vec![0xFF; before][..], picture, &vec![1; after]].concat();
            assert_eq!(carve::read(&file, &crate::Limits::default()).jpegs.len(), 1);
            for piece in [1 << 10, 70_001, 1 << 20] {
                assert!(found(&file, piece), "{before} before, {after} after, pieces of {piece}");
            }
        }
    }

    #[test]
    fn noise_holds_none() {
        let mut state = 1u64;
        let mut noise: Vec<u8> = (0..3 * SPAN)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 56) as u8
            })
            .collect();
        // SOI alone, and with one segment, is none.
        for (at, bytes) in [(100, &b"\xff\xd8\xff"[..]), (SPAN, b"\xff\xd8\xff\xe0\0\x04ab\0\0")] {
            noise[at..][..bytes.len()].copy_from_slice(bytes);
        }
        assert!(!found(&noise, 1 << 16) && !found(b"", 1) && !found(b"abc", 2));
        assert!(found(b"\xff\xd8", 1));
    }
}
