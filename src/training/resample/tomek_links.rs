//! Tomek links (Tomek 1976): pairs of rows of different classes, each the nearest row of the other. In: rows and
//! labels; out: the links.
//!
//! Nearest means smallest distance, then smallest index, so a row is in at most one link. Only minority rows, and those
//! majority rows that are nearest to one, are searched from.

use super::nearest_neighbors::SearchSpace;
use crate::scoring::matrix::FeatureMatrix;
use crate::training::error::Result;
use crate::training::progress::{Progress, Unit};

/// Two rows that are nearest to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub minority: u32,
    pub majority: u32,
}

/// All links, by minority row. `hints` names for every minority row, in row order, another row that is probably near.
pub fn find(
    matrix: &FeatureMatrix,
    labels: &[u8],
    minority_label: u8,
    hints: Option<&[u32]>,
    progress: &dyn Progress,
) -> Result<Vec<Link>> {
    let is_minority = |row: u32| labels[row as usize] == minority_label;
    let minority: Vec<u32> = (0..matrix.n_rows() as u32).filter(|&row| is_minority(row)).collect();
    let space = SearchSpace::new(matrix)?;

    progress.begin(Unit::Rows, "tomek links", minority.len() as u64);
    let nearest = space.nearest(&minority, 1, hints, progress);
    progress.end(Unit::Rows);

    let crossing = minority.iter().zip(nearest?).map(|(&minority, majority)| Link { minority, majority });
    let mut crossing: Vec<Link> = crossing.filter(|pair| !is_minority(pair.majority)).collect();
    let rows = |end: fn(&Link) -> u32| crossing.iter().map(end).collect::<Vec<u32>>();
    let (minority_ends, majority_ends) = (rows(|pair| pair.minority), rows(|pair| pair.majority));

    progress.begin(Unit::Rows, "tomek links, the other way", majority_ends.len() as u64);
    let back = space.nearest(&majority_ends, 1, Some(&minority_ends), progress);
    progress.end(Unit::Rows);

    let mut back = back?.into_iter();
    crossing.retain(|pair| back.next() == Some(pair.minority));
    Ok(crossing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::nearest_neighbors::tests::{matrix, nearest_slowly};
    use super::*;
    use crate::training::progress::Silent;

    fn links_slowly(matrix: &FeatureMatrix, labels: &[u8]) -> Vec<Link> {
        let nearest: Vec<u32> = (0..labels.len() as u32).map(|row| nearest_slowly(matrix, row, 1)[0]).collect();
        let mutual = |row: u32| nearest[nearest[row as usize] as usize] == row;
        let crosses = |row: u32| labels[row as usize] == 1 && labels[nearest[row as usize] as usize] == 0;
        let links = (0..labels.len() as u32).filter(|&row| crosses(row) && mutual(row));
        links.map(|row| Link { minority: row, majority: nearest[row as usize] }).collect()
    }

    proptest! {
        #[test]
        fn equals_brute_force_with_duplicates_and_ties(
            rows in prop::collection::vec((-4i8..5, -4i8..5, any::<bool>()), 2..150),
        ) {
            let values = rows.iter().flat_map(|row| [f32::from(row.0), f32::from(row.1)]).collect();
            let labels: Vec<u8> = rows.iter().map(|row| u8::from(row.2)).collect();
            let matrix = matrix(2, values);
            prop_assert_eq!(find(&matrix, &labels, 1, None, &Silent).unwrap(), links_slowly(&matrix, &labels));
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
        let links = find(&matrix(20, values), &labels, 0, None, &Silent).unwrap();
        let mut majority: Vec<u32> = links.iter().map(|link| link.majority).collect();
        majority.sort();
        assert_eq!(majority, [68, 620, 845]);
        assert_eq!(links.iter().map(|link| link.minority).collect::<Vec<u32>>(), [17, 112, 586]);
    }
}
