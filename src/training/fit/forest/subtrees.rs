//! Large trees: a top, and subtrees of at most [`BinnedMatrix::is_subtree`] draws below it.
//!
//! Every node of the top and every subtree draws from a stream of its own, by its number in preorder, and begins with the feature
//! order that the node above it left; decreases in impurity are summed per subtree. So a subtree does not depend on when it
//! grows. Where codes lie in memory it grows in its place. Where they lie in a file the top grows first, which reads a few
//! columns a node from end to end; then the rows of all subtrees are brought together in one pass over the file
//! ([`GatheredRows`]), and each subtree grows in memory: a tree reads each row twice and writes it once, wherever its
//! nodes' rows are.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use memmap2::MmapMut;

use super::bins::BinnedMatrix;
use super::grow::{GrownCut, GrownNode, GrownTree, Open, TreeGrower};
use super::nearby::Rows;
use super::samples::{Sample, Samples, Sum};
use super::search::Codes;
use super::turn::turn;
use crate::training::error::{Error, Result, io_reason};
use crate::training::mapped::Storage;

/// What a tree knows of its subtrees.
pub struct Subtrees<S: Sample> {
    /// Nodes of the top and subtrees so far.
    n_streams: u64,
    /// Decrease in impurity times weight below the top, per feature.
    decrease: Vec<f64>,
    waiting: Vec<Waiting<S>>,
}

/// A subtree that grows once the top has.
struct Waiting<S: Sample> {
    /// How many nodes of the top stand before it.
    at: usize,
    /// None where the whole tree is one subtree, which goes on with the tree's own.
    stream: Option<u64>,
    order: Rc<[u32]>,
    samples: Samples<S>,
    root: Open<S::Sum>,
}

impl<S: Sample> Subtrees<S> {
    pub fn new(n_features: usize) -> Self {
        Self { n_streams: 0, decrease: vec![0.0; n_features], waiting: Vec::new() }
    }
}

impl<S: Sample> TreeGrower<'_, S> {
    /// The feature order as it stands.
    pub fn order(&self) -> Rc<[u32]> {
        self.features[..].into()
    }

    /// In the top: goes over to the node's stream and feature order. Whether a subtree begins here, which is then below the
    /// top.
    pub fn begins_subtree(&mut self, node: &mut Open<S::Sum>) -> bool {
        let Some(order) = &node.order else { return false };
        self.subtrees.n_streams += 1;
        let stream = self.subtrees.n_streams;
        self.go_over_to(stream, order);
        let begins = self.rules.binned.is_subtree(node.total.n_samples());
        if begins {
            node.order = None;
        }
        begins
    }

    fn go_over_to(&mut self, stream: u64, order: &[u32]) {
        self.rng.set_stream(stream);
        self.rng.set_word_pos(0);
        self.features.copy_from_slice(order);
    }

    /// Grows a subtree in its place.
    pub fn grow_subtree(&mut self, grow: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let nothing = vec![0.0; self.tree.decrease.len()];
        let of_top = std::mem::replace(&mut self.tree.decrease, nothing);
        grow(self)?;
        let here = std::mem::replace(&mut self.tree.decrease, of_top);
        add(&mut self.subtrees.decrease, &here);
        Ok(())
    }

    /// Leaves a subtree that begins here for later.
    pub fn set_aside(&mut self, samples: Samples<S>, root: Open<S::Sum>) {
        let stream = (self.subtrees.n_streams > 0).then_some(self.subtrees.n_streams);
        let (at, order) = (self.tree.nodes.len(), self.order());
        let root = Open { ranges: samples.all(), ..root };
        self.subtrees.waiting.push(Waiting { at, stream, order, samples, root });
    }

    /// The tree, with what was set aside.
    pub fn finish(mut self) -> Result<GrownTree<S::Sum>> {
        let waiting = std::mem::take(&mut self.subtrees.waiting);
        if let Some(storage) = self.rules.binned.file_storage()
            && !waiting.is_empty()
        {
            let mut gathered = GatheredRows::of(self.rules.binned, storage, &waiting, || self.is_interrupted())?;
            let decrease = std::mem::take(&mut self.tree.decrease);
            let empty = GrownTree { nodes: Vec::new(), subsets: Vec::new(), decrease };
            let top = std::mem::replace(&mut self.tree, empty);
            let mut from = 0;
            for (number, subtree) in waiting.into_iter().enumerate() {
                self.append(&top, from..subtree.at);
                from = subtree.at;
                if let Some(stream) = subtree.stream {
                    self.go_over_to(stream, &subtree.order);
                }
                self.grow_subtree(|grower| gathered.grow(number, subtree, grower))?;
            }
            self.append(&top, from..top.nodes.len());
        }
        add(&mut self.tree.decrease, &self.subtrees.decrease);
        Ok(self.tree)
    }

    /// Adds nodes of the top behind those that stand.
    fn append(&mut self, top: &GrownTree<S::Sum>, nodes: std::ops::Range<usize>) {
        for &node in &top.nodes[nodes] {
            self.tree.nodes.push(match node {
                GrownNode::Split { feature, cut: GrownCut::Among(subset), missing_left } => {
                    self.tree.subsets.push(top.subsets[subset as usize]);
                    let cut = GrownCut::Among(self.tree.subsets.len() as u32 - 1);
                    GrownNode::Split { feature, cut, missing_left }
                }
                node => node,
            });
        }
    }
}

fn add(sums: &mut [f64], more: &[f64]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// The codes of subtrees, one after the other in a file of their own: row by row, negatives first.
struct GatheredRows {
    file: File,
    n_features: usize,
    /// Where each subtree begins, in rows.
    starts: Vec<usize>,
    /// Room for those of the largest, by row and by column.
    by_row: MmapMut,
    by_column: MmapMut,
}

impl GatheredRows {
    /// One pass over all rows, a block at a time.
    fn of<S: Sample>(
        binned: &BinnedMatrix,
        storage: &Storage,
        subtrees: &[Waiting<S>],
        is_interrupted: impl Fn() -> bool,
    ) -> Result<Self> {
        let (n_rows, n_features) = (binned.n_rows(), binned.n_features());
        let mut n_before = 0;
        let starts = subtrees.iter().map(|subtree| {
            n_before += subtree.root.n_rows();
            n_before - subtree.root.n_rows()
        });
        let starts: Vec<usize> = starts.collect();
        let largest = n_features * subtrees.iter().map(|subtree| subtree.root.n_rows()).max().unwrap_or(0);
        let file = storage.file()?;
        let (at_once, mut found) = (binned.rows_at_once(), Vec::new());
        let mut n_done = vec![[0; 2]; subtrees.len()];
        binned.expect_rows(0..at_once.min(n_rows));
        for first in (0..n_rows).step_by(at_once) {
            if is_interrupted() {
                return Err(Error::interrupted());
            }
            let end = (first + at_once).min(n_rows);
            binned.expect_rows(end..(end + at_once).min(n_rows));
            for ((subtree, n_done), start) in subtrees.iter().zip(&mut n_done).zip(&starts) {
                for (class, n_done) in n_done.iter_mut().enumerate() {
                    let left = &subtree.samples.of_class(class, &subtree.root.ranges)[*n_done..];
                    let here = &left[..left.partition_point(|sample| sample.row() < end)];
                    if here.is_empty() {
                        continue;
                    }
                    found.clear();
                    here.iter().for_each(|sample| found.extend_from_slice(binned.row(sample.row())));
                    let of_class = if class == 0 { 0 } else { subtree.root.ranges[0].len() };
                    let place = (start + of_class + *n_done) * n_features;
                    file.write_all_at(&found, place as u64).map_err(|error| storage.full(found.len(), &error))?;
                    *n_done += here.len();
                }
            }
        }
        let [by_row, by_column] = [storage.passing_memory(largest)?, storage.passing_memory(largest)?];
        Ok(Self { file, n_features, starts, by_row, by_column })
    }

    /// Grows a subtree in its codes.
    fn grow<S: Sample>(&mut self, number: usize, subtree: Waiting<S>, grower: &mut TreeGrower<S>) -> Result<()> {
        let Waiting { samples: scattered, root, .. } = subtree;
        let (n_rows, n_features) = (root.n_rows(), self.n_features);
        let n_codes = n_rows * n_features;
        let (by_row, by_column) = (&mut self.by_row[..n_codes], &mut self.by_column[..n_codes]);
        let start = (self.starts[number] * n_features) as u64;
        self.file.read_exact_at(by_row, start).map_err(|error| {
            Error::failed(format!("{n_codes} bytes of a file beside the runs can't be read: {}", io_reason(&error)))
        })?;
        turn(by_row, n_features, by_column, n_rows);
        let mut samples = Samples::default();
        samples.take_over(&scattered, &root.ranges);
        drop(scattered);
        let codes = Codes { codes: by_column, stride: n_rows, width: None };
        grower.grow_below(codes, Some(Rows::Subtree { codes: by_row, n_features }), &mut samples, root)
    }
}

#[cfg(test)]
mod tests {
    use crate::training::config::{ForestConfig, MaxFeatures};
    use crate::training::fit::forest::bins::BinnedMatrix;
    use crate::training::fit::forest::samples::unit;
    use crate::training::fit::forest::tests::{bits, exact, forests_of_all_kinds, random_set, set};
    use crate::training::fit::forest::{SplitKind, grow_binned};
    use crate::training::mapped::Storage;
    use crate::training::progress::Silent;
    use crate::training::rows::TrainingSet;
    use crate::training::seed::Seed;

    fn grown(
        config: &ForestConfig,
        kind: SplitKind,
        set: &TrainingSet,
        storage: &Storage,
        subtree_codes: usize,
    ) -> (Vec<u8>, Vec<u64>, Vec<u32>) {
        let binned = BinnedMatrix::of(set, config.bins, storage).unwrap().with_subtrees_of(subtree_codes);
        bits(&grow_binned(config, kind, &binned, set, Seed::new(3), &Silent).unwrap())
    }

    #[test]
    fn rows_brought_together_from_a_file_grow_the_forest_that_memory_grows() {
        let folder = tempfile::tempdir().unwrap();
        let mut cases = forests_of_all_kinds();
        let rf = ForestConfig { trees: 3, oob_score: true, ..ForestConfig::RANDOM_FOREST };
        let et = ForestConfig { trees: 3, ..ForestConfig::EXTRA_TREES };
        // Rows enough that tops are bits and that rows come in several blocks of samples; of weights too.
        for (kind, config) in [(SplitKind::Best, rf), (SplitKind::Random, et)] {
            cases.push((config.clone(), kind, random_set(12, 5000, 7, 300, false)));
            cases.push((config, kind, random_set(13, 700, 7, 300, true)));
        }
        for (config, kind, set) in cases {
            let all = grown(&config, kind, &set, &Storage::in_memory(), usize::MAX);
            let mut differs = false;
            for subtree_codes in [0, 1, 64, 1000, usize::MAX] {
                let memory = grown(&config, kind, &set, &Storage::in_memory(), subtree_codes);
                for threads in [1, 3] {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let storage = Storage::new(Some(0), folder.path());
                    let file = pool.install(|| grown(&config, kind, &set, &storage, subtree_codes));
                    assert!(memory == file, "{kind:?}, subtrees of {subtree_codes} codes, {threads} threads");
                }
                differs |= memory != all;
            }
            // One column leaves nothing to draw but thresholds.
            assert!(differs || set.n_features() == 1, "no tree had a top");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing to leave behind");
    }

    #[test]
    fn where_nothing_is_drawn_subtrees_change_nothing() {
        let config = ForestConfig { max_features: MaxFeatures::Share(1.0), ..exact() };
        // Equal costs go to the column that was drawn first: one column has none to tell.
        let mut rng = Seed::new(4).rng();
        let values: Vec<f32> = (0..3000).map(|_| unit(&mut rng) as f32).collect();
        let labels: Vec<u8> = values.iter().map(|x| u8::from(x * x + 0.3 * unit(&mut rng) as f32 > 0.5)).collect();
        let set = set(1, values, &labels);
        let forest = |subtree_codes| grown(&config, SplitKind::Best, &set, &Storage::in_memory(), subtree_codes).0;
        assert_eq!(forest(500), forest(usize::MAX));
    }
}
