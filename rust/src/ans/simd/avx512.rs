//! AVX-512: 16 elements in a register.

use std::arch::x86_64::*;

use super::block::{BlockRows, Found, LocatedBlock, Word, check_rows};
use super::prefetch::prefetch_next;
use crate::ans::constants::{BLOCK, LOWER_BOUND, MAX_LANES, SLOT_MASK};
use crate::tables::{
    Bucket, DirectTables, MIN_BUCKET_BITS, PRECISION, ScaleTables, Slots, SmallRows, TOTAL, Tables,
};

pub(super) const N: usize = 16;

/// See [`Backend::compiled`](super::Backend::compiled).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn compiled<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// See [`Backend::slots`](super::Backend::slots).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn slots(
    tables: &Tables,
    rows: &[u16; BLOCK],
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
) -> u64 {
    prefetch_next(symbols);
    match tables.small() {
        Some(small) => slots_by(tables, symbols, slots, |i| {
            let rows = load_rows(&rows.as_chunks::<N>().0[i]);
            [look_up(&small.first, rows), look_up(&small.offset, rows), look_up(&small.symbols, rows)]
        }),
        None => {
            check_rows(tables, rows);
            slots_by(tables, symbols, slots, |i| {
                // SAFETY: the rows are checked.
                let [_, offset, first, sizes] = unsafe { quarters(tables, &rows.as_chunks::<N>().0[i]) };
                [first, offset, _mm512_and_si512(sizes, _mm512_set1_epi32(0xffff))]
            })
        }
    }
}

/// Does as [`slots`]. `rows` returns the first boundaries, first symbols and numbers of symbols of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
fn slots_by(
    tables: &Tables,
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
    rows: impl Fn(usize) -> [__m512i; 3],
) -> u64 {
    let mut escapes = 0;
    for i in 0..BLOCK / N {
        let [first, offset, escape] = rows(i);
        let symbol = load(&symbols.as_chunks().0[i]);
        let interval = _mm512_min_epu32(_mm512_sub_epi32(symbol, offset), escape);
        escapes |= u64::from(_mm512_cmpeq_epi32_mask(interval, escape)) << (N * i);
        let boundary = _mm512_add_epi32(first, interval);
        // SAFETY: interval <= symbols, so `Tables` has this boundary and the next one.
        let pair = unsafe { _mm512_i32gather_epi32::<2>(boundary, tables.parts().1.as_ptr().cast()) };
        let bits = _mm512_sub_epi32(pair, _mm512_slli_epi32::<16>(pair));
        store(&mut slots.as_chunks_mut().0[i], bits);
    }
    escapes
}

/// Does as [`slots`] for places of scale tables.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn slots_at(
    direct: &DirectTables,
    places: &[u16; BLOCK],
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
) -> u64 {
    slots_direct(direct, symbols, slots, |i| {
        let [octave, row] = octaves_and_rows(&places.as_chunks::<N>().0[i]);
        [octave, row, _mm512_setzero_si512()]
    })
}

/// See [`Backend::locate_slots`](super::Backend::locate_slots).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn locate_slots(
    direct: &DirectTables,
    parameters: [&[f32; BLOCK]; 2],
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
    located: &mut LocatedBlock,
) -> Option<u64> {
    prefetch_next(symbols);
    let registers = locate(direct, parameters)?;
    let missing = slots_direct(direct, symbols, slots, |i| registers[i]);
    if missing != 0 {
        store_located(&registers, located);
    }
    Some(missing)
}

/// Returns the octaves, rows and shifts of a block, 16 elements in each register; `None` if a scale is not valid or a
/// mean is large.
///
/// All steps are exact. `⌊mean · F + 1/2⌋` is exact because the sum is rounded down: no integer lies between the rounded
/// sum and the true one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn locate(direct: &DirectTables, [means, scales]: [&[f32; BLOCK]; 2]) -> Option<[[__m512i; 3]; BLOCK / N]> {
    const DOWN: i32 = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    const NEAR: f32 = (1 << 24) as f32;
    let [fraction_bits, first_row] = [load(&direct.fraction_bits), load(&direct.first_row)];
    let half = _mm512_set1_ps(0.5);
    // SAFETY: the arrays have 64 bytes.
    let load_floats = |floats: &[f32; N]| unsafe { _mm512_loadu_ps(floats.as_ptr()) };
    let fractions = load_floats(&direct.fractions);
    let mut located = [[_mm512_setzero_si512(); 3]; BLOCK / N];
    let [mut largest_mean, mut largest_scale] = [_mm512_setzero_si512(); 2];
    for (i, located) in located.iter_mut().enumerate() {
        let mean = load_floats(&means.as_chunks().0[i]);
        let scale = _mm512_castps_si512(load_floats(&scales.as_chunks().0[i]));
        // As unsigned integers, positive floats are in order, with infinities and NaNs last. The scale 0 becomes 0 - 1,
        // which is larger than all.
        largest_mean = _mm512_max_epu32(largest_mean, _mm512_castps_si512(_mm512_abs_ps(mean)));
        largest_scale = _mm512_max_epu32(largest_scale, _mm512_sub_epi32(scale, _mm512_set1_epi32(1)));

        let level = _mm512_srli_epi32::<{ DirectTables::LEVEL_SHIFT }>(scale);
        let level = _mm512_sub_epi32(level, _mm512_set1_epi32(DirectTables::FIRST_LEVEL));
        let level = _mm512_max_epi32(level, _mm512_setzero_si512());
        let level = _mm512_min_epi32(level, _mm512_set1_epi32(DirectTables::LEVELS - 1));
        let octave = _mm512_srli_epi32::<{ DirectTables::STEP_BITS }>(level);
        let bits = _mm512_permutexvar_epi32(octave, fraction_bits);
        let nearest = _mm512_fmadd_round_ps::<DOWN>(mean, _mm512_permutexvar_ps(octave, fractions), half);
        let nearest = _mm512_cvt_roundps_epi32::<DOWN>(nearest);
        let shift = _mm512_srav_epi32(nearest, bits);
        let row = _mm512_sllv_epi32(_mm512_sub_epi32(level, shift), bits);
        let row =
            _mm512_add_epi32(_mm512_add_epi32(row, nearest), _mm512_permutexvar_epi32(octave, first_row));
        *located = [octave, row, shift];
    }
    let far = _mm512_cmpgt_epu32_mask(largest_mean, _mm512_castps_si512(_mm512_set1_ps(NEAR)));
    let infinity = _mm512_set1_epi32(f32::INFINITY.to_bits() as i32 - 1);
    let wrong = _mm512_cmpge_epu32_mask(largest_scale, infinity);
    (far | wrong == 0).then_some(located)
}

/// Stores the result of [`locate`] for the scalar code.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn store_located(registers: &[[__m512i; 3]; BLOCK / N], located: &mut LocatedBlock) {
    let (places, shifts) = (located.places.as_chunks_mut::<N>().0, located.shifts.as_chunks_mut().0);
    for (i, [octave, row, shift]) in registers.iter().enumerate() {
        let place = _mm512_or_si512(_mm512_slli_epi32::<{ DirectTables::ROW_BITS }>(*octave), *row);
        // SAFETY: the array has 32 bytes.
        unsafe { _mm256_storeu_si256(places[i].as_mut_ptr().cast(), _mm512_cvtepi32_epi16(place)) };
        store(&mut shifts[i], *shift);
    }
}

/// Does as [`slots`]. `located` returns the octaves, rows and shifts of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
fn slots_direct(
    direct: &DirectTables,
    symbols: &[i32; BLOCK],
    slots: &mut [Slots; BLOCK],
    located: impl Fn(usize) -> [__m512i; 3],
) -> u64 {
    let first = load(&direct.first_slots);
    let mut missing = 0;
    for i in 0..BLOCK / N {
        let [octave, row, shift] = located(i);
        let symbol = load(&symbols.as_chunks().0[i]);
        let symbol = _mm512_sub_epi32(symbol, shift);
        let half = _mm512_sllv_epi32(_mm512_set1_epi32(2), octave);
        let first_interval = _mm512_sub_epi32(half, _mm512_set1_epi32(1));
        let last = _mm512_add_epi32(half, first_interval);
        let interval = _mm512_min_epu32(_mm512_add_epi32(symbol, first_interval), last);
        let row = _mm512_sllv_epi32(row, _mm512_add_epi32(octave, _mm512_set1_epi32(2)));
        let first = _mm512_permutexvar_epi32(octave, first);
        let position = _mm512_add_epi32(_mm512_add_epi32(first, row), interval);
        check_positions(position, direct.slots.len());
        // SAFETY: the positions are checked.
        let bits = unsafe { _mm512_i32gather_epi32::<4>(position, direct.slots.as_ptr().cast()) };
        missing |= u64::from(_mm512_testn_epi32_mask(bits, bits)) << (N * i);
        store(&mut slots.as_chunks_mut().0[i], bits);
    }
    missing
}

/// Returns the octaves and the rows of 16 places.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn octaves_and_rows(places: &[u16; N]) -> [__m512i; 2] {
    // SAFETY: the array has 32 bytes.
    let place = _mm512_cvtepu16_epi32(unsafe { _mm256_loadu_si256(places.as_ptr().cast()) });
    let row = _mm512_and_si512(place, _mm512_set1_epi32((1 << DirectTables::ROW_BITS) - 1));
    [_mm512_srli_epi32::<{ DirectTables::ROW_BITS }>(place), row]
}

/// Checks that all positions are below `end`. Models guarantee it; memory safety depends on it here.
#[inline]
#[target_feature(enable = "avx512f")]
fn check_positions(positions: __m512i, end: usize) {
    let beyond = _mm512_cmpge_epu32_mask(positions, _mm512_set1_epi32(end as i32));
    assert!(beyond == 0, "a model names a place that its tables do not have");
}

/// Looks up a field of 16 small rows, and extends its sign.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn look_up(field: &[i16; SmallRows::ROWS], rows: __m512i) -> __m512i {
    let [low, high] = [0, 32].map(|i| field[i..][..32].as_ptr());
    // SAFETY: both halves have 64 bytes.
    let [low, high] = unsafe { [_mm512_loadu_si512(low.cast()), _mm512_loadu_si512(high.cast())] };
    _mm512_cvtepi16_epi32(_mm512_castsi512_si256(_mm512_permutex2var_epi16(low, rows, high)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_rows(rows: &[u16; N]) -> __m512i {
    // SAFETY: the array has 32 bytes.
    _mm512_castsi256_si512(unsafe { _mm256_loadu_si256(rows.as_ptr().cast()) })
}

/// See [`Backend::encode`](super::Backend::encode).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn encode(
    slots: &[Slots; BLOCK],
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &mut [u16; BLOCK],
) -> usize {
    const TOWARDS_0: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
    let mut next = BLOCK;
    for i in (0..BLOCK / N).rev() {
        let states = &mut states.as_chunks_mut::<N>().0[i & (lanes / N - 1)];
        let (state, slots) = (load(states), load(&slots.as_chunks().0[i]));
        let freq = _mm512_srli_epi32::<16>(slots);
        let start = _mm512_and_si512(slots, _mm512_set1_epi32(0xffff));

        let full = _mm512_cmpge_epu32_mask(_mm512_srli_epi32::<{ 32 - PRECISION }>(state), freq);
        let out = _mm256_maskz_compress_epi16(full, _mm512_cvtepi32_epi16(state));
        let count = full.count_ones();
        next -= count as usize;
        // SAFETY: `count` words are stored, and as many are free: `next` is never lowered by more than BLOCK in all.
        unsafe {
            _mm256_mask_storeu_epi16(words[next..].as_mut_ptr().cast(), ((1 << count) - 1) as u16, out)
        };
        let state = _mm512_mask_srli_epi32::<16>(state, full, state);

        // A division would be slower than this reciprocal of 14 bits, which one step of Newton's method makes accurate to
        // more than 22 bits. It is lowered by 2^-21 of itself, so that it is never too large. The quotient is below 2^17,
        // so it is the right one or, rounded down, one less.
        let divisor = _mm512_cvtepi32_ps(freq);
        let reciprocal = _mm512_rcp14_ps(divisor);
        let step = _mm512_fnmadd_ps(divisor, reciprocal, _mm512_set1_ps(1.0 - 1.0 / 2_097_152.0));
        let reciprocal = _mm512_fmadd_ps(reciprocal, step, reciprocal);
        let dividend = _mm512_cvt_roundepu32_ps::<TOWARDS_0>(state);
        let quotient = _mm512_cvttps_epi32(_mm512_mul_ps(dividend, reciprocal));
        let remainder = _mm512_sub_epi32(state, _mm512_mullo_epi32(quotient, freq));
        let less = _mm512_cmpge_epu32_mask(remainder, freq);
        let high = _mm512_slli_epi32::<PRECISION>(quotient);
        let state = _mm512_add_epi32(high, _mm512_add_epi32(remainder, start));
        let carry = _mm512_sub_epi32(_mm512_set1_epi32(TOTAL as i32), freq);
        let state = _mm512_mask_add_epi32(state, less, state, carry);
        store(states, state);
    }
    BLOCK - next
}

/// See [`Backend::decode`](super::Backend::decode).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn decode(
    rows: BlockRows,
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &[u8; 2 * BLOCK],
    out: &mut [i32; BLOCK],
) -> (usize, u64) {
    let find = |j, slot| rows.find(j, slot);
    match rows {
        BlockRows::Scale(tables, places) => {
            decode_direct(find, tables.direct(), (lanes, states), words, out, |i| {
                let [octave, row] = octaves_and_rows(&places.as_chunks::<N>().0[i]);
                [octave, row, _mm512_setzero_si512()]
            })
        }
        BlockRows::Tables(tables, numbers) => match tables.small() {
            Some(small) => decode_by(find, tables.parts().2, lanes, states, words, out, |i| {
                let rows = load_rows(&numbers.as_chunks::<N>().0[i]);
                let bucket = _mm512_slli_epi32::<MIN_BUCKET_BITS>(look_up(&small.bucket, rows));
                [bucket, look_up(&small.offset, rows), look_up(&small.shift, rows)]
            }),
            None => {
                check_rows(tables, numbers);
                decode_by(find, tables.parts().2, lanes, states, words, out, |i| {
                    // SAFETY: the rows are checked.
                    let [bucket, offset, _, sizes] =
                        unsafe { quarters(tables, &numbers.as_chunks::<N>().0[i]) };
                    [bucket, offset, _mm512_srli_epi32::<16>(sizes)]
                })
            }
        },
    }
}

/// See [`Backend::locate_decode`](super::Backend::locate_decode).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn locate_decode(
    tables: &ScaleTables,
    parameters: [&[f32; BLOCK]; 2],
    lanes: (usize, &mut [u32; MAX_LANES]),
    words: &[u8; 2 * BLOCK],
    out: &mut [i32; BLOCK],
    located: &mut LocatedBlock,
) -> Option<(usize, u64)> {
    let registers = locate(tables.direct(), parameters)?;
    let find = |j: usize, slot| {
        let [row, shift] = [1, 2].map(|field| array(registers[j / N][field])[j % N]);
        let (symbol, slots) = tables.tables().find(row as usize, slot);
        (symbol.map(|symbol| symbol.wrapping_add(shift as i32)), slots)
    };
    let (used, escapes) = decode_direct(find, tables.direct(), lanes, words, out, |i| registers[i]);
    if escapes != 0 {
        store_located(&registers, located);
    }
    Some((used, escapes))
}

/// Does as [`decode`]. `find` searches beyond a bucket; `located` returns the octaves, rows and shifts of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
fn decode_direct(
    find: impl Fn(usize, u32) -> (Option<i32>, Slots),
    direct: &DirectTables,
    (lanes, states): (usize, &mut [u32; MAX_LANES]),
    words: &[u8; 2 * BLOCK],
    out: &mut [i32; BLOCK],
    located: impl Fn(usize) -> [__m512i; 3],
) -> (usize, u64) {
    let (first, bits) = (load(&direct.first_bucket), load(&direct.bucket_bits));
    decode_by(find, &direct.buckets, lanes, states, words, out, |i| {
        let [octave, row, shift] = located(i);
        let bits = _mm512_permutexvar_epi32(octave, bits);
        let first = _mm512_permutexvar_epi32(octave, first);
        let bucket = _mm512_add_epi32(first, _mm512_sllv_epi32(row, bits));
        check_positions(bucket, direct.buckets_end);
        [bucket, shift, _mm512_sub_epi32(_mm512_set1_epi32(PRECISION as i32), bits)]
    })
}

/// Does as [`decode`], given all buckets. `find` searches beyond a bucket; `fields` returns the first buckets, first
/// symbols and shifts of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
fn decode_by(
    find: impl Fn(usize, u32) -> (Option<i32>, Slots),
    buckets: &[Bucket],
    lanes: usize,
    states: &mut [u32; MAX_LANES],
    words: &[u8; 2 * BLOCK],
    out: &mut [i32; BLOCK],
    fields: impl Fn(usize) -> [__m512i; 3],
) -> (usize, u64) {
    match lanes / N {
        1 => decode_turns::<1>((find, buckets), states, words, out, fields),
        2 => decode_turns::<2>((find, buckets), states, words, out, fields),
        _ => decode_turns::<4>((find, buckets), states, words, out, fields),
    }
}

/// Does as [`decode_by`] for lanes that fill this many registers. All registers look into their buckets before the first
/// one continues: a gather has a long latency, but several overlap.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
fn decode_turns<const REGISTERS: usize>(
    (find, all_buckets): (impl Fn(usize, u32) -> (Option<i32>, Slots), &[Bucket]),
    states: &mut [u32; MAX_LANES],
    words: &[u8; 2 * BLOCK],
    out: &mut [i32; BLOCK],
    fields: impl Fn(usize) -> [__m512i; 3],
) -> (usize, u64) {
    let low_half = _mm512_set1_epi32(0xffff);
    let (mut used, mut escapes) = (0, 0);
    for turn in 0..BLOCK / N / REGISTERS {
        let mut looked_up = [[_mm512_setzero_si512(); 5]; REGISTERS];
        for (j, looked_up) in looked_up.iter_mut().enumerate() {
            let [bucket, offset, shift] = fields(turn * REGISTERS + j);
            let state = load(&states.as_chunks::<N>().0[j]);
            let slot = _mm512_and_si512(state, _mm512_set1_epi32(SLOT_MASK as i32));
            let bucket = _mm512_add_epi32(bucket, _mm512_srlv_epi32(slot, shift));
            // SAFETY: slot < 2^15, so this is one of the row's 2^15 >> shift buckets.
            let [lower, upper] = unsafe { buckets(all_buckets, bucket) };
            *looked_up = [state, slot, offset, lower, upper];
        }
        for (j, [state, slot, offset, lower, upper]) in looked_up.into_iter().enumerate() {
            let i = turn * REGISTERS + j;
            let middle = _mm512_srli_epi32::<16>(lower);
            let second = _mm512_cmpge_epu32_mask(slot, middle);
            let mut start = _mm512_mask_mov_epi32(_mm512_and_si512(lower, low_half), second, middle);
            let mut end = _mm512_mask_and_epi32(middle, second, upper, low_half);
            let symbol = _mm512_add_epi32(offset, _mm512_srai_epi32::<16>(upper));
            let mut symbol = _mm512_mask_sub_epi32(symbol, second, symbol, _mm512_set1_epi32(-1));
            let beyond = _mm512_cmple_epu32_mask(end, slot);
            if beyond != 0 {
                let found = Found { starts: array(start), ends: array(end), symbols: array(symbol) };
                let found = found.search(&find, N * i, &array(slot), beyond.into());
                (start, end, symbol) = (load(&found.starts), load(&found.ends), load(&found.symbols));
            }
            // Only the escape ends where all slots end.
            escapes |= u64::from(_mm512_cmpeq_epi32_mask(end, _mm512_set1_epi32(TOTAL as i32))) << (N * i);
            store(&mut out.as_chunks_mut().0[i], symbol);

            let (freq, high) = (_mm512_sub_epi32(end, start), _mm512_srli_epi32::<PRECISION>(state));
            let state = _mm512_add_epi32(_mm512_mullo_epi32(freq, high), _mm512_sub_epi32(slot, start));
            let short = _mm512_cmplt_epu32_mask(state, _mm512_set1_epi32(LOWER_BOUND as i32));
            // SAFETY: the slice has 32 bytes.
            let next = unsafe { _mm256_loadu_si256(words[2 * used..][..2 * N].as_ptr().cast()) };
            let next = _mm512_maskz_expand_epi32(short, _mm512_cvtepu16_epi32(next));
            let state = _mm512_mask_or_epi32(state, short, _mm512_slli_epi32::<16>(state), next);
            used += short.count_ones() as usize;
            store(&mut states.as_chunks_mut::<N>().0[j], state);
        }
    }
    (used, escapes)
}

/// Returns the two 32-bit halves of 16 buckets, each half for all elements.
///
/// # Safety
/// There must be buckets at these positions.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn buckets(buckets: &[Bucket], positions: __m512i) -> [__m512i; 2] {
    let buckets = buckets.as_ptr().cast();
    let [near, far] = [_mm512_castsi512_si256(positions), _mm512_extracti64x4_epi64::<1>(positions)];
    // SAFETY: the caller guarantees these positions; a bucket has 8 bytes.
    let [near, far] = unsafe { [near, far].map(|at| _mm512_i32gather_epi64::<8>(at, buckets)) };
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    [_mm512_permutex2var_epi32(near, even, far), _mm512_permutex2var_epi32(near, odd, far)]
}

/// Returns the four 32-bit quarters of 16 rows, each quarter for all elements.
///
/// # Safety
/// `Tables` must have these rows.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn quarters(tables: &Tables, rows: &[u16; N]) -> [__m512i; 4] {
    let all = tables.parts().0.as_ptr();
    // SAFETY: the caller guarantees these rows; a row has 16 bytes and is aligned to as many.
    let row = |i: usize| unsafe { _mm_load_si128(all.add(rows[i].into()).cast()) };
    let [a, b] =
        [[row(0), row(4), row(8), row(12)], [row(1), row(5), row(9), row(13)]].map(|rows| join(rows));
    let [c, d] =
        [[row(2), row(6), row(10), row(14)], [row(3), row(7), row(11), row(15)]].map(|rows| join(rows));
    let [ab, cd] = [_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d)];
    let [ab_high, cd_high] = [_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d)];
    [
        _mm512_unpacklo_epi64(ab, cd),
        _mm512_unpackhi_epi64(ab, cd),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn join([a, b, c, d]: [__m128i; 4]) -> __m512i {
    let joined = _mm512_castsi128_si512(a);
    let joined = _mm512_inserti32x4::<1>(joined, b);
    let joined = _mm512_inserti32x4::<2>(joined, c);
    _mm512_inserti32x4::<3>(joined, d)
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load<T: Word>(elements: &[T; N]) -> __m512i {
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_loadu_si512(elements.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store<T: Word>(elements: &mut [T; N], vector: __m512i) {
    // SAFETY: the array has 64 bytes, whatever their values.
    unsafe { _mm512_storeu_si512(elements.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn array(vector: __m512i) -> [u32; N] {
    let mut elements = [0; N];
    store(&mut elements, vector);
    elements
}
