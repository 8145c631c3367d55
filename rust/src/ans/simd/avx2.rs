//! AVX2: 8 elements in a register.

use std::arch::x86_64::*;

use super::block::{BlockRows, Found, Word, check_rows};
use super::prefetch::prefetch_next;
use crate::ans::constants::{BLOCK, LOWER_BOUND, MAX_LANES, SLOT_MASK};
use crate::tables::{Bucket, DirectTables, PRECISION, Slots, TOTAL, Tables};

const N: usize = 8;

/// For each set of elements, the permutation that compacts a vector: the set becomes the last elements, in order.
static COMPACTIONS: [[u8; N]; 1 << N] = permutations(true);
/// For each set of elements, the permutation that expands a vector: its first elements become the set, in order.
static EXPANSIONS: [[u8; N]; 1 << N] = permutations(false);

const fn permutations(compact: bool) -> [[u8; N]; 1 << N] {
    let mut permutations = [[0; N]; 1 << N];
    let mut set = 0;
    while set < permutations.len() {
        let mut rank = if compact { N - set.count_ones() as usize } else { 0 };
        let mut element = 0;
        while element < N {
            if set >> element & 1 == 1 {
                let (to, from) = if compact { (rank, element) } else { (element, rank) };
                permutations[set][to] = from as u8;
                rank += 1;
            }
            element += 1;
        }
        set += 1;
    }
    permutations
}

/// See [`Backend::compiled`](super::Backend::compiled).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn compiled<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// See [`Backend::slots`](super::Backend::slots).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn slots(
    tables: &Tables,
    rows: &[u16; BLOCK],
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
) -> u64 {
    let mut escapes = 0;
    check_rows(tables, rows);
    prefetch_next(symbols);
    for i in 0..BLOCK / N {
        let (symbols, rows) = (&symbols.as_chunks::<N>().0[i], &rows.as_chunks::<N>().0[i]);
        // SAFETY: the rows are checked.
        let [_, offset, first, sizes] = unsafe { quarters(tables, rows) };
        let symbol = load(symbols);
        let escape = _mm256_and_si256(sizes, _mm256_set1_epi32(0xffff));
        let interval = _mm256_min_epu32(_mm256_sub_epi32(symbol, offset), escape);
        escapes |= u64::from(set(_mm256_cmpeq_epi32(interval, escape))) << (N * i);
        let boundary = _mm256_add_epi32(first, interval);
        // SAFETY: interval <= symbols, so `Tables` has this boundary and the next one.
        let pair = unsafe { _mm256_i32gather_epi32::<2>(tables.parts().1.as_ptr().cast(), boundary) };
        let bits = _mm256_sub_epi32(pair, _mm256_slli_epi32::<16>(pair));
        store(&mut slots.as_chunks_mut().0[i], bits);
    }
    escapes
}

/// Does as [`slots`] for places of scale tables.
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn slots_at(
    direct: &DirectTables,
    places: &[u16; BLOCK],
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
) -> u64 {
    let mut missing = 0;
    for i in 0..BLOCK / N {
        let [octave, row] = octaves_and_rows(&places.as_chunks::<N>().0[i]);
        let symbol = load(&symbols.as_chunks().0[i]);
        let half = _mm256_sllv_epi32(_mm256_set1_epi32(2), octave);
        let first_interval = _mm256_sub_epi32(half, _mm256_set1_epi32(1));
        let last = _mm256_add_epi32(half, first_interval);
        let interval = _mm256_min_epu32(_mm256_add_epi32(symbol, first_interval), last);
        let row = _mm256_sllv_epi32(row, _mm256_add_epi32(octave, _mm256_set1_epi32(2)));
        let first = look_up(&direct.first_slots, octave);
        let position = _mm256_add_epi32(_mm256_add_epi32(first, row), interval);
        check_positions(position, direct.slots.len());
        // SAFETY: the positions are checked.
        let bits = unsafe { _mm256_i32gather_epi32::<4>(direct.slots.as_ptr().cast(), position) };
        missing |= u64::from(set(_mm256_cmpeq_epi32(bits, _mm256_setzero_si256()))) << (N * i);
        store(&mut slots.as_chunks_mut().0[i], bits);
    }
    missing
}

/// Returns the octaves and the rows of 8 places.
#[inline]
#[target_feature(enable = "avx2")]
fn octaves_and_rows(places: &[u16; N]) -> [__m256i; 2] {
    // SAFETY: the array has 16 bytes.
    let place = _mm256_cvtepu16_epi32(unsafe { _mm_loadu_si128(places.as_ptr().cast()) });
    let row = _mm256_and_si256(place, _mm256_set1_epi32((1 << DirectTables::ROW_BITS) - 1));
    [_mm256_srli_epi32::<{ DirectTables::ROW_BITS as i32 }>(place), row]
}

/// Looks up the elements of an array at these positions.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(array: &[u32; 2 * N], position: __m256i) -> __m256i {
    let [low, high] = [0, 1].map(|i| _mm256_permutevar8x32_epi32(load(&array.as_chunks().0[i]), position));
    _mm256_blendv_epi8(low, high, _mm256_cmpgt_epi32(position, _mm256_set1_epi32(N as i32 - 1)))
}

/// Checks that all positions are below `end`. Models guarantee it; memory safety depends on it here.
#[inline]
#[target_feature(enable = "avx2")]
fn check_positions(positions: __m256i, end: usize) {
    let last = _mm256_set1_epi32(end as i32 - 1);
    let within = set(_mm256_cmpeq_epi32(_mm256_max_epu32(positions, last), last));
    assert!(within == u8::MAX, "a model names a place that its tables do not have");
}

/// See [`Backend::encode`](super::Backend::encode).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn encode(
    slots: &[Slots; BLOCK],
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &mut [u16; BLOCK],
) -> usize {
    let low_half = _mm256_set1_epi32(0xffff);
    let mut next = BLOCK;
    for i in (0..BLOCK / N).rev() {
        let states = &mut states.as_chunks_mut::<N>().0[i & (lanes / N - 1)];
        let (state, slots) = (load(states), load(&slots.as_chunks().0[i]));
        let freq = _mm256_srli_epi32::<16>(slots);
        let start = _mm256_and_si256(slots, low_half);

        let fits = _mm256_cmpgt_epi32(freq, _mm256_srli_epi32::<{ 32 - PRECISION as i32 }>(state));
        let full = !set(fits);
        let out = permute(_mm256_and_si256(state, low_half), &COMPACTIONS[usize::from(full)]);
        let out = _mm256_permute4x64_epi64::<0b10_00>(_mm256_packus_epi32(out, out));
        // Eight words are stored, though only the last `full.count_ones()` count: later words overwrite the others.
        let room = &mut words[..next][next - N..];
        // SAFETY: the slice has 16 bytes.
        unsafe { _mm_storeu_si128(room.as_mut_ptr().cast(), _mm256_castsi256_si128(out)) };
        next -= full.count_ones() as usize;
        let state = _mm256_blendv_epi8(_mm256_srli_epi32::<16>(state), state, fits);

        // The quotient is below 2^17: rounded down with an accuracy of 20 bits, it is the right one or one less.
        let halves = [_mm256_srli_epi32::<16>(state), _mm256_and_si256(state, low_half)];
        let [high, low] = halves.map(|half| _mm256_cvtepi32_ps(half));
        let dividend = _mm256_add_ps(_mm256_mul_ps(high, _mm256_set1_ps(65536.0)), low);
        let less = _mm256_mul_ps(dividend, _mm256_set1_ps(1.0 - 1.0 / 2_097_152.0));
        let quotient = _mm256_cvttps_epi32(_mm256_div_ps(less, _mm256_cvtepi32_ps(freq)));
        let remainder = _mm256_sub_epi32(state, _mm256_mullo_epi32(quotient, freq));
        let right = _mm256_cmpgt_epi32(freq, remainder);
        let high = _mm256_slli_epi32::<{ PRECISION as i32 }>(quotient);
        let state = _mm256_add_epi32(high, _mm256_add_epi32(remainder, start));
        let carry = _mm256_sub_epi32(_mm256_set1_epi32(TOTAL as i32), freq);
        store(states, _mm256_add_epi32(state, _mm256_andnot_si256(right, carry)));
    }
    BLOCK - next
}

/// See [`Backend::decode`](super::Backend::decode).
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn decode(
    rows: BlockRows,
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &[u8; 2 * BLOCK],
    out: &mut [i32; BLOCK],
) -> (usize, u64) {
    match rows {
        BlockRows::Scale(tables, places) => {
            let direct = tables.direct();
            decode_by(rows, &direct.buckets, lanes, states, words, out, |i| {
                let [octave, row] = octaves_and_rows(&places.as_chunks::<N>().0[i]);
                let bits = look_up(&direct.bucket_bits, octave);
                let first = look_up(&direct.first_bucket, octave);
                let bucket = _mm256_add_epi32(first, _mm256_sllv_epi32(row, bits));
                check_positions(bucket, direct.buckets_end);
                let shift = _mm256_sub_epi32(_mm256_set1_epi32(PRECISION as i32), bits);
                [bucket, _mm256_setzero_si256(), shift]
            })
        }
        BlockRows::Tables(tables, numbers) => {
            check_rows(tables, numbers);
            decode_by(rows, tables.parts().2, lanes, states, words, out, |i| {
                // SAFETY: the rows are checked.
                let [bucket, offset, _, sizes] = unsafe { quarters(tables, &numbers.as_chunks::<N>().0[i]) };
                [bucket, offset, _mm256_srli_epi32::<16>(sizes)]
            })
        }
    }
}

/// Does as [`decode`], given all buckets. `fields` returns the first buckets, first symbols and shifts of a register.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn decode_by(
    rows: BlockRows,
    all_buckets: &[Bucket],
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &[u8; 2 * BLOCK],
    out: &mut [i32; BLOCK],
    fields: impl Fn(usize) -> [__m256i; 3],
) -> (usize, u64) {
    let low_half = _mm256_set1_epi32(0xffff);
    let (mut used, mut escapes) = (0, 0);
    for i in 0..BLOCK / N {
        let [bucket, offset, shift] = fields(i);
        let states = &mut states.as_chunks_mut::<N>().0[i & (lanes / N - 1)];
        let state = load(states);
        let slot = _mm256_and_si256(state, _mm256_set1_epi32(SLOT_MASK as i32));

        let bucket = _mm256_add_epi32(bucket, _mm256_srlv_epi32(slot, shift));
        // SAFETY: slot < 2^15, so this is one of the row's 2^15 >> shift buckets.
        let [lower, upper] = unsafe { buckets(all_buckets, bucket) };
        let middle = _mm256_srli_epi32::<16>(lower);
        let first = _mm256_cmpgt_epi32(middle, slot);
        let mut start = _mm256_blendv_epi8(middle, _mm256_and_si256(lower, low_half), first);
        let mut end = _mm256_blendv_epi8(_mm256_and_si256(upper, low_half), middle, first);
        let symbol = _mm256_add_epi32(offset, _mm256_srai_epi32::<16>(upper));
        let mut symbol = _mm256_add_epi32(symbol, _mm256_add_epi32(first, _mm256_set1_epi32(1)));
        let beyond = !set(_mm256_cmpgt_epi32(end, slot));
        if beyond != 0 {
            let found = Found { starts: array(start), ends: array(end), symbols: array(symbol) };
            let found = found.search(|j, slot| rows.find(j, slot), N * i, &array(slot), beyond.into());
            (start, end, symbol) = (load(&found.starts), load(&found.ends), load(&found.symbols));
        }
        // Only the escape ends where all slots end.
        escapes |= u64::from(set(_mm256_cmpeq_epi32(end, _mm256_set1_epi32(TOTAL as i32)))) << (N * i);
        store(&mut out.as_chunks_mut().0[i], symbol);

        let rest = _mm256_srli_epi32::<{ PRECISION as i32 }>(state);
        let high = _mm256_mullo_epi32(_mm256_sub_epi32(end, start), rest);
        let state = _mm256_add_epi32(high, _mm256_sub_epi32(slot, start));
        const { assert!(LOWER_BOUND == 1 << 16) };
        let short = _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(state), _mm256_setzero_si256());
        // SAFETY: the slice has 16 bytes.
        let next = unsafe { _mm_loadu_si128(words[2 * used..][..2 * N].as_ptr().cast()) };
        let next = permute(_mm256_cvtepu16_epi32(next), &EXPANSIONS[usize::from(set(short))]);
        let refilled = _mm256_or_si256(_mm256_slli_epi32::<16>(state), next);
        used += set(short).count_ones() as usize;
        store(states, _mm256_blendv_epi8(state, refilled, short));
    }
    (used, escapes)
}

/// Returns the two 32-bit halves of 8 buckets, each half for all elements.
///
/// # Safety
/// There must be buckets at these positions.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn buckets(buckets: &[Bucket], positions: __m256i) -> [__m256i; 2] {
    let buckets = buckets.as_ptr().cast();
    // The order 0, 1, 4, 5 and 2, 3, 6, 7 suits shuffles, which work on halves of 128 bits.
    let positions = _mm256_permute4x64_epi64::<0b11_01_10_00>(positions);
    let halves = [_mm256_castsi256_si128(positions), _mm256_extracti128_si256::<1>(positions)];
    // SAFETY: the caller guarantees these positions; a bucket has 8 bytes.
    let [a, b] = unsafe { halves.map(|at| _mm256_castsi256_ps(_mm256_i32gather_epi64::<8>(buckets, at))) };
    let (even, odd) = (_mm256_shuffle_ps::<0b10_00_10_00>(a, b), _mm256_shuffle_ps::<0b11_01_11_01>(a, b));
    [_mm256_castps_si256(even), _mm256_castps_si256(odd)]
}

/// Returns the four 32-bit quarters of 8 rows, each quarter for all elements.
///
/// # Safety
/// `Tables` must have these rows.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn quarters(tables: &Tables, rows: &[u16; N]) -> [__m256i; 4] {
    let all = tables.parts().0.as_ptr();
    // SAFETY: the caller guarantees these rows; a row has 16 bytes and is aligned to as many.
    let row = |i: usize| unsafe { _mm_load_si128(all.add(rows[i].into()).cast()) };
    let [a, b] = [[row(0), row(4)], [row(1), row(5)]].map(|rows| join(rows));
    let [c, d] = [[row(2), row(6)], [row(3), row(7)]].map(|rows| join(rows));
    let [ab, cd] = [_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d)];
    let [ab_high, cd_high] = [_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d)];
    [
        _mm256_unpacklo_epi64(ab, cd),
        _mm256_unpackhi_epi64(ab, cd),
        _mm256_unpacklo_epi64(ab_high, cd_high),
        _mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn join([low, high]: [__m128i; 2]) -> __m256i {
    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
}

/// Returns a bit for each element, set where its mask is.
#[inline]
#[target_feature(enable = "avx2")]
fn set(mask: __m256i) -> u8 {
    _mm256_movemask_ps(_mm256_castsi256_ps(mask)) as u8
}

#[inline]
#[target_feature(enable = "avx2")]
fn permute(vector: __m256i, from: &[u8; N]) -> __m256i {
    let from = _mm256_cvtepu8_epi32(_mm_set_epi64x(0, i64::from_le_bytes(*from)));
    _mm256_permutevar8x32_epi32(vector, from)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load<T: Word>(elements: &[T; N]) -> __m256i {
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_loadu_si256(elements.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store<T: Word>(elements: &mut [T; N], vector: __m256i) {
    // SAFETY: the array has 32 bytes, whatever their values.
    unsafe { _mm256_storeu_si256(elements.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn array(vector: __m256i) -> [u32; N] {
    let mut elements = [0; N];
    store(&mut elements, vector);
    elements
}
