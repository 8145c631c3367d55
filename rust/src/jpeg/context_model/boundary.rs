//! Prediction of the first row, the first column and DC: the values with which the image continues smoothly across the
//! boundary between blocks.

use super::prior::Boundary;
use super::zigzag::{COLUMN, ROW};

/// The coefficients of a block, not quantised, by line.
type Square = [[i32; 8]; 8];

/// The coefficients of a block, not quantised, by row and by column.
#[derive(Default)]
pub(super) struct Values {
    by_row: Square,
    by_column: Square,
}

impl Values {
    /// Stores coefficient `k`.
    #[inline(always)]
    pub fn store(&mut self, k: usize, value: i32) {
        let (u, v) = (usize::from(ROW[k]) % 8, usize::from(COLUMN[k]) % 8);
        self.by_row[u][v] = value;
        self.by_column[v][u] = value;
    }

    /// Predicts the first column of the block to the right and the first row of the block below, in 2^-10ths.
    #[inline(always)]
    pub fn continuation(&self, boundary: &Boundary) -> [[i32; 8]; 2] {
        [weighted(&boundary.from, &self.by_column), weighted(&boundary.from, &self.by_row)]
    }
}

/// The predicted first column and first row of a block, in 2^-10ths, not quantised.
#[derive(Default)]
pub(super) struct EdgePrediction {
    pub column: [i32; 8],
    pub row: [i32; 8],
}

impl EdgePrediction {
    /// Takes the coefficients outside the first row and column into account.
    #[inline(always)]
    pub fn add_inner(&mut self, boundary: &Boundary, values: &Values) {
        let column = weighted(&boundary.own, &values.by_column);
        let row = weighted(&boundary.own, &values.by_row);
        self.column.iter_mut().zip(column).for_each(|(sum, more)| *sum += more);
        self.row.iter_mut().zip(row).for_each(|(sum, more)| *sum += more);
    }

    /// Takes the first row and column into account, in the prediction of DC.
    #[inline(always)]
    pub fn add_edges(&mut self, boundary: &Boundary, values: &Values) {
        for i in 1..8 {
            self.column[0] += boundary.own[i][0] * values.by_row[0][i];
            self.row[0] += boundary.own[i][0] * values.by_column[0][i];
        }
    }

    /// Returns the prediction of coefficient `k` of the first row or column.
    #[inline(always)]
    pub fn of(&self, k: usize) -> i32 {
        match COLUMN[k] {
            0 => self.column[usize::from(ROW[k]) % 8],
            column => self.row[usize::from(column) % 8],
        }
    }
}

/// Returns Σ weight × value over the lines, for each position in a line; the weight is `weights[line][position]`.
#[inline(always)]
fn weighted(weights: &Square, lines: &Square) -> [i32; 8] {
    let mut sums = [0i32; 8];
    for (weights, line) in weights.iter().zip(lines) {
        for ((sum, &weight), &value) in sums.iter_mut().zip(weights).zip(line) {
            *sum = sum.wrapping_add(weight * value);
        }
    }
    sums
}
