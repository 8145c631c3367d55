//! Where the coefficients of the zig-zag order lie in a block.

/// `[row, column]` by index.
const PLACES: [[u8; 2]; 64] = {
    let mut places = [[0; 2]; 64];
    let (mut k, mut sum) = (0, 0);
    while sum < 15 {
        let mut step = 0;
        while step <= sum {
            // Even diagonals go up, odd ones down.
            let (row, column) = if sum % 2 == 0 { (sum - step, step) } else { (step, sum - step) };
            if row < 8 && column < 8 {
                places[k] = [row, column];
                k += 1;
            }
            step += 1;
        }
        sum += 1;
    }
    places
};

const fn coordinate(which: usize) -> [u8; 64] {
    let mut coordinates = [0; 64];
    let mut k = 0;
    while k < 64 {
        coordinates[k] = PLACES[k][which];
        k += 1;
    }
    coordinates
}

/// Vertical frequency.
pub(super) const ROW: [u8; 64] = coordinate(0);
/// Horizontal frequency.
pub(super) const COLUMN: [u8; 64] = coordinate(1);

/// Those that are (`edges`) or are not in the first row or column, the highest first; without DC.
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

pub(super) const INNER: [u8; 49] = descending(false);
pub(super) const EDGES: [u8; 14] = descending(true);
