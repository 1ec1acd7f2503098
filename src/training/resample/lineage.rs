//! Where the rows of a resampled set come from, and which were taken away.

/// Positions are those of the set before, then of the made rows in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lineage {
    /// Entries of the set before.
    pub n_original: usize,
    pub made: Vec<Made>,
    /// Positions, ascending.
    pub removed: Vec<u32>,
}

/// A row that was added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Made {
    /// The entry that was repeated, or that the synthetic row starts from.
    pub parent: u32,
    /// The entry that a synthetic row leads to; none of a duplicate.
    pub neighbor: Option<u32>,
    /// The share of the way, in [0, 1); 0 of a duplicate.
    pub gap: f64,
}
