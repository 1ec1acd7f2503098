//! Products of f32 matrices, by crate `gemm`. In: views of slices; out: the product, written or added.
//!
//! One thread: callers cut their work into blocks of a size that does not depend on the number of threads, so that every
//! sum has one order. The kernels use what the processor has (AVX2 or AVX-512 with fused multiply-add): bits are those of
//! a CPU feature level, and who needs more (the neighbour search) takes a product as a bound, never as an answer.

use gemm::Parallelism;

/// A matrix in a slice: element `(row, column)` stands at `row * row_stride + column * column_stride`.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    values: &'a [f32],
    shape: Shape,
}

/// A matrix that is written to.
#[derive(Debug)]
pub struct ViewMut<'a> {
    values: &'a mut [f32],
    shape: Shape,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    n_rows: usize,
    n_columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl Shape {
    /// Panics if an element lies outside of `len` values: a bug of the caller.
    fn checked(self, len: usize) -> Shape {
        if self.n_rows > 0 && self.n_columns > 0 {
            let last = (self.n_rows - 1)
                .checked_mul(self.row_stride)
                .zip((self.n_columns - 1).checked_mul(self.column_stride))
                .and_then(|(down, across)| down.checked_add(across));
            assert!(last.is_some_and(|last| last < len && len <= isize::MAX as usize), "a view lies within its slice");
        }
        self
    }

    fn row_major(n_rows: usize, n_columns: usize) -> Shape {
        Shape { n_rows, n_columns, row_stride: n_columns, column_stride: 1 }
    }

    fn column_major(n_rows: usize, n_columns: usize) -> Shape {
        Shape { n_rows, n_columns, row_stride: 1, column_stride: n_rows }
    }

    fn transposed(self) -> Shape {
        Shape {
            n_rows: self.n_columns,
            n_columns: self.n_rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// Whether no two elements share a place.
    fn is_injective(&self) -> bool {
        let (fast, slow) = match self.row_stride <= self.column_stride {
            true => ((self.n_rows, self.row_stride), (self.n_columns, self.column_stride)),
            false => ((self.n_columns, self.column_stride), (self.n_rows, self.row_stride)),
        };
        (fast.0 <= 1 || fast.1 > 0) && (slow.0 <= 1 || slow.1 >= fast.0 * fast.1.max(1))
    }
}

impl<'a> View<'a> {
    /// Rows of `n_columns` values, one after the other.
    pub fn row_major(values: &'a [f32], n_rows: usize, n_columns: usize) -> Self {
        View { shape: Shape::row_major(n_rows, n_columns).checked(values.len()), values }
    }

    pub fn column_major(values: &'a [f32], n_rows: usize, n_columns: usize) -> Self {
        View { shape: Shape::column_major(n_rows, n_columns).checked(values.len()), values }
    }

    pub fn transposed(self) -> Self {
        View { values: self.values, shape: self.shape.transposed() }
    }
}

impl<'a> ViewMut<'a> {
    pub fn row_major(values: &'a mut [f32], n_rows: usize, n_columns: usize) -> Self {
        ViewMut { shape: Shape::row_major(n_rows, n_columns).checked(values.len()), values }
    }

    pub fn column_major(values: &'a mut [f32], n_rows: usize, n_columns: usize) -> Self {
        ViewMut { shape: Shape::column_major(n_rows, n_columns).checked(values.len()), values }
    }
}

/// `into = lhs rhs`, or `into += lhs rhs`. Shapes that do not fit are a bug of the caller.
///
/// 115 to 155 GFLOP/s on two cores where plain loops, compiled for any x86-64, reach a tenth: the reason for `unsafe`.
/// The views were checked against their slices when they were made, and `into` is borrowed alone.
#[allow(unsafe_code)]
pub fn multiply(into: ViewMut, lhs: View, rhs: View, add: bool) {
    let (to, a, b) = (into.shape, lhs.shape, rhs.shape);
    assert!(to.n_rows == a.n_rows && to.n_columns == b.n_columns && a.n_columns == b.n_rows, "shapes fit");
    if to.n_rows == 0 || to.n_columns == 0 {
        return;
    }
    assert!(to.is_injective(), "every element of a product has a place of its own");
    let stride = |stride: usize| stride as isize;
    // SAFETY: every element of the three views lies within its slice (`Shape::checked`; slices are shorter than
    // `isize::MAX`), elements of `into` do not overlap, and no other reference to them exists.
    unsafe {
        gemm::gemm(
            to.n_rows,
            to.n_columns,
            a.n_columns,
            into.values.as_mut_ptr(),
            stride(to.column_stride),
            stride(to.row_stride),
            add,
            lhs.values.as_ptr(),
            stride(a.column_stride),
            stride(a.row_stride),
            rhs.values.as_ptr(),
            stride(b.column_stride),
            stride(b.row_stride),
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whole numbers: every order of a sum gives the same.
        #[test]
        fn equals_three_loops(
            (m, n, k) in (0usize..40, 0usize..40, 0usize..40),
            seed in 0u32..1000,
            layout in 0u8..8,
            add in any::<bool>(),
        ) {
            let draw = |len: usize, salt: u32| -> Vec<f32> {
                (0..len as u32).map(|at| ((at * 7919 + seed * 31 + salt) % 17) as f32 - 8.0).collect()
            };
            let (a, b, before) = (draw(m * k, 1), draw(k * n, 2), draw(m * n, 3));
            let mut product = before.clone();
            let lhs = if layout & 1 == 0 { View::row_major(&a, m, k) } else { View::row_major(&a, k, m).transposed() };
            let rhs = if layout & 2 == 0 { View::row_major(&b, k, n) } else { View::column_major(&b, k, n) };
            let by_row = layout & 4 == 0;
            let into = match by_row {
                true => ViewMut::row_major(&mut product, m, n),
                false => ViewMut::column_major(&mut product, m, n),
            };
            multiply(into, lhs, rhs, add);
            for row in 0..m {
                for column in 0..n {
                    let left = |at: usize| if layout & 1 == 0 { a[row * k + at] } else { a[at * m + row] };
                    let right = |at: usize| if layout & 2 == 0 { b[at * n + column] } else { b[column * k + at] };
                    let place = if by_row { row * n + column } else { column * m + row };
                    let sum: f32 = (0..k).map(|at| left(at) * right(at)).sum();
                    prop_assert_eq!(product[place], sum + if add { before[place] } else { 0.0 });
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a view lies within its slice")]
    fn a_view_beyond_its_slice_is_a_bug() {
        View::row_major(&[0.0; 5], 2, 3);
    }

    #[test]
    #[should_panic(expected = "shapes fit")]
    fn shapes_that_do_not_fit_are_a_bug() {
        multiply(
            ViewMut::row_major(&mut [0.0; 4], 2, 2),
            View::row_major(&[0.0; 4], 2, 2),
            View::row_major(&[0.0; 6], 3, 2),
            false,
        );
    }
}
