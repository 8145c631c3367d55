//! Any bytes as a message or as its parts. The hash is put right, so that what it protects is read.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use lic_native::ans::{self, Calibrated, Contexts, Symbol};
use lic_native::tensor::modelled::{self, ContextSource};
use lic_native::tensor::{ArrayInfo, Dtype, Library};
use lic_native::Result;
use lic_native_fuzz::{
    cycle, is_invalid_argument, on_all, widen, with_symbols, AnyContexts, AnyModel, Integer, SymbolType, Visitor,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const FINGERPRINT: u64 = 0x1234_5678_9abc_def0;
const MAX_SYMBOLS: u64 = 2000;

struct Decode<'a> {
    message: Vec<u8>,
    may_be_calibrated: bool,
    start: usize,
    contexts: &'a AnyContexts,
    symbols: SymbolType,
    threads: usize,
}

impl Visitor for Decode<'_> {
    type Output = ();

    fn visit<M: Calibrated>(self, model: &M) {
        with_symbols!(self.symbols, S => self.decode::<S, M>(model));
    }
}

impl Decode<'_> {
    fn decode<S: Symbol, M: Calibrated>(self, model: &M) {
        self.contexts.visit(|contexts| self.decode_in::<S, M>(model, contexts));
    }

    fn decode_in<S: Symbol, M: Calibrated>(mut self, model: &M, contexts: Contexts) {
        let end = self.message.len() - 4;
        let parts = &self.message[self.start..end];
        let of_parts = Some(contexts).filter(|_| self.may_be_calibrated);
        let decoded = on_all(|backend| {
            let mut out = vec![S::default(); model.len()];
            ans::decode(backend, parts, model, of_parts, &mut out, self.threads).map(|sum| (sum, widen(&out)))
        });
        let sums = [None, decoded.as_ref().ok().map(|decoded| decoded.0 as u16)];
        for sum in sums {
            if let Some(sum) = sum {
                self.message[end..end + 2].copy_from_slice(&sum.to_le_bytes());
            }
            let hash = xxh3_64_with_seed(&self.message[..end + 2], FINGERPRINT) as u16;
            self.message[end + 2..].copy_from_slice(&hash.to_le_bytes());
            let mut out = vec![S::default(); model.len()];
            let result = modelled::decode(&self.message, model, Some(contexts), FINGERPRINT, &mut out, self.threads);
            match (&decoded, result) {
                (Ok(decoded), Ok(())) => assert_eq!(widen(&out), decoded.1),
                (_, result) => assert!(result.is_err() && sum.is_none(), "{decoded:?}, but {result:?}"),
            }
        }
    }
}

/// The message of some symbols, calibrated if there are contexts.
struct Encode<'a>(&'a [Integer], SymbolType, Option<&'a AnyContexts>);

impl Visitor for Encode<'_> {
    type Output = Result<Vec<u8>>;

    fn visit<M: Calibrated>(self, model: &M) -> Self::Output {
        let shape = vec![model.len() as u64];
        let array = ArrayInfo { dtype: Dtype::I32, library: Library::NumPy, shape };
        with_symbols!(self.1, S => {
            let symbols: Vec<S> = self.0.iter().map(|symbol| S::from_i32(symbol.to_i32())).collect();
            let symbols = cycle(&symbols, model.len());
            let message = match self.2 {
                Some(contexts) => contexts.visit(|contexts| {
                    let contexts = Some((contexts, ContextSource::Caller));
                    modelled::encode(&symbols, &array, model, contexts, FINGERPRINT, 1)
                }),
                None => modelled::encode(&symbols, &array, model, None, FINGERPRINT, 1),
            };
            message.map(|message| message.to_vec())
        })
    }
}

/// A message too long, or too short for what it claims, which takes no memory.
struct Claim(Vec<u8>, SymbolType);

impl Visitor for Claim {
    type Output = ();

    fn visit<M: Calibrated>(self, model: &M) {
        with_symbols!(self.1, S => {
            let mut out = vec![S::default(); model.len()];
            assert!(modelled::decode(&self.0, model, None, FINGERPRINT, &mut out, 1).is_err());
        });
    }
}

/// Bytes of a true message that are others now.
#[derive(Arbitrary, Debug)]
struct Damage {
    symbols: Vec<Integer>,
    count: u16,
    bytes: Vec<(u16, u8)>,
}

impl Damage {
    fn message(
        &self,
        model: &AnyModel,
        symbols: SymbolType,
        contexts: Option<&AnyContexts>,
    ) -> Result<Vec<u8>> {
        let count = u64::from(self.count) % MAX_SYMBOLS;
        let mut message =
            model.visit(count as usize, Encode(&self.symbols, symbols, contexts)).and_then(|result| result)?;
        for &(place, byte) in &self.bytes {
            if let Some(place) = message.get_mut(usize::from(place)) {
                *place = byte;
            }
        }
        Ok(message)
    }
}

fuzz_target!(|data: &[u8]| {
    let mut data = Unstructured::new(data);
    let input = data.arbitrary::<(AnyModel, SymbolType, bool, AnyContexts, bool, Option<Damage>)>();
    let Ok((model, symbols, threads, contexts, calibrate, damage)) = input else { return };
    let message = match damage {
        Some(damage) => match damage.message(&model, symbols, calibrate.then_some(&contexts)) {
            Ok(message) => message,
            Err(error) => return assert!(is_invalid_argument(&error), "{error}"),
        },
        None => data.take_rest().to_vec(),
    };
    let Ok((array, source, start)) = modelled::read_head(&message) else { return };
    let count = array.elements().unwrap_or(u64::MAX);
    if message.len() < start + 4 || count > MAX_SYMBOLS {
        model.visit(10, Claim(message, symbols)).ok();
        return;
    }
    let (contexts, may_be_calibrated) = (&contexts, source.is_some());
    let decode =
        Decode { message, may_be_calibrated, start, contexts, symbols, threads: 1 + usize::from(threads) };
    model.visit(count as usize, decode).ok();
});
