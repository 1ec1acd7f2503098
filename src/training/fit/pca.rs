//! Principal components of prepared columns: eigenvectors of their covariance, by cyclic Jacobi rotations (Golub and Van
//! Loan, 8.5): slow for thousands of columns, exact to rounding and without a library for hundreds.
//!
//! Signs as scikit-learn's: the loading of largest size is positive. Components in falling order of variance.

use super::gram::Gram;
use crate::scoring::preprocessor::Projection;
use crate::training::config::Components;

const MOST_SWEEPS: usize = 60;

/// The projection of these columns; `None` if none of them varies.
pub fn fit(name: String, inputs: Vec<String>, gram: &Gram, keep: Components) -> Option<Projection> {
    let n = inputs.len();
    let (values, vectors) = eigen(gram.products.clone(), n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let total: f64 = values.iter().map(|value| value.max(0.0)).sum();
    if !(total > 0.0 && total.is_finite()) {
        return None;
    }
    let explained: Vec<f64> = order.iter().map(|&at| values[at].max(0.0) / total).collect();
    let varying = explained.iter().filter(|share| **share > 1e-12).count().max(1);
    let n_components = match keep {
        Components::Number(number) => number,
        Components::Variance(share) => {
            let mut sum = 0.0;
            let reached = explained.iter().position(|more| {
                sum += more;
                sum >= share
            });
            reached.map_or(n, |last| last + 1)
        }
    };
    let n_components = n_components.clamp(1, varying);
    let signs: Vec<f64> = order[..n_components]
        .iter()
        .map(|&component| {
            let loading = |input: usize| vectors[component * n + input];
            let largest = (0..n).fold(0, |best, at| if loading(at).abs() > loading(best).abs() { at } else { best });
            if loading(largest) < 0.0 { -1.0 } else { 1.0 }
        })
        .collect();
    let loading = |input: usize| {
        order[..n_components].iter().zip(&signs).map(|(&at, sign)| vectors[at * n + input] * sign).collect()
    };
    Some(Projection {
        name,
        inputs,
        means: gram.means.clone(),
        loadings: (0..n).map(loading).collect(),
        explained: explained[..n_components].to_vec(),
    })
}

/// Eigenvalues of a symmetric matrix, and its eigenvectors as rows.
fn eigen(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|at| vectors[at * n + at] = 1.0);
    let size: f64 = a.iter().map(|x| x * x).sum();
    for _ in 0..MOST_SWEEPS {
        let off: f64 = (0..n).flat_map(|p| (0..p).map(move |q| p * n + q)).map(|at| a[at] * a[at]).sum();
        if off <= size * 1e-30 {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, p, q);
            }
        }
    }
    ((0..n).map(|at| a[at * n + at]).collect(), vectors)
}

/// Makes the element at `(p, q)` vanish.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let (pp, qq, pq) = (a[p * n + p], a[q * n + q], a[p * n + q]);
    if pq.abs() <= 1e-18 * (pp.abs() * qq.abs()).sqrt() {
        return;
    }
    let theta = (qq - pp) / (2.0 * pq);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let t = if theta == 0.0 { 1.0 } else { t };
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    let both = |rows: &mut [f64]| {
        let (head, tail) = rows.split_at_mut(q * n);
        for (x, y) in head[p * n..][..n].iter_mut().zip(&mut tail[..n]) {
            (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
        }
    };
    both(a);
    both(vectors);
    // The matrix stays symmetric: its columns follow from the rows that were turned.
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        if k == p || k == q {
            (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
        } else {
            (a[k * n + p], a[k * n + q]) = (a[p * n + k], a[q * n + k]);
        }
    }
    (a[p * n + q], a[q * n + p]) = (0.0, 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_turn_the_matrix_into_its_values() {
        let n = 7;
        let raw: Vec<f64> = (0..n * n).map(|at| ((at * 7919) % 101) as f64 / 50.0 - 1.0).collect();
        let a: Vec<f64> = (0..n * n).map(|at| raw[at] + raw[at % n * n + at / n]).collect();
        let (values, vectors) = eigen(a.clone(), n);
        for (component, value) in values.iter().enumerate() {
            let vector = &vectors[component * n..][..n];
            for row in 0..n {
                let product: f64 = (0..n).map(|at| a[row * n + at] * vector[at]).sum();
                assert!((product - value * vector[row]).abs() < 1e-12, "component {component}, row {row}");
            }
            assert!((vector.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}
