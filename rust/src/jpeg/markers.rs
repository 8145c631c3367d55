//! Markers, marker segments, and where entropy-coded segments and restart intervals end (T.81, annex B).

use crate::{Error, Result};

/// Start of image: the first two bytes of every JPEG file.
pub(crate) const SOI: [u8; 2] = [0xFF, 0xD8];
/// End of image.
pub(super) const EOI: [u8; 2] = [0xFF, 0xD9];
const RST0: u8 = 0xD0;
const RST7: u8 = 0xD7;

/// The meaning of the byte after 0xFF (T.81, table B.1).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// Frame header of a process that is supported.
    Sof(Process),
    /// Frame header of any other process, with the marker's byte.
    UnsupportedSof(u8),
    /// Huffman tables.
    Dht,
    /// Arithmetic conditioning.
    Dac,
    /// Quantisation tables.
    Dqt,
    /// Restart interval.
    Dri,
    /// Scan header.
    Sos,
    /// Start of image.
    Soi,
    /// End of image.
    Eoi,
    /// A restart marker or TEM, which has no segment.
    Standalone,
    /// APP0 to APP15 or COM: the contents of its segment are the application's.
    Application,
    /// Any other marker that has a segment.
    Other,
}

/// A coding process, as the marker of the frame header names it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub progressive: bool,
    pub arithmetic: bool,
}

impl From<u8> for Marker {
    fn from(byte: u8) -> Self {
        match byte {
            0xC0..=0xC2 | 0xC9 | 0xCA => {
                Self::Sof(Process { progressive: matches!(byte, 0xC2 | 0xCA), arithmetic: byte >= 0xC9 })
            }
            0xC4 => Self::Dht,
            0xCC => Self::Dac,
            0xC3..=0xCF => Self::UnsupportedSof(byte),
            0xD8 => Self::Soi,
            0xD9 => Self::Eoi,
            0xDA => Self::Sos,
            0xDB => Self::Dqt,
            0xDD => Self::Dri,
            0xE0..=0xEF | 0xFE => Self::Application,
            0x01 | RST0..=RST7 => Self::Standalone,
            _ => Self::Other,
        }
    }
}

/// Returns the next marker at or after `position`, and the position after it.
pub(super) fn next_marker(data: &[u8], position: usize) -> Option<(Marker, usize)> {
    let rest = data.get(position..)?;
    // 0xFF before another 0xFF is a fill byte.
    let start = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
    Some((Marker::from(rest[start + 1]), position + start + 2))
}

/// Returns whether a segment follows this marker in an undamaged file before its first scan.
#[cfg_attr(not(feature = "formats"), allow(dead_code))]
pub(crate) fn begins_segment(marker: u8) -> bool {
    use Marker::{Application, Dac, Dht, Dqt, Dri, Sof, Sos};
    matches!(Marker::from(marker), Application | Dac | Dht | Dqt | Dri | Sof(_) | Sos)
}

/// Returns the restart marker that follows an interval.
pub(super) fn restart_marker(interval: usize) -> [u8; 2] {
    [0xFF, RST0 + (interval % 8) as u8]
}

/// Returns whether the last two bytes are a restart marker.
pub(super) fn ends_with_restart(bytes: &[u8]) -> bool {
    matches!(bytes, [.., 0xFF, RST0..=RST7])
}

/// Returns the length of the entropy-coded segment that `data` begins with: up to a marker other than RST.
pub(super) fn segment_len(data: &[u8]) -> usize {
    let mut len = 0;
    while let Some(ff) = data[len..].iter().position(|&byte| byte == 0xFF) {
        len += ff;
        match data.get(len + 1) {
            Some(0x00 | RST0..=RST7) => len += 2,
            _ => return len,
        }
    }
    data.len()
}

/// Returns the length of the restart interval that `data` begins with: up to any marker.
pub(super) fn interval_len(data: &[u8]) -> usize {
    let marker = data.windows(2).position(|pair| pair[0] == 0xFF && pair[1] != 0);
    marker.unwrap_or(data.len())
}

/// Returns the height that a DNL segment gives, if one follows the entropy-coded segment that `data` begins with.
pub(super) fn height_after_scan(data: &[u8]) -> Option<u16> {
    let after = &data[segment_len(data)..];
    let fill = after.iter().take_while(|&&byte| byte == 0xFF).count();
    match after[fill..] {
        [0xDC, 0, 4, high, low, ..] if fill > 0 => Some(u16::from_be_bytes([high, low])).filter(|&h| h > 0),
        _ => None,
    }
}

/// Reads the contents of a marker segment.
pub(super) struct Segment<'a> {
    /// The file up to the end of the segment.
    data: &'a [u8],
    pub position: usize,
}

impl<'a> Segment<'a> {
    /// Finds the segment whose length is at `start`.
    pub fn at(data: &'a [u8], start: usize) -> Result<Self> {
        let mut segment = Self { data, position: start };
        let len = usize::from(segment.u16()?);
        if len < 2 {
            return Err(corrupt("segment length below 2", start));
        }
        segment.data = data.get(..start + len).ok_or(truncated(data))?;
        Ok(segment)
    }

    /// Position after the segment.
    pub fn end(&self) -> usize {
        self.data.len()
    }

    pub fn is_empty(&self) -> bool {
        self.position == self.data.len()
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let bytes = self.data.get(self.position..).and_then(|rest| rest.get(..len));
        self.position += len;
        bytes.ok_or(truncated(self.data))
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    /// Reads a byte as two numbers of four bits, the high one first.
    pub fn nibbles(&mut self) -> Result<(u8, u8)> {
        let byte = self.u8()?;
        Ok((byte >> 4, byte & 15))
    }

    pub fn u16(&mut self) -> Result<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }
}

fn truncated(data: &[u8]) -> Error {
    Error::Truncated { what: "marker segment", offset: data.len() }
}

pub(super) fn corrupt(what: impl Into<String>, offset: usize) -> Error {
    Error::Corrupt { what: what.into(), offset }
}
