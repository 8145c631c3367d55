//! The interface by which a walk encodes or decodes without a difference.

use crate::ans::{Backend, Contexts, Decoder, Encoder, LogisticPair};
use crate::tables::PAIR_PARAMS;
use crate::{Error, Result, interrupt};

/// Lanes of a stream at most. Eight independent states keep a processor busy, or are one vector of AVX-512.
const LANES: usize = 8;

/// Codes the symbols of a model, in the order in which a walk asks for them.
pub(super) trait SymbolCoder {
    /// Whether symbols are set, and not read.
    const DECODES: bool;

    /// Codes integers with these mixtures: an encoder reads `symbols`, a decoder sets them. The contexts are those of the
    /// first symbols, and are repeated.
    ///
    /// A group may come in several calls, as long as each but the last has a multiple of 64 symbols: lanes and
    /// calibration then continue as in a single call.
    fn code(&mut self, params: &[[i16; PAIR_PARAMS]], contexts: Contexts, symbols: &mut [i16]) -> Result<()>;
}

impl SymbolCoder for Encoder {
    const DECODES: bool = false;

    fn code(&mut self, params: &[[i16; PAIR_PARAMS]], contexts: Contexts, symbols: &mut [i16]) -> Result<()> {
        self.put_in_contexts(symbols, &LogisticPair::new(params), contexts)
    }
}

impl SymbolCoder for Decoder<&[u8]> {
    const DECODES: bool = true;

    fn code(&mut self, params: &[[i16; PAIR_PARAMS]], contexts: Contexts, symbols: &mut [i16]) -> Result<()> {
        self.get_in_contexts(&LogisticPair::new(params), contexts, symbols)
    }
}

/// Returns the stream of the symbols that a walk codes: calibrated, and perhaps with combs, if that makes it shorter.
pub(super) fn encode(
    backend: Backend,
    combs: bool,
    walk: impl FnOnce(&mut Encoder) -> Result<()>,
) -> Result<Vec<u8>> {
    let encoder = Encoder::new().with_max_lanes(LANES)?.with_backend(backend);
    let mut encoder = if combs { encoder.with_combs() } else { encoder.calibrating() };
    walk(&mut encoder)?;
    let stream = encoder.finish();
    interrupt::check()?;
    Ok(stream)
}

/// Decodes a stream by a walk, and checks that the stream ends where the walk does.
pub(super) fn decode<'a>(
    backend: Backend,
    stream: &'a [u8],
    walk: impl FnOnce(&mut Decoder<&'a [u8]>) -> Result<()>,
) -> Result<()> {
    let mut decoder = Decoder::new(stream)?.with_backend(backend);
    walk(&mut decoder)?;
    decoder.finish()
}

pub(super) fn corrupt(what: impl Into<String>) -> Error {
    Error::Corrupt { what: what.into(), offset: 0 }
}
