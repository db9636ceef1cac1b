//! A provider with honest trouble: it announces that it will be away, and is; one of its disks is
//! lost, and it says so. It keeps its identity and pays what §3.6 says, to the nano. And the
//! operator's other verbs: volumes that come and go, offers that change, an exit.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{noise, plain, same};
use crate::losses::{count, restore, shards, whole};
use crate::until::until;
use larder_rpc::{ContractParams, LedgerContract, LedgerProvider, NodeInfo, RenterContract};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a few epochs of six seconds may take.
const EPOCHS: Duration = Duration::from_secs(180);
/// Most backups until some shards lie on the volume: each shard goes there with one chance in two.
const BACKUPS: u64 = 24;

#[test]
fn announced_absence_and_a_declared_disk_cost_what_they_should_and_no_more() {
    let fleet = Fleet::found("6s");
    let mut providers = fleet.providers(6);
    let keeper = fleet.keeper();
    offered(&keeper, 6);
    let disk = fleet.path("disk");
    fs::create_dir(&disk).unwrap();
    let disk = disk.to_str().unwrap();
    let troubled = &providers[0];
    let added = troubled.larder(&["volume", "add", disk]).done();
    assert_eq!((&added["id"], &added["shards"]), (&1.into(), &0.into()));
    let folder = fleet.path("folder");
    plain(&folder, 4);
    fill(&keeper, troubled, &folder);
    let contracts = keeper.settled();
    let info = troubled.info();
    let ledger = &fleet.founder;
    ledger.proven_after(&info, ledger.status().epoch);

    let mut first = providers.remove(0);
    away(ledger, &mut first, &info);
    providers.insert(0, first);
    let troubled = &providers[0];
    ledger.proven_after(&info, ledger.status().epoch);

    let contract = contracts.iter().find(|c| c.provider == info.node);
    let contract = contract.unwrap();
    let all = shards(&providers);
    let (in_home, on_disk) = both(&lying(troubled)).unwrap();
    let (before, then) = (ledger.provider(&info), leased(ledger, contract).unwrap());
    fs::remove_dir_all(disk).unwrap();
    named_by_doctor(troubled, disk);
    let lost = troubled.larder(&["volume", "remove", disk, "--lost"]);
    let lost = lost.done();
    assert_eq!(count(&lost, "shards"), on_disk, "{lost}");
    let now = until("the loss is on the ledger", EPOCHS, || {
        let now = leased(ledger, contract)?;
        (now.used < then.used).then_some(now)
    });
    let after = ledger.provider(&info);
    assert_eq!(
        bound(&before) - bound(&after),
        half_of_what_was_lost(&then, &now)
    );
    assert!(bound(&before) > bound(&after), "it was worth something");
    let shown = until("the provider has heard of it", EPOCHS, || {
        let shown = troubled.stores();
        (shown.declared >= on_disk).then_some(shown)
    });
    assert_eq!((shown.damaged, shown.declared), (on_disk, on_disk));
    assert_eq!((shown.strikes, shown.faulted), (0, false));
    assert_eq!(after.faulted_since_epoch, None);

    until("the keeper has what was lost rebuilt", EPOCHS, || {
        (count(&keeper.repairs(), "shards_repaired") >= on_disk).then_some(())
    });
    whole(&keeper, &providers, all);
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
    let later = ledger.proven_after(&info, ledger.status().epoch);
    assert!(later.earned > after.earned, "it is paid for what it has");
    let volumes = troubled.larder(&["volume", "list"]).objects();
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    assert!(count(&volumes[0], "shards") >= in_home);
}

/// Backs up more and more until shards lie in the provider's home and on its volume; how many.
pub(crate) fn fill(keeper: &Node, provider: &Node, folder: &Path) -> (u64, u64) {
    for number in 0..BACKUPS {
        noise(&folder.join(format!("more {number}")), number, 100_000);
        let path = folder.to_str().unwrap();
        saved(&keeper.larder(&["backup", "--class", "low", path]));
        if let Some(lying) = both(&lying(provider)) {
            return lying;
        }
    }
    panic!("nothing lies on one of the volumes");
}

/// The shards in a home and on its one volume, if there are some on each.
fn both(lying: &[u64]) -> Option<(u64, u64)> {
    match lying {
        [in_home, on_disk] if *in_home > 0 && *on_disk > 0 => Some((*in_home, *on_disk)),
        _ => None,
    }
}

/// How many shards lie on each volume of a provider.
pub(crate) fn lying(provider: &Node) -> Vec<u64> {
    let volumes = provider.larder(&["volume", "list"]).objects();
    volumes.iter().map(|v| count(v, "shards")).collect()
}

/// Announces two epochs' absence, stops the provider for them, starts it again: they are not paid,
/// and that is all.
fn away(ledger: &Node, provider: &mut Node, info: &NodeInfo) {
    let late = ledger.status().epoch + 1;
    let late = ["offer", "maintenance", "--from", &late.to_string()];
    assert!(provider.larder(&late).refused(1).contains("epoch"));
    let far = (ledger.status().epoch + 9).to_string();
    let long = ["offer", "maintenance", "--from", &far, "--for", "4"];
    assert!(provider.larder(&long).refused(1).contains("1 to 3"));
    let first = ledger.status().epoch + 3;
    let from = first.to_string();
    let words = ["offer", "maintenance", "--from", &from, "--for", "2"];
    let announced = provider.larder(&words).done();
    assert_eq!(announced["first"], first);
    let soon = ["offer", "maintenance", "--from", &far];
    let next = (first + 60).to_string();
    assert!(provider.larder(&soon).refused(1).contains(&next));
    until("the absence begins", EPOCHS, || {
        (ledger.status().epoch >= first).then_some(())
    });
    let then = ledger.provider(info);
    provider.stop();
    let now = until("two epochs are not paid", EPOCHS, || {
        let now = ledger.provider(info);
        (now.missed >= then.missed + 2).then_some(now)
    });
    provider.start();
    assert_eq!((now.passed, now.earned), (then.passed, then.earned));
    assert_eq!((now.misses_in_a_row, now.faulted_since_epoch), (0, None));
    assert_eq!(bound(&now), bound(&then), "an absence costs no collateral");
    let audits = until("it has followed the chain", EPOCHS, || {
        let audits = provider.larder(&["offer", "show"]).objects();
        let last = audits.iter().any(|a| a["epoch"] == first + 1);
        last.then_some(audits)
    });
    let paid =
        { audits.iter() }.find(|a| a["paid"] == true && a["epoch"].as_u64() < Some(first.into()));
    let due = &paid.expect("it was paid before")["amount"];
    assert_ne!(due, &Value::from("0"));
    for epoch in [first, first + 1] {
        let audit = audits.iter().find(|a| a["epoch"] == epoch);
        let audit = audit.unwrap_or_else(|| panic!("nothing of {epoch}: {audits:?}"));
        assert_eq!(
            (&audit["paid"], &audit["charged"]),
            (&false.into(), &"0".into())
        );
        assert_eq!(&audit["amount"], due, "withheld is what was due, no more");
        let reason = audit["reason"].as_str().unwrap();
        assert!(reason.contains("announced its absence"), "{reason}");
    }
    let shown = provider.stores();
    assert_eq!((shown.strikes, shown.faulted), (0, false));
    let (opens, closes) = (shown.slot_opens.unwrap(), shown.slot_closes.unwrap());
    assert_eq!(closes.0.since(opens.0).0, shown.window_ms);
    assert_eq!(audits.last().unwrap()["maintenance"]["first"], first);
}

/// The doctor says which volume is gone, before any proof could fail for it.
fn named_by_doctor(provider: &Node, disk: &str) {
    let volume = until("the doctor names the volume", EPOCHS, || {
        let checks = provider.larder(&["doctor"]).objects();
        checks.into_iter().find(|c| c["check"] == "volume")
    });
    let found = volume["found"].as_str().unwrap();
    assert!(found.starts_with(disk) && volume["ok"] == false, "{volume}");
}

/// What a contract is on the ledger; `None`: it is closed.
fn leased(ledger: &Node, of: &RenterContract) -> Option<LedgerContract> {
    let params = ContractParams {
        contract: of.contract,
        at: None,
    };
    let shown = ledger.ask(|node| async move { node.ledger_get_contract(&params).await });
    shown.ok()
}

/// All collateral of a provider, nano.
fn bound(provider: &LedgerProvider) -> u64 {
    provider.collateral_free.0.nano() + provider.collateral_locked.0.nano()
}

/// The ledger's rule by hand: collateral stays in proportion to the chunks that are left, rounded
/// down, and half of the rest, rounded up, is the renter's.
fn half_of_what_was_lost(before: &LedgerContract, after: &LedgerContract) -> u64 {
    let collateral = u128::from(before.collateral.0.nano());
    let kept = collateral * u128::from(after.used) / u128::from(before.used);
    let kept = u64::try_from(kept).unwrap();
    assert_eq!(after.collateral.0.nano(), kept);
    (before.collateral.0.nano() - kept).div_ceil(2)
}

#[test]
fn a_volume_is_emptied_before_it_goes_and_what_is_offered_changes_at_once() {
    let fleet = Fleet::found("4s");
    let mut providers = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    let disk = fleet.path("disk");
    fs::create_dir(&disk).unwrap();
    let disk = disk.to_str().unwrap();
    let provider = &mut providers[0];
    assert!(
        provider
            .larder(&["volume", "remove", disk])
            .refused(1)
            .contains("no volume")
    );
    provider.larder(&["volume", "add", disk]).done();
    let folder = fleet.path("folder");
    plain(&folder, 2);
    let (in_home, on_disk) = fill(&keeper, provider, &folder);
    // The volumes are what they were after a restart.
    provider.stop();
    provider.start();
    assert_eq!(lying(provider), [in_home, on_disk]);
    let early = provider.larder(&["volume", "remove", disk, "--lost"]);
    assert!(early.refused(1).contains("answers"), "it is not lost");
    let removed = provider.larder(&["volume", "remove", disk]).done();
    assert_eq!(count(&removed, "shards"), on_disk);
    assert_eq!(lying(provider), [in_home + on_disk]);
    assert!(!Path::new(disk).join("shards/shards/store.mark").exists());
    provider.stop();
    provider.start();
    assert_eq!(lying(provider), [in_home + on_disk]);
    let info = provider.info();
    fleet
        .founder
        .proven_after(&info, fleet.founder.status().epoch);
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));

    let provider = &providers[0];
    let set = provider.larder(&["offer", "set", "--price", "3.5", "--region", "moon"]);
    assert_eq!(set.done()["price"], "3.5");
    let offer = seen(&keeper, &info, |offer| offer["price"] == "3.5");
    assert_eq!(offer["region"], "moon");
    assert!(count(&offer, "free") > 0);
    provider.larder(&["offer", "pause"]).done();
    seen(&keeper, &info, |offer| offer["free"] == 0);
    assert_eq!(provider.larder(&["offer"]).done()["free"], 0);
    provider.larder(&["offer", "resume"]).done();
    seen(&keeper, &info, |offer| offer["free"] != 0);
    assert!(
        provider
            .larder(&["offer", "shrink", "1MiB"])
            .refused(2)
            .contains("65")
    );
    let shrunk = provider.larder(&["offer", "shrink", "65MiB"]).done();
    assert_eq!(shrunk["quota"], 65 << 20);
    let left = provider.larder(&["offer", "exit"]).done();
    assert_eq!(left["taking"], "leaving");
    assert!(left["last_end_epoch"].is_u64(), "{left}");
    seen(&keeper, &info, |offer| offer["free"] == 0);
    // It is written down, and a flag still goes before it.
    let config = fs::read_to_string(provider.home.join("config.toml")).unwrap();
    for line in [
        "price = \"3.5\"",
        "region = \"moon\"",
        "taking = \"leaving\"",
    ] {
        assert!(config.contains(line), "{line}: {config}");
    }
    let given = left["given"].as_array().unwrap();
    assert_eq!(given, &["quota", "price", "operator"]);
}

/// Waits until the keeper sees an offer of this provider that is as it should be.
pub(crate) fn seen(keeper: &Node, provider: &NodeInfo, is: impl Fn(&Value) -> bool) -> Value {
    let node = provider.node.to_string();
    until("the keeper sees the changed offer", EPOCHS, || {
        let offers = keeper.larder(&["offers"]).objects();
        let offers = { offers.into_iter() }.filter(|o| o["provider"] == node.as_str());
        offers.filter(&is).last()
    })
}
