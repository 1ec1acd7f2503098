//! Text cells in few bytes: ids and join keys.
//!
//! Where every cell is a whole number as a program writes it (no sign, no leading zero), 8 bytes a row; else one text of
//! all cells and where each ends. Every cell comes back as it was spelled.

use std::borrow::Cow;

/// One text per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Texts {
    Whole(Vec<u64>),
    Joined { text: String, ends: Vec<usize> },
}

impl Default for Texts {
    fn default() -> Texts {
        Texts::Whole(Vec::new())
    }
}

impl Texts {
    /// `0`, `1`, ..: the ids of rows without one.
    pub fn row_numbers(n_rows: usize) -> Texts {
        Texts::Whole((0..n_rows as u64).collect())
    }

    pub fn push(&mut self, cell: &str) {
        match (&mut *self, whole(cell)) {
            (Texts::Whole(numbers), Some(number)) => numbers.push(number),
            (Texts::Whole(_), None) => {
                self.spell();
                self.push(cell);
            }
            (Texts::Joined { text, ends }, _) => {
                text.push_str(cell);
                ends.push(text.len());
            }
        }
    }

    pub fn append(&mut self, other: &Texts) {
        match (&mut *self, other) {
            (Texts::Whole(numbers), Texts::Whole(more)) => numbers.extend_from_slice(more),
            _ => other.iter().for_each(|cell| self.push(&cell)),
        }
    }

    fn spell(&mut self) {
        if let Texts::Whole(numbers) = self {
            let (mut text, mut ends) = (String::new(), Vec::with_capacity(numbers.len()));
            for number in numbers {
                text.push_str(&number.to_string());
                ends.push(text.len());
            }
            *self = Texts::Joined { text, ends };
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Texts::Whole(numbers) => numbers.len(),
            Texts::Joined { ends, .. } => ends.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, row: usize) -> Cow<'_, str> {
        match self {
            Texts::Whole(numbers) => Cow::Owned(numbers[row].to_string()),
            Texts::Joined { text, ends } => {
                let start = row.checked_sub(1).map_or(0, |before| ends[before]);
                Cow::Borrowed(&text[start..ends[row]])
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        (0..self.len()).map(|row| self.get(row))
    }
}

/// The number a cell spells, if it is spelled as that number is written.
pub fn whole(cell: &str) -> Option<u64> {
    let digits = cell.as_bytes();
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..]) && digits.iter().all(u8::is_ascii_digit);
    canonical.then(|| cell.parse().ok()).flatten()
}

impl<T: AsRef<str>> FromIterator<T> for Texts {
    fn from_iter<I: IntoIterator<Item = T>>(cells: I) -> Texts {
        let mut texts = Texts::default();
        cells.into_iter().for_each(|cell| texts.push(cell.as_ref()));
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_comes_back() {
        let cells = ["7", "0", "18446744073709551615", "007", "", "18446744073709551616", "+1", "ü", "7.0", "12"];
        for split in 0..cells.len() {
            let mut texts: Texts = cells[..split].iter().collect();
            assert_eq!(matches!(texts, Texts::Whole(_)), split <= 3, "{split}");
            texts.append(&cells[split..].iter().collect());
            assert!(texts.iter().eq(cells), "{split}");
        }
        assert!(Texts::row_numbers(3).iter().eq(["0", "1", "2"]));
    }
}
