//! The codes of a node's rows in up to sixteen columns, side by side: what its search and its split read.
//!
//! In: rows by number, and columns. Out: sixteen bytes per row, those of columns that are not there 0. A row of a padded copy
//! ([`padded`]) is read 32 codes at once, and what is wanted is shuffled to its place: 11 cycles for 14 of 200 codes, where a load
//! and a store per code took 30. What then reads the sixteen bytes (spans, counts, histograms, the split itself) reads them one
//! after the other: a split took 15 cycles a row where it read the rows again, and takes 5.

use super::bins::MISSING;
use super::samples::Sample;
use super::search::Codes;
use super::sixteen::{LANES, with_number_of_columns};

/// Codes that are read at once.
const STRETCH: usize = 32;
/// Fewer codes are sooner gathered one by one.
#[cfg(target_arch = "x86_64")]
const LEAST_SHUFFLED: usize = 64;

/// The room of a row of so many columns in a copy.
pub fn padded(n_features: usize) -> usize {
    n_features.max(1).next_multiple_of(STRETCH)
}

/// The rows of a node, negatives first.
#[derive(Default)]
pub struct GatheredRows {
    n: [usize; 2],
    features: [u32; LANES],
    n_features: usize,
    codes: Vec<[u8; LANES]>,
}

impl GatheredRows {
    /// Holds nothing from now on.
    pub fn forget(&mut self) {
        self.n_features = 0;
    }

    /// Gathers up to [`LANES`] columns.
    pub fn gather<S: Sample>(&mut self, codes: Codes, features: &[u32], classes: [&[S]; 2]) {
        if !self.shuffle(codes, features, classes) {
            let to = self.begin(features, classes);
            for (to, samples) in to.into_iter().zip(classes) {
                with_number_of_columns!(features.len(), N => gather_each::<N, S>(to, codes, features, samples));
            }
        }
    }

    /// Gathers them if that takes less time than to read each where it is wanted; else what was gathered stays.
    pub fn shuffle<S: Sample>(&mut self, codes: Codes, features: &[u32], classes: [&[S]; 2]) -> bool {
        #[cfg(target_arch = "x86_64")]
        if let Some(width) = codes.width
            && shuffle_pays(width, features.len(), classes[0].len() + classes[1].len())
            && let Some(shuffles) = avx2::Shuffles::of(width, features)
        {
            let to = self.begin(features, classes);
            to.into_iter().zip(classes).for_each(|(to, samples)| shuffles.gather(to, codes.codes, samples));
            return true;
        }
        false
    }

    /// Makes room.
    fn begin<S: Sample>(&mut self, features: &[u32], classes: [&[S]; 2]) -> [&mut [[u8; LANES]]; 2] {
        self.n = classes.map(<[S]>::len);
        self.n_features = features.len();
        self.features[..features.len()].copy_from_slice(features);
        let n_rows = self.n[0] + self.n[1];
        if self.codes.len() < n_rows {
            self.codes.resize(n_rows, [0; LANES]);
        }
        let (negatives, positives) = self.codes[..n_rows].split_at_mut(self.n[0]);
        [negatives, positives]
    }

    pub fn codes(&self) -> &[[u8; LANES]] {
        &self.codes[..self.n[0] + self.n[1]]
    }

    pub fn by_class(&self) -> [&[[u8; LANES]]; 2] {
        let (negatives, positives) = self.codes().split_at(self.n[0]);
        [negatives, positives]
    }

    /// The lowest code of a column above one; `MISSING` if there is none.
    pub fn next_above(&self, lane: usize, code: u8) -> u8 {
        self.codes().iter().map(|codes| codes[lane]).filter(|&other| other > code).min().unwrap_or(MISSING)
    }

    /// The lane of a column, if it is among those that were gathered last.
    pub fn lane(&self, feature: usize) -> Option<usize> {
        self.features[..self.n_features].iter().position(|&gathered| gathered as usize == feature)
    }
}

/// A row costs three instructions a stretch and six more, and two a column otherwise; places take a while to set up.
#[cfg(target_arch = "x86_64")]
fn shuffle_pays(width: usize, n_features: usize, n_rows: usize) -> bool {
    3 * width.div_ceil(STRETCH) + 6 <= 2 * n_features && n_rows * n_features >= LEAST_SHUFFLED
}

/// Codes of `N` columns: of a number known to the compiler, a third less time.
fn gather_each<const N: usize, S: Sample>(to: &mut [[u8; LANES]], codes: Codes, features: &[u32], samples: &[S]) {
    let Some(features) = features.first_chunk::<N>() else { return };
    let features = features.map(|feature| feature as usize);
    let Codes { codes, stride, width } = codes;
    let Some(width) = width else {
        for (to, sample) in to.iter_mut().zip(samples) {
            *to = [0; LANES];
            (0..N).for_each(|lane| to[lane] = codes[features[lane] * stride + sample.row()]);
        }
        return;
    };
    assert!(features.iter().all(|&feature| feature < width));
    for (to, sample) in to.iter_mut().zip(samples) {
        let row = &codes[sample.row() * width..][..width];
        let mut gathered = [0; LANES];
        for lane in 0..N {
            gathered[lane] = row[features[lane]];
        }
        *to = gathered;
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, cast};

    use super::*;

    /// Where a lane's code stands in each half of the stretches of a row.
    pub struct Shuffles {
        v3: V3,
        n_stretches: usize,
        places: [[[u8; LANES]; 2]; LANES],
    }

    impl Shuffles {
        /// None where the processor can't, or rows are not so many whole stretches.
        pub fn of(width: usize, features: &[u32]) -> Option<Self> {
            let v3 = V3::try_new().filter(|_| width.is_multiple_of(STRETCH) && width <= LANES * STRETCH)?;
            assert!(features.iter().all(|&feature| (feature as usize) < width));
            // A high bit makes 0 of what is not wanted.
            let mut places = [[[0x80; LANES]; 2]; LANES];
            for (lane, &feature) in features.iter().enumerate() {
                let feature = feature as usize;
                places[feature / STRETCH][feature % STRETCH / LANES][lane] = (feature % LANES) as u8;
            }
            Some(Self { v3, n_stretches: width / STRETCH, places })
        }

        pub fn gather<S: Sample>(&self, to: &mut [[u8; LANES]], codes: &[u8], samples: &[S]) {
            self.v3.vectorize(Gather { shuffles: self, to, codes: codes.as_chunks().0, samples });
        }
    }

    struct Gather<'a, S> {
        shuffles: &'a Shuffles,
        to: &'a mut [[u8; LANES]],
        codes: &'a [[u8; STRETCH]],
        samples: &'a [S],
    }

    impl<S: Sample> NullaryFnOnce for Gather<'_, S> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            with_number_of_columns!(self.shuffles.n_stretches, N => self.rows::<N>());
        }
    }

    impl<S: Sample> Gather<'_, S> {
        /// Rows of `N` stretches: of a number known to the compiler, so that places stay in registers.
        #[inline(always)]
        fn rows<const N: usize>(self) {
            let Self { shuffles: Shuffles { v3, places, .. }, to, codes, samples } = self;
            let places: [_; N] = std::array::from_fn(|stretch| cast(places[stretch]));
            for (to, sample) in to.iter_mut().zip(samples) {
                let row = &codes[sample.row() * N..][..N];
                let mut all = v3.avx._mm256_setzero_si256();
                for stretch in 0..N {
                    let found = v3.avx2._mm256_shuffle_epi8(cast(row[stretch]), places[stretch]);
                    all = v3.avx2._mm256_or_si256(all, found);
                }
                let [low, high] = [v3.avx._mm256_castsi256_si128(all), v3.avx2._mm256_extracti128_si256::<1>(all)];
                *to = cast(v3.sse2._mm_or_si128(low, high));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::training::fit::forest::samples::Counted;

    proptest! {
        /// Any layout, and any choice of rows and columns, whether shuffled or not.
        #[test]
        fn rows_are_gathered_as_by_a_slow_loop(
            n_rows in 1usize..60, n_features in 1usize..600, n_columns in 1usize..=LANES, seed in any::<u64>(), layout in 0..3,
        ) {
            let mut state = seed | 1;
            let mut draw = |below: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize % below
            };
            let code = |row: usize, feature: usize| (row * 31 + feature * 7 + row * feature) as u8;
            let width = if layout == 0 { padded(n_features) } else { n_features };
            let (codes, stride, width) = if layout == 2 {
                let codes: Vec<u8> = (0..n_features * n_rows).map(|at| code(at % n_rows, at / n_rows)).collect();
                (codes, n_rows, None)
            } else {
                let mut codes = vec![99; n_rows * width];
                for row in 0..n_rows {
                    (0..n_features).for_each(|feature| codes[row * width + feature] = code(row, feature));
                }
                (codes, 1, Some(width))
            };
            let features: Vec<u32> = (0..n_columns).map(|_| draw(n_features) as u32).collect();
            let classes = [0, 1].map(|_| -> Vec<Counted> {
                (0..draw(50)).map(|_| Counted::new(draw(n_rows) as u32, 1, 0.0)).collect()
            });
            let classes = [&classes[0][..], &classes[1][..]];
            // What an earlier node left behind changes nothing.
            let mut rows = GatheredRows { codes: vec![[7; LANES]; draw(80)], ..GatheredRows::default() };
            rows.gather(Codes { codes: &codes, stride, width }, &features, classes);
            for (rows, samples) in rows.by_class().into_iter().zip(classes) {
                prop_assert_eq!(rows.len(), samples.len());
                for (found, sample) in rows.iter().zip(samples) {
                    let mut expected = [0; LANES];
                    for (lane, &feature) in features.iter().enumerate() {
                        expected[lane] = code(sample.row(), feature as usize);
                    }
                    prop_assert_eq!(*found, expected);
                }
            }
            for &feature in &features {
                let lane = rows.lane(feature as usize).unwrap();
                prop_assert_eq!(features[lane], feature);
                let code = draw(256) as u8;
                let above = rows.codes().iter().map(|codes| codes[lane]).filter(|&other| other > code).min();
                prop_assert_eq!(rows.next_above(lane, code), above.unwrap_or(MISSING));
            }
            rows.forget();
            prop_assert_eq!(rows.lane(features[0] as usize), None);
        }
    }
}
