//! The frame: which components there are and how many blocks each has.

/// One component of the frame (one colour channel).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Identifier, as SOS refers to it.
    pub id: u8,
    /// Horizontal sampling factor, 1 to 4 (1 if the frame has a single component).
    pub h: u8,
    /// Vertical sampling factor, 1 to 4 (1 if the frame has a single component).
    pub v: u8,
    /// Which of the four quantisation tables it uses.
    pub quant_index: u8,
    /// Width in blocks, padded to whole MCUs.
    pub blocks_w: usize,
    /// Height in blocks, padded to whole MCUs. Of a file cut short, only the rows of MCUs that hold anything count.
    pub blocks_h: usize,
    /// Quantisation table in zig-zag order, as in force at the component's first scan; zeros if there was none.
    pub quant: [u16; 64],
    /// What the coefficients are multiples of, where scans that would have refined them are missing or cut short: from
    /// the top down, the first from row 0 on. Empty if they are multiples of 1 everywhere.
    pub steps: Vec<Steps>,
}

/// What the coefficients of a component are multiples of, from a row on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    /// The first row of MCUs that this holds for.
    pub row: usize,
    /// Binary logarithms in zig-zag order.
    pub shifts: [u8; 64],
}

impl Component {
    /// Number of blocks, including those that only pad the last MCUs.
    pub fn blocks(&self) -> usize {
        self.blocks_w * self.blocks_h
    }

    /// Notes that a scan codes the bits of some coefficients down to bit `al` in the first `rows` rows of MCUs.
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

    /// Keeps of the steps what differs and lies within the component.
    fn tidy_steps(&mut self) {
        let rows = self.blocks_h / usize::from(self.v);
        self.steps.retain(|steps| steps.row < rows);
        self.steps.dedup_by(|below, above| below.shifts == above.shifts);
        if self.steps.iter().all(|steps| steps.shifts == [0; 64]) {
            self.steps.clear();
        }
    }
}

/// What SOF declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels; 65535 if neither SOF nor DNL gives it.
    pub height: u16,
    /// Bits per sample.
    pub precision: u8,
    /// Whether the process is progressive (SOF2) rather than sequential (SOF0, SOF1).
    pub progressive: bool,
    /// One to four components, in the order of SOF.
    pub components: Vec<Component>,
}

impl Frame {
    /// Lays out the blocks of components given as `(id, h, v, quant_index)`.
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

    /// Rows of MCUs that the height asks for.
    pub(super) fn declared_rows(&self) -> usize {
        usize::from(self.height).div_ceil(8 * usize::from(self.v_max()))
    }

    /// Keeps the blocks of so many rows of MCUs.
    pub(super) fn keep_rows(&mut self, rows: usize) {
        self.components.iter_mut().for_each(|c| c.blocks_h = rows * usize::from(c.v));
    }

    /// The same frame with the steps that scans have left, once all have been noted.
    pub(super) fn with_tidy_steps(mut self) -> Self {
        self.components.iter_mut().for_each(Component::tidy_steps);
        self
    }

    /// The same frame, of coefficients that may have any value.
    pub fn without_steps(mut self) -> Self {
        self.components.iter_mut().for_each(|component| component.steps.clear());
        self
    }

    /// Whether there are fewer rows of MCUs than the height asks for.
    pub(super) fn is_cut(&self) -> bool {
        self.mcus().1 < self.declared_rows()
    }

    /// Number of blocks in a row of MCUs.
    pub(super) fn row_blocks(&self) -> usize {
        self.components.iter().map(|c| c.blocks_w * usize::from(c.v)).sum()
    }

    fn v_max(&self) -> u8 {
        self.components.iter().map(|c| c.v).max().unwrap_or(1)
    }

    /// Number of blocks of all components together.
    pub fn blocks(&self) -> usize {
        self.components.iter().map(Component::blocks).sum()
    }

    /// Size in MCUs of an interleaved scan.
    pub(super) fn mcus(&self) -> (usize, usize) {
        self.components
            .first()
            .map_or((0, 0), |c| (c.blocks_w / usize::from(c.h), c.blocks_h / usize::from(c.v)))
    }

    /// Size in blocks of a component without MCU padding: what a non-interleaved scan of it covers.
    pub(super) fn unpadded_blocks(&self, component: &Component) -> (usize, usize) {
        let h_max = self.components.iter().map(|c| c.h).max().unwrap_or(1);
        let blocks = |samples: u16, factor: u8, max: u8| {
            (usize::from(samples) * usize::from(factor)).div_ceil(usize::from(max)).div_ceil(8)
        };
        let height = blocks(self.height, component.v, self.v_max());
        (blocks(self.width, component.h, h_max), height.min(component.blocks_h))
    }
}
