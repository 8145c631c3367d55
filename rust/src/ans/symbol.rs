//! What a symbol may be in memory.

/// An integer that can be coded: coders work on 32 bits.
pub trait Symbol: Copy + Default + Send + Sync {
    /// What it is called.
    const NAME: &'static str;

    /// Its value.
    fn to_i32(self) -> i32;

    /// The symbol with this value, or with some other one if there is none.
    fn from_i32(value: i32) -> Self;
}

macro_rules! symbol {
    ($($integer:ident $name:literal),*) => {$(
        impl Symbol for $integer {
            const NAME: &'static str = $name;

            #[inline]
            fn to_i32(self) -> i32 {
                self.into()
            }

            #[inline]
            fn from_i32(value: i32) -> Self {
                value as $integer
            }
        }
    )*};
}
symbol!(i8 "int8", u8 "uint8", i16 "int16", u16 "uint16", i32 "int32");

/// Copies symbols as 32-bit integers.
#[inline]
pub(super) fn widen<S: Symbol>(symbols: &[S], wide: &mut [i32]) {
    for (wide, symbol) in wide.iter_mut().zip(symbols) {
        *wide = symbol.to_i32();
    }
}

/// Copies 32-bit integers as symbols; the result is one that doesn't fit, if there is any.
#[inline]
pub(super) fn narrow<S: Symbol>(wide: &[i32], symbols: &mut [S]) -> Option<i32> {
    let mut differences = 0;
    for (symbol, &wide) in symbols.iter_mut().zip(wide) {
        *symbol = S::from_i32(wide);
        differences |= symbol.to_i32() ^ wide;
    }
    if differences == 0 {
        return None;
    }
    wide.iter().copied().find(|&wide| S::from_i32(wide).to_i32() != wide)
}
