//! Grown trees as bytes: a forest too large for one place grows in several, and is put together in one.
//!
//! In and out: the trees of a range, as they were grown ([`GrownTree`]), compressed. Tree `t` comes of the forest's seed and `t`
//! alone, and all that follows (freezing, importance, out-of-bag scores) sees the same trees in the same order: so the forest is
//! the one that a single machine grows. Numbers are little-endian and keep their bits. Limits: who reads has checked a hash
//! before; what is read is checked against the bins all the same.

use std::io::Read;

use super::bins::{BinnedMatrix, MISSING};
use super::grow::{GrownCut, GrownNode, GrownTree};
use super::samples::Sum;
use crate::training::error::{Error, Result};

const LEAF: u8 = 0;
const AT_MOST: u8 = 1;
const AMONG: u8 = 2;
const MISSING_LEFT: u8 = 0x80;
/// Fast: the trees are read once.
const LEVEL: i32 = 1;

fn word(out: &mut Vec<u8>, word: usize) {
    out.extend((word as u32).to_le_bytes());
}

fn real(out: &mut Vec<u8>, number: f64) {
    out.extend(number.to_le_bytes());
}

/// Appends a tree.
pub fn append<T: Sum>(out: &mut Vec<u8>, tree: &GrownTree<T>) {
    word(out, tree.nodes.len());
    for node in &tree.nodes {
        match *node {
            GrownNode::Split { feature, cut, missing_left } => {
                let (tag, cut) = match cut {
                    GrownCut::AtMost(last) => (AT_MOST, usize::from(last)),
                    GrownCut::Among(subset) => (AMONG, subset as usize),
                };
                out.push(if missing_left { tag | MISSING_LEFT } else { tag });
                word(out, feature as usize);
                word(out, cut);
            }
            GrownNode::Leaf(sum) => {
                out.push(LEAF);
                sum.counts().into_iter().for_each(|count| word(out, count as usize));
                sum.raw().into_iter().for_each(|weight| real(out, weight));
            }
        }
    }
    word(out, tree.subsets.len());
    tree.subsets.iter().flatten().for_each(|bits| out.extend(bits.to_le_bytes()));
    word(out, tree.decrease.len());
    tree.decrease.iter().for_each(|&decrease| real(out, decrease));
}

/// Trees that were appended, as they travel.
pub fn packed(trees: &[u8]) -> Result<Vec<u8>> {
    zstd::encode_all(trees, LEVEL).map_err(|error| Error::failed(format!("trees can't be packed: {error}")))
}

/// Trees in their order.
pub struct Trees<'b, R: Read> {
    from: R,
    binned: &'b BinnedMatrix,
}

/// Unpacks trees of a forest on these bins.
pub fn trees<'a>(packed: &'a [u8], binned: &'a BinnedMatrix) -> Result<Trees<'a, impl Read + use<'a>>> {
    Ok(Trees { from: zstd::Decoder::with_buffer(packed).map_err(|_| damaged())?, binned })
}

fn damaged() -> Error {
    Error::permanent("trees that were grown elsewhere are not those of this forest")
        .hint("plan again, to another folder")
}

impl<R: Read> Trees<'_, R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(|_| damaged())?;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn real(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.bytes()?))
    }

    /// The next tree; none at the end.
    pub fn next<T: Sum>(&mut self) -> Result<Option<GrownTree<T>>> {
        let mut first = [0];
        if self.from.read(&mut first).map_err(|_| damaged())? == 0 {
            return Ok(None);
        }
        let [b, c, d] = self.bytes()?;
        let n_nodes = u32::from_le_bytes([first[0], b, c, d]);
        // Pushed one by one: a count from outside reserves nothing.
        let (mut nodes, mut subsets, mut decrease) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..n_nodes {
            nodes.push(self.node()?);
        }
        for _ in 0..self.word()? {
            let bits = [self.bytes()?, self.bytes()?, self.bytes()?, self.bytes()?];
            subsets.push(bits.map(u64::from_le_bytes));
        }
        for _ in 0..self.word()? {
            decrease.push(self.real()?);
        }
        let tree = GrownTree { nodes, subsets, decrease };
        if self.is_sound(&tree) { Ok(Some(tree)) } else { Err(damaged()) }
    }

    fn node<T: Sum>(&mut self) -> Result<GrownNode<T>> {
        let [tag] = self.bytes()?;
        let missing_left = tag & MISSING_LEFT != 0;
        if tag == LEAF {
            let counts = [self.word()?, self.word()?];
            return Ok(GrownNode::Leaf(T::of(counts, [self.real()?, self.real()?])));
        }
        let (feature, cut) = (self.word()?, self.word()?);
        let cut = match tag & !MISSING_LEFT {
            AT_MOST => GrownCut::AtMost(u8::try_from(cut).map_err(|_| damaged())?),
            AMONG => GrownCut::Among(cut),
            _ => return Err(damaged()),
        };
        Ok(GrownNode::Split { feature, cut, missing_left })
    }

    /// Whether every split has two sides, and names a feature, an edge and a subset that exist.
    fn is_sound<T>(&self, tree: &GrownTree<T>) -> bool {
        let n_features = self.binned.n_features();
        let exists = |feature: u32, cut: GrownCut| match cut {
            _ if feature as usize >= n_features => false,
            GrownCut::AtMost(last) if last == MISSING - 1 => true,
            GrownCut::AtMost(last) => usize::from(last) < self.binned.edges(feature as usize).len(),
            GrownCut::Among(subset) => (subset as usize) < tree.subsets.len(),
        };
        let (mut open, last) = (1usize, tree.nodes.len().saturating_sub(1));
        for (at, node) in tree.nodes.iter().enumerate() {
            match *node {
                GrownNode::Leaf(_) => open -= 1,
                GrownNode::Split { feature, cut, .. } if exists(feature, cut) => open += 1,
                GrownNode::Split { .. } => return false,
            }
            if (open == 0) != (at == last) {
                return false;
            }
        }
        open == 0 && tree.decrease.len() == n_features
    }
}
