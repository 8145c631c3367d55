//! Statistics of photographs, from which a prior is made.

use super::band_coder::{code_band, initial_contexts, is_chroma};
use super::prior::Prior;
use crate::Result;
use crate::ans::adaptive::Counter;
use crate::jpeg::block::Block;
use crate::jpeg::file::check_planes;
use crate::jpeg::frame::Frame;

/// The counts of the 16 symbols of each row, and those of each bit.
pub type Counts<'a> = (&'a [[u32; 16]], &'a [[u32; 2]]);

/// Counts of the symbols in each context, from which `prior.bin` is made.
pub struct Statistics {
    prior: Prior,
    luma: Counter,
    chroma: Counter,
}

impl Statistics {
    /// Starts with no counts. `prior` holds bytes like those of `prior.bin`, of which only the weights matter.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if it has another length.
    pub fn new(prior: &[u8]) -> Result<Self> {
        let prior = Prior::parse(prior)?;
        let [luma, chroma] = [&prior.luma, &prior.chroma].map(|class| Counter::of(&class.contexts));
        Ok(Self { prior, luma, chroma })
    }

    /// Adds the symbols that code these coefficients.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if the planes do not fit the frame.
    pub fn add<P: AsRef<[i16]>>(&mut self, frame: &Frame, planes: &[P]) -> Result<()> {
        check_planes(frame, planes)?;
        let frame = &frame.clone().without_steps();
        let mut blocks: Vec<Vec<Block>> =
            planes.iter().map(|plane| plane.as_ref().as_chunks().0.to_vec()).collect();
        let mut views: Vec<&mut [Block]> = blocks.iter_mut().map(Vec::as_mut_slice).collect();
        let mut counter = Counter::of(&initial_contexts(frame, &self.prior));
        code_band(&mut counter, frame, &(0..frame.mcus().1), &self.prior, &mut views)?;
        let (mut rows, mut bits) = (&counter.rows[..], &counter.bits[..]);
        for index in 0..planes.len() {
            let class = if is_chroma(frame, index) { &mut self.chroma } else { &mut self.luma };
            let (class_rows, class_bits);
            (class_rows, rows) = rows.split_at(class.rows.len());
            (class_bits, bits) = bits.split_at(class.bits.len());
            class.add(class_rows, class_bits);
        }
        Ok(())
    }

    /// Returns the counts for luma and for chroma.
    pub fn counts(&self) -> [Counts<'_>; 2] {
        [&self.luma, &self.chroma].map(|counter| (&counter.rows[..], &counter.bits[..]))
    }
}
