//! `larder simulate`: the same seed, the same history.

use crate::fleet::larder;
use std::path::Path;

#[test]
fn churn_from_one_seed_leaves_the_same_trace_twice() {
    let run = |seed: &str| {
        let words = [
            "simulate", "churn", "--seed", seed, "--nodes", "8", "--days", "10",
        ];
        larder(Path::new("/nonexistent"), &words).done()
    };
    let (first, second) = (run("7"), run("7"));
    assert!(first["trace_hash"].as_str().is_some_and(|h| h.len() >= 32));
    assert_eq!(first["trace_hash"], second["trace_hash"]);
    assert_ne!(first["trace_hash"], run("8")["trace_hash"]);
    let checkers = first["checkers"].as_array().unwrap();
    assert!(!checkers.is_empty());
    assert!(checkers.iter().all(|c| c["ok"] == true), "{first}");
}
