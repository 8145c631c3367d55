//! NEON: 4 elements in a register.

use std::arch::aarch64::*;

use super::block::{Found, Word};
use crate::ans::constants::{BLOCK, LOWER_BOUND, MAX_LANES, SLOT_MASK};
use crate::tables::{PRECISION, RowLayout, Slots, TOTAL, Tables};

const N: usize = 4;

/// For each set of states, the bytes that become words: the low halves of the set become the last words, in order.
static COMPACTIONS: [[u8; 2 * N]; 1 << N] = shuffles().0;
/// For each set of states, the bytes of the states, followed by words, that become the new states: a state of the set
/// moves up by half and takes the next word.
static REFILLS: [[u8; 4 * N]; 1 << N] = shuffles().1;

const fn shuffles() -> ([[u8; 2 * N]; 1 << N], [[u8; 4 * N]; 1 << N]) {
    let mut compactions = [[0; 2 * N]; 1 << N];
    let mut refills = [[0; 4 * N]; 1 << N];
    let mut set = 0;
    while set < 1 << N {
        let (mut used, mut next) = (0, 2 * (N - (set as u32).count_ones() as usize));
        let mut byte = 0;
        while byte < 4 * N {
            let (in_set, low_half) = (set >> (byte / 4) & 1 == 1, byte % 4 < 2);
            refills[set][byte] = byte as u8;
            if in_set && low_half {
                compactions[set][next] = byte as u8;
                next += 1;
                refills[set][byte] = (4 * N + used) as u8;
                used += 1;
            } else if in_set {
                refills[set][byte] = (byte - 2) as u8;
            }
            byte += 1;
        }
        set += 1;
    }
    (compactions, refills)
}

/// See [`Backend::slots`](super::Backend::slots).
#[target_feature(enable = "neon")]
pub(super) fn slots(
    tables: &Tables,
    rows: &[u16; BLOCK],
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
) -> u64 {
    let cdf = tables.parts().1.as_ptr();
    let mut escapes = 0;
    for i in 0..BLOCK / N {
        let [_, offset, first, sizes] = quarters(tables, &rows.as_chunks().0[i]);
        let symbol = load(&symbols.as_chunks().0[i]);
        let escape = vandq_u32(sizes, vdupq_n_u32(0xffff));
        let interval = vminq_u32(vsubq_u32(symbol, offset), escape);
        escapes |= (set(vceqq_u32(interval, escape)).0 as u64) << (N * i);
        let boundaries = array(vaddq_u32(first, interval));
        // SAFETY: interval <= symbols, so `Tables` has this boundary and the next one.
        let pair = boundaries.map(|at| unsafe { cdf.add(at as usize).cast::<u32>().read_unaligned() });
        let pair = load(&pair);
        let bits = vsubq_u32(pair, vshlq_n_u32::<16>(pair));
        store(&mut slots.as_chunks_mut().0[i], bits);
    }
    escapes
}

/// See [`Backend::encode`](super::Backend::encode).
#[target_feature(enable = "neon")]
pub(super) fn encode(
    slots: &[Slots; BLOCK],
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &mut [u16; BLOCK],
) -> usize {
    let mut next = BLOCK;
    for i in (0..BLOCK / N).rev() {
        let states = &mut states.as_chunks_mut().0[i & (lanes / N - 1)];
        let (state, slots) = (load(states), load(&slots.as_chunks().0[i]));
        let freq = vshrq_n_u32::<16>(slots);
        let start = vandq_u32(slots, vdupq_n_u32(0xffff));

        let full = vcgeq_u32(vshrq_n_u32::<{ 32 - PRECISION as i32 }>(state), freq);
        let (full_set, count) = set(full);
        // Four words are stored, though only the last `count` count: later words overwrite the others.
        // SAFETY: the array and the slice have 8 bytes.
        unsafe {
            let out = vqtbl1_u8(vreinterpretq_u8_u32(state), vld1_u8(COMPACTIONS[full_set].as_ptr()));
            vst1_u8(words[..next][next - N..].as_mut_ptr().cast(), out);
        }
        next -= count;
        let state = vbslq_u32(full, vshrq_n_u32::<16>(state), state);

        // The quotient is below 2^17, and two roundings to 24 bits leave it accurate within 1/32: the nearest integer is
        // the right one or one more.
        let ratio = vdivq_f32(vcvtq_f32_u32(state), vcvtq_f32_u32(freq));
        let quotient = vcvtnq_u32_f32(ratio);
        let remainder = vmlsq_u32(state, quotient, freq);
        let more = vcltzq_s32(vreinterpretq_s32_u32(remainder));
        let state = vaddq_u32(vshlq_n_u32::<{ PRECISION as i32 }>(quotient), vaddq_u32(remainder, start));
        let borrow = vsubq_u32(vdupq_n_u32(TOTAL), freq);
        store(states, vsubq_u32(state, vandq_u32(more, borrow)));
    }
    BLOCK - next
}

/// See [`Backend::decode`](super::Backend::decode).
#[target_feature(enable = "neon")]
pub(super) fn decode(
    tables: &Tables,
    rows: &[u16; BLOCK],
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &[u8; 2 * BLOCK],
    out: &mut [i32; BLOCK],
) -> (usize, u64) {
    let (mut used, mut escapes) = (0, 0);
    for i in 0..BLOCK / N {
        let numbers = &rows.as_chunks().0[i];
        let states = &mut states.as_chunks_mut().0[i & (lanes / N - 1)];
        let [lower, upper, offset] = look_up(tables, numbers, states);
        let state = load(states);
        let slot = vandq_u32(state, vdupq_n_u32(SLOT_MASK));
        let middle = vshrq_n_u32::<16>(lower);
        let second = vcgeq_u32(slot, middle);
        let interval = vbslq_u32(second, vsliq_n_u32::<16>(middle, upper), lower);
        let mut start = vandq_u32(interval, vdupq_n_u32(0xffff));
        let mut end = vshrq_n_u32::<16>(interval);
        let mut symbol = vsubq_u32(vsraq_n_u32::<16>(offset, upper), second);
        let beyond = vcleq_u32(end, slot);
        // Only the escape ends where all slots end. Both are rare.
        let escape = |end| vceqq_u32(end, vdupq_n_u32(TOTAL));
        if vmaxvq_u32(vorrq_u32(beyond, escape(end))) != 0 {
            let found = Found { starts: array(start), ends: array(end), symbols: array(symbol) };
            let find = |j: usize, slot| tables.find(rows[j].into(), slot);
            let found = found.search(find, N * i, &array(slot), set(beyond).0 as u32);
            (start, end, symbol) = (load(&found.starts), load(&found.ends), load(&found.symbols));
            escapes |= (set(escape(end)).0 as u64) << (N * i);
        }
        store(&mut out.as_chunks_mut().0[i], symbol);

        let rest = vshrq_n_u32::<{ PRECISION as i32 }>(state);
        let state = vmlaq_u32(vsubq_u32(slot, start), vsubq_u32(end, start), rest);
        let short = vcltq_u32(state, vdupq_n_u32(LOWER_BOUND));
        let (short_set, count) = set(short);
        // SAFETY: the slice has 8 bytes, the array 16.
        let state = unsafe {
            let next = vcombine_u8(vld1_u8(words[2 * used..][..2 * N].as_ptr()), vdup_n_u8(0));
            vqtbl2q_u8(uint8x16x2_t(vreinterpretq_u8_u32(state), next), vld1q_u8(REFILLS[short_set].as_ptr()))
        };
        used += count;
        store(states, vreinterpretq_u32_u8(state));
    }
    (used, escapes)
}

/// Returns the two 32-bit halves of 4 states' buckets, and the first symbols of their rows, each for all elements.
///
/// The positions of buckets are computed in general registers, since loads take their addresses from there.
#[inline]
#[target_feature(enable = "neon")]
fn look_up(tables: &Tables, rows: &[u16; N], states: &[u32; N]) -> [uint32x4_t; 3] {
    let buckets = tables.parts().2.as_ptr();
    let mut offsets = [0; N];
    let [a, b, c, d] = std::array::from_fn(|i| {
        // SAFETY: a row has 16 bytes, and more than the alignment of an integer.
        let [bucket, offset, _, sizes] = unsafe { *(&raw const *row(tables, rows[i])).cast::<[u32; 4]>() };
        offsets[i] = offset;
        let position = bucket + ((states[i] & SLOT_MASK) >> (sizes >> 16));
        // SAFETY: the slot is < 2^15, so this is one of the row's 2^15 >> shift buckets; a bucket has 8 bytes.
        unsafe { vld1_u32(buckets.add(position as usize).cast()) }
    });
    let (near, far) = (vcombine_u32(a, b), vcombine_u32(c, d));
    [vuzp1q_u32(near, far), vuzp2q_u32(near, far), load(&offsets)]
}

/// Returns the four 32-bit quarters of 4 rows, each quarter for all elements.
#[inline]
#[target_feature(enable = "neon")]
fn quarters(tables: &Tables, rows: &[u16; N]) -> [uint32x4_t; 4] {
    // SAFETY: a row has 16 bytes.
    let [a, b, c, d] = rows.map(|at| unsafe { vld1q_u32((&raw const *row(tables, at)).cast()) });
    let (even, even_far) = (vuzp1q_u32(a, b), vuzp1q_u32(c, d));
    let (odd, odd_far) = (vuzp2q_u32(a, b), vuzp2q_u32(c, d));
    [
        vuzp1q_u32(even, even_far),
        vuzp1q_u32(odd, odd_far),
        vuzp2q_u32(even, even_far),
        vuzp2q_u32(odd, odd_far),
    ]
}

/// Returns a row of the tables.
#[inline]
fn row(tables: &Tables, row: u16) -> &RowLayout {
    /// One panic for all rows of a loop keeps the loop small.
    #[cold]
    fn missing() -> ! {
        panic!("a model names a row that its tables do not have");
    }
    tables.parts().0.get(usize::from(row)).unwrap_or_else(|| missing())
}

/// Returns a bit for each element, set where its mask is, and the number of bits that are set.
#[inline]
#[target_feature(enable = "neon")]
fn set(mask: uint32x4_t) -> (usize, usize) {
    let sum = vaddvq_u32(vandq_u32(mask, load(&[0x11u32, 0x12, 0x14, 0x18]))) as usize;
    (sum % (1 << N), sum >> N)
}

#[inline]
#[target_feature(enable = "neon")]
fn load<T: Word>(elements: &[T; N]) -> uint32x4_t {
    // SAFETY: the array has 16 bytes.
    unsafe { vld1q_u32(elements.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store<T: Word>(elements: &mut [T; N], vector: uint32x4_t) {
    // SAFETY: the array has 16 bytes, whatever their values.
    unsafe { vst1q_u32(elements.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "neon")]
fn array(vector: uint32x4_t) -> [u32; N] {
    let mut elements = [0; N];
    store(&mut elements, vector);
    elements
}
