//! The frame: its components, and the number of blocks that each has.

/// One component of the frame (one colour channel).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Identifier, as SOS refers to it.
    pub id: u8,
    /// Horizontal sampling factor, 1 to 4 (1 if the frame has a single component).
    pub h: u8,
    /// Vertical sampling factor, 1 to 4 (1 if the frame has a single component).
    pub v: u8,
    /// Index of its quantisation table, 0 to 3.
    pub quant_index: u8,
    /// Width in blocks, padded to whole MCUs.
    pub blocks_w: usize,
    /// Height in blocks, padded to whole MCUs. In a truncated file only the rows of MCUs count that a scan reaches.
    pub blocks_h: usize,
    /// Quantisation table in zig-zag order, as defined at the component's first scan; zeros if undefined there.
    pub quant: [u16; 64],
    /// Steps of the coefficients where scans that would refine them are missing or cut short: from the top down, the
    /// first from row 0 on. Empty if all steps are 1.
    pub steps: Vec<Steps>,
}

/// The numbers that the coefficients of a component are multiples of, from a row on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// The first row of MCUs with these steps.
    pub row: usize,
    /// Binary logarithms of the steps in zig-zag order.
    pub shifts: [u8; 64],
}

impl Component {
    /// Returns the number of blocks, including those that only pad the last MCUs.
    pub fn blocks(&self) -> usize {
        self.blocks_w * self.blocks_h
    }

    /// Records that a scan codes some coefficients down to bit `al` in the first `rows` rows of MCUs.
    pub(super) fn cover(&mut self, (first, last, al): (usize, usize, u8), rows: usize) {
        if self.steps.is_empty() {
            self.steps.push(Steps { row: 0, shifts: [0; 64] });
        }
        let end = self.steps.partition_point(|steps| steps.row < rows);
        if self.steps.get(end).is_none_or(|steps| steps.row > rows) {
            let shifts = self.steps[end - 1].shifts;
            self.steps.insert(end, Steps { row: rows, shifts });
        }
        self.steps[..end].iter_mut().for_each(|steps| steps.shifts[first..=last].fill(al));
    }

    /// Drops steps that repeat the ones above or lie below the component.
    fn tidy_steps(&mut self) {
        let rows = self.blocks_h / usize::from(self.v);
        self.steps.retain(|steps| steps.row < rows);
        self.steps.dedup_by(|below, above| below.shifts == above.shifts);
        if self.steps.iter().all(|steps| steps.shifts == [0; 64]) {
            self.steps.clear();
        }
    }
}

/// The rows of MCUs that coefficients are kept for.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeptRows {
    /// As many as the file's own entropy-coded segments can code, at one bit for each block.
    Earned,
    /// As many as the height asks for.
    All,
    /// The first rows, fewer than the height asks for.
    First(usize),
}

/// The declarations of a frame header (SOF).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels; 65535 if neither SOF nor DNL gives it.
    pub height: u16,
    /// Bits per sample.
    pub precision: u8,
    /// `true` for a progressive process (SOF2, SOF10), `false` for a sequential one (SOF0, SOF1, SOF9).
    pub progressive: bool,
    /// One to four components, in the order of SOF.
    pub components: Vec<Component>,
}

impl Frame {
    /// Lays out the blocks of components, which are given as `(id, h, v, quant_index)`.
    pub(super) fn new(
        (width, height): (u16, u16),
        precision: u8,
        progressive: bool,
        components: &[(u8, u8, u8, u8)],
    ) -> Self {
        let single = components.len() == 1;
        let sampling = |h: u8| if single { 1 } else { h };
        let h_max = components.iter().map(|c| sampling(c.1)).max().unwrap_or(1);
        let mcus_x = usize::from(width).div_ceil(8 * usize::from(h_max));
        let component = |&(id, h, v, quant_index): &(u8, u8, u8, u8)| {
            let (h, v) = (sampling(h), sampling(v));
            let blocks_w = mcus_x * usize::from(h);
            Component { id, h, v, quant_index, blocks_w, blocks_h: 0, quant: [0; 64], steps: Vec::new() }
        };
        let components = components.iter().map(component).collect();
        let mut frame = Self { width, height, precision, progressive, components };
        frame.keep_rows(frame.declared_rows());
        frame
    }

    /// Returns the number of rows of MCUs that the height asks for.
    pub(super) fn declared_rows(&self) -> usize {
        usize::from(self.height).div_ceil(8 * usize::from(self.v_max()))
    }

    /// Keeps the blocks of the first `rows` rows of MCUs.
    pub(super) fn keep_rows(&mut self, rows: usize) {
        self.components.iter_mut().for_each(|c| c.blocks_h = rows * usize::from(c.v));
    }

    /// Returns the frame with the steps in their shortest form, once all scans have been recorded.
    pub(super) fn with_tidy_steps(mut self) -> Self {
        self.components.iter_mut().for_each(Component::tidy_steps);
        self
    }

    /// Returns the frame with all steps 1.
    pub fn without_steps(mut self) -> Self {
        self.components.iter_mut().for_each(|component| component.steps.clear());
        self
    }

    /// Returns whether there are fewer rows of MCUs than the height asks for.
    pub(super) fn is_cut(&self) -> bool {
        self.mcus().1 < self.declared_rows()
    }

    /// Returns the number of blocks in a row of MCUs.
    pub(super) fn row_blocks(&self) -> usize {
        self.components.iter().map(|c| c.blocks_w * usize::from(c.v)).sum()
    }

    fn v_max(&self) -> u8 {
        self.components.iter().map(|c| c.v).max().unwrap_or(1)
    }

    /// Returns the number of blocks of all components together.
    pub fn blocks(&self) -> usize {
        self.components.iter().map(Component::blocks).sum()
    }

    /// Returns the size `(columns, rows)` of an interleaved scan, in MCUs.
    pub(super) fn mcus(&self) -> (usize, usize) {
        self.components
            .first()
            .map_or((0, 0), |c| (c.blocks_w / usize::from(c.h), c.blocks_h / usize::from(c.v)))
    }

    /// Returns the size in blocks of a component without MCU padding, which is what a scan of it alone covers.
    pub(super) fn unpadded_blocks(&self, component: &Component) -> (usize, usize) {
        let h_max = self.components.iter().map(|c| c.h).max().unwrap_or(1);
        let blocks = |samples: u16, factor: u8, max: u8| {
            (usize::from(samples) * usize::from(factor)).div_ceil(usize::from(max)).div_ceil(8)
        };
        let height = blocks(self.height, component.v, self.v_max());
        (blocks(self.width, component.h, h_max), height.min(component.blocks_h))
    }
}
