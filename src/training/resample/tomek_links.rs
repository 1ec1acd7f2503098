//! Tomek links (Tomek 1976): pairs of rows of different classes, each the nearest row of the other. In: a matrix, its
//! minority (original and synthetic rows) and majority; out: the links, and which minority rows have a majority row as
//! their nearest.
//!
//! Nearest means smallest distance, then smallest index, so a row is in at most one link. Searched are: the nearest
//! majority row of every minority row; for those that no row of their own class is known to be nearer to (an end of its
//! segment, a synthetic row that starts or ends there), the whole minority; and all rows for the majority rows at the end.
//! That gives the links of the full search at a part of its cost: after SMOTE few rows have a majority row as their nearest.

use rayon::prelude::*;

use super::nearest_neighbors::{NOBODY, Neighbor, Search, Targets};
use crate::training::error::Result;
use crate::training::progress::{Progress, Unit};

/// Two rows that are nearest to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub minority: u32,
    pub majority: u32,
}

/// What was found about the minority rows, in the order of the targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// By minority row.
    pub links: Vec<Link>,
    /// Targets whose nearest row is a majority row.
    pub crossing: Vec<bool>,
}

/// The nearest majority row of every minority row.
pub fn nearest_majority(
    search: &Search,
    minority: Targets,
    majority: &[u32],
    progress: &dyn Progress,
) -> Result<Vec<Neighbor>> {
    progress.begin(Unit::Rows, "nearest majority rows", majority.len() as u64);
    let nearest = search.nearest(minority, majority, 1, progress)?;
    progress.end(Unit::Rows);
    Ok(nearest)
}

/// All links, given the nearest majority row of every minority row.
pub fn find(search: &Search, minority: Targets, nearest: &[Neighbor], progress: &dyn Progress) -> Result<Found> {
    let crossing = crossing(search, minority, nearest, progress)?;
    let mut pairs: Vec<(u32, f64, u32)> = crossing
        .iter()
        .enumerate()
        .filter(|&(_, &crosses)| crosses)
        .map(|(target, _)| (nearest[target].1, nearest[target].0, minority.row(target)))
        .collect();
    // A majority row's nearest can only be the nearest of those that it is nearest to.
    pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    pairs.dedup_by_key(|pair| pair.0);

    let majority: Vec<u32> = pairs.iter().map(|pair| pair.0).collect();
    let known: Vec<Neighbor> = pairs.iter().map(|pair| (pair.1, pair.2)).collect();
    let all: Vec<u32> = (0..search.n_rows() as u32).collect();
    let mutual = stay_nearest(search, &majority, &known, &all, "tomek links", progress)?;
    let mutual = known.iter().zip(&majority).zip(mutual).filter(|(_, mutual)| *mutual);
    let mut links: Vec<Link> = mutual.map(|((known, &majority), _)| Link { minority: known.1, majority }).collect();
    links.sort_unstable_by_key(|link| link.minority);
    Ok(Found { links, crossing })
}

/// Which minority rows have no row of their own class nearer than their nearest majority row.
fn crossing(search: &Search, minority: Targets, nearest: &[Neighbor], progress: &dyn Progress) -> Result<Vec<bool>> {
    let shields = shields(search, minority);
    let open: Vec<usize> = (0..minority.len()).filter(|&target| nearest[target] < shields[target]).collect();
    let rows: Vec<u32> = open.iter().map(|&target| minority.row(target)).collect();
    let known: Vec<Neighbor> = open.iter().map(|&target| nearest[target]).collect();
    let all: Vec<u32> = (0..minority.len()).map(|target| minority.row(target)).collect();
    let stay = stay_nearest(search, &rows, &known, &all, "nearest minority rows", progress)?;
    let mut crossing = vec![false; minority.len()];
    for (&target, stays) in open.iter().zip(stay) {
        crossing[target] = stays;
    }
    Ok(crossing)
}

/// For each of `rows`, whether none of `among` (ascending) is nearer than the neighbour that is known.
pub fn stay_nearest(
    search: &Search,
    rows: &[u32],
    known: &[Neighbor],
    among: &[u32],
    label: &str,
    progress: &dyn Progress,
) -> Result<Vec<bool>> {
    progress.begin(Unit::Rows, label, among.len() as u64);
    let found = search.nearer_than(Targets::rows(rows), among, known.to_vec(), progress)?;
    progress.end(Unit::Rows);
    Ok(found.iter().zip(known).map(|(found, known)| found == known).collect())
}

/// For each minority row, the nearer end of its segment, or the nearest synthetic row on a segment that it is an end of.
fn shields(search: &Search, minority: Targets) -> Vec<Neighbor> {
    let n_rows = minority.rows.len();
    let ends: Vec<[Neighbor; 2]> = minority
        .draws
        .par_iter()
        .enumerate()
        .map(|(at, draw)| {
            let own = minority.row(n_rows + at);
            [draw.parent, draw.neighbor].map(|end| {
                let end = minority.rows[end as usize];
                (search.distance(own, end), end)
            })
        })
        .collect();
    let mut shields = vec![NOBODY; minority.len()];
    for (at, (draw, ends)) in minority.draws.iter().zip(&ends).enumerate() {
        let target = n_rows + at;
        for (&(distance, end), index) in ends.iter().zip([draw.parent, draw.neighbor]) {
            let nearer = |shield: &mut Neighbor, other: Neighbor| {
                if other < *shield {
                    *shield = other;
                }
            };
            nearer(&mut shields[target], (distance, end));
            nearer(&mut shields[index as usize], (distance, minority.row(target)));
        }
    }
    shields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::distance::Distance;
    use super::super::nearest_neighbors::tests::{matrix, nearest_slowly};
    use super::*;
    use crate::scoring::matrix::FeatureMatrix;
    use crate::training::progress::Silent;

    fn links(matrix: &FeatureMatrix, labels: &[u8], minority_label: u8) -> Found {
        let distance = Distance::euclidean(matrix.n_features());
        let search = Search::new(matrix, &distance).unwrap();
        let (minority, majority): (Vec<u32>, Vec<u32>) =
            (0..labels.len() as u32).partition(|&row| labels[row as usize] == minority_label);
        let minority = Targets::rows(&minority);
        let nearest = nearest_majority(&search, minority, &majority, &Silent).unwrap();
        find(&search, minority, &nearest, &Silent).unwrap()
    }

    fn links_slowly(matrix: &FeatureMatrix, labels: &[u8]) -> Found {
        let distance = Distance::euclidean(matrix.n_features());
        let all: Vec<u32> = (0..labels.len() as u32).collect();
        let nearest: Vec<u32> = all.iter().map(|&row| nearest_slowly(matrix, &distance, row, &all, 1)[0].1).collect();
        let mutual = |row: u32| nearest[nearest[row as usize] as usize] == row;
        let crosses = |row: u32| labels[nearest[row as usize] as usize] == 0;
        let minority: Vec<u32> = all.iter().copied().filter(|&row| labels[row as usize] == 1).collect();
        let links = minority.iter().copied().filter(|&row| crosses(row) && mutual(row));
        Found {
            links: links.map(|row| Link { minority: row, majority: nearest[row as usize] }).collect(),
            crossing: minority.iter().map(|&row| crosses(row)).collect(),
        }
    }

    proptest! {
        #[test]
        fn equals_brute_force_with_duplicates_and_ties(
            rows in prop::collection::vec((-4i8..5, -4i8..5, any::<bool>()), 2..150),
        ) {
            let values = rows.iter().flat_map(|row| [f32::from(row.0), f32::from(row.1)]).collect();
            let labels: Vec<u8> = rows.iter().map(|row| u8::from(row.2)).collect();
            prop_assume!(labels.contains(&0) && labels.contains(&1));
            let matrix = matrix(2, values);
            prop_assert_eq!(links(&matrix, &labels, 1), links_slowly(&matrix, &labels));
        }
    }

    /// `make_classification(n_classes=2, class_sep=2, weights=[.1, .9], n_informative=3, n_redundant=1, flip_y=0,
    /// n_features=20, n_clusters_per_class=1, n_samples=1000, random_state=10)` of scikit-learn, rounded to three
    /// decimals; the last column is the label. imbalanced-learn 0.14.2's `TomekLinks` removes rows 68, 620 and 845 of the
    /// majority, {0: 100, 1: 900} -> {0: 100, 1: 897}, and with `sampling_strategy="all"` rows 17, 112 and 586 too.
    #[test]
    fn equals_imbalanced_learn() {
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for line in include_str!("../../../tests/data/tomek_links.csv").lines() {
            let (features, label) = line.rsplit_once(',').unwrap();
            values.extend(features.split(',').map(|value| value.parse::<f32>().unwrap()));
            labels.push(label.parse().unwrap());
        }
        let links = links(&matrix(20, values), &labels, 0).links;
        let mut majority: Vec<u32> = links.iter().map(|link| link.majority).collect();
        majority.sort();
        assert_eq!(majority, [68, 620, 845]);
        assert_eq!(links.iter().map(|link| link.minority).collect::<Vec<u32>>(), [17, 112, 586]);
    }
}
