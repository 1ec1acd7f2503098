//! A table's files in an object store: what an address names, and one object after another brought to a file.
//!
//! In: an address whose last part may hold `*` and `?`. Out: names and sizes as they were listed, and an object's bytes in a
//! file that is given. Every request says which object is meant (`If-Match`): one that was replaced or removed since the
//! listing is an error worth a retry, so that no table is made of two states. Requests of 16 MiB, four under way together.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use object_store::path::Path as Name;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::address::Address;
use super::objects::{Objects, PART_BYTES};
use super::reason::{explained, names_no_bucket};
use crate::training::error::{Error, Result, io_reason};

/// 64 MiB of a partition stand in memory.
const PARTS_AT_ONCE: usize = 4;

/// How names are matched and how many may be, as for files of this machine.
#[derive(Clone, Copy)]
pub struct Rules {
    pub fits: fn(pattern: &[u8], name: &[u8]) -> bool,
    pub most: usize,
}

/// The objects of a table, by name.
#[derive(Debug)]
pub struct Partitions {
    objects: Objects,
    /// `SCHEME://BUCKET/`.
    bucket: String,
    found: Vec<ObjectMeta>,
}

impl Partitions {
    pub fn find(address: &str, rules: Rules) -> Result<Partitions> {
        let Address { scheme, bucket, prefix } = Address::of_table(address)?;
        let (folder, _) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        Self::within(Objects::below(scheme, bucket, folder)?, address, rules)
    }

    pub(super) fn within(objects: Objects, address: &str, rules: Rules) -> Result<Partitions> {
        let Address { scheme, bucket, prefix } = Address::of_table(address)?;
        let (_, name) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let mut found = match name.contains(['*', '?']) {
            true => fitting(&objects, address, name, rules)?,
            false => vec![one(&objects, address, prefix)?],
        };
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(Partitions { objects, bucket: format!("{scheme}://{bucket}/"), found })
    }

    pub fn count(&self) -> usize {
        self.found.len()
    }

    pub fn sizes(&self) -> Vec<u64> {
        self.found.iter().map(|object| object.size).collect()
    }

    pub fn size(&self, nth: usize) -> u64 {
        self.found[nth].size
    }

    /// The address of one of them.
    pub fn name(&self, nth: usize) -> PathBuf {
        format!("{}{}", self.bucket, self.found[nth].location).into()
    }

    /// Brings one of them to a file; `stop` is asked before each part is written, and while none comes.
    pub fn bring(&self, nth: usize, file: &File, stop: &dyn Fn() -> bool) -> Result<()> {
        let (object, name) = (&self.found[nth], self.name(nth).display().to_string());
        let starts = (0..object.size).step_by(PART_BYTES as usize);
        let mut parts = stream::iter(starts.map(|start| self.part(object, &name, start))).buffered(PARTS_AT_ONCE);
        self.objects.wait_unless(stop, async {
            while let Some((start, bytes)) = parts.try_next().await? {
                if stop() {
                    return Err(Error::interrupted());
                }
                file.write_all_at(bytes.as_ref(), start).map_err(|error| {
                    let message = format!("`{name}` can't be brought to this machine: {}", io_reason(&error));
                    Error::failed(message).hint("one object of a table and the next lie on disk while they are read")
                })?;
            }
            Ok(())
        })
    }

    /// The bytes from `start` on that one request asks for.
    async fn part(&self, object: &ObjectMeta, name: &str, start: u64) -> Result<(u64, impl AsRef<[u8]>)> {
        let range = start..object.size.min(start + PART_BYTES);
        let options = GetOptions::new().with_if_match(object.e_tag.clone()).with_range(Some(range.clone()));
        let changed = |found: &str| {
            let message = format!("`{name}` changed while the table was read: expected what was listed, found {found}");
            Error::transient(message).hint("something writes there: run this again when it has ended")
        };
        let failed = |error: object_store::Error| match error {
            object_store::Error::Precondition { .. } => changed("another object"),
            object_store::Error::NotFound { .. } if !names_no_bucket(&error) => changed("none"),
            error => explained(name, "read", &error),
        };
        let found = self.objects.store.get_opts(&object.location, options).await.map_err(failed)?;
        let size = found.meta.size;
        let bytes = found.bytes().await.map_err(failed)?;
        match size == object.size && bytes.len() as u64 == range.end - range.start {
            true => Ok((start, bytes)),
            false => Err(changed(&format!("{size} bytes instead of {}", object.size))),
        }
    }
}

/// Objects of a folder whose names fit; of folders in it nothing is listed.
fn fitting(objects: &Objects, address: &str, pattern: &str, rules: Rules) -> Result<Vec<ObjectMeta>> {
    let listed = objects.wait(objects.store.list_with_delimiter(Some(&objects.prefix)));
    let mut found = listed.map_err(|error| explained(address, "listed", &error))?.objects;
    found.retain(|object| {
        object.location.filename().is_some_and(|name| (rules.fits)(pattern.as_bytes(), name.as_bytes()))
    });
    match found.len() {
        0 => Err(Error::permanent(format!("`{address}`: no object has such a name"))
            .hint("`*` stands for any characters of an object's name, `?` for one; folders are taken as they are")),
        n if n > rules.most => {
            Err(Error::permanent(format!("`{address}`: expected at most {} objects, found {n}", rules.most))
                .hint("fewer and larger ones are read faster too"))
        }
        _ => Ok(found),
    }
}

/// The object of a name.
fn one(objects: &Objects, address: &str, key: &str) -> Result<ObjectMeta> {
    let key = Name::parse(key).map_err(|error| Error::permanent(format!("`{address}`: {error}")))?;
    match objects.wait(objects.store.head(&key)) {
        Err(object_store::Error::NotFound { .. }) => {
            // An answer to HEAD has no text that tells an object from a bucket; a listing has.
            let listed = objects.wait(objects.store.list(Some(&objects.prefix)).try_next());
            listed.map_err(|error| explained(address, "listed", &error))?;
            Err(Error::permanent(format!("`{address}` is not there"))
                .hint("check folder and name; `*` and `?` in the name: many objects"))
        }
        found => found.map_err(|error| explained(address, "read", &error)),
    }
}
