//! The same coder on many lanes at once. All unsafe code of the crate is here.
//!
//! A backend works on blocks of 64 elements of one group; each lane's states, words and slots become just what
//! the scalar code makes of them. That code does the rest: what no block is left for, streams of fewer than 16
//! lanes, and, element by element, the few searches that leave their bucket.
#![allow(unsafe_code)]

// What a backend needs of the processor, its file says itself.
mod avx2;
mod avx512;
mod neon;
pub(super) mod row;

use std::sync::OnceLock;

use super::model::{locate, locate_near, narrow};
use super::symbol::{self, Symbol};
use super::{BlockRows, Index, Spots, BLOCK, MAX_LANES};
use crate::tables::{Float, Ladder, Layout, MixtureConstants, Slots, Tables, MIXTURE_PARAMS};

/// Fewer lanes are not worth a vector.
pub(super) const MIN_LANES: usize = 16;

/// The instructions that code symbols; whichever they are, the bytes are the same.
///
/// [`Backend::default`] is the fastest, or the one that the environment variable `LIC_SIMD` names (`avx512`,
/// `avx2`, `neon` or `scalar`); if this processor does not have it, `scalar`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend(Isa);

/// Only [`Backend::all`] makes a [`Backend`] of these, of those that this processor has: the safety of calling the
/// functions below rests on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Backend {
    /// The definition, which every processor can run.
    pub const SCALAR: Self = Self(Isa::Scalar);

    /// Every backend that this processor has, fastest first.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi2")
                && is_x86_feature_detected!("popcnt")
            {
                all.push(Self(Isa::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
                all.push(Self(Isa::Avx2));
            }
        }
        // It takes rows, buckets and words apart as little-endian memory holds them.
        #[cfg(target_arch = "aarch64")]
        if cfg!(target_endian = "little") && std::arch::is_aarch64_feature_detected!("neon") {
            all.push(Self(Isa::Neon));
        }
        all.push(Self::SCALAR);
        all
    }

    /// The backend of this name, if this processor has it.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|backend| backend.name() == name)
    }

    /// `avx512`, `avx2`, `neon` or `scalar`.
    pub fn name(self) -> &'static str {
        match self.0 {
            Isa::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => "neon",
        }
    }

    /// What scalar code gives, as the compiler makes it of this backend's instructions if `work` is inlined here.
    #[inline]
    pub(crate) fn compiled<T>(self, work: impl FnOnce() -> T) -> T {
        match self.0 {
            // SAFETY: a processor without AVX2 and POPCNT has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2::compiled(work) },
            // SAFETY: a processor without these extensions has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512::compiled(work) },
            Isa::Scalar => work(),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => work(),
        }
    }

    /// Fills in the shifts and places of a block of distributions, and returns whether all have them.
    pub(super) fn locate<T: Float>(
        self,
        means: &[T; BLOCK],
        scales: &[T; BLOCK],
        shifts: &mut [i32; BLOCK],
        places: &mut [u16; BLOCK],
    ) -> bool {
        if self != Self::SCALAR {
            let near = self.compiled(
                #[inline(always)]
                || locate_near(means, scales, shifts, places),
            );
            if near {
                return true;
            }
        }
        self.compiled(
            #[inline(always)]
            || locate(means, scales, shifts, places),
        )
    }

    /// See [`narrow`].
    pub(super) fn narrow<I: Index>(self, indexes: &[I], rows: &mut [u16]) -> I {
        self.compiled(
            #[inline(always)]
            || narrow(indexes, rows),
        )
    }

    /// See [`symbol::widen`].
    pub(super) fn widen<'a, S: Symbol>(
        self,
        symbols: &'a [S],
        shifts: Option<&[i32]>,
        wide: &'a mut [i32],
    ) -> (&'a [i32], u32) {
        self.compiled(
            #[inline(always)]
            || symbol::widen(symbols, shifts, wide),
        )
    }

    /// See [`symbol::narrow`].
    pub(super) fn narrow_symbols<S: Symbol>(
        self,
        wide: &mut [i32],
        shifts: Option<&[i32]>,
        symbols: &mut [S],
    ) -> (u32, Option<i32>) {
        self.compiled(
            #[inline(always)]
            || symbol::narrow(wide, shifts, symbols),
        )
    }

    /// Fills in the symbols at the centres of a block of mixtures, and their slots.
    pub(super) fn centres(
        self,
        constants: &MixtureConstants,
        mixtures: &[[i16; MIXTURE_PARAMS]; BLOCK],
        symbols: &mut [i32; BLOCK],
        slots: &mut [Slots; BLOCK],
    ) {
        self.compiled(
            #[inline(always)]
            || constants.centres(mixtures, symbols, slots),
        );
    }

    /// The sum of integers modulo 2^32.
    pub(super) fn sum(self, integers: &[i32]) -> u32 {
        self.compiled(
            #[inline(always)]
            || symbol::sum_of(integers),
        )
    }

    /// Fills in the slots of a block of symbols, and returns a bit for each for which the model has to be asked: escapes,
    /// at least.
    #[inline]
    pub(super) fn slots(self, rows: BlockRows, symbols: &[i32; BLOCK], slots: &mut [Slots; BLOCK]) -> u64 {
        match (self.0, rows) {
            // SAFETY: a processor without AVX2 and POPCNT has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, BlockRows::Of(tables, rows)) => unsafe { avx2::slots(tables, rows, symbols, slots) },
            // SAFETY: as before.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, BlockRows::At(ladder, places)) => unsafe {
                avx2::slots_at(ladder.direct(), places, symbols, slots)
            },
            // SAFETY: a processor without these extensions has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, BlockRows::Of(tables, rows)) => unsafe {
                avx512::slots(tables, rows, symbols, slots)
            },
            // SAFETY: as before.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, BlockRows::At(ladder, places)) => unsafe {
                avx512::slots_at(ladder.direct(), places, symbols, slots)
            },
            // SAFETY: a processor without NEON has no such `Backend`.
            #[cfg(target_arch = "aarch64")]
            (Isa::Neon, BlockRows::Of(tables, rows)) => unsafe { neon::slots(tables, rows, symbols, slots) },
            (Isa::Scalar, BlockRows::Of(tables, rows)) => scalar_slots(tables, rows, symbols, slots),
            (_, BlockRows::At(ladder, places)) => {
                let rows = places.map(Ladder::row);
                self.slots(BlockRows::Of(ladder.tables(), &rows), symbols, slots)
            }
        }
    }

    /// Whether it codes around means, which is to locate and to code in one pass.
    pub(super) fn codes_around(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => true,
            _ => false,
        }
    }

    /// [`Backend::locate`] and [`Backend::slots`] in one. `None`: this is for these two, which know more. `spots` are
    /// filled in only if the model has to be asked.
    #[inline]
    pub(super) fn slots_around(
        self,
        ladder: &Ladder,
        parameters: [&[f32; BLOCK]; 2],
        symbols: &[i32; BLOCK],
        slots: &mut [Slots; BLOCK],
        spots: &mut Spots,
    ) -> Option<u64> {
        match self.0 {
            // SAFETY: a processor without these extensions has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe {
                avx512::slots_around(ladder.direct(), parameters, symbols, slots, spots)
            },
            _ => {
                let _ = (ladder, parameters, symbols, slots, spots);
                None
            }
        }
    }

    /// [`Backend::locate`] and [`Backend::decode`] in one, shifts and all. `None`: this is for these two; no state has
    /// changed.
    #[inline]
    pub(super) fn decode_around(
        self,
        ladder: &Ladder,
        parameters: [&[f32; BLOCK]; 2],
        (lanes, states): (usize, &mut [u32; MAX_LANES]),
        words: &[u8; 2 * BLOCK],
        out: &mut [i32; BLOCK],
        spots: &mut Spots,
    ) -> Option<(usize, u64)> {
        match self.0 {
            _ if lanes < MIN_LANES => None,
            // SAFETY: a processor without these extensions has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe {
                avx512::decode_around(ladder, parameters, (lanes, states), words, out, spots)
            },
            _ => {
                let _ = (ladder, parameters, states, words, out, spots);
                None
            }
        }
    }

    /// Encodes a block of a group, whose words become the last of `words`, and returns how many they are; `None`
    /// leaves it to the scalar code.
    #[inline]
    pub(super) fn encode(
        self,
        slots: &[Slots; BLOCK],
        lanes: usize,
        states: &mut [u32; MAX_LANES],
        words: &mut [u16; BLOCK],
    ) -> Option<usize> {
        match self.0 {
            _ if lanes < MIN_LANES => None,
            Isa::Scalar => None,
            // SAFETY: a processor without AVX2 and POPCNT has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Some(unsafe { avx2::encode(slots, lanes, states, words) }),
            // SAFETY: a processor without these extensions has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Some(unsafe { avx512::encode(slots, lanes, states, words) }),
            // SAFETY: a processor without NEON has no such `Backend`.
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Some(unsafe { neon::encode(slots, lanes, states, words) }),
        }
    }

    /// Decodes a block of a group from the next `words`, and returns how many of these it took and a bit for each
    /// element that is an escape, whose symbol is yet to be filled in; `None` leaves it to the scalar code.
    #[inline]
    pub(super) fn decode(
        self,
        rows: BlockRows,
        lanes: usize,
        states: &mut [u32; MAX_LANES],
        words: &[u8; 2 * BLOCK],
        out: &mut [i32; BLOCK],
    ) -> Option<(usize, u64)> {
        match (self.0, rows) {
            _ if lanes < MIN_LANES => None,
            (Isa::Scalar, _) => None,
            // SAFETY: a processor without AVX2 and POPCNT has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, _) => Some(unsafe { avx2::decode(rows, lanes, states, words, out) }),
            // SAFETY: a processor without these extensions has no such `Backend`.
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, _) => Some(unsafe { avx512::decode(rows, lanes, states, words, out) }),
            // SAFETY: a processor without NEON has no such `Backend`.
            #[cfg(target_arch = "aarch64")]
            (Isa::Neon, BlockRows::Of(tables, rows)) => {
                Some(unsafe { neon::decode(tables, rows, lanes, states, words, out) })
            }
            #[cfg(target_arch = "aarch64")]
            (Isa::Neon, BlockRows::At(ladder, places)) => {
                let rows = places.map(Ladder::row);
                self.decode(BlockRows::Of(ladder.tables(), &rows), lanes, states, words, out)
            }
        }
    }
}

fn scalar_slots(
    tables: &Tables,
    rows: &[u16; BLOCK],
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
) -> u64 {
    let mut escapes = 0;
    for j in 0..BLOCK {
        let outside;
        (slots[j], outside) = tables.slots(rows[j].into(), symbols[j]);
        escapes |= u64::from(outside.is_some()) << j;
    }
    escapes
}

impl Default for Backend {
    fn default() -> Self {
        static BACKEND: OnceLock<Backend> = OnceLock::new();
        *BACKEND.get_or_init(|| match std::env::var("LIC_SIMD") {
            Ok(name) => Self::named(&name).unwrap_or(Self::SCALAR),
            Err(_) => Self::all()[0],
        })
    }
}

/// Whether the tables have all of these rows. Models see to it; here memory safety depends on it.
#[cfg(target_arch = "x86_64")]
#[inline]
fn check_rows(tables: &Tables, rows: &[u16; BLOCK]) {
    let highest = rows.iter().fold(0, |highest, &row| highest.max(row));
    assert!(usize::from(highest) < tables.len(), "a model names a row that its tables do not have");
}

/// A row of the tables.
///
/// # Safety
/// There must be such a row.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn row_unchecked(tables: &Tables, row: u16) -> *const Layout {
    // SAFETY: the caller knows that it is there.
    unsafe { tables.parts().0.as_ptr().add(row.into()) }
}

/// A row of the tables.
#[cfg(target_arch = "aarch64")]
#[inline]
fn row(tables: &Tables, row: u16) -> &Layout {
    /// One place for all the rows of a loop, which keeps it small.
    #[cold]
    fn missing() -> ! {
        panic!("a model names a row that its tables do not have");
    }
    tables.parts().0.get(usize::from(row)).unwrap_or_else(|| missing())
}

/// Calls for the symbols a batch further on: large groups are encoded from the end in pieces, each piece from its front,
/// and the processor by itself expects a page to be followed by the next.
#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch_next(symbols: &[i32; BLOCK]) {
    prefetch(symbols.as_ptr().wrapping_add(crate::ans::BATCH), BLOCK);
}

/// Calls for `count` elements, which need not exist.
#[inline]
pub(super) fn prefetch<T>(elements: *const T, count: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..count * size_of::<T>() / 64 {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        // SAFETY: whatever the address, nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(elements.wrapping_byte_add(64 * line).cast()) };
    }
    let _ = (elements, count);
}

/// What `N` elements found, as far as their buckets told it.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
struct Found<const N: usize> {
    starts: [u32; N],
    ends: [u32; N],
    /// As unsigned integers.
    symbols: [u32; N],
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl<const N: usize> Found<N> {
    /// Searches on for the slots that lie beyond the two intervals of their bucket, of elements `first..` of the block.
    #[cold]
    fn search(
        mut self,
        find: impl Fn(usize, u32) -> (Option<i32>, Slots),
        first: usize,
        slots: &[u32; N],
        beyond: u32,
    ) -> Self {
        for i in (0..N).filter(|i| beyond >> i & 1 == 1) {
            let (symbol, slots) = find(first + i, slots[i]);
            self.starts[i] = slots.start();
            self.ends[i] = slots.start() + slots.freq();
            self.symbols[i] = symbol.unwrap_or(0) as u32;
        }
        self
    }
}
