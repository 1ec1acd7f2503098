//! The numbers of a column in the fewest bytes that bring every one of them back, bit for bit.
//!
//! In: f64, NaN for missing, never infinite. Out: one little-endian item per row of 1, 2, 4 or 8 bytes. Whole numbers
//! are `base + item - 1` with item 0 for missing, in the least width their range allows; others are f32 where each is
//! one, else f64. What a column spans ([`Span`]) decides, never the order or the blocks in which it was read. Dictionary
//! codes are whole numbers from 1, so their items are the codes themselves. The bytes may lie anywhere, a mapped file
//! for one.

use std::ops::Range;
use std::sync::Arc;

/// Where the items lie.
pub type Bytes = Arc<dyn HeldBytes>;

/// Bytes in memory, or in a file that looks like memory.
pub trait HeldBytes: AsRef<[u8]> + Send + Sync {
    /// These bytes are about to be read: a file may begin to bring them. No byte depends on it.
    fn expect(&self, _bytes: Range<usize>) {}
}

impl HeldBytes for Vec<u8> {}

/// How an item becomes a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Encoding {
    /// Whole numbers from `base` on; `n_items` of them beside the missing one.
    Whole {
        base: f64,
        n_items: u32,
    },
    Single,
    Double,
}

impl Encoding {
    /// Bytes per item.
    pub fn width(self) -> usize {
        match self {
            Encoding::Whole { n_items: 0..=0xff, .. } => 1,
            Encoding::Whole { n_items: 0..=0xffff, .. } => 2,
            Encoding::Whole { .. } | Encoding::Single => 4,
            Encoding::Double => 8,
        }
    }

    fn decode(self, item: u64) -> f64 {
        match self {
            Encoding::Whole { .. } if item == 0 => f64::NAN,
            Encoding::Whole { base, .. } => base + (item - 1) as f64,
            Encoding::Single => f64::from(f32::from_bits(item as u32)),
            Encoding::Double => f64::from_bits(item),
        }
    }

    fn encode(self, number: f64) -> u64 {
        match self {
            Encoding::Whole { .. } if number.is_nan() => 0,
            Encoding::Whole { base, .. } => (number - base) as u64 + 1,
            Encoding::Single => u64::from((number as f32).to_bits()),
            Encoding::Double => number.to_bits(),
        }
    }

    /// Writes `numbers.len()` items. The numbers must lie in the span the encoding is for.
    pub fn write(self, numbers: &[f64], items: &mut [u8]) {
        fn each<const WIDTH: usize>(items: &mut [u8], numbers: &[f64], encode: impl Fn(f64) -> u64) {
            for (item, &number) in items.as_chunks_mut::<WIDTH>().0.iter_mut().zip(numbers) {
                item.copy_from_slice(&encode(number).to_le_bytes()[..WIDTH]);
            }
        }
        match self.width() {
            1 => each::<1>(items, numbers, |number| self.encode(number)),
            2 => each::<2>(items, numbers, |number| self.encode(number)),
            4 => each::<4>(items, numbers, |number| self.encode(number)),
            _ => each::<8>(items, numbers, |number| self.encode(number)),
        }
    }

    /// Hands out all numbers of these items, in blocks.
    pub fn read(self, items: &[u8], mut take: impl FnMut(&[f64])) {
        let mut numbers = Vec::with_capacity(ROWS_PER_BLOCK);
        for block in items.chunks(ROWS_PER_BLOCK * self.width()) {
            numbers.clear();
            visit(block, self.width(), 0..(block.len() / self.width()) as u32, |item| numbers.push(self.decode(item)));
            take(&numbers);
        }
    }
}

const ROWS_PER_BLOCK: usize = 4096;
/// Who asks for one row in so many has the whole column brought.
const MANY_ROWS: usize = 8;

fn visit(bytes: &[u8], width: usize, rows: impl Iterator<Item = u32>, mut take: impl FnMut(u64)) {
    match width {
        1 => rows.for_each(|row| take(bytes[row as usize].into())),
        2 => {
            let items = bytes.as_chunks::<2>().0;
            rows.for_each(|row| take(u16::from_le_bytes(items[row as usize]).into()));
        }
        4 => {
            let items = bytes.as_chunks::<4>().0;
            rows.for_each(|row| take(u32::from_le_bytes(items[row as usize]).into()));
        }
        _ => {
            let items = bytes.as_chunks::<8>().0;
            rows.for_each(|row| take(u64::from_le_bytes(items[row as usize])));
        }
    }
}

/// What the numbers of a column span, missing ones apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    min: f64,
    max: f64,
    /// Each is a whole number below 2^53, and none is -0.
    whole: bool,
    /// Each is an f32.
    single: bool,
}

impl Span {
    pub const NOTHING: Span = Span { min: f64::INFINITY, max: f64::NEG_INFINITY, whole: true, single: true };

    /// Dictionary codes from 1.
    pub fn of_codes(n_levels: usize) -> Span {
        Span { min: 1.0, max: n_levels as f64, ..Span::NOTHING }
    }

    pub fn add(&mut self, numbers: &[f64]) {
        for &number in numbers.iter().filter(|number| !number.is_nan()) {
            self.min = self.min.min(number);
            self.max = self.max.max(number);
            self.whole &= number.trunc() == number
                && number.abs() < 9_007_199_254_740_992.0
                && (number != 0.0 || number.is_sign_positive());
            self.single &= f64::from(number as f32).to_bits() == number.to_bits();
        }
    }

    /// The least bytes that hold them all.
    pub fn encoding(&self) -> Encoding {
        let n_items = if self.max >= self.min { self.max - self.min + 1.0 } else { 0.0 };
        match self {
            Span { whole: true, .. } if n_items == 0.0 => Encoding::Whole { base: 0.0, n_items: 0 },
            Span { whole: true, min, .. } if n_items < f64::from(u32::MAX) => {
                Encoding::Whole { base: *min, n_items: n_items as u32 }
            }
            Span { single: true, .. } => Encoding::Single,
            _ => Encoding::Double,
        }
    }
}

/// One column.
#[derive(Clone)]
pub struct Packed {
    encoding: Encoding,
    bytes: Bytes,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows as {:?}", self.n_rows(), self.encoding)
    }
}

impl Packed {
    /// Bytes of whole items that [`Encoding::write`] has written.
    pub fn new(encoding: Encoding, bytes: Bytes) -> Packed {
        assert!((*bytes).as_ref().len().is_multiple_of(encoding.width()), "a column is made of whole items");
        Packed { encoding, bytes }
    }

    pub fn of(numbers: &[f64]) -> Packed {
        let mut span = Span::NOTHING;
        span.add(numbers);
        Packed::spanning(span, numbers)
    }

    /// Dictionary codes below or at `n_levels`; 0 is missing.
    pub fn of_codes(codes: &[u32], n_levels: usize) -> Packed {
        let number = |&code: &u32| if code == 0 { f64::NAN } else { f64::from(code) };
        Packed::spanning(Span::of_codes(n_levels), &codes.iter().map(number).collect::<Vec<_>>())
    }

    fn spanning(span: Span, numbers: &[f64]) -> Packed {
        let encoding = span.encoding();
        let mut bytes = vec![0; numbers.len() * encoding.width()];
        encoding.write(numbers, &mut bytes);
        Packed::new(encoding, Arc::new(bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        (*self.bytes).as_ref()
    }

    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// These rows are about to be read, or some of them.
    pub fn expect(&self, rows: Range<usize>) {
        self.bytes.expect(rows.start * self.encoding.width()..rows.end * self.encoding.width());
    }

    pub fn n_bytes(&self) -> usize {
        self.bytes().len()
    }

    pub fn n_rows(&self) -> usize {
        self.n_bytes() / self.encoding.width()
    }

    /// Whether both are the same column in the same place.
    pub fn shares_bytes(&self, other: &Packed) -> bool {
        Arc::ptr_eq(&self.bytes, &other.bytes)
    }

    pub fn number(&self, row: usize) -> f64 {
        self.encoding.decode(self.item(row))
    }

    /// The raw item of a row: for dictionary codes the code.
    pub fn item(&self, row: usize) -> u64 {
        let mut found = 0;
        visit(self.bytes(), self.encoding.width(), std::iter::once(row as u32), |item| found = item);
        found
    }

    /// Hands out the raw items of rows, in their order.
    pub fn items(&self, rows: impl Iterator<Item = u32>, take: impl FnMut(u64)) {
        if rows.size_hint().1.is_none_or(|most| most >= self.n_rows() / MANY_ROWS) {
            self.expect(0..self.n_rows());
        }
        visit(self.bytes(), self.encoding.width(), rows, take);
    }

    /// Hands out the numbers of rows, in their order.
    pub fn numbers(&self, rows: impl Iterator<Item = u32>, mut take: impl FnMut(f64)) {
        let encoding = self.encoding;
        match encoding {
            Encoding::Whole { .. } => self.items(rows, |item| take(encoding.decode(item))),
            Encoding::Single => self.items(rows, |item| take(f64::from(f32::from_bits(item as u32)))),
            Encoding::Double => self.items(rows, |item| take(f64::from_bits(item))),
        }
    }

    /// The numbers of these rows.
    pub fn gather(&self, rows: &[u32]) -> Vec<f64> {
        let mut gathered = Vec::with_capacity(rows.len());
        self.numbers(rows.iter().copied(), |number| gathered.push(number));
        gathered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_comes_back(numbers: &[f64], width: usize) {
        let packed = Packed::of(numbers);
        assert_eq!((packed.encoding().width(), packed.n_rows()), (width, numbers.len()), "{packed:?}");
        for (row, &number) in numbers.iter().enumerate() {
            let found = packed.number(row);
            assert!(found.to_bits() == number.to_bits() || (found.is_nan() && number.is_nan()), "{number}: {found}");
        }
        let rows: Vec<u32> = (0..numbers.len() as u32).rev().collect();
        let backwards = packed.gather(&rows);
        assert!(
            numbers.iter().rev().zip(backwards).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
        );
    }

    #[test]
    fn every_bit_comes_back_from_the_least_width() {
        let nan = f64::NAN;
        assert_comes_back(&[], 1);
        assert_comes_back(&[nan, nan], 1);
        assert_comes_back(&[nan, 7.0, -247.0, 0.0], 1);
        assert_comes_back(&[nan, 8.0, -247.0, 0.0], 2);
        assert_comes_back(&[0.0, 65_534.0, nan], 2);
        assert_comes_back(&[0.0, 65_535.0, nan], 4);
        assert_comes_back(&[-2_147_483_648.0, 2_147_483_645.0], 4);
        assert_comes_back(&[9_007_199_254_740_991.0, 9_007_199_254_740_990.0], 1);
        assert_comes_back(&[0.0, 4_294_967_295.0, nan], 8);
        assert_comes_back(&[0.5, -0.25, nan, 16_777_216.0], 4);
        assert_comes_back(&[-0.0, 1.0, nan], 4);
        assert_comes_back(&[0.1, nan, 1.0], 8);
        assert_comes_back(&[1e300, 1.0], 8);
        assert_comes_back(&[9_007_199_254_740_994.0, -1.0], 8);
    }

    #[test]
    fn items_of_codes_are_the_codes() {
        for n_levels in [1, 255, 256, 65_535, 65_536, 1 << 20] {
            let codes = [0, n_levels as u32, 1];
            let packed = Packed::of_codes(&codes, n_levels);
            assert!((0..3).all(|row| packed.item(row) == u64::from(codes[row])), "{n_levels}: {packed:?}");
        }
    }

    #[test]
    fn blocks_are_read_whole() {
        let numbers: Vec<f64> = (0..3 * ROWS_PER_BLOCK + 5).map(|row| row as f64 / 7.0).collect();
        let packed = Packed::of(&numbers);
        let mut read = Vec::new();
        packed.encoding().read(packed.bytes(), |block| read.extend_from_slice(block));
        assert_eq!(read, numbers);
    }
}
