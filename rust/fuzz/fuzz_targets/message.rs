//! Any bytes as a message or as its parts. The hash is put right, so that what it protects is read.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use lic_native::ans::{self, Model, Symbol};
use lic_native::message;
use lic_native_fuzz::{on_all, widen, with_symbols, AnyModel, SymbolType, Visitor};
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

    fn visit<M: Model>(self, model: &M) {
        with_symbols!(self.symbols, S => self.decode::<S, M>(model));
    }
}

impl Decode {
    fn decode<S: Symbol, M: Model>(mut self, model: &M) {
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
            let result = message::decode(&self.message, model, FINGERPRINT, &mut out, self.threads);
            match (&decoded, result) {
                (Ok(decoded), Ok(())) => assert_eq!(widen(&out), decoded.1),
                (_, result) => assert!(result.is_err() && sum.is_none(), "{decoded:?}, but {result:?}"),
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut data = Unstructured::new(data);
    let Ok((model, symbols, threads)) = data.arbitrary::<(AnyModel, SymbolType, bool)>() else { return };
    let message = data.take_rest().to_vec();
    let Ok((array, start)) = message::read_head(&message) else { return };
    let count = array.elements().unwrap_or(u64::MAX);
    if message.len() < start + 4 || count > MAX_SYMBOLS {
        // Nothing is allocated for what the message only claims.
        let claim = Claim(message, symbols);
        model.visit(10, claim).ok();
        return;
    }
    model.visit(count as usize, Decode { message, start, symbols, threads: 1 + usize::from(threads) }).ok();
});

struct Claim(Vec<u8>, SymbolType);

impl Visitor for Claim {
    type Output = ();

    fn visit<M: Model>(self, model: &M) {
        with_symbols!(self.1, S => {
            let mut out = vec![S::default(); model.len()];
            assert!(message::decode(&self.0, model, FINGERPRINT, &mut out, 1).is_err());
        });
    }
}
