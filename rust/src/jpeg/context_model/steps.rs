//! Division of coefficients by the steps of their component, and multiplication.

use crate::jpeg::block::Block;
use crate::jpeg::frame::{Component, Frame};
use std::ops::Range;

static NO_SHIFTS: [u8; 64] = [0; 64];

/// Divides the coefficients of a band by their steps.
pub(super) fn divide(frame: &Frame, rows: &Range<usize>, blocks: &mut [&mut [Block]]) {
    scale(frame, rows, blocks, |coefficient, shift| coefficient >> shift);
}

/// Multiplies the coefficients of a band by their steps.
pub(super) fn multiply(frame: &Frame, rows: &Range<usize>, blocks: &mut [&mut [Block]]) {
    scale(frame, rows, blocks, |coefficient, shift| coefficient << shift);
}

fn scale(frame: &Frame, rows: &Range<usize>, blocks: &mut [&mut [Block]], by: impl Fn(i16, u8) -> i16) {
    for (component, blocks) in frame.components.iter().zip(blocks) {
        for (part, shifts) in parts(component, rows).filter(|(_, shifts)| **shifts != NO_SHIFTS) {
            for block in &mut blocks[part] {
                block.iter_mut().zip(shifts).for_each(|(value, &shift)| *value = by(*value, shift));
            }
        }
    }
}

/// Iterates over the parts of a component's band that have the same steps: their blocks, and the binary logarithms of
/// the steps.
pub(super) fn parts<'a>(
    component: &'a Component,
    rows: &'a Range<usize>,
) -> impl Iterator<Item = (Range<usize>, &'a [u8; 64])> {
    let steps = &component.steps;
    let row_blocks = usize::from(component.v) * component.blocks_w;
    let start = move |index: usize| {
        let row = steps.get(index).map_or(rows.end, |steps| steps.row);
        // The first steps hold from the beginning of the band, whatever their row.
        if index == 0 { 0 } else { (row.clamp(rows.start, rows.end) - rows.start) * row_blocks }
    };
    (0..steps.len().max(1))
        .map(move |index| {
            let shifts = steps.get(index).map_or(&NO_SHIFTS, |steps| &steps.shifts);
            (start(index)..start(index + 1), shifts)
        })
        .filter(|(part, _)| !part.is_empty())
}
