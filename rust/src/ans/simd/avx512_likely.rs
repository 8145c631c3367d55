//! AVX-512: 8 lanes of symbols that are likely known.

use std::arch::x86_64::*;

use super::block::{Likely, set_bits};
use crate::Result;
use crate::ans::constants::{BLOCK, LOWER_BOUND, MAX_LANES, SLOT_MASK};
use crate::tables::{PRECISION, Slots};

const N: usize = 8;

/// See [`Backend::decode_likely`](super::Backend::decode_likely).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn decode(
    likely: &Likely,
    states: &mut [u32; MAX_LANES],
    words: &[u8; 2 * BLOCK],
    mut miss: impl FnMut(usize, u32) -> Result<Slots>,
) -> Result<usize> {
    let states = &mut states.as_chunks_mut::<N>().0[0];
    let mut state = load(states);
    let mut used = 0;
    let blocks = likely.starts.as_chunks::<N>().0.iter().zip(likely.ends.as_chunks::<N>().0);
    for (i, (starts, ends)) in blocks.enumerate() {
        let slot = _mm256_and_si256(state, _mm256_set1_epi32(SLOT_MASK as i32));
        let (mut start, mut end) = (load(starts), load(ends));
        let mut freq = _mm256_sub_epi32(end, start);
        let missed = _mm256_cmpge_epu32_mask(_mm256_sub_epi32(slot, start), freq);
        if missed != 0 {
            let (mut starts, mut ends) = (*starts, *ends);
            let slots = array(slot);
            for j in set_bits(missed.into()) {
                let found = miss(i * N + j, slots[j])?;
                (starts[j], ends[j]) = (found.start(), found.start() + found.freq());
            }
            (start, end) = (load(&starts), load(&ends));
            freq = _mm256_sub_epi32(end, start);
        }
        let high = _mm256_mullo_epi32(freq, _mm256_srli_epi32::<{ PRECISION as i32 }>(state));
        state = _mm256_add_epi32(high, _mm256_sub_epi32(slot, start));
        let short = _mm256_cmplt_epu32_mask(state, _mm256_set1_epi32(LOWER_BOUND as i32));
        // SAFETY: at most `i * N` words are used, so `N` more are left.
        let next = unsafe { _mm_loadu_si128(words.as_ptr().add(2 * used).cast()) };
        let next = _mm256_maskz_expand_epi32(short, _mm256_cvtepu16_epi32(next));
        state = _mm256_mask_slli_epi32::<16>(state, short, state);
        state = _mm256_or_si256(state, next);
        used += short.count_ones() as usize;
    }
    store(states, state);
    Ok(used)
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn load(elements: &[u32; N]) -> __m256i {
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_loadu_si256(elements.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn store(elements: &mut [u32; N], vector: __m256i) {
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_storeu_si256(elements.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
fn array(vector: __m256i) -> [u32; N] {
    let mut elements = [0; N];
    store(&mut elements, vector);
    elements
}
