//! Any symbols by any models: refused as an invalid argument, or the same bytes from all backends, and back.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lic_native::ans::{self, Backend, Calibrated, Decoder, Encoder, Symbol};
use lic_native::Result;
use lic_native_fuzz::{
    cycle, is_invalid_argument, on_all, widen, with_symbols, AnyContexts, AnyModel, Integer, SymbolType, Visitor,
};

#[derive(Arbitrary, Debug)]
struct Group {
    model: AnyModel,
    symbols: Vec<Integer>,
    symbol_type: SymbolType,
    count: Option<u16>,
    contexts: Option<AnyContexts>,
}

#[derive(Arbitrary, Debug)]
struct Input {
    groups: [Option<Group>; 3],
    joined: bool,
    threads: bool,
    /// Whether groups with contexts are calibrated; groups that are joined have none.
    calibrated: bool,
}

impl Group {
    /// Many symbols only where each takes little time.
    fn count(&self) -> usize {
        let most = match self.model {
            AnyModel::Rows { .. } | AnyModel::LocationScale { .. } => 32768,
            AnyModel::Categorical { .. } => 200,
            _ => 2000,
        };
        self.count.map_or(self.symbols.len(), |count| count.into()).min(most)
    }

    fn symbols<S: Symbol>(&self) -> Vec<S> {
        let symbols: Vec<S> = self.symbols.iter().map(|symbol| S::from_i32(symbol.to_i32())).collect();
        cycle(&symbols, self.count())
    }
}

struct Put<'a>(&'a mut Encoder, &'a Group);

impl Visitor for Put<'_> {
    type Output = Result<()>;

    fn visit<M: Calibrated>(self, model: &M) -> Self::Output {
        with_symbols!(self.1.symbol_type, S => {
            let symbols = self.1.symbols::<S>();
            match &self.1.contexts {
                Some(contexts) => contexts.visit(|contexts| self.0.put_in_contexts(&symbols, model, contexts)),
                None => self.0.put(&symbols, model),
            }
        })
    }
}

struct Get<'a, 'b>(&'a mut Decoder<&'b [u8]>, &'a Group);

impl Visitor for Get<'_, '_> {
    type Output = ();

    fn visit<M: Calibrated>(self, model: &M) {
        with_symbols!(self.1.symbol_type, S => {
            let mut out = vec![S::default(); model.len()];
            match &self.1.contexts {
                Some(contexts) => contexts.visit(|contexts| self.0.get_in_contexts(model, contexts, &mut out)),
                None => self.0.get(model, &mut out),
            }
            .expect("it was encoded");
            assert_eq!(widen(&out), widen(&self.1.symbols::<S>()));
        });
    }
}

/// The group alone, in parts.
struct Parts<'a>(&'a Group, usize);

impl Visitor for Parts<'_> {
    type Output = Result<()>;

    fn visit<M: Calibrated>(self, model: &M) -> Self::Output {
        with_symbols!(self.0.symbol_type, S => {
            let symbols = self.0.symbols::<S>();
            let encode = |backend| {
                ans::encode(backend, &symbols, model, self.1).map(|parts| (parts.to_vec(), parts.sum()))
            };
            let (bytes, sum) = on_all(encode)?;
            let decode = |backend| {
                let mut out = vec![S::default(); symbols.len()];
                ans::decode(backend, &bytes, model, None, &mut out, self.1).map(|sum| (sum, widen(&out)))
            };
            assert_eq!(on_all(decode), Ok((sum, widen(&symbols))));
            let Some(contexts) = &self.0.contexts else { return Ok(()) };
            let plain = ans::encode(Backend::SCALAR, &symbols, model, 1)?;
            contexts.visit(|contexts| {
                let encode = |backend| {
                    ans::encode_in_contexts(backend, &symbols, model, contexts, &plain, self.1)
                        .map(|parts| (parts.to_vec(), parts.sum()))
                };
                let (bytes, sum) = on_all(encode)?;
                let decode = |backend| {
                    let mut out = vec![S::default(); symbols.len()];
                    ans::decode(backend, &bytes, model, Some(contexts), &mut out, self.1)
                        .map(|sum| (sum, widen(&out)))
                };
                assert_eq!(on_all(decode), Ok((sum, widen(&symbols))));
                Ok(())
            })
        })
    }
}

fuzz_target!(|input: Input| {
    let encode = |backend: Backend| {
        let mut encoder = Encoder::new().with_backend(backend);
        if input.calibrated && !input.joined {
            encoder = encoder.calibrating();
        }
        let put = |group: &Group| {
            group.model.visit(group.count(), Put(&mut encoder, group)).and_then(|result| result)
        };
        let results: Vec<Result<()>> = input.groups.iter().flatten().map(put).collect();
        if input.joined {
            encoder.join_groups();
        }
        (results, encoder.finish())
    };
    let (results, bytes) = on_all(encode);
    for (group, result) in input.groups.iter().flatten().zip(&results) {
        let chunks = Parts(group, 1 + usize::from(input.threads));
        let chunks = group.model.visit(group.count(), chunks).and_then(|result| result);
        assert_eq!(chunks.is_ok(), result.is_ok(), "{chunks:?}, but {result:?}");
        for error in [result, &chunks].into_iter().filter_map(|result| result.as_ref().err()) {
            assert!(is_invalid_argument(error), "{error}");
        }
    }
    for backend in Backend::all() {
        let mut decoder = Decoder::new(&bytes[..]).expect("it was encoded").with_backend(backend);
        for (group, _) in input.groups.iter().flatten().zip(&results).filter(|(_, result)| result.is_ok()) {
            let count = group.count();
            group.model.visit(count, Get(&mut decoder, group)).expect("it was there before");
            if input.joined {
                decoder.continue_group(count);
            }
        }
        decoder.finish().expect("all is decoded");
    }
});
