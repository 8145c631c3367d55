//! Scans, as their headers and the tables before them describe them.

use super::block::Block;
use super::huffman_table::HuffmanTable;

/// A scan.
pub(super) struct Scan {
    pub kind: ScanKind,
    /// `Some` if the scan is arithmetic-coded, `None` if it is Huffman-coded.
    pub conditioning: Option<Conditioning>,
    /// In the order of SOS, which is the order within an MCU.
    pub components: Vec<ScanComponent>,
    /// In MCUs; 0 without restart markers.
    pub restart_interval: usize,
    /// Position of the scan header.
    pub offset: usize,
}

/// The part of each block that a scan codes.
#[derive(Clone, Copy)]
pub(super) enum ScanKind {
    /// All of it.
    Sequential,
    /// DC down to bit `al`.
    DcFirst { al: u8 },
    /// Bit `al` of DC.
    DcRefinement { al: u8 },
    /// The coefficients of a band down to bit `al`.
    AcFirst(Band),
    /// Bit `al` of the coefficients of a band.
    AcRefinement(Band),
}

/// Coefficients `ss..=se`, with all bits below `al` left to later scans (T.81, B.2.3).
#[derive(Clone, Copy)]
pub(super) struct Band {
    pub ss: usize,
    pub se: usize,
    pub al: u8,
}

/// A component of a scan. Huffman tables that the scan does not use are empty.
pub(super) struct ScanComponent {
    /// Index into the components of the frame.
    pub index: usize,
    /// Numbers of the tables for DC and for AC, 0 to 15.
    pub selectors: (usize, usize),
    pub dc: HuffmanTable,
    pub ac: HuffmanTable,
}

/// How arithmetic coding chooses contexts: the tables that DAC defines, by number.
#[derive(Clone, Copy)]
pub(super) struct Conditioning {
    /// Binary logarithms of the bounds L and U between zero, small and large differences.
    pub dc: [(u8, u8); 16],
    /// The last of the low frequencies, Kx.
    pub ac: [u8; 16],
}

impl Default for Conditioning {
    /// The values without DAC (T.81, F.1.4.4.1.4 and F.1.4.4.2.1).
    fn default() -> Self {
        Self { dc: [(0, 1); 16], ac: [5; 16] }
    }
}

impl ScanKind {
    /// Returns the first and the last coefficient, and the lowest bit that is coded.
    pub fn coefficients(self) -> (usize, usize, u8) {
        match self {
            Self::Sequential => (0, 63, 0),
            Self::DcFirst { al } | Self::DcRefinement { al } => (0, 0, al),
            Self::AcFirst(band) | Self::AcRefinement(band) => (band.ss, band.se, band.al),
        }
    }

    /// Resets a block to its state before the scan, even if only part of the block has been decoded.
    pub fn undo(self, block: &mut Block) {
        match self {
            Self::Sequential => *block = [0; 64],
            Self::DcFirst { .. } => block[0] = 0,
            Self::DcRefinement { al } => block[0] &= !(1 << al),
            Self::AcFirst(Band { ss, se, .. }) => block[ss..=se].fill(0),
            Self::AcRefinement(Band { ss, se, al }) => {
                for coefficient in &mut block[ss..=se] {
                    let magnitude = coefficient.unsigned_abs() & !(1 << al);
                    *coefficient = magnitude as i16 * coefficient.signum();
                }
            }
        }
    }
}

impl Band {
    /// Returns the mask of the coefficients from `k` to the end of the band.
    #[inline(always)]
    pub fn mask_from(&self, k: usize) -> u64 {
        u64::MAX.checked_shl(k as u32).unwrap_or(0) & u64::MAX >> (63 - self.se)
    }
}
