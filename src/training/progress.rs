//! How long work tells how far it is: the core reports, `cli` draws.

/// What is being counted. Work of one unit never overlaps with other work of the same unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Rows,
    Cells,
    Trees,
    Epochs,
}

/// Receives progress; must be cheap and thread-safe.
pub trait Progress: Sync {
    /// Work of `total` units begins; `label` says on what.
    fn begin(&self, unit: Unit, label: &str, total: u64);
    fn advance(&self, unit: Unit, by: u64);
    fn end(&self, unit: Unit);
    /// A line worth reading, outside the bars.
    fn say(&self, line: &str);
    /// Whether the person asked to stop; long loops look often.
    fn interrupted(&self) -> bool;
}

/// Reports to nobody.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _unit: Unit, _label: &str, _total: u64) {}
    fn advance(&self, _unit: Unit, _by: u64) {}
    fn end(&self, _unit: Unit) {}
    fn say(&self, _line: &str) {}
    fn interrupted(&self) -> bool {
        false
    }
}

/// Always asked to stop.
#[cfg(test)]
pub(super) struct Stopped;

#[cfg(test)]
impl Progress for Stopped {
    fn begin(&self, _unit: Unit, _label: &str, _total: u64) {}
    fn advance(&self, _unit: Unit, _by: u64) {}
    fn end(&self, _unit: Unit) {}
    fn say(&self, _line: &str) {}
    fn interrupted(&self) -> bool {
        true
    }
}
