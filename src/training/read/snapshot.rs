//! What was read, kept with a planned run, so that no shard reads the original files: `table.parquet` and `table.json`.
//!
//! In and out: [`ReadData`], the same to the bit. `table.parquet` has the item of every row and column as it lies in memory
//! (see [`crate::scoring::packed`]; 4 bytes, or 8 where numbers need them), ids, labels and times; `table.json` says what items
//! mean, and what else is known of the files: types, levels in the order of the file, fingerprints. The plan holds the
//! SHA-256 of `table.json`, that the one of `table.parquet`: nothing is parsed that is not what was written. Both are
//! written and read by groups of rows, so that beside the table one group stands in memory. Limits: 256 MiB of `table.json`.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use polars::prelude::*;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Fingerprint, LeftOut, ReadData};
use crate::scoring::bundle::sha256_hex;
use crate::scoring::packed::{Encoding, Packed};
use crate::scoring::schema::Schema;
use crate::scoring::table::{Cells, Table};
use crate::training::error::{Error, Result, io_reason};
use crate::training::mapped::{Storage, StoredBytes};
use crate::training::progress::{Progress, Unit};
use crate::training::rows::Dataset;
use crate::training::run_dir::{AtomicFile, to_json, write_atomic};
use crate::training::texts::Texts;

pub const ITEMS_FILE: &str = "table.parquet";
pub const MEANING_FILE: &str = "table.json";

/// Cells written and read together: 128 MB of them.
const CELLS_PER_GROUP: usize = 1 << 25;
const MAX_MEANING_BYTES: u64 = 256 << 20;
const FORMAT: u32 = 1;

/// `table.json`.
#[derive(Serialize, Deserialize)]
struct Meaning {
    format: u32,
    /// SHA-256 of `table.parquet`.
    items: String,
    rows: usize,
    rows_per_group: usize,
    has_times: bool,
    columns: Vec<ColumnMeaning>,
    schema: Schema,
    fingerprints: Vec<Fingerprint>,
    left_out: Vec<LeftOut>,
}

#[derive(Serialize, Deserialize)]
struct ColumnMeaning {
    name: String,
    #[serde(flatten)]
    encoding: Encoded,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    levels: Option<Vec<String>>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "items", rename_all = "snake_case")]
enum Encoded {
    Whole { base: f64, n_items: u32 },
    Single,
    Double,
}

impl Encoded {
    fn of(encoding: Encoding) -> Encoded {
        match encoding {
            Encoding::Whole { base, n_items } => Encoded::Whole { base, n_items },
            Encoding::Single => Encoded::Single,
            Encoding::Double => Encoded::Double,
        }
    }

    fn encoding(self) -> Encoding {
        match self {
            Encoded::Whole { base, n_items } => Encoding::Whole { base, n_items },
            Encoded::Single => Encoding::Single,
            Encoded::Double => Encoding::Double,
        }
    }
}

impl ColumnMeaning {
    fn of(name: &str, cells: &Cells) -> ColumnMeaning {
        let levels = if let Cells::Categorical { levels, .. } = cells { Some(levels.clone()) } else { None };
        ColumnMeaning { name: name.to_owned(), encoding: Encoded::of(cells.packed().encoding()), levels }
    }

    /// Whether an item means something.
    fn allows(&self, item: u64) -> bool {
        match (&self.levels, self.encoding) {
            (Some(levels), _) => item <= levels.len() as u64,
            (None, Encoded::Whole { n_items, .. }) => item <= u64::from(n_items),
            (None, Encoded::Single) => !f32::from_bits(item as u32).is_infinite(),
            (None, Encoded::Double) => !f64::from_bits(item).is_infinite(),
        }
    }
}

/// Writes both files into a run's folder; the SHA-256 of `table.json`.
pub fn keep(folder: &Path, data: &ReadData) -> Result<String> {
    let dataset = &data.dataset;
    let rows_per_group = (CELLS_PER_GROUP / dataset.table.n_columns().max(1)).max(1);
    let mut file = AtomicFile::create(&folder.join(ITEMS_FILE))?;
    let mut hashed = Hashed { to: file.writer(), hash: Sha256::new() };
    write_items(dataset, rows_per_group, &mut hashed)
        .map_err(|error| Error::failed(format!("the table could not be written as Parquet: {error}")))?;
    let items = hex(hashed.hash);
    file.publish()?;
    let meaning = to_json(&Meaning {
        format: FORMAT,
        items,
        rows: dataset.n_rows(),
        rows_per_group,
        has_times: dataset.times.is_some(),
        columns: dataset.table.columns().map(|(name, cells)| ColumnMeaning::of(name, cells)).collect(),
        schema: data.schema.clone(),
        fingerprints: data.fingerprints.clone(),
        left_out: data.left_out.clone(),
    });
    if meaning.len() as u64 > MAX_MEANING_BYTES {
        return Err(Error::permanent("the levels of all columns are more than 256 MiB of text")
            .hint("a column that names single rows is no feature: declare it `drop`, or train on one machine"));
    }
    write_atomic(&folder.join(MEANING_FILE), &meaning)?;
    Ok(sha256_hex(&meaning))
}

struct Hashed<'w> {
    to: &'w mut dyn Write,
    hash: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n_written = self.to.write(bytes)?;
        self.hash.update(&bytes[..n_written]);
        Ok(n_written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn groups(n_rows: usize, rows_per_group: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n_rows).step_by(rows_per_group.max(1)).map(move |start| start..n_rows.min(start + rows_per_group))
}

fn write_items(dataset: &Dataset, rows_per_group: usize, to: &mut (dyn Write + '_)) -> PolarsResult<()> {
    let mut frames = groups(dataset.n_rows(), rows_per_group).map(|rows| frame(dataset, rows));
    let Some(first) = frames.next().transpose()? else { return Ok(()) };
    let writer = ParquetWriter::new(to).with_compression(ParquetCompression::Zstd(None));
    let mut writer = writer.with_row_group_size(Some(rows_per_group)).batched(first.schema())?;
    writer.write_batch(&first)?;
    frames.try_for_each(|frame| writer.write_batch(&frame?))?;
    writer.finish().map(drop)
}

/// Ids, labels, times, then the columns of the table by their place.
fn frame(dataset: &Dataset, rows: Range<usize>) -> PolarsResult<DataFrame> {
    let ids = match &dataset.ids {
        Texts::Whole(numbers) => Column::new("id".into(), &numbers[rows.clone()]),
        texts => Column::new("id".into(), rows.clone().map(|row| texts.get(row)).collect::<Vec<_>>()),
    };
    let labels: Vec<u32> = dataset.labels[rows.clone()].iter().map(|&label| u32::from(label)).collect();
    let mut columns = vec![ids, Column::new("label".into(), labels)];
    columns.extend(dataset.times.as_ref().map(|times| Column::new("time".into(), &times[rows.clone()])));
    let cells: Vec<(usize, &Cells)> = dataset.table.columns().map(|(_, cells)| cells).enumerate().collect();
    columns.par_extend(cells.into_par_iter().map(|(at, cells)| items(at, cells.packed(), rows.clone())));
    DataFrame::new(rows.len(), columns)
}

fn items(at: usize, packed: &Packed, rows: Range<usize>) -> Column {
    let (name, rows) = (at.to_string().into(), rows.start as u32..rows.end as u32);
    if packed.encoding().width() == 8 {
        let mut items: Vec<u64> = Vec::with_capacity(rows.len());
        packed.items(rows, |item| items.push(item));
        Column::new(name, items)
    } else {
        let mut items: Vec<u32> = Vec::with_capacity(rows.len());
        packed.items(rows, |item| items.push(item as u32));
        Column::new(name, items)
    }
}

/// The data of a planned run, whose `table.json` has this SHA-256.
pub fn read(folder: &Path, expected: &str, storage: &Storage, progress: &dyn Progress) -> Result<ReadData> {
    let path = folder.join(MEANING_FILE);
    let bytes = bounded(&path).map_err(|error| unreadable(&path, &io_reason(&error)))?;
    same(&path, expected, &sha256_hex(&bytes))?;
    let meaning: Meaning = serde_json::from_slice(&bytes).map_err(|error| unreadable(&path, &error.to_string()))?;
    if meaning.format != FORMAT {
        return Err(unreadable(&path, &format!("expected format {FORMAT}, found {}", meaning.format)));
    }
    let path = folder.join(ITEMS_FILE);
    let found = hash_of_file(&path).map_err(|error| unreadable(&path, &io_reason(&error)))?;
    same(&path, &meaning.items, &found)?;
    progress.begin(Unit::Rows, "reading", meaning.rows as u64);
    let read = catch_unwind(AssertUnwindSafe(|| read_items(&path, &meaning, storage, progress)));
    let dataset = read.unwrap_or_else(|_| Err(unreadable(&path, "it is not Parquet as polars knows it")))?;
    progress.end(Unit::Rows);
    let Meaning { schema, fingerprints, left_out, .. } = meaning;
    Ok(ReadData { dataset: Arc::new(dataset), schema, fingerprints, left_out })
}

/// Whether both files are those of a plan.
pub fn is_whole(folder: &Path, expected: &str) -> bool {
    let meaning = bounded(&folder.join(MEANING_FILE)).ok().filter(|bytes| sha256_hex(bytes) == expected);
    let meaning = meaning.and_then(|bytes| serde_json::from_slice::<Meaning>(&bytes).ok());
    meaning.is_some_and(|meaning| hash_of_file(&folder.join(ITEMS_FILE)).is_ok_and(|found| found == meaning.items))
}

fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_MEANING_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_MEANING_BYTES {
        true => Err(std::io::Error::other("it is larger than 256 MiB")),
        false => Ok(bytes),
    }
}

fn hash_of_file(path: &Path) -> std::io::Result<String> {
    let mut hashed = Hashed { to: &mut std::io::sink(), hash: Sha256::new() };
    std::io::copy(&mut File::open(path)?, &mut hashed)?;
    Ok(hex(hashed.hash))
}

fn same(path: &Path, expected: &str, found: &str) -> Result<()> {
    let changed = || {
        let message =
            format!("`{}` changed since the plan: expected SHA-256 {expected}, found {found}", path.display());
        Error::permanent(message).hint("`fraudml plan` writes it anew, finished cells are kept")
    };
    if expected == found { Ok(()) } else { Err(changed()) }
}

fn unreadable(path: &Path, reason: &str) -> Error {
    Error::permanent(format!("`{}` can't be read: {reason}", path.display()))
        .hint("`fraudml plan` writes it anew, finished cells are kept")
}

/// Columns while they are filled, and where the rest goes.
struct Filling {
    ids: Texts,
    labels: Vec<u8>,
    times: Option<Vec<f64>>,
    columns: Vec<StoredBytes>,
}

fn read_items(path: &Path, meaning: &Meaning, storage: &Storage, progress: &dyn Progress) -> Result<Dataset> {
    let damaged = |error: PolarsError| unreadable(path, &error.to_string());
    let mut filling = Filling {
        ids: Texts::default(),
        labels: Vec::with_capacity(meaning.rows),
        times: meaning.has_times.then(|| Vec::with_capacity(meaning.rows)),
        columns: room(meaning, storage)?,
    };
    for rows in groups(meaning.rows, meaning.rows_per_group) {
        let file = File::open(path).map_err(|error| unreadable(path, &io_reason(&error)))?;
        let frame = ParquetReader::new(file).with_slice(Some((rows.start, rows.len()))).finish().map_err(damaged)?;
        filling.append(&frame, &rows, meaning).map_err(damaged)?;
        progress.advance(Unit::Rows, rows.len() as u64);
    }
    let Filling { ids, labels, times, columns } = filling;
    let mut table = Table::new(meaning.rows);
    for (column, bytes) in meaning.columns.iter().zip(columns) {
        let packed = Packed::new(column.encoding.encoding(), Arc::new(bytes));
        table.push(
            column.name.clone(),
            match &column.levels {
                Some(levels) => Cells::Categorical { codes: packed, levels: levels.clone() },
                None => Cells::Numeric(packed),
            },
        );
    }
    Ok(Dataset { table, labels, ids, times })
}

/// As when the files were read: on disk where all columns exceed their room.
fn room(meaning: &Meaning, storage: &Storage) -> Result<Vec<StoredBytes>> {
    let lengths = meaning.columns.iter().map(|column| meaning.rows * column.encoding.encoding().width());
    let total: usize = lengths.clone().sum();
    let is_tight = storage.room_of_columns().is_some_and(|room| total as u64 > room);
    lengths.map(|len| if is_tight { storage.mapped(len) } else { storage.zeroed(len) }).collect()
}

impl Filling {
    fn append(&mut self, frame: &DataFrame, rows: &Range<usize>, meaning: &Meaning) -> PolarsResult<()> {
        let wrong = |what: &str| PolarsError::ComputeError(what.to_owned().into());
        if frame.height() != rows.len() {
            return Err(wrong("rows are missing"));
        }
        let ids = frame.column("id")?;
        match ids.dtype() {
            DataType::UInt64 => {
                let numbers = ids.u64()?.iter().map(|id| id.ok_or_else(|| wrong("an id is missing")));
                self.ids.append(&Texts::Whole(numbers.collect::<PolarsResult<_>>()?));
            }
            _ => ids.str()?.iter().for_each(|id| self.ids.push(id.unwrap_or_default())),
        }
        self.labels.extend(frame.column("label")?.u32()?.iter().map(|label| u8::from(label == Some(1))));
        if let Some(times) = &mut self.times {
            times.extend(frame.column("time")?.f64()?.iter().map(|time| time.unwrap_or(f64::NAN)));
        }
        self.columns.par_iter_mut().zip(&meaning.columns).enumerate().try_for_each(|(at, (bytes, column))| {
            let width = column.encoding.encoding().width();
            let room = &mut bytes[rows.start * width..rows.end * width];
            let items = frame.column(&at.to_string())?;
            let mut put = |(room, item): (&mut [u8], Option<u64>)| match item.filter(|&item| column.allows(item)) {
                Some(item) => {
                    room.copy_from_slice(&item.to_le_bytes()[..width]);
                    Ok(())
                }
                None => Err(wrong("an item means nothing")),
            };
            let rooms = room.chunks_exact_mut(width);
            match items.dtype() {
                DataType::UInt64 => rooms.zip(items.u64()?.iter()).try_for_each(&mut put),
                _ => rooms.zip(items.u32()?.iter().map(|item| item.map(u64::from))).try_for_each(&mut put),
            }
        })
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test damages files")]
mod tests {
    use super::*;
    use crate::scoring::schema::UnknownKeys;
    use crate::training::progress::Silent;

    /// Every encoding and width, gaps, levels that no row has and that are not in alphabetical order.
    fn data(ids: Texts) -> ReadData {
        let n_rows = ids.len();
        let numbers = |of: &dyn Fn(usize) -> f64| {
            let number = |row: usize| if row % 7 == 3 { f64::NAN } else { of(row) };
            Cells::numeric(&(0..n_rows).map(number).collect::<Vec<f64>>())
        };
        let mut table = Table::new(n_rows);
        table.push("byte", numbers(&|row| row as f64 - 3.0));
        table.push("pair", numbers(&|row| 1000.0 * row as f64));
        table.push("four", numbers(&|row| 1e8 * (row % 5) as f64));
        table.push("single", numbers(&|row| if row == 1 { -0.0 } else { row as f64 / 8.0 }));
        table.push("double", numbers(&|row| row as f64 / 7.0));
        table.push("gaps", Cells::numeric(&vec![f64::NAN; n_rows]));
        let codes: Vec<u32> = (0..n_rows as u32).map(|row| row % 3).collect();
        table.push("word", Cells::categorical(&codes, ["z", "a", "nobody"].map(String::from).to_vec()));
        let schema = Schema {
            id: Some("id".into()),
            columns: table.schema_columns(),
            unknown_keys: UnknownKeys::Ignore,
            unread: vec!["y".into()],
        };
        let file = Fingerprint { path: "x.csv".into(), sha256: "0f".into(), rows: n_rows, columns: 9, bytes: 77 };
        let left_out = vec![LeftOut { what: "column `c`".into(), count: 3, reason: "declared `drop`".into() }];
        let labels = (0..n_rows).map(|row| u8::from(row % 4 == 1)).collect();
        let times = Some((0..n_rows).map(|row| row as f64 * 1.5).collect());
        let dataset = Arc::new(Dataset { table, labels, ids, times });
        ReadData { dataset, schema, fingerprints: vec![file], left_out }
    }

    fn bits(cells: &Cells) -> (String, Vec<u8>, Option<Vec<String>>) {
        let levels = if let Cells::Categorical { levels, .. } = cells { Some(levels.clone()) } else { None };
        (format!("{:?}", cells.packed().encoding()), cells.packed().bytes().to_vec(), levels)
    }

    fn assert_same(found: &ReadData, expected: &ReadData) {
        assert_eq!((&found.schema, &found.fingerprints), (&expected.schema, &expected.fingerprints));
        assert_eq!(found.left_out, expected.left_out);
        let (found, expected) = (&found.dataset, &expected.dataset);
        assert_eq!((&found.ids, &found.labels, &found.times), (&expected.ids, &expected.labels, &expected.times));
        assert_eq!(found.table.n_columns(), expected.table.n_columns());
        for ((name, cells), (other, others)) in found.table.columns().zip(expected.table.columns()) {
            assert_eq!((name, bits(cells)), (other, bits(others)));
        }
    }

    #[test]
    fn data_come_back_to_the_bit_wherever_they_lie() {
        let folder = tempfile::tempdir().unwrap();
        for ids in [Texts::row_numbers(40), (0..40).map(|row| format!("r-{row:03}")).collect()] {
            let data = data(ids);
            let hash = keep(folder.path(), &data).unwrap();
            for storage in [Storage::in_memory(), Storage::new(Some(8), folder.path())] {
                assert_same(&read(folder.path(), &hash, &storage, &Silent).unwrap(), &data);
            }
        }
    }

    #[test]
    fn groups_of_rows_are_put_together() {
        let data = data(Texts::row_numbers(40));
        for rows_per_group in [1, 7, 39, 40, 100] {
            let folder = tempfile::tempdir().unwrap();
            keep(folder.path(), &data).unwrap();
            let mut bytes = Vec::new();
            write_items(&data.dataset, rows_per_group, &mut bytes).unwrap();
            let mut meaning: Meaning =
                serde_json::from_slice(&bounded(&folder.path().join(MEANING_FILE)).unwrap()).unwrap();
            (meaning.items, meaning.rows_per_group) = (sha256_hex(&bytes), rows_per_group);
            std::fs::write(folder.path().join(ITEMS_FILE), &bytes).unwrap();
            let meaning = to_json(&meaning);
            std::fs::write(folder.path().join(MEANING_FILE), &meaning).unwrap();
            let found = read(folder.path(), &sha256_hex(&meaning), &Storage::in_memory(), &Silent).unwrap();
            assert_same(&found, &data);
        }
    }

    #[test]
    fn what_was_changed_is_never_parsed() {
        let folder = tempfile::tempdir().unwrap();
        let hash = keep(folder.path(), &data(Texts::row_numbers(40))).unwrap();
        let read = || read(folder.path(), &hash, &Storage::in_memory(), &Silent).unwrap_err().message;
        let items = std::fs::read(folder.path().join(ITEMS_FILE)).unwrap();
        std::fs::write(folder.path().join(ITEMS_FILE), &items[..items.len() / 2]).unwrap();
        assert!(read().contains("table.parquet` changed since the plan"), "{}", read());
        std::fs::remove_file(folder.path().join(ITEMS_FILE)).unwrap();
        assert!(read().contains("table.parquet` can't be read"), "{}", read());
        std::fs::write(folder.path().join(MEANING_FILE), "{}").unwrap();
        assert!(read().contains("table.json` changed since the plan"), "{}", read());
    }

    #[test]
    fn items_beyond_what_is_meant_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        keep(folder.path(), &data(Texts::row_numbers(40))).unwrap();
        let text = String::from_utf8(bounded(&folder.path().join(MEANING_FILE)).unwrap()).unwrap();
        let fewer = text.replacen("\"a\",", "", 1).replacen("\"nobody\"", "\"a\"", 1).replacen("\"z\",", "", 1);
        std::fs::write(folder.path().join(MEANING_FILE), &fewer).unwrap();
        let found = read(folder.path(), &sha256_hex(fewer.as_bytes()), &Storage::in_memory(), &Silent);
        assert!(found.unwrap_err().message.contains("an item means nothing"));
    }
}
