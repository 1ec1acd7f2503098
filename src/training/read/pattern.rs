//! What a declared path means: one file, or all whose names fit a pattern; on this machine or in an object store.
//!
//! In: a path whose last part may hold `*` and `?`. Out: files of this machine, or sizes of either. One rule of names for
//! both. Limit: 10,000 files.

use std::path::{Path, PathBuf};

use super::blocks::unreadable;
use crate::training::error::{Error, Result};
use crate::training::run_store::is_url;
use crate::training::run_store::partitions::{Partitions, Rules};

/// More files than this are no table.
const MOST_FILES: usize = 10_000;

pub(super) const RULES: Rules = Rules { fits, most: MOST_FILES };

/// The path as an address in a store, if it is one.
pub(super) fn address(path: &Path) -> Option<&str> {
    path.to_str().filter(|path| is_url(path))
}

/// Bytes of every file that a path means.
pub fn sizes(path: &Path) -> Result<Vec<u64>> {
    if let Some(address) = address(path) {
        return Ok(Partitions::find(address, RULES)?.sizes());
    }
    let size = |file: &PathBuf| file.metadata().map(|found| found.len()).map_err(|error| unreadable(file, &error));
    expand(path)?.iter().map(size).collect()
}

/// The files that a path means, by name; one without a pattern need not be there.
pub(super) fn expand(path: &Path) -> Result<Vec<PathBuf>> {
    let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
    if !name.contains(['*', '?']) || path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let fits = entry.file_name().to_str().is_some_and(|file| fits(name.as_bytes(), file.as_bytes()));
        if fits && entry.path().is_file() {
            found.push(path.with_file_name(entry.file_name()));
        }
    }
    found.sort();
    match found.len() {
        0 => Err(Error::permanent(format!("`{}`: no file has such a name", path.display()))
            .hint("`*` stands for any characters of a file's name, `?` for one; folders are taken as they are")),
        n if n > MOST_FILES => {
            Err(Error::permanent(format!("`{}`: expected at most {MOST_FILES} files, found {n}", path.display())))
        }
        _ => Ok(found),
    }
}

/// `*` is any run of bytes, `?` one byte.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_file_names() {
        let yes = [("*.csv", "a.csv"), ("part-??.csv", "part-01.csv"), ("a*b*c", "axxbyyc"), ("*", ""), ("a*", "a")];
        assert!(yes.iter().all(|(pattern, name)| fits(pattern.as_bytes(), name.as_bytes())), "{yes:?}");
        let no = [("*.csv", "a.csv.gz"), ("part-??.csv", "part-1.csv"), ("a*b", "ab2"), ("", "a"), ("?", "")];
        assert!(no.iter().all(|(pattern, name)| !fits(pattern.as_bytes(), name.as_bytes())), "{no:?}");
    }
}
