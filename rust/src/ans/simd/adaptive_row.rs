//! Adaptive rows of 16 boundaries, in vectors that every processor of an architecture has. `scalar` defines the results.

/// The number of symbols of a row.
pub(crate) const SYMBOLS: usize = 16;

/// Returns the position of the last boundary that is not above `slot`. The boundaries rise from 0.
#[inline(always)]
pub(in crate::ans) fn find(row: &[i16; SYMBOLS], slot: i16) -> usize {
    arch::find(row, slot)
}

/// Moves boundaries by 2^−`rate` of their distance to `goal`, rounded.
#[inline(always)]
pub(in crate::ans) fn approach(row: &mut [i16; SYMBOLS], goal: &[i16; SYMBOLS], rate: u32) {
    arch::approach(row, goal, rate);
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use super::SYMBOLS;
    use std::arch::x86_64::*;

    #[inline(always)]
    fn load(row: &[i16; SYMBOLS]) -> [__m128i; 2] {
        let row = row.as_ptr();
        // SAFETY: 16 integers of 16 bits are two vectors of 128.
        unsafe { [_mm_loadu_si128(row.cast()), _mm_loadu_si128(row.add(8).cast())] }
    }

    #[inline(always)]
    pub(super) fn find(row: &[i16; SYMBOLS], slot: i16) -> usize {
        let [low, high] = load(row);
        // SAFETY: every x86-64 processor has SSE2.
        let above = unsafe {
            let slot = _mm_set1_epi16(slot);
            _mm_movemask_epi8(_mm_packs_epi16(_mm_cmpgt_epi16(low, slot), _mm_cmpgt_epi16(high, slot)))
        };
        (above | 1 << SYMBOLS).trailing_zeros() as usize - 1
    }

    #[inline(always)]
    pub(super) fn approach(row: &mut [i16; SYMBOLS], goal: &[i16; SYMBOLS], rate: u32) {
        let (now, goal) = (load(row), load(goal));
        let row = row.as_mut_ptr();
        // SAFETY: every x86-64 processor has SSE2; the stored vectors are as long as the loaded ones.
        unsafe {
            let half = _mm_set1_epi16(1 << (rate - 1));
            let rate = _mm_cvtsi32_si128(rate as i32);
            for i in 0..2 {
                let way = _mm_adds_epi16(_mm_sub_epi16(goal[i], now[i]), half);
                _mm_storeu_si128(row.add(8 * i).cast(), _mm_add_epi16(now[i], _mm_sra_epi16(way, rate)));
            }
        }
    }
}

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod arch {
    use super::SYMBOLS;
    use std::arch::aarch64::*;

    #[inline(always)]
    fn load(row: &[i16; SYMBOLS]) -> [int16x8_t; 2] {
        let row = row.as_ptr();
        // SAFETY: 16 integers of 16 bits are two vectors of 128.
        unsafe { [vld1q_s16(row), vld1q_s16(row.add(8))] }
    }

    #[inline(always)]
    pub(super) fn find(row: &[i16; SYMBOLS], slot: i16) -> usize {
        let [low, high] = load(row);
        // SAFETY: this is compiled for processors with NEON.
        let begun = unsafe {
            let slot = vdupq_n_s16(slot);
            vaddvq_u16(vaddq_u16(
                vshrq_n_u16(vcleq_s16(low, slot), 15),
                vshrq_n_u16(vcleq_s16(high, slot), 15),
            ))
        };
        usize::from(begun) - 1
    }

    #[inline(always)]
    pub(super) fn approach(row: &mut [i16; SYMBOLS], goal: &[i16; SYMBOLS], rate: u32) {
        let (now, goal) = (load(row), load(goal));
        let row = row.as_mut_ptr();
        // SAFETY: this is compiled for processors with NEON; the stored vectors are as long as the loaded ones.
        unsafe {
            let half = vdupq_n_s16(1 << (rate - 1));
            let back = vdupq_n_s16(-(rate as i16));
            for i in 0..2 {
                let way = vqaddq_s16(vsubq_s16(goal[i], now[i]), half);
                vst1q_s16(row.add(8 * i), vaddq_s16(now[i], vshlq_s16(way, back)));
            }
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
use scalar as arch;

#[cfg_attr(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")), cfg(test))]
mod scalar {
    use super::SYMBOLS;

    #[inline(always)]
    pub(super) fn find(row: &[i16; SYMBOLS], slot: i16) -> usize {
        row.iter().map(|&start| usize::from(start <= slot)).sum::<usize>() - 1
    }

    #[inline(always)]
    pub(super) fn approach(row: &mut [i16; SYMBOLS], goal: &[i16; SYMBOLS], rate: u32) {
        for (now, &goal) in row.iter_mut().zip(goal) {
            *now += (goal - *now).saturating_add(1 << (rate - 1)) >> rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ans::Random;

    #[test]
    fn vectors_match_scalar_code() {
        let mut random = Random::new(1);
        for _ in 0..10_000 {
            let mut rising = || {
                let mut row: [i16; SYMBOLS] = std::array::from_fn(|_| (random.next() >> 17) as i16 & 0x7FFF);
                row[0] = 0;
                row.sort_unstable();
                row
            };
            let (row, goal) = (rising(), rising());
            let (slot, rate) = ((random.next() >> 17) as i16 & 0x7FFF, 1 + random.next() % 7);
            assert_eq!(find(&row, slot), scalar::find(&row, slot));
            let (mut a, mut b) = (row, row);
            approach(&mut a, &goal, rate);
            scalar::approach(&mut b, &goal, rate);
            assert_eq!(a, b);
        }
    }
}
