//! An order in which what correlates stands side by side, for the heat map.
//!
//! In: correlations of few columns. Out: their places, by average linkage on 1 - |r| (Sokal and Michener 1958): the two
//! nearest clusters are joined until one is left, and the leaves are read off from left to right. Ties by place. Cubic
//! in the number of columns.

/// `r(a, b)` of `n` columns, symmetric.
pub(super) fn order(n: usize, r: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let mut clusters: Vec<Vec<usize>> = (0..n).map(|column| vec![column]).collect();
    let near = |a: &[usize], b: &[usize]| {
        let sum: f64 = a.iter().flat_map(|&a| b.iter().map(move |&b| (a, b))).map(|(a, b)| r(a, b).abs()).sum();
        sum / (a.len() * b.len()) as f64
    };
    while clusters.len() > 1 {
        let pairs = (0..clusters.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let nearest = pairs.fold((f64::NEG_INFINITY, 0, 1), |best, (a, b)| {
            let found = near(&clusters[a], &clusters[b]);
            if found > best.0 { (found, a, b) } else { best }
        });
        let (_, a, b) = nearest;
        let joined = clusters.remove(b);
        // The ends that are nearest meet.
        let turned = |cluster: &[usize]| cluster.iter().rev().copied().collect::<Vec<usize>>();
        let (left, right) = (clusters[a].clone(), joined);
        let ways = [
            (left.clone(), right.clone()),
            (left.clone(), turned(&right)),
            (turned(&left), right.clone()),
            (turned(&left), turned(&right)),
        ];
        let meet = |(left, right): &(Vec<usize>, Vec<usize>)| r(left[left.len() - 1], right[0]).abs();
        let best = (0..ways.len()).fold(0, |best, way| if meet(&ways[way]) > meet(&ways[best]) { way } else { best });
        clusters[a] = [ways[best].0.as_slice(), &ways[best].1].concat();
    }
    clusters.pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_correlates_stands_side_by_side() {
        // Three blocks, dealt out over the columns; one of them correlates negatively within itself.
        let block = |column: usize| column * 7 % 3;
        let r = |a: usize, b: usize| match (block(a) == block(b), block(a)) {
            (true, 1) => -0.8 - (a + b) as f64 / 1000.0,
            (true, _) => 0.9 - (a + b) as f64 / 1000.0,
            (false, _) => 0.1,
        };
        let found = order(12, r);
        let mut sorted = found.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..12).collect::<Vec<_>>(), "every column once");
        let changes = found.windows(2).filter(|pair| block(pair[0]) != block(pair[1])).count();
        assert_eq!(changes, 2, "{found:?}");
        // Two that are nearest meet where their clusters join.
        let chain = |a: usize, b: usize| 1.0 - a.abs_diff(b) as f64 / 10.0;
        let found = order(6, chain);
        assert!(found.is_sorted() || found.iter().rev().is_sorted(), "{found:?}");
        assert!(order(0, chain).is_empty() && order(1, chain) == [0]);
    }
}
