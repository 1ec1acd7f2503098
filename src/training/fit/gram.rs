//! Means, spreads and cross products of prepared columns, for correlations and principal components.
//!
//! In: `n_columns` prepared columns and training rows. Out: the matrix of the sums of products of centred columns, missing
//! cells as the mean. Blocks of 4096 rows are centred in f64, multiplied in f32 (relative error below 1e-6) and summed in
//! f64 in the order of the blocks: any thread count gives the same bits, those of the processor's vector width.

use rayon::prelude::*;

use crate::scoring::preprocessor::PreparedColumns;
use crate::training::gemm::{View, ViewMut, multiply};

const ROWS_PER_BLOCK: usize = 4096;
/// Products that wait to be summed.
const BLOCKS_AT_ONCE: usize = 32;

#[derive(Debug)]
pub struct Gram {
    pub means: Vec<f64>,
    /// `n_columns x n_columns`.
    pub products: Vec<f64>,
}

impl Gram {
    /// Of these features of the given rows.
    pub fn of(columns: &PreparedColumns, features: &[usize], rows: &[u32]) -> Gram {
        let n = features.len();
        let means: Vec<f64> = features
            .par_iter()
            .map(|&feature| {
                let mut values = vec![0f32; rows.len()];
                columns.fill_column(feature, rows, &mut values);
                let present = || values.iter().filter(|value| !value.is_nan());
                present().map(|&value| f64::from(value)).sum::<f64>() / present().count().max(1) as f64
            })
            .collect();
        let block = |rows: &[u32]| {
            let mut values = vec![0f32; n * rows.len()];
            for ((column, &feature), mean) in values.chunks_mut(rows.len()).zip(features).zip(&means) {
                columns.fill_column(feature, rows, column);
                for value in column {
                    *value = if value.is_nan() { 0.0 } else { (f64::from(*value) - mean) as f32 };
                }
            }
            let mut product = vec![0f32; n * n];
            let by_column = View::row_major(&values, n, rows.len());
            multiply(ViewMut::row_major(&mut product, n, n), by_column, by_column.transposed(), false);
            product
        };
        let mut products = vec![0f64; n * n];
        for rows in rows.chunks(ROWS_PER_BLOCK * BLOCKS_AT_ONCE) {
            let blocks: Vec<Vec<f32>> = rows.par_chunks(ROWS_PER_BLOCK).map(block).collect();
            for block in blocks {
                products.iter_mut().zip(block).for_each(|(sum, product)| *sum += f64::from(product));
            }
        }
        Gram { means, products }
    }

    /// Pearson's; 0 where a column is constant.
    pub fn correlation(&self, a: usize, b: usize) -> f64 {
        let n = self.means.len();
        let size = (self.products[a * n + a] * self.products[b * n + b]).sqrt();
        if size > 0.0 { self.products[a * n + b] / size } else { 0.0 }
    }
}
