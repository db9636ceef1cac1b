//! Who lost all that it stored says so or misses, and is not paid; who has it is, and the data come
//! back from those.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{copy_of, facts, files, plain};
use crate::until::until;
use larder_rpc::{LedgerProvider, NodeInfo};
use std::fs;
use std::path::Path;
use std::time::Duration;

#[test]
fn providers_whose_shards_are_gone_or_changed_are_not_paid() {
    let fleet = Fleet::found("4s");
    let providers = fleet.providers(6);
    let keeper = fleet.keeper();
    offered(&keeper, 6);
    let folder = fleet.path("folder");
    plain(&folder, 8);
    let summary = saved(&keeper.larder(&["backup", "--class", "low", folder.to_str().unwrap()]));
    assert_eq!((&summary["k"], &summary["n"]), (&2.into(), &4.into()));
    keeper.settled();
    let ledger = &fleet.founder;
    let holders: Vec<(&Node, NodeInfo)> = providers
        .iter()
        .filter(|p| p.status().provider.unwrap().used > 0)
        .map(|p| (p, p.info()))
        .collect();
    for (_, info) in &holders {
        ledger.proven_after(info, ledger.status().epoch);
    }

    // Of each segment two positions may go: these hold no more than two of any.
    delete(&holders[0].0.home);
    flip(&holders[1].0.home);
    let (bad, good) = holders.split_at(2);
    let empty: Vec<LedgerProvider> = bad.iter().map(|(_, i)| without(ledger, i)).collect();
    let others: Vec<LedgerProvider> = good.iter().map(|(_, i)| ledger.provider(i)).collect();
    for ((_, info), before) in good.iter().zip(&others) {
        let now = ledger.proven_after(info, ledger.status().epoch);
        assert!(now.earned > before.earned, "the others are paid");
    }
    for ((_, info), then) in bad.iter().zip(&empty) {
        let now = ledger.provider(info);
        assert_eq!(now.earned, then.earned, "no pay for what is not there");
    }
    for provider in &providers {
        assert_eq!(provider.larder(&["status"]).done()["ready"], true);
    }

    let target = fleet.path("back");
    let words = ["restore", "latest", "--target", target.to_str().unwrap()];
    keeper.larder(&words).done();
    assert_eq!(facts(&copy_of(&folder, &target)), facts(&folder));
}

/// Waits until the ledger expects nothing of a provider any more: it has declared its loss, or was
/// found FAULTED.
fn without(ledger: &Node, provider: &NodeInfo) -> LedgerProvider {
    until(
        "the loss is on the ledger",
        Duration::from_secs(180),
        || {
            let shown = ledger.provider(provider);
            (shown.active_bytes == 0).then_some(shown)
        },
    )
}

fn delete(home: &Path) {
    for file in files(&home.join("shards")) {
        fs::remove_file(file).unwrap();
    }
}

/// Turns every bit of every shard around; lengths, names and outboards stay.
fn flip(home: &Path) {
    let shards = files(&home.join("shards"));
    let shards = shards.iter().filter(|f| f.extension().is_none());
    for shard in shards {
        let flipped: Vec<u8> = fs::read(shard).unwrap().iter().map(|b| !b).collect();
        fs::write(shard, flipped).unwrap();
    }
}
