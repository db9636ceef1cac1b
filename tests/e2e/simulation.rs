//! `larder simulate`: the same seed, the same history.

use crate::fleet::larder;
use serde_json::Value;
use std::path::Path;

fn run(words: &str) -> Value {
    let words: Vec<&str> = words.split_whitespace().collect();
    larder(Path::new("/nonexistent"), &words).done()
}

fn holds(summary: &Value) {
    let checkers = summary["checkers"].as_array().unwrap();
    assert!(!checkers.is_empty());
    assert!(checkers.iter().all(|c| c["ok"] == true), "{summary}");
}

#[test]
fn churn_from_one_seed_leaves_the_same_trace_twice() {
    let churn = |seed| run(&format!("simulate churn --seed {seed} --nodes 8 --days 10"));
    let (first, second) = (churn(7), churn(7));
    assert!(first["trace_hash"].as_str().is_some_and(|h| h.len() >= 32));
    assert_eq!(first["trace_hash"], second["trace_hash"]);
    assert_ne!(first["trace_hash"], churn(8)["trace_hash"]);
    holds(&first);
}

#[test]
fn faults_and_splits_are_survived() {
    for scenario in ["faults", "split"] {
        let summary = run(&format!("simulate {scenario} --seed 7 --days 1 --quick"));
        assert_eq!(summary["scenario"], scenario);
        holds(&summary);
    }
}
