//! AVX-512: the distributions of a block of logistic pairs.

use std::arch::x86_64::*;

use super::avx512::{N, load, store};
use super::avx512_curves::CurveVectors;
use crate::ans::calibration::Curve;
use crate::ans::constants::BLOCK;
use crate::tables::{CdfCurve, Interval, PAIR_PARAMS, PairBlock, PairCdf, PairConstants, Support};

/// Elements of 16 bits in a register.
const SHORTS: usize = 2 * N;
/// For each parameter, where those of 32 elements stand among 64 neighbouring integers.
const COLUMNS: [[i16; SHORTS]; PAIR_PARAMS] = {
    let mut columns = [[0; SHORTS]; PAIR_PARAMS];
    let mut i = 0;
    while i < SHORTS * PAIR_PARAMS {
        columns[i % PAIR_PARAMS][i / PAIR_PARAMS] = (i % (2 * SHORTS)) as i16;
        i += 1;
    }
    columns
};

/// See [`Backend::load_pairs`](super::Backend::load_pairs).
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn load_pairs(
    constants: &PairConstants,
    params: &[[i16; PAIR_PARAMS]; BLOCK],
    block: &mut PairBlock<BLOCK>,
) {
    let halves = params.as_flattened().as_chunks::<{ SHORTS * PAIR_PARAMS }>().0;
    for (half, params) in halves.iter().enumerate() {
        let registers = params.as_chunks().0;
        let [means1, means2, scales1, scales2, weights] =
            std::array::from_fn(|column| take_column(registers, column));
        let [scales1, scales2, weights] = [scales1, scales2, weights].map(|index| {
            let index = _mm512_max_epi16(index, _mm512_setzero_si512());
            _mm512_min_epi16(index, _mm512_set1_epi16(127))
        });
        let radii = [scales1, scales2].map(|scales| look_up(&constants.short_radii, scales));
        let first_is_heavier = _mm512_cmpge_epi16_mask(weights, _mm512_set1_epi16(64));
        let weights = look_up(&constants.short_weights, weights);
        for quarter in 0..2 {
            let part = |shorts: __m512i| {
                _mm512_cvtepi16_epi32(match quarter {
                    0 => _mm512_castsi512_si256(shorts),
                    _ => _mm512_extracti64x4_epi64::<1>(shorts),
                })
            };
            let first_is_heavier = (first_is_heavier >> (N * quarter)) as __mmask16;
            let heavier = |one, other| _mm512_mask_mov_epi32(other, first_is_heavier, one);
            let [mean1, mean2, scale1, scale2] = [means1, means2, scales1, scales2].map(part);
            let [radius1, radius2] = radii.map(part);
            let [nearest1, nearest2] = [mean1, mean2]
                .map(|mean| _mm512_srai_epi32::<4>(_mm512_add_epi32(mean, _mm512_set1_epi32(8))));
            let centre = heavier(nearest1, nearest2);
            let farthest = _mm512_set1_epi32(Support::MAX_RADIUS);
            let low =
                _mm512_min_epi32(_mm512_sub_epi32(nearest1, radius1), _mm512_sub_epi32(nearest2, radius2));
            let low = _mm512_max_epi32(low, _mm512_sub_epi32(centre, farthest));
            let high =
                _mm512_max_epi32(_mm512_add_epi32(nearest1, radius1), _mm512_add_epi32(nearest2, radius2));
            let high = _mm512_min_epi32(high, _mm512_add_epi32(centre, farthest));
            let spare = _mm512_sub_epi32(
                _mm512_set1_epi32(PairBlock::<BLOCK>::MOST_SPARE as i32),
                _mm512_sub_epi32(high, low),
            );
            let [reciprocal1, reciprocal2] = [scale1, scale2].map(|scale| {
                let mantissa = _mm512_permutexvar_epi32(scale, load(&constants.mantissas));
                let shift = _mm512_srli_epi32::<3>(scale);
                let half = _mm512_sllv_epi32(_mm512_set1_epi32(1), shift);
                let shift = _mm512_add_epi32(shift, _mm512_set1_epi32(1));
                _mm512_srlv_epi32(_mm512_add_epi32(mantissa, half), shift)
            });
            let i = 2 * half + quarter;
            let put = |to: &mut [i32; BLOCK], vector| store(&mut to.as_chunks_mut().0[i], vector);
            put(&mut block.means[0], mean1);
            put(&mut block.means[1], mean2);
            put(&mut block.reciprocals[0], reciprocal1);
            put(&mut block.reciprocals[1], reciprocal2);
            put(&mut block.lows, low);
            put(&mut block.centres, centre);
            put(&mut block.heavier[0], heavier(mean1, mean2));
            put(&mut block.heavier[1], heavier(scale1, scale2));
            store(&mut block.weights.as_chunks_mut().0[i], part(weights));
            store(&mut block.spares.as_chunks_mut().0[i], spare);
        }
    }
}

/// Returns a parameter of 32 elements, which five registers hold.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn take_column(registers: &[[i16; SHORTS]], column: usize) -> __m512i {
    let places = load_shorts(&COLUMNS[column]);
    let [a, b, c, d, e] = std::array::from_fn(|i| load_shorts(&registers[i]));
    // The first elements are in the first two registers, the next ones in the next two, the last ones in the last one.
    let begin = |register: usize| (register * SHORTS - column).div_ceil(PAIR_PARAMS);
    let taken = _mm512_permutex2var_epi16(a, places, b);
    let taken = _mm512_mask_mov_epi16(taken, u32::MAX << begin(2), _mm512_permutex2var_epi16(c, places, d));
    _mm512_mask_permutexvar_epi16(taken, u32::MAX << begin(4), places, e)
}

/// Looks up 32 elements, whose indices are from 0 to 127.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn look_up(table: &[i16; 128], indices: __m512i) -> __m512i {
    let [a, b, c, d] = std::array::from_fn(|i| load_shorts(&table.as_chunks().0[i]));
    let low = _mm512_permutex2var_epi16(a, indices, b);
    let is_high = _mm512_cmpge_epi16_mask(indices, _mm512_set1_epi16(64));
    _mm512_mask_mov_epi16(low, is_high, _mm512_permutex2var_epi16(c, indices, d))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_shorts(elements: &[i16; SHORTS]) -> __m512i {
    // SAFETY: the array has 64 bytes.
    unsafe { _mm512_loadu_si512(elements.as_ptr().cast()) }
}

/// See [`Backend::find_near`](super::Backend::find_near).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
pub(super) fn find_near(cdf: &PairCdf, first: i32, slot: u32, curve: Option<&Curve>) -> Option<Interval> {
    const NEAR: usize = N / 2;
    let last = _mm256_set1_epi32(cdf.support.symbols);
    let symbols = _mm256_add_epi32(_mm256_set1_epi32(first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    let symbols = _mm256_min_epi32(_mm256_max_epi32(symbols, _mm256_setzero_si256()), last);
    let boundaries = _mm256_slli_epi32::<4>(_mm256_add_epi32(symbols, _mm256_set1_epi32(cdf.support.low)));
    let component = |i: usize| {
        let distance = _mm256_sub_epi32(boundaries, _mm256_set1_epi32(cdf.means[i] + 8));
        let product =
            _mm512_mul_epi32(_mm512_cvtepi32_epi64(distance), _mm512_set1_epi64(cdf.reciprocals[i].into()));
        let position = _mm512_add_epi64(
            _mm512_srai_epi64::<{ PairConstants::RECIPROCAL_BITS }>(product),
            _mm512_set1_epi64(CdfCurve::MIDDLE.into()),
        );
        let position = _mm512_max_epi64(position, _mm512_setzero_si512());
        let position = _mm512_min_epi64(position, _mm512_set1_epi64((2 * CdfCurve::MIDDLE).into()));
        let position = _mm512_cvtepi64_epi32(position);
        let index = _mm256_srli_epi32::<{ CdfCurve::BETWEEN_BITS as i32 }>(position);
        // SAFETY: the position is at most that of the last knot, which the curve has.
        let knot = unsafe { _mm256_i32gather_epi32::<4>(cdf.constants.sigmoid.knots.as_ptr().cast(), index) };
        let between = _mm256_and_si256(position, _mm256_set1_epi32((1 << CdfCurve::BETWEEN_BITS) - 1));
        let growth = _mm256_mullo_epi32(_mm256_and_si256(knot, _mm256_set1_epi32(0xffff)), between);
        let growth = _mm256_add_epi32(growth, _mm256_set1_epi32(1 << (CdfCurve::BETWEEN_BITS - 1)));
        _mm256_add_epi32(
            _mm256_srli_epi32::<16>(knot),
            _mm256_srli_epi32::<{ CdfCurve::BETWEEN_BITS as i32 }>(growth),
        )
    };
    let [one, other] = [component(0), component(1)];
    let weighted = _mm256_mullo_epi32(_mm256_set1_epi32(cdf.weight as i32), _mm256_sub_epi32(one, other));
    let mixed = _mm256_add_epi32(_mm256_slli_epi32::<{ PairConstants::WEIGHT_BITS as i32 }>(other), weighted);
    let bounds = _mm256_srli_epi32::<{ PairConstants::WEIGHT_BITS as i32 }>(mixed);
    let bounds = match curve {
        Some(curve) => {
            let bounds = _mm512_castsi256_si512(bounds);
            _mm512_castsi512_si256(CurveVectors::load().apply_one(curve, bounds))
        }
        None => bounds,
    };
    let spare = cdf.support.spare();
    let share = _mm256_srli_epi32::<16>(_mm256_mullo_epi32(bounds, _mm256_set1_epi32(spare as i32)));
    let before = _mm256_add_epi32(symbols, share);
    // A start is 1 more than that.
    let begun = _mm256_cmplt_epu32_mask(before, _mm256_set1_epi32(slot as i32));
    let count = begun.count_ones() as usize;
    let mut values = [0; NEAR];
    // SAFETY: the array has 32 bytes.
    unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), bounds) };
    let bounds = [*values.get(count.wrapping_sub(1))?, *values.get(count)?];
    Some(Interval { rank: (first + count as i32) as u32, bounds, spare })
}
