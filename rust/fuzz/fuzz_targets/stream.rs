//! Any bytes as a stream of groups with models of any kind: every backend decodes the same, or fails alike.
#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use lic_native::ans::{Calibrated, Decoder, Symbol};
use lic_native::Result;
use lic_native_fuzz::{on_all, widen, with_symbols, AnyContexts, AnyModel, SymbolType, Visitor};

#[derive(Arbitrary, Debug)]
struct Group {
    model: AnyModel,
    count: u16,
    symbols: SymbolType,
    contexts: Option<AnyContexts>,
    /// Whether it goes on with the group before.
    continued: bool,
}

struct Get<'a, 'b>(&'a mut Decoder<&'b [u8]>, &'a Group);

impl Visitor for Get<'_, '_> {
    type Output = Result<Vec<i32>>;

    fn visit<M: Calibrated>(self, model: &M) -> Self::Output {
        with_symbols!(self.1.symbols, S => get::<S, M>(self.0, model, self.1.contexts.as_ref()))
    }
}

fn get<S: Symbol, M: Calibrated>(
    decoder: &mut Decoder<&[u8]>,
    model: &M,
    contexts: Option<&AnyContexts>,
) -> Result<Vec<i32>> {
    let mut out = vec![S::default(); model.len()];
    match contexts {
        Some(contexts) => contexts.visit(|contexts| decoder.get_in_contexts(model, contexts, &mut out))?,
        None => decoder.get(model, &mut out)?,
    }
    Ok(widen(&out))
}

fuzz_target!(|data: &[u8]| {
    let mut data = Unstructured::new(data);
    let Ok(groups) = (0..3).map(|_| data.arbitrary()).collect::<arbitrary::Result<Vec<Option<Group>>>>()
    else {
        return;
    };
    let stream = data.take_rest();
    on_all(|backend| -> Result<_> {
        let mut decoder = Decoder::new(stream)?.with_backend(backend);
        let (mut decoded, mut failed, mut before) = (Vec::new(), false, 0);
        for group in groups.iter().flatten() {
            let count = usize::from(group.count % 700);
            if group.continued {
                decoder.continue_group(before);
            }
            before = count;
            let symbols =
                group.model.visit(count, Get(&mut decoder, group)).and_then(|result| result);
            // What follows an error means nothing, but is safe.
            if !failed {
                failed = symbols.is_err();
                decoded.push(symbols);
            }
        }
        Ok((decoded, (!failed).then(|| decoder.finish())))
    })
    .ok();
});
