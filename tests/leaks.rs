//! Five leaks, planted one at a time in a build that has them: `verify leak` finds each, by the check that it is for.
//!
//! Needs the cargo feature `planted-leaks` and debug assertions (CONTRIBUTING.md has the command).

mod planted;

use planted::Folder;
use serde_json::Value as Json;

/// Which checks missed.
fn missed(found: &Json) -> Vec<&'static str> {
    let moved = |check: &str| !found[check]["moved"].as_array().unwrap().is_empty();
    let chance = |score: &Json| {
        let [low, high] = [0, 1].map(|side| score["interval"][side].as_f64().unwrap());
        (low..=high).contains(&score["auc"].as_f64().unwrap())
    };
    let too_many = |copies: &Json| copies["copies"].as_f64() > copies["test_rows"].as_f64().map(|rows| 0.01 * rows);
    let checks = [
        ("permuted", !found["permuted"].as_array().unwrap().iter().all(chance)),
        ("canary", moved("canary")),
        ("replaced", moved("replaced")),
        ("radar", !found["radar"]["target_copies"].as_array().unwrap().is_empty()),
        ("copies", found["copies"].as_array().unwrap().iter().any(too_many)),
    ];
    checks.into_iter().filter_map(|(check, missed)| missed.then_some(check)).collect()
}

#[test]
fn each_planted_leak_is_found() {
    let folder = Folder::new();
    assert_eq!(missed(&folder.leaks(None, 0)), Vec::<&str>::new(), "the same build without a leak");
    for (leak, checks) in [
        ("scaler", &["replaced"][..]),
        ("target-encoding", &["replaced"]),
        ("resampling", &["replaced", "copies"]),
        ("duplicate-rows", &["copies"]),
        ("label-copy", &["radar"]),
    ] {
        let missed = missed(&folder.leaks(Some(leak), 3));
        assert!(checks.iter().all(|check| missed.contains(check)), "{leak}: {missed:?}");
    }
}
