//! Histograms of coefficients, by which an encoder knows pictures that were quantised twice.

use super::pointwise::BLOCK;

/// Larger magnitudes count as this one.
const LARGEST: usize = 512;

/// Returns whether the histograms of these planes, blocks of 64 coefficients, are combs: whether a quarter of all
/// coefficients other than 0 stand out from the magnitudes next to theirs.
pub fn is_comb<'a>(planes: impl IntoIterator<Item = &'a [i16]>) -> bool {
    let (mut outstanding, mut all) = (0, 0);
    let mut counts = vec![[0u32; LARGEST + 1]; BLOCK];
    for plane in planes {
        counts.fill([0; LARGEST + 1]);
        for block in plane.as_chunks::<BLOCK>().0 {
            for (counts, &coefficient) in counts.iter_mut().zip(block) {
                counts[usize::from(coefficient.unsigned_abs()).min(LARGEST)] += 1;
            }
        }
        for counts in counts.iter().flat_map(|counts| counts.windows(3)) {
            outstanding += u64::from(counts[1].saturating_sub(counts[0] + counts[2]));
            all += u64::from(counts[1]);
        }
    }
    4 * outstanding > all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ans::Random;

    /// Sums of random numbers are nearly normal; quantised by 3 before, they leave two of three values out.
    #[test]
    fn only_what_was_quantised_twice_is_a_comb() {
        let mut random = Random::new(1);
        let once: Vec<i16> =
            (0..64 * 500).map(|_| (0..4).map(|_| random.below(9)).sum::<u32>() as i16 - 16).collect();
        let twice: Vec<i16> = once.iter().map(|&value| (value + 100) / 3 * 3 - 99).collect();
        assert!(!is_comb([&once[..], &once]));
        assert!(is_comb([&twice[..], &twice]));
        assert!(is_comb([&once[..64 * 100], &twice]));
        assert!(!is_comb([&once[..], &twice[..64 * 100]]));
        assert!(!is_comb([]) && !is_comb([&[0; 640][..]]));
        assert!(is_comb([&[i16::MIN, i16::MAX, 7][..], &[-300; 64]]));
    }
}
