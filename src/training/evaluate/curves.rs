//! ROC and precision-recall curves to look at. In: labels and scores; out: at most about 400 points, the end points
//! exact. Empty where the curve is not defined (a class is missing, a score is not a number).

use super::ranking::Ranking;

/// Pieces a curve is thinned by; no plot is wide enough to show what falls within one.
const PIECES: f64 = 200.0;

/// [false-positive rate, true-positive rate] from [0, 0] to [1, 1]. Both only rise, so the curve is cut into pieces of
/// equal rise and the last point of each is kept: the simplified curve leaves the exact one by at most one piece.
pub fn roc_curve(labels: &[u8], scores: &[f32]) -> Vec<[f64; 2]> {
    let Some(ranking) = ranking_of_both(labels, scores) else { return Vec::new() };
    let points = ranking.steps.iter().map(|step| [ranking.fpr(step), ranking.tpr(step)]);
    let points: Vec<[f64; 2]> = std::iter::once([0.0, 0.0]).chain(points).collect();
    let piece = |point: &[f64; 2]| ((point[0] + point[1]) * PIECES) as u64;
    let pieces = points.chunk_by(|a, b| piece(a) == piece(b)).map(|points| points[points.len() - 1]);
    std::iter::once([0.0, 0.0]).chain(pieces.skip_while(|point| *point == [0.0, 0.0])).collect()
}

/// [recall, precision] from recall 0 (with the precision of the highest score) to recall 1 (with the prevalence or
/// better). Within a piece of recall the lowest and the highest precision are kept, so teeth keep their length.
pub fn pr_curve(labels: &[u8], scores: &[f32]) -> Vec<[f64; 2]> {
    let Some(ranking) = ranking_of_both(labels, scores) else { return Vec::new() };
    let points: Vec<[f64; 2]> = ranking.steps.iter().map(|step| [ranking.tpr(step), step.precision()]).collect();
    let mut curve = vec![[0.0, points[0][1]]];
    for piece in points.chunk_by(|a, b| (a[0] * PIECES) as u64 == (b[0] * PIECES) as u64) {
        let by_precision = |a: &usize, b: &usize| piece[*a][1].total_cmp(&piece[*b][1]);
        let lowest = (0..piece.len()).min_by(by_precision).unwrap_or(0);
        let highest = (0..piece.len()).max_by(by_precision).unwrap_or(0);
        curve.push(piece[lowest.min(highest)]);
        if lowest != highest {
            curve.push(piece[lowest.max(highest)]);
        }
    }
    let last = points[points.len() - 1];
    if curve.last() != Some(&last) {
        curve.push(last);
    }
    curve
}

fn ranking_of_both(labels: &[u8], scores: &[f32]) -> Option<Ranking> {
    Ranking::of(labels, scores).filter(|ranking| ranking.n_positives > 0 && ranking.n_negatives > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(n_rows: u64) -> (Vec<u8>, Vec<f32>) {
        let scramble = |row: u64| (row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f32 / (1u64 << 24) as f32;
        let labels: Vec<u8> = (0..n_rows).map(|row| u8::from(row % 29 == 0)).collect();
        let scores = (0..n_rows).map(|row| scramble(row) * (0.7 + 0.3 * f32::from(labels[row as usize])));
        (labels.clone(), scores.collect())
    }

    fn area(curve: &[[f64; 2]]) -> f64 {
        curve.windows(2).map(|ends| (ends[1][0] - ends[0][0]) * (ends[0][1] + ends[1][1]) / 2.0).sum()
    }

    #[test]
    fn thin_curves_keep_their_ends_and_area() {
        let (labels, scores) = noisy(200_000);
        let exact = super::super::measure(&labels, &scores);
        let roc = roc_curve(&labels, &scores);
        assert!(roc.len() > 300 && roc.len() <= 402, "{}", roc.len());
        assert_eq!((roc[0], roc[roc.len() - 1]), ([0.0, 0.0], [1.0, 1.0]));
        assert!(roc.is_sorted_by(|a, b| a[0] <= b[0] && a[1] <= b[1]));
        assert!((area(&roc) - exact.auc.unwrap()).abs() < 1e-3);
        let pr = pr_curve(&labels, &scores);
        assert!(pr.len() > 300 && pr.len() <= 405, "{}", pr.len());
        assert_eq!((pr[0][0], pr[pr.len() - 1][0]), (0.0, 1.0));
        assert!(pr.is_sorted_by(|a, b| a[0] <= b[0]));
        assert!((area(&pr) - exact.average_precision.unwrap()).abs() < 5e-3);
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let (labels, scores) = ([1, 0, 1, 0], [0.9, 0.8, 0.8, 0.1]);
        assert_eq!(roc_curve(&labels, &scores), [[0.0, 0.0], [0.0, 0.5], [0.5, 1.0], [1.0, 1.0]]);
        assert_eq!(pr_curve(&labels, &scores), [[0.0, 1.0], [0.5, 1.0], [1.0, 2.0 / 3.0], [1.0, 0.5]]);
        assert_eq!(roc_curve(&[0, 1], &[0.5, 0.5]), [[0.0, 0.0], [1.0, 1.0]]);
        assert!(roc_curve(&[1, 1], &[0.1, 0.2]).is_empty() && pr_curve(&[0], &[0.1]).is_empty());
        assert!(pr_curve(&[0, 1], &[0.1, f32::NAN]).is_empty());
    }
}
