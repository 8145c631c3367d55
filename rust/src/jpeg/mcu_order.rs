//! The order in which a scan visits blocks (T.81, A.2).

use super::frame::Frame;
use super::scan::Scan;
use std::ops::Range;

/// The blocks of a scan, MCU by MCU.
pub(super) struct McuOrder {
    /// The blocks within an MCU.
    pub mcu_blocks: Vec<McuBlock>,
    mcus_x: u32,
    mcus: usize,
    /// `true` if the scan codes more MCUs than are kept.
    pub is_cut: bool,
    /// Rows of the scan's MCUs in one row of the frame's MCUs.
    rows_in_mcu: usize,
    restart_interval: usize,
}

/// One of the blocks of every MCU.
pub(super) struct McuBlock {
    /// Index into the components of the scan.
    pub component: usize,
    /// Index into the components of the frame.
    pub plane: usize,
    first: usize,
    step_x: usize,
    step_y: usize,
}

impl McuBlock {
    /// Returns the index in the plane of this block of the MCU at `(x, y)`.
    #[inline(always)]
    pub fn index(&self, (x, y): (usize, usize)) -> usize {
        self.first + x * self.step_x + y * self.step_y
    }
}

impl McuOrder {
    pub fn new(scan: &Scan, frame: &Frame) -> Self {
        let (mut mcu_blocks, mcus_x, mcus_y, rows_in_mcu);
        if let [only] = &scan.components[..] {
            let component = &frame.components[only.index];
            (mcus_x, mcus_y) = frame.unpadded_blocks(component);
            rows_in_mcu = component.v.into();
            let step_y = component.blocks_w;
            mcu_blocks = vec![McuBlock { component: 0, plane: only.index, first: 0, step_x: 1, step_y }];
        } else {
            mcu_blocks = Vec::new();
            (mcus_x, mcus_y) = frame.mcus();
            rows_in_mcu = 1;
            for (index, component) in scan.components.iter().enumerate() {
                mcu_blocks.extend(interleaved(index, component.index, frame));
            }
        }
        Self {
            mcu_blocks,
            mcus_x: mcus_x as u32,
            mcus: mcus_x * mcus_y,
            is_cut: frame.is_cut(),
            rows_in_mcu,
            restart_interval: scan.restart_interval,
        }
    }

    /// Returns the position `(x, y)` of an MCU, in MCUs.
    #[inline(always)]
    pub fn position(&self, mcu: usize) -> (usize, usize) {
        let mcu = mcu as u32;
        ((mcu % self.mcus_x) as usize, (mcu / self.mcus_x) as usize)
    }

    /// Returns the block that comes after `ordinal` others in the scan, and its index in the plane.
    pub fn block(&self, ordinal: usize) -> (&McuBlock, usize) {
        let block = &self.mcu_blocks[ordinal % self.mcu_blocks.len()];
        (block, block.index(self.position(ordinal / self.mcu_blocks.len())))
    }

    /// Returns the number of rows of the frame's MCUs that the first `blocks` blocks and the next one lie in.
    pub fn rows(&self, blocks: usize) -> usize {
        let mcu = (blocks / self.mcu_blocks.len()).min(self.mcus - 1);
        self.position(mcu).1 / self.rows_in_mcu + 1
    }

    /// Returns the number of restart intervals.
    pub fn intervals(&self) -> usize {
        match self.restart_interval {
            0 => 1,
            interval => self.mcus.div_ceil(interval),
        }
    }

    /// Returns the MCUs of a restart interval.
    pub fn interval(&self, index: usize) -> Range<usize> {
        match self.restart_interval {
            0 => 0..self.mcus,
            interval => index * interval..((index + 1) * interval).min(self.mcus),
        }
    }

    /// Returns the blocks of a restart interval, in the order of the scan.
    pub fn interval_blocks(&self, index: usize) -> Range<usize> {
        let mcus = self.interval(index);
        mcus.start * self.mcu_blocks.len()..mcus.end * self.mcu_blocks.len()
    }
}

/// Iterates over the blocks of one component in an MCU of an interleaved scan.
fn interleaved(index: usize, plane: usize, frame: &Frame) -> impl Iterator<Item = McuBlock> + '_ {
    let component = &frame.components[plane];
    let (h, v) = (usize::from(component.h), usize::from(component.v));
    let stride = component.blocks_w;
    (0..v).flat_map(move |y| {
        (0..h).map(move |x| McuBlock {
            component: index,
            plane,
            first: y * stride + x,
            step_x: h,
            step_y: v * stride,
        })
    })
}
