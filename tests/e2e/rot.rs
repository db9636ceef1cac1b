//! Bits rot on two providers' disks while they run: they find it themselves and say so, are paid for
//! no more than they have, and what they lost is rebuilt.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{files, plain, same};
use crate::losses::{count, restore, shards, whole};
use crate::until::until;
use larder_rpc::{ContractParams, Nano, NodeInfo, RenterContract};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

/// How long rot may go unseen: a provider reads all that it stores every seven epochs.
const FOUND: Duration = Duration::from_secs(180);

#[test]
fn one_flipped_byte_in_every_shard_of_two_is_found_unpaid_and_repaired() {
    let fleet = Fleet::found("4s");
    let providers = fleet.providers(6);
    let keeper = fleet.keeper();
    offered(&keeper, 6);
    let folder = fleet.path("folder");
    plain(&folder, 12);
    let summary = saved(&keeper.larder(&["backup", "--class", "low", folder.to_str().unwrap()]));
    assert_eq!((&summary["k"], &summary["n"]), (&2.into(), &4.into()));
    let contracts = keeper.settled();
    let ledger = &fleet.founder;
    let holding = |p: &&Node| p.stores().shards > 0;
    let holders: Vec<(&Node, NodeInfo)> = { providers.iter() }
        .filter(holding)
        .map(|p| (p, p.info()))
        .collect();
    for (_, info) in &holders {
        ledger.proven_after(info, ledger.status().epoch);
    }
    let before = shards(&providers);

    // Of each segment two positions may go: these hold no more than two of any.
    let (rotten, sound) = holders.split_at(2);
    let rotted: u64 = rotten.iter().map(|(p, _)| flip_one_byte(&p.home)).sum();
    assert!(rotted > 0);
    restore(&keeper, &fleet.path("at once"));
    same(&folder, &fleet.path("at once"));

    for (_, info) in rotten {
        let before = contracts.iter().find(|c| c.provider == info.node);
        let before = before.unwrap();
        until("the loss is on the ledger", FOUND, || {
            let now = rate(ledger, before);
            now.is_none_or(|now| now < before.rate).then_some(())
        });
    }
    for (_, info) in sound {
        let before = contracts.iter().find(|c| c.provider == info.node);
        let before = before.unwrap();
        assert!(rate(ledger, before).is_some_and(|now| now >= before.rate));
    }
    let repairs = until("what rotted is replaced", FOUND, || {
        let repairs = whole(&keeper, &providers, before);
        (count(&repairs, "shards_repaired") >= rotted).then_some(repairs)
    });
    assert_eq!(count(&repairs, "shards_repaired"), rotted);
    restore(&keeper, &fleet.path("repaired"));
    same(&folder, &fleet.path("repaired"));
}

/// What a contract pays in an epoch, as the ledger holds it; `None`: it is closed.
fn rate(ledger: &Node, of: &RenterContract) -> Option<Nano> {
    let params = ContractParams {
        contract: of.contract,
        at: None,
    };
    let shown = ledger.ask(|node| async move { node.ledger_get_contract(&params).await });
    shown.ok().map(|contract| contract.rate)
}

/// Flips one bit in the middle of every shard; lengths, names, times of outboards stay. Gives how
/// many there were.
fn flip_one_byte(home: &Path) -> u64 {
    let shards = files(&home.join("shards/shards"));
    let shards = shards.iter().filter(|f| f.extension().is_none());
    let mut count = 0;
    for shard in shards {
        let file = OpenOptions::new().read(true).write(true).open(shard);
        let file = file.unwrap();
        let middle = file.metadata().unwrap().len() / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, middle).unwrap();
        file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
        count += 1;
    }
    count
}
