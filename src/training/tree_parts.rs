//! Ranges of trees: the parts that a forest too large for one machine grows in.
//!
//! In: the key of a cell and a range. Out: the part's own key, under which its trees lie in the store. Which trees are a part
//! changes none of them, for each grows from the forest's seed and its own number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::scoring::bundle::sha256_hex;

/// Trees `from` to before `to` of a forest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreePart {
    pub from: usize,
    pub to: usize,
    pub key: String,
}

impl TreePart {
    pub fn of(cell: &str, from: usize, to: usize) -> TreePart {
        TreePart { from, to, key: sha256_hex(format!("{cell} trees {from} {to}").as_bytes())[..32].to_owned() }
    }
}

impl std::fmt::Display for TreePart {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "trees {} to {}", self.from, self.to.saturating_sub(1))
    }
}

/// Parts by the key of their cell, in their order.
#[derive(Debug, Default)]
pub struct TreeParts(BTreeMap<String, Vec<TreePart>>);

impl TreeParts {
    /// Of a cell; nothing if it is made whole.
    pub fn of(&self, cell: &str) -> &[TreePart] {
        self.0.get(cell).map_or(&[], Vec::as_slice)
    }
}

impl FromIterator<(String, TreePart)> for TreeParts {
    fn from_iter<I: IntoIterator<Item = (String, TreePart)>>(parts: I) -> TreeParts {
        let mut of = BTreeMap::<String, Vec<TreePart>>::new();
        parts.into_iter().for_each(|(cell, part)| of.entry(cell).or_default().push(part));
        TreeParts(of)
    }
}
