//! Zips for OpenWhisk's stock runtimes: the runner as `exec`, the bundle, and the name of the stage.
//!
//! In: a runner, the files of a bundle. Out: one zip per stage, the same bytes for the same input, and whether OpenWhisk
//! takes it: 48 MiB, measured on the base64 text. What all zips share is compressed once. Source: PKWARE APPNOTE 6.3.3
//! (no zip64: nothing here comes near 4 GiB, which is checked).

use std::collections::BTreeMap;

use crate::scoring::stage::Stage;
use crate::training::error::{Error, Result};

/// OpenWhisk's limit of an action's code, as text (`Exec.maxSize`), less what stands around it.
const MAX_TEXT_BYTES: usize = (48 << 20) - 1024;

/// 1980-01-01, the first day that the format knows.
const DATE: u16 = 0x0021;
const DEFLATED: u16 = 8;
const LEVEL: u8 = 6;
/// Made by Unix, so that modes count.
const MADE_BY: u16 = 0x031e;
const NEEDED: u16 = 20;

/// One compressed file.
struct Entry {
    name: String,
    mode: u32,
    crc: u32,
    size: u32,
    packed: Vec<u8>,
}

impl Entry {
    fn new(name: &str, mode: u32, bytes: &[u8]) -> Result<Entry> {
        let size =
            u32::try_from(bytes.len()).map_err(|_| Error::permanent(format!("`{name}` is too large for a zip")))?;
        let packed = miniz_oxide::deflate::compress_to_vec(bytes, LEVEL);
        Ok(Entry { name: name.to_owned(), mode, crc: crc32fast::hash(bytes), size, packed })
    }

    /// The fields that local header and directory share.
    fn fields(&self, out: &mut Vec<u8>) {
        for word in [NEEDED, 0, DEFLATED, 0, DATE] {
            out.extend(word.to_le_bytes());
        }
        for word in [self.crc, self.packed.len() as u32, self.size] {
            out.extend(word.to_le_bytes());
        }
        out.extend((self.name.len() as u16).to_le_bytes());
        out.extend(0u16.to_le_bytes());
    }
}

/// The zip of every stage, by stage.
pub fn stage_zips(runner: &[u8], bundle: &BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<Stage, Vec<u8>>> {
    let mut shared = vec![Entry::new("exec", 0o755, runner)?];
    for (name, bytes) in bundle {
        shared.push(Entry::new(&format!("bundle/{name}"), 0o644, bytes)?);
    }
    let zip = |stage: Stage| {
        let own = Entry::new("stage", 0o644, stage.as_str().as_bytes())?;
        Ok((stage, archive(&shared.iter().chain([&own]).collect::<Vec<_>>())?))
    };
    Stage::ALL.into_iter().map(zip).collect()
}

/// Whether OpenWhisk takes a zip of this size as an action's code.
pub fn fits(zip_bytes: usize) -> bool {
    zip_bytes.div_ceil(3) * 4 <= MAX_TEXT_BYTES
}

/// A zip of some files, each with its mode.
pub fn zip_of(files: &[(&str, u32, &[u8])]) -> Result<Vec<u8>> {
    let entries: Vec<Entry> =
        files.iter().map(|(name, mode, bytes)| Entry::new(name, *mode, bytes)).collect::<Result<_>>()?;
    archive(&entries.iter().collect::<Vec<_>>())
}

fn archive(entries: &[&Entry]) -> Result<Vec<u8>> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = out.len() as u32;
        out.extend(b"PK\x03\x04");
        entry.fields(&mut out);
        out.extend(entry.name.as_bytes());
        out.extend(&entry.packed);
        directory.extend(b"PK\x01\x02");
        directory.extend(MADE_BY.to_le_bytes());
        entry.fields(&mut directory);
        // Comment, disk, internal attributes; then the mode of a regular file, then the place.
        directory.extend([0; 6]);
        directory.extend(((0o100_000 | entry.mode) << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let (start, size) = (out.len(), directory.len());
    if u32::try_from(start + size).is_err() {
        return Err(Error::permanent("the bundle is too large for a zip"));
    }
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    for count in [entries.len() as u16; 2] {
        out.extend(count.to_le_bytes());
    }
    out.extend((size as u32).to_le_bytes());
    out.extend((start as u32).to_le_bytes());
    out.extend([0; 2]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_on_the_encoded_text() {
        assert!(fits(30 << 20) && fits(37_747_000) && !fits(37_748_737) && !fits(48 << 20));
    }
}
