//! The left join: every row of the left table once, in its order; a key that repeats on the right is an error.
//!
//! A sorted index of the right keys and a binary search per left key: the row order is the left table's by
//! construction, and a repeat is two neighbours in the index.

use super::structure::{self, Structure};
use crate::training::error::Error;

/// Two rows of the right table with one key.
#[derive(Debug, PartialEq)]
pub(super) struct Repeat {
    first: usize,
    second: usize,
    key: String,
}

impl Repeat {
    pub fn error(&self, right: &Structure, column: &str) -> Error {
        let line = |row| structure::line_of_row(&right.path, row).unwrap_or(row as u64 + 2);
        Error::permanent(format!(
            "`{}`, line {}, column `{column}`: expected a join key of its own, found `{}` again (first on line {})",
            right.path.display(),
            line(self.second),
            self.key,
            line(self.first)
        ))
        .hint("a left join needs at most one row per key on the right: remove or aggregate the repeated rows")
    }
}

/// Row of the right table per row of the left one. Empty keys match nothing.
pub(super) fn left(left: &[String], right: &[String]) -> Result<Vec<Option<u32>>, Repeat> {
    let mut index: Vec<u32> = (0..right.len() as u32).filter(|&row| !right[row as usize].is_empty()).collect();
    index.sort_by(|&a, &b| right[a as usize].cmp(&right[b as usize]).then(a.cmp(&b)));
    let repeats = index.windows(2).filter(|pair| right[pair[0] as usize] == right[pair[1] as usize]);
    if let Some(pair) = repeats.min_by_key(|pair| pair[1]) {
        let (first, second) = (pair[0] as usize, pair[1] as usize);
        return Err(Repeat { first, second, key: right[second].clone() });
    }
    let find = |key: &String| index.binary_search_by(|&row| right[row as usize].cmp(key)).ok().map(|at| index[at]);
    Ok(left.iter().map(find).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn keeps_the_left_rows_and_their_order() {
        assert_eq!(left(&keys("b a c a"), &keys("a b")), Ok(vec![Some(1), Some(0), None, Some(0)]));
    }

    #[test]
    fn a_repeated_right_key_is_refused() {
        assert_eq!(left(&keys("a"), &keys("x b a b x")), Err(Repeat { first: 1, second: 3, key: "b".into() }));
    }
}
