//! Coding of one band of a frame, component by component.

use super::component::{BandComponent, Logarithms};
use super::prior::{ClassPrior, Prior};
use super::steps::parts;
use crate::Result;
use crate::ans::adaptive::{AdaptiveCoder, Contexts};
use crate::jpeg::block::Block;
use crate::jpeg::frame::Frame;
use crate::tables::exact_math;
use std::ops::Range;
use std::sync::OnceLock;

/// Codes a band of all components, whose coefficients are divided by their steps.
#[inline(always)]
pub(super) fn code_band<C: AdaptiveCoder>(
    coder: &mut C,
    frame: &Frame,
    rows: &Range<usize>,
    prior: &Prior,
    blocks: &mut [&mut [Block]],
) -> Result<()> {
    let (mut first_row, mut first_bit) = (0, 0);
    for index in 0..blocks.len() {
        let component = &frame.components[index];
        let class = class(frame, index, prior);
        let (before, from_here) = blocks.split_at_mut(index);
        let reference = before.last().filter(|_| is_chroma(frame, index) && is_chroma(frame, index - 1));
        let reference = reference.map(|blocks| &**blocks).filter(|blocks| blocks.len() == from_here[0].len());
        for (part, shifts) in parts(component, rows) {
            let quantisers = std::array::from_fn(|k| {
                (u32::from(component.quant[k]) << shifts[k]).min(u16::MAX.into()) as u16
            });
            let band_component = BandComponent {
                columns: component.blocks_w,
                quantisers,
                reciprocals: quantisers.map(|quantiser| (1 << 24) / u32::from(quantiser.max(1))),
                weights: &class.weights,
                boundary: &prior.boundary,
                logarithms: logarithms(),
                first_row,
                first_bit,
            };
            let reference = reference.map(|blocks| &blocks[part.clone()]);
            band_component.code(coder, &mut from_here[0][part], reference)?;
        }
        first_row += class.contexts.rows.len();
        first_bit += class.contexts.bits.len();
    }
    Ok(())
}

/// Returns the contexts of all components, in order, as they are before the first block.
pub(super) fn initial_contexts(frame: &Frame, prior: &Prior) -> Contexts {
    let mut all = Contexts::default();
    for index in 0..frame.components.len() {
        all.extend(&class(frame, index, prior).contexts);
    }
    all
}

/// Returns whether a component is likely to be smooth: the second and third are, except in CMYK.
pub(super) fn is_chroma(frame: &Frame, index: usize) -> bool {
    let [first, component] = [0, index].map(|index| &frame.components[index]);
    let like_first = (component.h, component.v, &component.quant) == (first.h, first.v, &first.quant);
    (1..=2).contains(&index) && !(frame.components.len() == 4 && like_first)
}

fn class<'a>(frame: &Frame, index: usize, prior: &'a Prior) -> &'a ClassPrior {
    if is_chroma(frame, index) { &prior.chroma } else { &prior.luma }
}

fn logarithms() -> &'static Logarithms {
    static LOGARITHMS: OnceLock<Box<Logarithms>> = OnceLock::new();
    LOGARITHMS.get_or_init(|| {
        let mut table = Box::new([0; 1 << 15]);
        for (magnitude, logarithm) in table.iter_mut().enumerate() {
            let octaves = exact_math::ln(1.0 + magnitude as f64) / exact_math::ln(2.0);
            *logarithm = (4096.0 * octaves + 0.5).min(f64::from(i16::MAX)) as i16;
        }
        table
    })
}
