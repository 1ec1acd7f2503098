//! Columns that grow block by block, packed as they grow.
//!
//! In: parsed blocks in file order. Out: cells in memory, or in mapped files where the columns exceed their room. The
//! numbers seen so far decide how they are packed, so a column is packed anew when a number does not fit (at most a few
//! times); beyond the room all columns are moved to one file without a name, as segments of what they hold, and put
//! together from there at the end. What a column is at last depends on its numbers alone.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rayon::prelude::*;

use super::parse::{Levels, Parsed, ParsedBlock, Tally, Wanted};
use crate::scoring::packed::{Encoding, Packed, Span};
use crate::scoring::table::Cells;
use crate::training::error::Result;
use crate::training::mapped::{Storage, StoredBytes};
use crate::training::texts::Texts;

/// One column while it grows.
#[derive(Debug)]
pub(super) struct ColumnBuilder {
    pub wanted: Wanted,
    pub tally: Tally,
    span: Span,
    /// Of `items`; that of the column is the span's.
    encoding: Encoding,
    items: Vec<u8>,
    segments: Vec<Segment>,
    levels: Option<Levels>,
    pub texts: Texts,
}

/// Items moved to the file.
#[derive(Debug, Clone, Copy)]
struct Segment {
    offset: u64,
    n_bytes: usize,
    encoding: Encoding,
}

impl ColumnBuilder {
    fn new(wanted: Wanted) -> ColumnBuilder {
        ColumnBuilder {
            wanted,
            tally: Tally::default(),
            span: Span::NOTHING,
            encoding: Span::NOTHING.encoding(),
            items: Vec::new(),
            segments: Vec::new(),
            levels: None,
            texts: Texts::default(),
        }
    }

    fn append(&mut self, parsed: &Parsed, tally: &Tally, moved: Option<&File>) -> std::io::Result<()> {
        self.tally.add(tally);
        match parsed {
            Parsed::Nothing => {}
            Parsed::Text(texts) => self.texts.append(texts),
            Parsed::Numbers(numbers) => match &mut self.levels {
                None => {
                    self.span.add(numbers);
                    self.push(numbers);
                }
                Some(levels) => {
                    let codes: Vec<u32> = numbers.iter().map(|&number| levels.code_of_number(number)).collect();
                    self.push_codes(&codes);
                }
            },
            Parsed::Levels(codes, of_block) => {
                let mut levels = match self.levels.take() {
                    Some(levels) => levels,
                    None => self.spell(moved)?,
                };
                let known: Vec<u32> =
                    std::iter::once(0).chain(of_block.names.iter().map(|name| levels.code(name))).collect();
                self.levels = Some(levels);
                let codes: Vec<u32> = codes.iter().map(|&code| known[code as usize]).collect();
                self.push_codes(&codes);
            }
        }
        Ok(())
    }

    /// The numbers so far become codes of their levels.
    fn spell(&mut self, moved: Option<&File>) -> std::io::Result<Levels> {
        let (mut levels, mut codes) = (Levels::default(), Vec::new());
        self.each(moved, |numbers| codes.extend(numbers.iter().map(|&number| levels.code_of_number(number))))?;
        (self.items, self.segments, self.span) = (Vec::new(), Vec::new(), Span::NOTHING);
        self.encoding = self.span.encoding();
        self.span = Span::of_codes(levels.names.len());
        self.push_codes(&codes);
        Ok(levels)
    }

    fn push_codes(&mut self, codes: &[u32]) {
        if let Some(levels) = &self.levels {
            self.span = Span::of_codes(levels.names.len());
        }
        let number = |&code: &u32| if code == 0 { f64::NAN } else { f64::from(code) };
        self.push(&codes.iter().map(number).collect::<Vec<_>>());
    }

    /// Appends numbers that the span covers.
    fn push(&mut self, numbers: &[f64]) {
        let encoding = self.span.encoding();
        if !covers(self.encoding, encoding) {
            let before = std::mem::take(&mut self.items);
            let n_rows = before.len() / self.encoding.width();
            self.items.reserve((n_rows + numbers.len()) * encoding.width());
            self.encoding.read(&before, |numbers| write(&mut self.items, encoding, numbers));
            self.encoding = encoding;
        }
        write(&mut self.items, self.encoding, numbers);
    }

    /// Hands out all numbers so far, in blocks.
    fn each(&self, moved: Option<&File>, mut take: impl FnMut(&[f64])) -> std::io::Result<()> {
        if let Some(file) = moved {
            let mut items = Vec::new();
            for segment in &self.segments {
                items.resize(segment.n_bytes, 0);
                file.read_exact_at(&mut items, segment.offset)?;
                segment.encoding.read(&items, &mut take);
            }
        }
        self.encoding.read(&self.items, take);
        Ok(())
    }
}

/// Whether items of one encoding can go on where numbers now span the other: more room than needed does no harm.
fn covers(has: Encoding, needs: Encoding) -> bool {
    match (has, needs) {
        (Encoding::Whole { base: from, .. }, Encoding::Whole { base, .. }) => {
            has.width() == needs.width() && from == base
        }
        _ => has == needs,
    }
}

fn write(items: &mut Vec<u8>, encoding: Encoding, numbers: &[f64]) {
    let start = items.len();
    items.resize(start + numbers.len() * encoding.width(), 0);
    encoding.write(numbers, &mut items[start..]);
}

/// The columns of one file while it is read.
#[derive(Debug)]
pub(super) struct Builder {
    pub n_rows: usize,
    pub columns: Vec<ColumnBuilder>,
    storage: Storage,
    moved: Option<File>,
    moved_bytes: u64,
}

/// A finished column.
#[derive(Debug)]
pub(super) enum Column {
    Cells(Cells),
    Text(Texts),
    Nothing,
}

impl Builder {
    pub fn new(wanted: &[Wanted], storage: &Storage) -> Builder {
        let columns = wanted.iter().map(|&wanted| ColumnBuilder::new(wanted)).collect();
        Builder { n_rows: 0, columns, storage: storage.clone(), moved: None, moved_bytes: 0 }
    }

    /// Appends blocks in file order, columns in parallel.
    pub fn append(&mut self, blocks: &[ParsedBlock]) -> Result<()> {
        let moved = self.moved.as_ref();
        self.columns
            .par_iter_mut()
            .enumerate()
            .try_for_each(|(at, column)| {
                blocks
                    .iter()
                    .map(|block| &block.columns[at])
                    .try_for_each(|(parsed, tally)| column.append(parsed, tally, moved))
            })
            .map_err(|error| self.storage.full(0, &error))?;
        self.n_rows += blocks.iter().map(|block| block.n_rows).sum::<usize>();
        self.keep_room()
    }

    /// Appends rows to one column; [`Builder::end_columns`] once all columns have them.
    pub fn append_column(&mut self, at: usize, (parsed, tally): &(Parsed, Tally)) -> Result<()> {
        let appended = self.columns[at].append(parsed, tally, self.moved.as_ref());
        appended.map_err(|error| self.storage.full(0, &error))?;
        self.keep_room()
    }

    pub fn end_columns(&mut self, n_rows: usize) {
        self.n_rows += n_rows;
    }

    fn keep_room(&mut self) -> Result<()> {
        let held: usize = self.columns.iter().map(|column| column.items.capacity()).sum();
        if self.storage.room_of_columns().is_some_and(|room| held as u64 > room) { self.make_room() } else { Ok(()) }
    }

    /// Moves what all columns hold to the file.
    fn make_room(&mut self) -> Result<()> {
        if self.moved.is_none() {
            self.moved = Some(self.storage.file()?);
        }
        let Some(file) = &self.moved else { return Ok(()) };
        for column in self.columns.iter_mut().filter(|column| !column.items.is_empty()) {
            let n_bytes = column.items.len();
            let segment = Segment { offset: self.moved_bytes, n_bytes, encoding: column.encoding };
            file.write_all_at(&column.items, segment.offset).map_err(|error| self.storage.full(n_bytes, &error))?;
            self.moved_bytes += n_bytes as u64;
            column.segments.push(segment);
            // Emptied, not freed: the next items take the same bytes, and the heap does not fall apart.
            column.items.clear();
        }
        Ok(())
    }

    /// Finishes columns one by one, in the order of the file, so that a column and its parts never stand beside all
    /// others and theirs. `rows`: the row of this file per row wanted, `NO_ROW` for missing cells.
    pub fn finish(&mut self, rows: Option<&[u32]>) -> impl Iterator<Item = Result<Column>> {
        let columns = std::mem::take(&mut self.columns);
        columns.into_iter().map(move |mut column| {
            let levels = column.levels.take();
            Ok(match column.wanted {
                Wanted::Nothing => Column::Nothing,
                Wanted::Text => Column::Text(gather_texts(column.texts, rows)),
                Wanted::Any | Wanted::Number | Wanted::Level => {
                    let packed = self.pack(column)?;
                    let packed = if let Some(rows) = rows { self.gather(&packed, rows)? } else { packed };
                    Column::Cells(match levels {
                        Some(levels) => Cells::Categorical { codes: packed, levels: levels.names },
                        None => Cells::Numeric(packed),
                    })
                }
            })
        })
    }

    fn pack(&self, mut column: ColumnBuilder) -> Result<Packed> {
        let encoding = column.span.encoding();
        if column.segments.is_empty() && covers(column.encoding, encoding) {
            column.items.shrink_to_fit();
            return Ok(Packed::new(encoding, Arc::new(self.storage.hold(column.items))));
        }
        let (mut bytes, mut at) = (self.room(self.n_rows * encoding.width())?, 0);
        let put = |numbers: &[f64]| {
            let end = at + numbers.len() * encoding.width();
            encoding.write(numbers, &mut bytes[at..end]);
            at = end;
        };
        column.each(self.moved.as_ref(), put).map_err(|error| self.storage.full(0, &error))?;
        Ok(Packed::new(encoding, Arc::new(bytes)))
    }

    fn gather(&self, packed: &Packed, rows: &[u32]) -> Result<Packed> {
        let encoding = packed.encoding();
        let mut bytes = self.room(rows.len() * encoding.width())?;
        let mut numbers = Vec::new();
        packed.expect(0..packed.n_rows());
        for (rows, items) in rows.chunks(4096).zip(bytes.chunks_mut(4096 * encoding.width())) {
            numbers.clear();
            numbers.extend(rows.iter().map(|&row| if row == NO_ROW { f64::NAN } else { packed.number(row as usize) }));
            encoding.write(&numbers, items);
        }
        Ok(Packed::new(encoding, Arc::new(bytes)))
    }

    fn room(&self, n_bytes: usize) -> Result<StoredBytes> {
        if self.moved.is_some() { self.storage.mapped(n_bytes) } else { self.storage.zeroed(n_bytes) }
    }
}

/// No row of the right table belongs to this one.
pub(super) const NO_ROW: u32 = u32::MAX;

fn gather_texts(texts: Texts, rows: Option<&[u32]>) -> Texts {
    let Some(rows) = rows else { return texts };
    let cell = |&row: &u32| if row == NO_ROW { Default::default() } else { texts.get(row as usize) };
    rows.iter().map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::super::blocks::Block;
    use super::super::parse::parse;
    use super::*;
    use crate::scoring::record;
    use crate::training::seed::Seed;
    use rand_chacha::rand_core::Rng;

    /// Cells of a kind that changes along the file: whole, then negative, halves, long decimals, at last words.
    fn cells(kind: usize, n_rows: usize) -> Vec<String> {
        let mut rng = Seed::new(kind as u64).rng();
        let cell = |row: usize| {
            let draw = rng.next_u64() % 300;
            match (kind.min(6 * row * (kind + 1) / n_rows), draw % 10) {
                (_, 0) => String::new(),
                (0, _) => format!("{draw}"),
                (1, _) => format!("{}.0", draw as i64 - 270),
                (2, _) => format!("{}", draw * 1000),
                (3, _) => format!("{}", draw as f64 / 8.0),
                (4, _) => format!("{}", draw as f64 / 7.0),
                (5, _) => {
                    if draw < 100 {
                        "-0".into()
                    } else {
                        format!("{:e}", draw as f64)
                    }
                }
                _ => format!("w{draw}"),
            }
        };
        (0..n_rows).map(cell).collect()
    }

    #[test]
    fn columns_are_those_of_the_cells_however_blocks_and_rooms_are_cut() {
        let (n_rows, n_kinds) = (400, 7);
        let columns: Vec<Vec<String>> = (0..n_kinds).map(|kind| cells(kind, n_rows)).collect();
        let header: Vec<String> = (0..n_kinds).map(|kind| format!("c{kind}")).collect();
        let wanted = vec![Wanted::Any; n_kinds];
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<u32> = (0..n_rows as u32).rev().map(|row| if row % 3 == 0 { NO_ROW } else { row }).collect();
        for (block_rows, budget) in [(400, None), (7, None), (64, Some(0)), (64, Some(3000)), (1, Some(9000))] {
            let storage = Storage::new(budget, folder.path());
            for rows in [None, Some(&rows[..])] {
                let mut builder = Builder::new(&wanted, &storage);
                for start in (0..n_rows).step_by(block_rows) {
                    let line = |row: usize| columns.iter().map(|c| c[row].clone()).collect::<Vec<_>>().join(",") + "\n";
                    let text: String = (start..n_rows.min(start + block_rows)).map(line).collect();
                    let block = Block { text: text.into_bytes(), line: 2 };
                    builder.append(&[parse("x".as_ref(), &header, &wanted, &block).unwrap()]).unwrap();
                }
                let mut names = header.iter().zip(&columns);
                for built in builder.finish(rows) {
                    let (Ok(Column::Cells(built)), Some((name, cells))) = (built, names.next()) else {
                        panic!("cells")
                    };
                    assert_eq!(built.kind() == crate::scoring::schema::ColumnKind::Categorical, name == "c6");
                    for at in 0..n_rows {
                        let row = rows.map_or(at as u32, |rows| rows[at]);
                        let cell = if row == NO_ROW { "" } else { &cells[row as usize] };
                        let expected = record::Value::from_text(built.kind(), cell).unwrap();
                        assert_eq!(built.value(at), expected, "{name}, row {row}, {block_rows} a block, {budget:?}");
                    }
                }
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
