//! Buckets: an index into a row that finds the owner of a slot in one step for most slots.

use super::slots::{PRECISION, TOTAL};

/// The smallest number of buckets of a row. The number of buckets of every row is a multiple of it.
pub(super) const MIN_BUCKETS: u32 = 1 << MIN_BUCKET_BITS;
pub(crate) const MIN_BUCKET_BITS: u32 = 3;
pub(super) const MAX_BUCKET_BITS: u32 = 12;

/// The first two intervals that reach into a bucket of slots. Most slots belong to one of these.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Bucket {
    /// The slots where the intervals begin, meet and end. A row's last interval has no successor; its end then stands
    /// here twice.
    pub(super) boundaries: [u16; 3],
    /// The first interval's position in its row.
    pub(super) interval: u16,
}

impl Bucket {
    /// Returns the boundaries, the first one in the lowest 16 bits, and the interval in the highest.
    pub(super) fn to_bits(self) -> u64 {
        let [first, middle, last] = self.boundaries.map(u64::from);
        first | middle << 16 | last << 32 | u64::from(self.interval) << 48
    }
}

/// Returns the `shift` by which `slot >> shift` becomes a row's bucket.
///
/// Searching beyond a bucket costs more than coding a vector of elements, so the buckets leave at most 1/128 of the
/// slots to a search. They are no more than that takes, because tables should stay in the cache.
pub(super) fn bucket_shift(boundaries: &[i32]) -> u16 {
    let enough = |bits: &u32| slots_to_search(boundaries, PRECISION - bits) <= TOTAL as i32 / 128;
    let bits = (MIN_BUCKET_BITS..MAX_BUCKET_BITS).find(enough).unwrap_or(MAX_BUCKET_BITS);
    (PRECISION - bits) as u16
}

/// Returns the buckets of a row whose first interval has the number `first`.
pub(super) fn buckets(boundaries: &[i32], shift: u16, first: u16) -> impl Iterator<Item = Bucket> + '_ {
    let (mut interval, intervals) = (0, boundaries.len() - 1);
    (0..TOTAL as i32 >> shift).map(move |bucket| {
        while boundaries[interval + 1] <= bucket << shift {
            interval += 1;
        }
        let boundary = |i: usize| boundaries[i.min(intervals)] as u16;
        Bucket {
            boundaries: [interval, interval + 1, interval + 2].map(boundary),
            interval: first.wrapping_add(interval as u16),
        }
    })
}

/// Returns the number of slots that lie beyond the two intervals of their bucket.
pub(super) fn slots_to_search(boundaries: &[i32], shift: u32) -> i32 {
    let mut interval = 0;
    let beyond = |bucket: i32| {
        while boundaries[interval + 1] <= bucket << shift {
            interval += 1;
        }
        let end = boundaries.get(interval + 2).copied().unwrap_or(TOTAL as i32);
        (((bucket + 1) << shift) - end).max(0)
    };
    (0..TOTAL as i32 >> shift).map(beyond).sum()
}
