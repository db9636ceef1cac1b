//! What tests of loss and repair share: providers that are gone for good, and redundancy that comes
//! back. Shards are counted on the providers' own side, whatever the keeper believes.

use crate::fleet::Node;
use crate::until::until;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How long a loss may take to be found and repaired: four epochs of four seconds until the ledger
/// finds who misses FAULTED, two until its contracts are closed and new ones stand, and the work.
const REPAIR: Duration = Duration::from_secs(180);

/// Shards that these providers store.
pub(crate) fn shards(providers: &[Node]) -> u64 {
    providers.iter().map(|p| p.stores().shards).sum()
}

/// Kills `count` of those that hold the most, and deletes their homes. Gives how many shards they
/// held; those that live stay.
pub(crate) fn destroy(providers: &mut Vec<Node>, count: usize) -> u64 {
    providers.sort_by_key(|p| p.stores().used);
    let mut dead = providers.split_off(providers.len() - count);
    let lost = shards(&dead);
    assert!(dead.iter().all(|p| p.stores().shards > 0), "they hold some");
    dead.iter_mut().for_each(Node::kill);
    dead.iter_mut().for_each(Node::destroy);
    lost
}

/// Waits until the keeper says that all is whole and `providers` hold as many shards as that takes.
pub(crate) fn whole(keeper: &Node, providers: &[Node], wanted: u64) -> Value {
    until("redundancy is full again", REPAIR, || {
        let repairs = keeper.repairs();
        let whole = repairs["segments"] != 0 && repairs["full_redundancy"] == true;
        (whole && shards(providers) >= wanted).then_some(repairs)
    })
}

/// A count in a summary.
pub(crate) fn count(summary: &Value, key: &str) -> u64 {
    summary[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key}: {summary}"))
}

/// Restores the newest snapshot below `target`.
pub(crate) fn restore(keeper: &Node, target: &Path) {
    let words = ["restore", "latest", "--target", target.to_str().unwrap()];
    keeper.larder(&words).done();
}
