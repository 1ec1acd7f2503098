//! Runs in a store that lies in memory: races for a mark, damage, names from outside.

use std::sync::{Arc, Barrier};

use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::*;
use crate::training::error::ErrorKind;
use crate::training::evaluate::{ResamplingReport, measure};
use crate::training::table_file::Scores;

fn objects(store: &Arc<InMemory>) -> Objects {
    let store: Arc<dyn ObjectStore> = store.clone();
    Objects::within(store, "runs/one", "s3://b/runs/one".into()).unwrap()
}

fn remote(store: &Arc<InMemory>, cache: &Path) -> RemoteRun {
    RemoteRun::of(objects(store), cache)
}

fn cells(folder: &Path) -> CellStore {
    CellStore::open(folder).unwrap()
}

/// Publishes a small cell.
fn publish(store: &CellStore, key: &str, score: f32) {
    let metrics = serde_json::to_value(measure(&[0, 1], &[0.25, 0.75])).unwrap();
    let cell = serde_json::json!({
        "format": 1, "key": key, "protocol": "random", "model": "m", "case": "raw", "part": "fold-0", "n_features": 1,
        "metrics": metrics, "train_recall": null, "resampling": ResamplingReport::unchanged(2, 1), "losses": [],
    });
    let scores = Scores { row_ids: vec!["a".into(), "b".into()], labels: vec![0, 1], scores: vec![0.25, score] };
    store.publish(serde_json::from_value(cell).unwrap(), &scores, None).unwrap();
}

fn keys(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

#[test]
fn of_many_who_create_one_wins() {
    let store = Arc::new(InMemory::new());
    let start = Barrier::new(8);
    let won: Vec<usize> = std::thread::scope(|scope| {
        let start = &start;
        let store = &store;
        let create = |id: usize| {
            let objects = objects(store);
            start.wait();
            objects.create("plan.json", vec![id as u8]).unwrap().then_some(id)
        };
        let threads: Vec<_> = (0..8).map(|id| scope.spawn(move || create(id))).collect();
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(objects(&store).get("plan.json", 10).unwrap(), Some(vec![won[0] as u8]));
}

#[test]
fn a_cell_made_twice_at_once_is_one_cell() {
    let (store, folder) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for machine in 0..4 {
            let (start, store, folder) = (&start, &store, folder.path().join(machine.to_string()));
            scope.spawn(move || {
                let (cells, remote) = (cells(&folder), remote(store, &folder));
                publish(&cells, "aa", 0.5);
                start.wait();
                remote.push_cell("aa", &cells).unwrap();
            });
        }
    });
    let fresh = cells(&folder.path().join("fresh"));
    remote(&store, folder.path()).exchange_cells(&keys(&["aa", "bb"]), &fresh).unwrap();
    assert!(fresh.has("aa") && !fresh.has("bb"));
    assert_eq!(fresh.files("aa").unwrap(), cells(&folder.path().join("0")).files("aa").unwrap());
}

/// A file cut short, a mark that is none, names that lead elsewhere: the cell is made again, and then it is whole.
#[test]
fn damage_in_the_store_counts_as_missing() {
    let (store, folder) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let (here, remote) = (cells(&folder.path().join("here")), remote(&store, folder.path()));
    publish(&here, "aa", 0.5);
    remote.push_cell("aa", &here).unwrap();
    let mark = remote.objects.get("cells/aa/cell.json", MAX_JSON_BYTES).unwrap().unwrap();
    let scores = remote.objects.get("cells/aa/scores.parquet", MAX_JSON_BYTES).unwrap().unwrap();
    let elsewhere = String::from_utf8(mark.clone()).unwrap().replace("scores.parquet", "../../plan.json");
    let damages = [
        ("cells/aa/scores.parquet", scores[..scores.len() / 2].to_vec()),
        ("cells/aa/cell.json", mark[..mark.len() / 2].to_vec()),
        ("cells/aa/cell.json", b"{}".to_vec()),
        ("cells/aa/cell.json", elsewhere.into_bytes()),
    ];
    for (at, (name, bytes)) in damages.into_iter().enumerate() {
        remote.objects.put_all(vec![(name.to_owned(), bytes)]).unwrap();
        let other = cells(&folder.path().join(format!("other-{at}")));
        remote.exchange_cells(&keys(&["aa"]), &other).unwrap();
        assert!(!other.has("aa"), "{name} {at}");
        // Whoever has it brings it there again.
        publish(&other, "aa", 0.5);
        remote.push_cell("aa", &other).unwrap();
        let third = cells(&folder.path().join(format!("third-{at}")));
        remote.exchange_cells(&keys(&["aa"]), &third).unwrap();
        assert!(third.has("aa"), "{name} {at}");
    }
}

/// What was published here by a process that died before it brought it there, and what lost bytes there.
#[test]
fn what_is_whole_here_is_brought_there() {
    let (store, folder) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let (here, remote) = (cells(&folder.path().join("here")), remote(&store, folder.path()));
    publish(&here, "aa", 0.5);
    for _ in 0..2 {
        remote.exchange_cells(&keys(&["aa"]), &here).unwrap();
        let there = cells(&tempfile::tempdir_in(folder.path()).unwrap().keep());
        remote.exchange_cells(&keys(&["aa"]), &there).unwrap();
        assert!(there.has("aa"));
        remote.objects.put_all(vec![("cells/aa/scores.parquet".into(), b"cut".to_vec())]).unwrap();
    }
}

#[test]
fn files_large_and_small_come_back() {
    let (store, folder) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let objects = objects(&store);
    for n_bytes in [0, 5, (16 << 20) + 3] {
        let bytes: Vec<u8> = (0..n_bytes).map(|at| (at % 251) as u8).collect();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        write_atomic(&from, &bytes).unwrap();
        objects.upload("a/b", &from).unwrap();
        objects.download("a/b", &to).unwrap();
        assert!(std::fs::read(&to).unwrap() == bytes, "{n_bytes}");
        assert_eq!(objects.list("a").unwrap(), BTreeMap::from([("a/b".to_owned(), n_bytes as u64)]));
    }
    let error = objects.get("a/b", 10).unwrap_err();
    assert!(error.kind == ErrorKind::Permanent && error.message.contains("at most 10 bytes"), "{error:?}");
    assert_eq!(objects.get("a/c", 10).unwrap(), None);
    assert_eq!(objects.download("a/c", &folder.path().join("to")).unwrap_err().kind, ErrorKind::Permanent);
}

#[test]
fn a_plan_from_outside_names_no_path() {
    let (store, folder) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let remote = remote(&store, folder.path());
    assert!(remote.fetch_run().unwrap_err().message.contains("has no plan.json"));
    for text in [r#"{"run_id": "../x"}"#, r#"{"run_id": ".x"}"#, r#"{"run_id": ""}"#, "{}", "no JSON"] {
        remote.objects.put_all(vec![(PLAN_FILE.into(), text.into())]).unwrap();
        let error = remote.fetch_run().unwrap_err();
        assert!(error.kind == ErrorKind::Permanent && error.message.contains("is no plan"), "{text}: {error:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn trees_are_exchanged_as_cells_are() {
    let (store, folder) = (Arc::new(InMemory::new()), tempfile::tempdir().unwrap());
    let (here, remote) = (cells(&folder.path().join("here")), remote(&store, folder.path()));
    here.publish_trees("aa", b"some trees").unwrap();
    remote.push("aa", &here).unwrap();
    let there = cells(&folder.path().join("there"));
    remote.exchange_trees(&keys(&["aa", "bb"]), &there).unwrap();
    assert_eq!((there.trees("aa"), there.trees("bb")), (Some(b"some trees".to_vec()), None));
    // What lost bytes counts as missing, until someone has it.
    remote.objects.put_all(vec![(trees_name("aa"), b"cut".to_vec())]).unwrap();
    let third = cells(&folder.path().join("third"));
    remote.exchange_trees(&keys(&["aa"]), &third).unwrap();
    assert_eq!(third.trees("aa"), None);
    remote.exchange_trees(&keys(&["aa"]), &here).unwrap();
    remote.exchange_trees(&keys(&["aa"]), &third).unwrap();
    assert_eq!(third.trees("aa"), Some(b"some trees".to_vec()));
}
