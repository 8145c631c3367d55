//! The order in which a scan visits blocks.

use super::frame::Frame;
use super::header::Scan;
use std::ops::Range;

/// The blocks of a scan, MCU by MCU.
pub(super) struct Walk {
    /// The blocks within an MCU.
    pub slots: Vec<Slot>,
    mcus_x: u32,
    mcus: usize,
    /// Whether the scan codes more than the MCUs at hand.
    pub is_cut: bool,
    /// Rows of the scan to a row of MCUs of the frame.
    rows_in_mcu: usize,
    restart_interval: usize,
}

/// One of the blocks in every MCU.
pub(super) struct Slot {
    /// Index into the components of the scan.
    pub component: usize,
    /// Index into the components of the frame.
    pub plane: usize,
    first: usize,
    step_x: usize,
    step_y: usize,
}

impl Slot {
    /// Index in the plane of this block of the MCU at `(x, y)`.
    #[inline(always)]
    pub fn block(&self, (x, y): (usize, usize)) -> usize {
        self.first + x * self.step_x + y * self.step_y
    }
}

impl Walk {
    pub fn new(scan: &Scan, frame: &Frame) -> Self {
        let (mut slots, mcus_x, mcus_y, rows_in_mcu);
        if let [only] = &scan.components[..] {
            let component = &frame.components[only.index];
            (mcus_x, mcus_y) = frame.unpadded_blocks(component);
            rows_in_mcu = component.v.into();
            slots = vec![Slot {
                component: 0,
                plane: only.index,
                first: 0,
                step_x: 1,
                step_y: component.blocks_w,
            }];
        } else {
            slots = Vec::new();
            (mcus_x, mcus_y) = frame.mcus();
            rows_in_mcu = 1;
            for (index, component) in scan.components.iter().enumerate() {
                slots.extend(interleaved_slots(index, component.index, frame));
            }
        }
        Self {
            slots,
            mcus_x: mcus_x as u32,
            mcus: mcus_x * mcus_y,
            is_cut: frame.is_cut(),
            rows_in_mcu,
            restart_interval: scan.restart_interval,
        }
    }

    /// Position of an MCU, in MCUs.
    #[inline(always)]
    pub fn mcu(&self, mcu: usize) -> (usize, usize) {
        let mcu = mcu as u32;
        ((mcu % self.mcus_x) as usize, (mcu / self.mcus_x) as usize)
    }

    /// What stands at `ordinal` in the order of the scan, and its index in the plane.
    pub fn slot(&self, ordinal: usize) -> (&Slot, usize) {
        let slot = &self.slots[ordinal % self.slots.len()];
        (slot, slot.block(self.mcu(ordinal / self.slots.len())))
    }

    /// Rows of MCUs of the frame that so many blocks of the scan and the one behind them lie in.
    pub fn rows(&self, blocks: usize) -> usize {
        let mcu = (blocks / self.slots.len()).min(self.mcus - 1);
        self.mcu(mcu).1 / self.rows_in_mcu + 1
    }

    /// Number of restart intervals.
    pub fn intervals(&self) -> usize {
        match self.restart_interval {
            0 => 1,
            interval => self.mcus.div_ceil(interval),
        }
    }

    /// The MCUs of a restart interval.
    pub fn interval(&self, index: usize) -> Range<usize> {
        match self.restart_interval {
            0 => 0..self.mcus,
            interval => index * interval..((index + 1) * interval).min(self.mcus),
        }
    }
    /// The blocks of a restart interval, in the order of the scan.
    pub fn interval_blocks(&self, index: usize) -> Range<usize> {
        let mcus = self.interval(index);
        mcus.start * self.slots.len()..mcus.end * self.slots.len()
    }
}

fn interleaved_slots(index: usize, plane: usize, frame: &Frame) -> impl Iterator<Item = Slot> + '_ {
    let component = &frame.components[plane];
    let (h, v) = (usize::from(component.h), usize::from(component.v));
    let stride = component.blocks_w;
    (0..v).flat_map(move |y| {
        (0..h).map(move |x| Slot {
            component: index,
            plane,
            first: y * stride + x,
            step_x: h,
            step_y: v * stride,
        })
    })
}
