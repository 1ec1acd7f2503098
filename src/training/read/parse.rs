//! One block of records becomes columns; every block on its own, so that they go in parallel.
//!
//! In: a [`Block`] and what is wanted of each column. Out: per column its numbers, its levels or its text, and a tally
//! of what the cells are. Ragged rows and bytes that are not UTF-8 are errors with line and column. Numbers are those of
//! [`record::parse_number`], correctly rounded.

use std::collections::BTreeMap;
use std::path::Path;

use super::blocks::{Block, inner, not_text, records, unreadable};
use crate::scoring::record;
use crate::training::error::{Error, Result};
use crate::training::texts::Texts;

/// What shall become of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Numbers; levels from the first word on.
    Any,
    Number,
    Level,
    /// Keys and ids: the trimmed text itself.
    Text,
    Nothing,
}

/// What the cells of a column are.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    pub numbers: usize,
    pub words: usize,
    /// Of the words, those that are numbers with a decimal comma.
    pub decimal_commas: usize,
    /// Line and text of the first word.
    pub first_word: Option<(u64, String)>,
}

impl Tally {
    /// Adds the tally of later rows.
    pub fn add(&mut self, later: &Tally) {
        self.numbers += later.numbers;
        self.words += later.words;
        self.decimal_commas += later.decimal_commas;
        if self.first_word.is_none() {
            self.first_word.clone_from(&later.first_word);
        }
    }
}

/// Levels in order of their first appearance, found by any spelling of theirs ([`record::level`]).
#[derive(Debug, Default)]
pub(super) struct Levels {
    pub names: Vec<String>,
    by_spelling: BTreeMap<String, u32>,
}

impl Levels {
    /// 0 for missing, else the level's number from 1.
    pub fn code(&mut self, spelled: &str) -> u32 {
        if let Some(&code) = self.by_spelling.get(spelled) {
            return code;
        }
        let code = record::level(spelled).map_or(0, |level| self.code_of_level(level));
        self.by_spelling.insert(spelled.to_owned(), code);
        code
    }

    fn code_of_level(&mut self, level: String) -> u32 {
        *self.by_spelling.entry(level).or_insert_with_key(|level| {
            self.names.push(level.clone());
            self.names.len() as u32
        })
    }

    pub fn code_of_number(&mut self, number: f64) -> u32 {
        if number.is_nan() { 0 } else { self.code_of_level(record::number_level(number)) }
    }
}

/// One column of a block.
#[derive(Debug)]
pub(super) enum Parsed {
    Numbers(Vec<f64>),
    Levels(Vec<u32>, Levels),
    Text(Texts),
    Nothing,
}

#[derive(Debug)]
pub(super) struct ParsedBlock {
    pub n_rows: usize,
    pub columns: Vec<(Parsed, Tally)>,
}

/// Parses all records of a block.
pub(super) fn parse(path: &Path, header: &[String], wanted: &[Wanted], block: &Block) -> Result<ParsedBlock> {
    let empty = |&wanted: &Wanted| (Parsed::empty(wanted), Tally::default());
    let mut columns: Vec<(Parsed, Tally)> = wanted.iter().map(empty).collect();
    let (text, guard) = inner(&block.text);
    let mut reader = records(text);
    let (mut record, mut n_rows) = (csv::ByteRecord::new(), 0);
    while reader.read_byte_record(&mut record).map_err(|error| unparsed(path, error))? {
        let line = (block.line + record.position().map_or(1, csv::Position::line)).saturating_sub(1 + guard);
        if record.len() != header.len() {
            return Err(ragged(path, line, header, record.len()));
        }
        for ((cell, (column, tally)), name) in record.iter().zip(&mut columns).zip(header) {
            column.push(cell, tally, line).ok_or_else(|| not_text(path, line, name))?;
        }
        n_rows += 1;
    }
    Ok(ParsedBlock { n_rows, columns })
}

fn unparsed(path: &Path, error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => unreadable(path, &error),
        kind => Error::permanent(format!("`{}`: {kind:?}", path.display())),
    }
}

impl Parsed {
    pub fn empty(wanted: Wanted) -> Parsed {
        match wanted {
            Wanted::Any | Wanted::Number => Parsed::Numbers(Vec::new()),
            Wanted::Level => Parsed::Levels(Vec::new(), Levels::default()),
            Wanted::Text => Parsed::Text(Texts::default()),
            Wanted::Nothing => Parsed::Nothing,
        }
    }

    /// `None` where nothing is kept.
    pub fn n_rows(&self) -> Option<usize> {
        match self {
            Parsed::Numbers(numbers) => Some(numbers.len()),
            Parsed::Levels(codes, _) => Some(codes.len()),
            Parsed::Text(texts) => Some(texts.len()),
            Parsed::Nothing => None,
        }
    }

    /// Appends a finite number.
    pub fn push_number(&mut self, number: f64, tally: &mut Tally) -> Option<()> {
        tally.numbers += 1;
        match self {
            Parsed::Numbers(numbers) => numbers.push(number),
            Parsed::Levels(codes, levels) => codes.push(levels.code_of_number(number)),
            Parsed::Text(texts) => texts.push(&record::number_level(number)),
            Parsed::Nothing => {}
        }
        Some(())
    }

    /// Appends a cell; `None` if it is not UTF-8.
    pub fn push(&mut self, cell: &[u8], tally: &mut Tally, line: u64) -> Option<()> {
        match self {
            Parsed::Numbers(numbers) => {
                if let Some(number) = plain_number(cell) {
                    tally.numbers += 1;
                    numbers.push(number);
                    return Some(());
                }
                let text = std::str::from_utf8(cell).ok()?;
                match classify(text.trim(), tally, line) {
                    Cell::Number(number) => numbers.push(number),
                    Cell::Missing => numbers.push(f64::NAN),
                    Cell::Word => {
                        self.spell();
                        self.push_level(text);
                    }
                }
            }
            Parsed::Levels(..) => {
                let text = std::str::from_utf8(cell).ok()?;
                if plain_number(cell).is_some() {
                    tally.numbers += 1;
                } else {
                    classify(text.trim(), tally, line);
                }
                self.push_level(text);
            }
            Parsed::Text(texts) => texts.push(std::str::from_utf8(cell).ok()?.trim()),
            Parsed::Nothing => drop(std::str::from_utf8(cell).ok()?),
        }
        Some(())
    }

    fn push_level(&mut self, text: &str) {
        if let Parsed::Levels(codes, levels) = self {
            codes.push(levels.code(text));
        }
    }

    /// The numbers so far as levels.
    fn spell(&mut self) {
        if let Parsed::Numbers(numbers) = self {
            let mut levels = Levels::default();
            let codes = numbers.iter().map(|&number| levels.code_of_number(number)).collect();
            *self = Parsed::Levels(codes, levels);
        }
    }
}

enum Cell {
    Number(f64),
    Missing,
    Word,
}

/// What a trimmed cell is that is not plainly spelled.
fn classify(text: &str, tally: &mut Tally, line: u64) -> Cell {
    if record::is_missing(text) {
        Cell::Missing
    } else if let Some(number) = record::parse_number(text) {
        tally.numbers += 1;
        Cell::Number(number)
    } else {
        tally.words += 1;
        tally.decimal_commas += usize::from(has_decimal_comma(text));
        tally.first_word.get_or_insert_with(|| (line, text.to_owned()));
        Cell::Word
    }
}

/// `12,5`, `-1.234,50`.
fn has_decimal_comma(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    unsigned.split_once(',').is_some_and(|(whole, part)| whole.split('.').all(digits) && digits(part))
}

/// `-12`, `0.5`: digits that are a whole number below 2^53 over a power of ten. Both are exact in f64, so their quotient
/// is correctly rounded (Clinger 1990). `None` for all else, also for most numbers.
fn plain_number(cell: &[u8]) -> Option<f64> {
    let (negative, cell) = cell.strip_prefix(b"-").map_or((false, cell), |cell| (true, cell));
    if cell.len() > 17 || !cell.first()?.is_ascii_digit() || !cell.last()?.is_ascii_digit() {
        return None;
    }
    let (mut digits, mut point) = (0u64, None);
    for (at, &byte) in cell.iter().enumerate() {
        match byte {
            b'0'..=b'9' => digits = digits * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    if digits > 1 << 53 {
        return None;
    }
    let number = match point {
        Some(point) => digits as f64 / POWERS_OF_TEN[cell.len() - 1 - point],
        None => digits as f64,
    };
    Some(if negative { -number } else { number })
}

const POWERS_OF_TEN: [f64; 18] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];

fn ragged(path: &Path, line: u64, header: &[String], found: usize) -> Error {
    let expected = header.len();
    let place = match header.get(found) {
        Some(name) => format!("column `{name}`: "),
        None => format!("column {}: ", expected + 1),
    };
    Error::permanent(format!(
        "`{}`, line {line}, {place}expected {expected} fields in the row, found {found}",
        path.display()
    ))
    .hint("every row needs as many fields as the header; a field with a comma or a line break needs quotes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_spelling_is_a_subset_of_numbers() {
        for cell in ["", "-", "+1", " 1", ".5", "1.", "1e5", "nan", "12,5", "1 2", "1.2.3", "--1", "9007199254740993"] {
            assert_eq!(plain_number(cell.as_bytes()), None, "{cell}");
        }
    }

    proptest! {
        /// The quick way gives the bits of the one rule, zeros' signs included.
        #[test]
        fn plain_numbers_are_correctly_rounded(cell in "-?[0-9]{1,16}(\\.[0-9]{1,15})?") {
            if let Some(number) = plain_number(cell.as_bytes()) {
                prop_assert_eq!(number.to_bits(), record::parse_number(&cell).unwrap().to_bits(), "{}", cell);
            } else {
                prop_assert!(cell.len() > 15, "{}", cell);
            }
        }
    }

    fn parsed(text: &str, wanted: Wanted) -> (Parsed, Tally) {
        let block = Block { text: text.as_bytes().to_vec(), line: 2 };
        parse(Path::new("x"), &["x".into(), "y".into()], &[wanted, Wanted::Nothing], &block).unwrap().columns.remove(0)
    }

    #[test]
    fn numbers_become_levels_at_the_first_word() {
        let (column, tally) = parsed("150.0,\n,\n 150,\n-0,\nvisa,\n0,\n nan,\n1e3,\n", Wanted::Any);
        let Parsed::Levels(codes, levels) = column else { panic!("a word makes levels") };
        assert_eq!(codes, [1, 0, 1, 2, 3, 2, 0, 4]);
        assert_eq!(levels.names, ["150", "0", "visa", "1000"]);
        assert_eq!((tally.numbers, tally.words), (5, 1));
        assert_eq!(tally.first_word, Some((6, "visa".into())));
        let (column, _) = parsed("150.0,\n,\n-0,\n+1,\n", Wanted::Any);
        let Parsed::Numbers(numbers) = column else { panic!("numbers alone stay numbers") };
        assert!(numbers[1].is_nan() && numbers[2].is_sign_negative() && (numbers[0], numbers[3]) == (150.0, 1.0));
    }
}
