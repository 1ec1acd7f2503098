//! Tables in a store that lies in memory: names, bytes, and what happens to a store while it is read.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};

use super::*;
use crate::training::error::ErrorKind;

/// Ends fit, so that the rules are seen to be those given.
const RULES: Rules =
    Rules { fits: |pattern, name| name.ends_with(pattern.strip_prefix(b"*").unwrap_or(pattern)), most: 3 };
const LARGE: usize = 2 * PART_BYTES as usize + 3;

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|at| (at % 251) as u8).collect()
}

fn store(names: &[(&str, usize)]) -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    names.iter().for_each(|&(name, n)| put(&store, name, bytes(n)));
    store
}

fn put(store: &Arc<InMemory>, name: &str, bytes: Vec<u8>) {
    let objects = Objects::within(store.clone(), "", "s3://b".into()).unwrap();
    objects.wait(store.put(&Name::parse(name).unwrap(), bytes.into())).unwrap();
}

fn find(store: &Arc<InMemory>, address: &str) -> Result<Partitions> {
    let prefix = Address::of_table(address).unwrap().prefix;
    let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    Partitions::within(Objects::within(store.clone(), folder, "s3://b".into()).unwrap(), address, RULES)
}

fn brought(partitions: &Partitions, nth: usize) -> Result<Vec<u8>> {
    let mut file = tempfile::tempfile().unwrap();
    partitions.bring(nth, &file, &|| false)?;
    let mut found = Vec::new();
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_to_end(&mut found).unwrap();
    Ok(found)
}

#[test]
fn objects_of_one_folder_come_in_the_order_of_their_names() {
    let store =
        store(&[("t/b.pq", LARGE), ("t/a.pq", 5), ("t/c.csv", 1), ("t/deeper/d.pq", 1), ("e.pq", 0), ("t2/f.pq", 1)]);
    let partitions = find(&store, "s3://b/t/*.pq").unwrap();
    assert_eq!((partitions.count(), partitions.sizes()), (2, vec![5, LARGE as u64]));
    assert_eq!(partitions.name(1).to_str(), Some("s3://b/t/b.pq"));
    assert_eq!(brought(&partitions, 0).unwrap(), bytes(5));
    assert!(brought(&partitions, 1).unwrap() == bytes(LARGE));
    // Without a folder, without a pattern, without bytes.
    for address in ["s3://b/*.pq", "s3://b/e.pq"] {
        let partitions = find(&store, address).unwrap();
        assert_eq!((partitions.name(0).to_str(), partitions.count()), (Some("s3://b/e.pq"), 1));
        assert_eq!(brought(&partitions, 0).unwrap(), b"");
    }
}

#[test]
fn no_object_and_too_many_are_refused() {
    let store = store(&[("t/a.pq", 1), ("t/b.pq", 1), ("t/c.pq", 1), ("t/d.pq", 1)]);
    for (address, said) in [
        ("s3://b/t/*.csv", "no object has such a name"),
        ("s3://b/u/*.pq", "no object has such a name"),
        ("s3://b/t/e.pq", "is not there"),
        ("s3://b/t/*.pq", "expected at most 3 objects, found 4"),
    ] {
        let error = find(&store, address).unwrap_err();
        assert!(error.kind == ErrorKind::Permanent && error.hint.is_some(), "{error:?}");
        assert!(error.message.contains(address) && error.message.contains(said), "{error:?}");
    }
}

#[test]
fn what_was_replaced_or_removed_since_the_listing_is_worth_a_retry() {
    let store = store(&[("t/a.pq", 5), ("t/b.pq", LARGE)]);
    for (name, change) in [("t/a.pq", Some(5)), ("t/a.pq", None), ("t/b.pq", Some(LARGE - 1)), ("t/b.pq", None)] {
        let partitions = find(&store, &format!("s3://b/{name}")).unwrap();
        match change {
            Some(n) => put(&store, name, bytes(n)),
            None => partitions.objects.wait(store.delete(&Name::parse(name).unwrap())).unwrap(),
        }
        let error = brought(&partitions, 0).unwrap_err();
        assert!(error.kind == ErrorKind::Transient && error.hint.is_some(), "{name} {change:?}: {error:?}");
        assert!(error.message.contains(&format!("`s3://b/{name}` changed")), "{error:?}");
        put(&store, name, bytes(7));
    }
}

#[test]
fn an_interruption_ends_what_is_under_way() {
    let store = store(&[("a.pq", LARGE)]);
    let partitions = find(&store, "s3://b/a.pq").unwrap();
    let file = tempfile::tempfile().unwrap();
    let error = partitions.bring(0, &file, &|| true).unwrap_err();
    assert_eq!((error.kind, file.metadata().unwrap().len()), (ErrorKind::Interrupted, 0));
}

#[test]
fn a_store_that_is_silent_keeps_nobody_who_wants_to_stop() {
    let slow = ThrottleConfig { wait_get_per_call: Duration::from_secs(600), ..ThrottleConfig::default() };
    let inner = InMemory::new();
    let objects = Objects::within(Arc::new(ThrottledStore::new(inner, slow)), "", "s3://b".into()).unwrap();
    objects.wait(objects.store.put(&Name::from("a.pq"), vec![1, 2].into())).unwrap();
    let partitions = Partitions::within(objects, "s3://b/*.pq", RULES).unwrap();
    let (begun, file) = (Instant::now(), tempfile::tempfile().unwrap());
    let stop = || begun.elapsed() > Duration::from_millis(300);
    assert_eq!(partitions.bring(0, &file, &stop).unwrap_err().kind, ErrorKind::Interrupted);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}
