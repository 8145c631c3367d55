//! The decisions of an arithmetic-coded scan, and their contexts (T.81, F.1.4 and G.1.3).
//!
//! Encoder and decoder make the same decisions, so each kind of scan is written once. The block proposes each decision;
//! the one that is coded determines the next and goes into the block. A decoder ignores the proposals, which come from
//! a block that is not decoded yet.

use super::binary_coder::{BinaryCoder, Context};
use crate::jpeg::block::{Block, mask};
use crate::jpeg::scan::{Band, Conditioning, Scan, ScanKind};

/// Contexts for DC differences: four for each of the five classes of the previous difference, then those for the length
/// and the bits of the excess over 1.
type DcContexts = [Context; 49];
const DC_LENGTH: usize = 20;
/// Contexts for AC coefficients: three for each, then those for the length and the bits of the excess over 2, at low
/// and at high frequencies.
type AcContexts = [Context; 245];
const AC_LENGTH: [usize; 2] = [189, 217];
/// Distance from the context of a length to the context of the bits of a number with that length.
const BITS: usize = 14;
/// The longest number: magnitudes go up to 1 << 15.
const MAX_LENGTH: usize = 15;

/// Number of blocks between two checks whether the work is cancelled.
pub(super) const CHECK_INTERVAL: usize = 1 << 10;

/// The contexts and predictions of a scan, which learn from one restart marker to the next.
pub(super) struct ScanModel {
    kind: ScanKind,
    conditioning: Conditioning,
    components: Vec<ComponentState>,
    /// By number of the conditioning table.
    dc: [DcContexts; 16],
    ac: [AcContexts; 16],
}

struct ComponentState {
    /// Numbers of its conditioning tables.
    dc: usize,
    ac: usize,
    prediction: i32,
    /// First context for the next difference, by the class of the last one.
    dc_context: usize,
}

impl ScanModel {
    pub fn new(scan: &Scan, conditioning: Conditioning) -> Self {
        let component = |&(dc, ac)| ComponentState { dc, ac, prediction: 0, dc_context: 0 };
        Self {
            kind: scan.kind,
            conditioning,
            components: scan.components.iter().map(|c| component(&c.selectors)).collect(),
            dc: [[Context::default(); 49]; 16],
            ac: [[Context::default(); 245]; 16],
        }
    }

    /// Begins a restart interval.
    pub fn restart(&mut self) {
        for component in &mut self.components {
            (component.prediction, component.dc_context) = (0, 0);
            self.dc[component.dc].fill(Context::default());
            self.ac[component.ac].fill(Context::default());
        }
    }

    /// Codes the scan's part of a block; `None` if a coefficient is out of range.
    #[inline]
    pub fn code(&mut self, coder: &mut impl BinaryCoder, component: usize, block: &mut Block) -> Option<()> {
        match self.kind {
            ScanKind::Sequential => {
                self.code_dc(coder, component, block, 0)?;
                self.code_band(coder, component, block, Band { ss: 1, se: 63, al: 0 })
            }
            ScanKind::DcFirst { al } => self.code_dc(coder, component, block, al),
            ScanKind::DcRefinement { al } => {
                let bit = coder.code(&mut { Context::FIXED }, block[0] >> al & 1 != 0);
                block[0] = block[0] & !(1 << al) | i16::from(bit) << al;
                Some(())
            }
            ScanKind::AcFirst(band) => self.code_band(coder, component, block, band),
            ScanKind::AcRefinement(band) => self.refine_band(coder, component, block, band),
        }
    }

    fn code_dc(
        &mut self,
        coder: &mut impl BinaryCoder,
        component: usize,
        block: &mut Block,
        al: u8,
    ) -> Option<()> {
        let component = &mut self.components[component];
        let proposed = i32::from(block[0] >> al) - component.prediction;
        let contexts = &mut self.dc[component.dc];
        if coder.code(&mut contexts[component.dc_context], proposed != 0) {
            let negative = coder.code(&mut contexts[component.dc_context + 1], proposed < 0);
            let first = component.dc_context + 2 + usize::from(negative);
            let lengths = [first, DC_LENGTH, DC_LENGTH + 1];
            let excess = code_excess(coder, contexts, lengths, proposed.unsigned_abs().saturating_sub(1))?;
            component.prediction += if negative { -1 - excess as i32 } else { 1 + excess as i32 };
            let (lower, upper) = self.conditioning.dc[component.dc];
            // The class depends on the length of the excess only.
            let reach = 1 << (u32::BITS - excess.leading_zeros()) >> 1;
            component.dc_context = if reach < 1 << lower >> 1 {
                0
            } else if reach <= 1 << upper >> 1 {
                4
            } else {
                12
            };
            component.dc_context += if component.dc_context > 0 && negative { 4 } else { 0 };
        } else {
            component.dc_context = 0;
        }
        block[0] = i16::try_from(component.prediction << al).ok()?;
        Some(())
    }

    fn code_band(
        &mut self,
        coder: &mut impl BinaryCoder,
        component: usize,
        block: &mut Block,
        band: Band,
    ) -> Option<()> {
        let Band { ss, se, al } = band;
        let table = self.components[component].ac;
        let contexts = &mut self.ac[table];
        let end = end(block, band, al);
        let mut k = ss;
        while k <= se {
            if coder.code(&mut contexts[end_context(k)], k >= end) {
                break;
            }
            while !coder.code(&mut contexts[end_context(k) + 1], block[k].unsigned_abs() >> al != 0) {
                k += 1;
                if k > se {
                    return None;
                }
            }
            let negative = coder.code(&mut { Context::FIXED }, block[k] < 0);
            let magnitude = end_context(k) + 2;
            let long = AC_LENGTH[usize::from(k > self.conditioning.ac[table].into())];
            let proposed = u32::from(block[k].unsigned_abs() >> al).saturating_sub(1);
            let excess = code_excess(coder, contexts, [magnitude, magnitude, long], proposed)? as i32;
            block[k] = signed((excess + 1) << al, negative)?;
            k += 1;
        }
        Some(())
    }

    fn refine_band(
        &mut self,
        coder: &mut impl BinaryCoder,
        component: usize,
        block: &mut Block,
        band: Band,
    ) -> Option<()> {
        let Band { ss, se, al } = band;
        let contexts = &mut self.ac[self.components[component].ac];
        let end_before = end(block, band, al + 1);
        let end = end(block, band, al);
        let mut k = ss;
        while k <= se {
            if k >= end_before && coder.code(&mut contexts[end_context(k)], k >= end) {
                break;
            }
            loop {
                let magnitude = i32::from(block[k].unsigned_abs());
                let negative = block[k] < 0;
                if magnitude >> al > 1 {
                    let bit = coder.code(&mut contexts[end_context(k) + 2], magnitude >> al & 1 != 0);
                    block[k] = signed(magnitude & !(1 << al) | i32::from(bit) << al, negative)?;
                    break;
                }
                if coder.code(&mut contexts[end_context(k) + 1], magnitude >> al != 0) {
                    let negative = coder.code(&mut { Context::FIXED }, negative);
                    block[k] = signed(1 << al, negative)?;
                    break;
                }
                k += 1;
                if k > se {
                    return None;
                }
            }
            k += 1;
        }
        Some(())
    }
}

/// Returns the context of the decision that coefficient `k` and all after it are zero.
fn end_context(k: usize) -> usize {
    3 * (k - 1)
}

/// Returns the position after the last coefficient of the band that is not zero without its `al` lowest bits.
fn end(block: &Block, band: Band, al: u8) -> usize {
    let nonzero = mask(block, |coefficient| coefficient.unsigned_abs() >> al != 0) & band.mask_from(band.ss);
    (u64::BITS - nonzero.leading_zeros()) as usize
}

fn signed(magnitude: i32, negative: bool) -> Option<i16> {
    let magnitude = i16::try_from(magnitude).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

/// Codes a number: first its length in bits, then the bits below the highest.
///
/// `lengths` are the contexts of the first two decisions on the length and of the third; later decisions have the
/// contexts after it.
fn code_excess(
    coder: &mut impl BinaryCoder,
    contexts: &mut [Context],
    lengths: [usize; 3],
    proposed: u32,
) -> Option<u32> {
    let context = |length: usize| if length < 2 { lengths[length] } else { lengths[2] + length - 2 };
    let mut length = 0;
    while coder.code(&mut contexts[context(length)], proposed >> length != 0) {
        length += 1;
        if length > MAX_LENGTH {
            return None;
        }
    }
    if length == 0 {
        return Some(0);
    }
    let bits = context(length) + BITS;
    Some((0..length - 1).rev().fold(1, |number, bit| {
        number << 1 | u32::from(coder.code(&mut contexts[bits], proposed >> bit & 1 != 0))
    }))
}
