//! The left join: every row of the left table once, in its order; a key that repeats on the right is an error.
//!
//! A sorted index of the right keys and a binary search per left key: the row order is the left table's by
//! construction, and a repeat is two neighbours in the index.

use std::path::Path;

use super::blocks::line_of_row;
use super::build::NO_ROW;
use crate::scoring::record;
use crate::training::error::Error;
use crate::training::texts::{Texts, whole};

/// Two rows of the right table with one key.
#[derive(Debug, PartialEq)]
pub(super) struct Repeat {
    first: usize,
    second: usize,
    key: String,
}

impl Repeat {
    pub fn error(&self, path: &Path, column: &str) -> Error {
        let line = |row| line_of_row(path, row).unwrap_or(row as u64 + 2);
        Error::permanent(format!(
            "`{}`, line {}, column `{column}`: expected a join key of its own, found `{}` again (first on line {})",
            path.display(),
            line(self.second),
            self.key,
            line(self.first)
        ))
        .hint("a left join needs at most one row per key on the right: remove or aggregate the repeated rows")
    }
}

/// Row of the right table per row of the left one, `NO_ROW` where none has its key. Keys are levels (`7`, `7.0` and ` 7`
/// are one key); empty ones match nothing.
pub(super) fn left(left: &Texts, right: &Texts) -> Result<Vec<u32>, Repeat> {
    if let (Texts::Whole(left), Texts::Whole(right)) = (left, right) {
        let numbers = |keys: &[u64]| keys.iter().copied().map(Some).collect::<Vec<_>>();
        return by_key(left.iter().copied().map(Some), &numbers(right));
    }
    let (left, right) = (canonical(left), canonical(right));
    let present = |key: String| Some(key).filter(|key| !key.is_empty());
    let right: Vec<Option<String>> = right.iter().map(|key| present(key.into_owned())).collect();
    by_key(left.iter().map(|key| present(key.into_owned())), &right)
}

/// Keys as levels; whole numbers as they are, so that long ones stay apart.
fn canonical(keys: &Texts) -> Texts {
    let level = |key: &str| if whole(key).is_some() { key.to_owned() } else { record::level(key).unwrap_or_default() };
    keys.iter().map(|key| level(&key)).collect()
}

fn by_key<K: Ord + ToString>(left: impl Iterator<Item = Option<K>>, right: &[Option<K>]) -> Result<Vec<u32>, Repeat> {
    let key = |row: u32| &right[row as usize];
    let mut index: Vec<u32> = (0..right.len() as u32).filter(|&row| key(row).is_some()).collect();
    index.sort_by(|&a, &b| key(a).cmp(key(b)).then(a.cmp(&b)));
    let repeats = index.windows(2).filter(|pair| key(pair[0]) == key(pair[1]));
    if let Some(pair) = repeats.min_by_key(|pair| pair[1]) {
        let key = key(pair[1]).as_ref().map(K::to_string).unwrap_or_default();
        return Err(Repeat { first: pair[0] as usize, second: pair[1] as usize, key });
    }
    let find = |wanted: Option<K>| {
        let found = index.binary_search_by(|&row| key(row).cmp(&wanted)).ok();
        found.filter(|_| wanted.is_some()).map_or(NO_ROW, |at| index[at])
    };
    Ok(left.map(find).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Texts {
        text.split(' ').collect()
    }

    #[test]
    fn keeps_the_left_rows_and_their_order() {
        assert_eq!(left(&keys("b a c a"), &keys("a b")), Ok(vec![1, 0, NO_ROW, 0]));
        assert_eq!(left(&keys("2 1 3 1"), &keys("1 2")), Ok(vec![1, 0, NO_ROW, 0]));
    }

    #[test]
    fn keys_are_levels_and_empty_ones_match_nothing() {
        assert_eq!(left(&keys("7 7.0 +7  nan"), &keys("x  7.00")), Ok(vec![2, 2, 2, NO_ROW, NO_ROW]));
        assert_eq!(left(&keys("9007199254740993"), &keys("9007199254740992 9007199254740993 x")), Ok(vec![1]));
    }

    #[test]
    fn a_repeated_right_key_is_refused() {
        assert_eq!(left(&keys("a"), &keys("x b a b x")), Err(Repeat { first: 1, second: 3, key: "b".into() }));
        assert_eq!(left(&keys("1"), &keys("7 1 2 1 7")), Err(Repeat { first: 1, second: 3, key: "1".into() }));
        assert_eq!(left(&keys("1"), &keys("7 1 7.0")), Err(Repeat { first: 0, second: 2, key: "7".into() }));
    }
}
