//! Rows and columns of the coefficients in zig-zag order, and the order in which they are coded.

/// `[row, column]` by index.
const POSITIONS: [[u8; 2]; 64] = {
    let mut positions = [[0; 2]; 64];
    let (mut k, mut sum) = (0, 0);
    while sum < 15 {
        let mut step = 0;
        while step <= sum {
            // Even diagonals go up, odd ones down.
            let (row, column) = if sum % 2 == 0 { (sum - step, step) } else { (step, sum - step) };
            if row < 8 && column < 8 {
                positions[k] = [row, column];
                k += 1;
            }
            step += 1;
        }
        sum += 1;
    }
    positions
};

const fn coordinate(which: usize) -> [u8; 64] {
    let mut coordinates = [0; 64];
    let mut k = 0;
    while k < 64 {
        coordinates[k] = POSITIONS[k][which];
        k += 1;
    }
    coordinates
}

/// Vertical frequency.
pub(super) static ROW: [u8; 64] = coordinate(0);
/// Horizontal frequency.
pub(super) static COLUMN: [u8; 64] = coordinate(1);

/// Returns the coefficients in the first row or column (`edges`) or all others, the highest first, without DC.
const fn descending<const N: usize>(edges: bool) -> [u8; N] {
    let mut list = [0; N];
    let (mut k, mut n) = (63, 0);
    while k > 0 {
        if (ROW[k] == 0 || COLUMN[k] == 0) == edges {
            list[n] = k as u8;
            n += 1;
        }
        k -= 1;
    }
    list
}

static INNER: [u8; 49] = descending(false);
static EDGES: [u8; 14] = descending(true);

/// Returns, for each end of a block, the position in a descending list of the first coefficient up to that end.
const fn first_not_above<const N: usize>(list: &[u8; N]) -> [u8; 64] {
    let mut first = [0; 64];
    let mut end = 0;
    while end < 64 {
        let mut n = 0;
        while n < N && list[n] as usize > end {
            n += 1;
        }
        first[end] = n as u8;
        end += 1;
    }
    first
}

static INNER_FIRST: [u8; 64] = first_not_above(&INNER);
static EDGES_FIRST: [u8; 64] = first_not_above(&EDGES);

/// Iterates over the coefficients outside the first row and column, from the end of a block down.
#[inline(always)]
pub(super) fn inner(end: usize) -> impl Iterator<Item = usize> {
    INNER[usize::from(INNER_FIRST[end % 64])..].iter().map(|&k| usize::from(k) % 64)
}

/// Iterates over the coefficients of the first row and column except DC, from the end of a block down.
#[inline(always)]
pub(super) fn edges(end: usize) -> impl Iterator<Item = usize> {
    EDGES[usize::from(EDGES_FIRST[end % 64])..].iter().map(|&k| usize::from(k) % 64)
}
