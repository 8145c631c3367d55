//! Any bytes as a message or as its parts. The hash is put right, so that what it protects is read.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use lic_native::ans::{self, EntropyModel, Symbol};
use lic_native::tensor::{modelled, ArrayInfo, Dtype, Library};
use lic_native::Result;
use lic_native_fuzz::{
    cycle, is_invalid_argument, on_all, widen, with_symbols, AnyModel, Integer, SymbolType, Visitor,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const FINGERPRINT: u64 = 0x1234_5678_9abc_def0;
const MAX_SYMBOLS: u64 = 2000;

struct Decode {
    message: Vec<u8>,
    start: usize,
    symbols: SymbolType,
    threads: usize,
}

impl Visitor for Decode {
    type Output = ();

    fn visit<M: EntropyModel>(self, model: &M) {
        with_symbols!(self.symbols, S => self.decode::<S, M>(model));
    }
}

impl Decode {
    fn decode<S: Symbol, M: EntropyModel>(mut self, model: &M) {
        let end = self.message.len() - 4;
        let parts = &self.message[self.start..end];
        let decoded = on_all(|backend| {
            let mut out = vec![S::default(); model.len()];
            ans::decode(backend, parts, model, &mut out, self.threads).map(|sum| (sum, widen(&out)))
        });
        let sums = [None, decoded.as_ref().ok().map(|decoded| decoded.0 as u16)];
        for sum in sums {
            if let Some(sum) = sum {
                self.message[end..end + 2].copy_from_slice(&sum.to_le_bytes());
            }
            let hash = xxh3_64_with_seed(&self.message[..end + 2], FINGERPRINT) as u16;
            self.message[end + 2..].copy_from_slice(&hash.to_le_bytes());
            let mut out = vec![S::default(); model.len()];
            let result = modelled::decode(&self.message, model, FINGERPRINT, &mut out, self.threads);
            match (&decoded, result) {
                (Ok(decoded), Ok(())) => assert_eq!(widen(&out), decoded.1),
                (_, result) => assert!(result.is_err() && sum.is_none(), "{decoded:?}, but {result:?}"),
            }
        }
    }
}

/// The message of some symbols.
struct Encode<'a>(&'a [Integer], SymbolType);

impl Visitor for Encode<'_> {
    type Output = Result<Vec<u8>>;

    fn visit<M: EntropyModel>(self, model: &M) -> Self::Output {
        let shape = vec![model.len() as u64];
        let array = ArrayInfo { dtype: Dtype::I32, library: Library::NumPy, shape };
        with_symbols!(self.1, S => {
            let symbols: Vec<S> = self.0.iter().map(|symbol| S::from_i32(symbol.to_i32())).collect();
            modelled::encode(&cycle(&symbols, model.len()), &array, model, FINGERPRINT, 1).map(|message| message.to_vec())
        })
    }
}

/// A message too long, or too short for what it claims, which takes no memory.
struct Claim(Vec<u8>, SymbolType);

impl Visitor for Claim {
    type Output = ();

    fn visit<M: EntropyModel>(self, model: &M) {
        with_symbols!(self.1, S => {
            let mut out = vec![S::default(); model.len()];
            assert!(modelled::decode(&self.0, model, FINGERPRINT, &mut out, 1).is_err());
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
    fn message(&self, model: &AnyModel, symbols: SymbolType) -> Result<Vec<u8>> {
        let count = u64::from(self.count) % MAX_SYMBOLS;
        let mut message =
            model.visit(count as usize, Encode(&self.symbols, symbols)).and_then(|result| result)?;
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
    let input = data.arbitrary::<(AnyModel, SymbolType, bool, Option<Damage>)>();
    let Ok((model, symbols, threads, damage)) = input else { return };
    let message = match damage {
        Some(damage) => match damage.message(&model, symbols) {
            Ok(message) => message,
            Err(error) => return assert!(is_invalid_argument(&error), "{error}"),
        },
        None => data.take_rest().to_vec(),
    };
    let Ok((array, start)) = modelled::read_head(&message) else { return };
    let count = array.elements().unwrap_or(u64::MAX);
    if message.len() < start + 4 || count > MAX_SYMBOLS {
        model.visit(10, Claim(message, symbols)).ok();
        return;
    }
    model.visit(count as usize, Decode { message, start, symbols, threads: 1 + usize::from(threads) }).ok();
});
