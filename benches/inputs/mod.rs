//! What the benches share: their options, the rows of a data folder, and the memory of this process.
// Each bench uses a part.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read, Write};
use std::path::Path;

use fraudml::scoring::matrix::FeatureMatrix;
use serde_json::Value;

pub type Error = Box<dyn std::error::Error>;

pub struct Options(BTreeMap<String, String>);

impl Options {
    /// The verb, and `--name value` pairs.
    pub fn typed() -> (Option<String>, Options) {
        let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
        let verb = words.next();
        let mut options = BTreeMap::new();
        while let Some(name) = words.next() {
            options.insert(name.trim_start_matches("--").to_owned(), words.next().unwrap_or_default());
        }
        (verb, Options(options))
    }

    pub fn text(&self, name: &str) -> Result<&str, Error> {
        Ok(self.0.get(name).ok_or_else(|| format!("expected --{name}"))?)
    }

    pub fn number(&self, name: &str) -> Result<usize, Error> {
        let text = self.text(name)?;
        Ok(text.parse().map_err(|_| format!("--{name}: expected a whole number, found `{text}`"))?)
    }
}

/// Rows in one block, and a label each.
pub struct Rows {
    pub n_features: usize,
    pub values: Vec<f32>,
    pub labels: Vec<u8>,
}

impl Rows {
    pub fn n_rows(&self) -> usize {
        self.labels.len()
    }

    pub fn into_matrix(self) -> (FeatureMatrix, Vec<u8>) {
        (matrix(self.n_features, self.values), self.labels)
    }
}

pub fn matrix(n_features: usize, values: Vec<f32>) -> FeatureMatrix {
    let names: Vec<String> = (0..n_features).map(|feature| format!("x{feature}")).collect();
    FeatureMatrix::new(names.into(), values)
}

/// The rows of a folder that are wanted, without ever holding the others.
pub fn read_rows(folder: &Path, wanted: impl Fn(usize) -> bool) -> Result<Rows, Error> {
    let meta: Value = serde_json::from_slice(&fs::read(folder.join("meta.json"))?)?;
    let size = |name: &str| meta[name].as_u64().ok_or_else(|| format!("meta.json: expected `{name}`"));
    let (n_rows, n_features) = (size("rows")? as usize, size("features")? as usize);
    let all = fs::read(folder.join("y.u8"))?;
    if all.len() != n_rows {
        return Err(format!("y.u8: expected {n_rows} labels, found {}", all.len()).into());
    }
    let n_wanted = (0..n_rows).filter(|&row| wanted(row)).count();
    let mut rows = Rows { n_features, values: Vec::with_capacity(n_wanted * n_features), labels: Vec::new() };
    let mut file = BufReader::with_capacity(1 << 20, File::open(folder.join("x.f32"))?);
    let mut bytes = vec![0; n_features * 4];
    for (row, &label) in all.iter().enumerate() {
        file.read_exact(&mut bytes)?;
        if wanted(row) {
            rows.values.extend(bytes.as_chunks::<4>().0.iter().map(|&number| f32::from_le_bytes(number)));
            rows.labels.push(label);
        }
    }
    Ok(rows)
}

/// Sets the highest resident memory back to what is resident now, which it returns.
pub fn resident_since_reset() -> Option<u64> {
    OpenOptions::new().write(true).open("/proc/self/clear_refs").ok()?.write_all(b"5").ok()?;
    status_bytes("VmRSS:")
}

/// A figure of this process's status.
pub fn status_bytes(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
