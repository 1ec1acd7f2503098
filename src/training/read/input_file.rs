//! A file to read: what it is called, and where its bytes lie.
//!
//! In: a path of this machine, or an address in a store and the file without a name that the object was brought to. Out: the
//! bytes, opened as often as asked, each time from the start. Whatever is told of them names path or address.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use super::blocks::{open_file, unreadable};
use crate::training::error::Result;

#[derive(Debug)]
pub(super) struct InputFile {
    pub name: PathBuf,
    brought: Option<File>,
}

impl InputFile {
    pub fn at(path: PathBuf) -> InputFile {
        InputFile { name: path, brought: None }
    }

    /// The file goes when this is dropped.
    pub fn brought(name: PathBuf, file: File) -> InputFile {
        InputFile { name, brought: Some(file) }
    }

    /// Columns are read at once, so each needs a position of its own, which copies of one handle do not have.
    pub fn open(&self) -> Result<File> {
        match &self.brought {
            None => open_file(&self.name),
            Some(file) => {
                let handle = format!("/proc/self/fd/{}", file.as_raw_fd());
                File::open(handle).map_err(|error| unreadable(&self.name, &error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_was_brought_is_read_from_the_start_each_time() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abcdef").unwrap();
        let file = InputFile::brought("s3://b/x.csv".into(), file);
        let (mut first, mut second) = (file.open().unwrap(), file.open().unwrap());
        let (mut three, mut all) = ([0; 3], String::new());
        first.read_exact(&mut three).unwrap();
        second.read_to_string(&mut all).unwrap();
        assert_eq!((&three, all.as_str()), (b"abc", "abcdef"));
        first.read_exact(&mut three).unwrap();
        assert_eq!(&three, b"def");
    }
}
