//! The README's network by hand: found, join, provide, pay, back up, list, restore, earn.

use crate::fleet::{Fleet, Node, Said, offered};
use crate::folder::{copy_of, facts, varied};
use crate::until::until;
use larder_rpc::{AccountParams, ContractParams, Empty, NodeInfo, RenterContract, Text};
use larder_types::AccountId;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// The summary of a backup that ended as it says: 0, or 20 where the class is not met.
pub(crate) fn saved(said: &Said) -> Value {
    let summary = said.last();
    assert_eq!(summary["message_type"], "summary", "{said:?}");
    assert!(summary["snapshot"].is_string(), "{said:?}");
    let expected = if summary["class_met"] == true { 0 } else { 20 };
    assert_eq!(said.code, expected, "{said:?}");
    summary
}

#[test]
fn a_folder_goes_out_is_paid_for_and_comes_back_the_same() {
    let fleet = Fleet::found("4s");
    let providers = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    pay(&fleet.founder, &keeper);

    let folder = fleet.path("folder");
    varied(&folder);
    let path = folder.to_str().unwrap();
    let summary = saved(&keeper.larder(&["backup", path, "--tag", "first"]));
    assert_eq!((&summary["k"], &summary["n"]), (&1.into(), &2.into()));
    assert_eq!(summary["errors"], 0);
    listed(&keeper, path, &summary);
    let again = saved(&keeper.larder(&["backup", path]));
    // The folders above ours are in it too, and others work there.
    let new = again["bytes_new"].as_u64().unwrap();
    assert!(new < 4_096, "nothing of ours changed: {again}");

    let target = fleet.path("back");
    let words = ["restore", "latest", "--verify", "--target"];
    let back = keeper.larder(&[&words[..], &[target.to_str().unwrap()]].concat());
    assert_eq!(back.done()["verified"], true);
    assert_eq!(facts(&copy_of(&folder, &target)), facts(&folder));
    let target = fleet.path("part");
    let part = format!("latest:{path}/deep");
    let words = ["restore", &part, "--target", target.to_str().unwrap()];
    keeper.larder(&words).done();
    let (mut part, mut whole) = (facts(&target), facts(&folder.join("deep")));
    // The target itself is not the folder; only what lies in it is.
    assert!(part.remove(Path::new("")).is_some() && whole.remove(Path::new("")).is_some());
    assert_eq!(part, whole);

    let infos: Vec<NodeInfo> = providers.iter().map(Node::info).collect();
    let contracts = keeper.settled();
    paid_for_proofs_only(&fleet.founder, &infos, &contracts);
    nothing_was_lost(&fleet, &keeper, &infos, &contracts);
    told_to_its_owner(&providers, &infos);
}

/// The founder pays the keeper.
fn pay(founder: &Node, keeper: &Node) {
    let address = keeper.larder(&["wallet", "address"]).done();
    let address = address["account"].as_str().unwrap();
    let before = keeper.status().balance.0.nano();
    let sent = founder.larder(&["wallet", "send", address, "500"]).done();
    assert_eq!(sent["status"], "included");
    let after = before + 500_000_000_000;
    until("the payment arrives", Duration::from_secs(180), || {
        (keeper.status().balance.0.nano() == after).then_some(())
    });
    let balance = keeper.larder(&["wallet", "balance"]).done();
    assert_eq!(balance["balance"], "600");
    let history = keeper.larder(&["wallet", "history"]).objects();
    let kinds: Vec<&Value> = history.iter().map(|row| &row["kind"]).collect();
    assert_eq!(kinds, ["transfer", "faucet"], "newest first");
}

fn listed(keeper: &Node, path: &str, summary: &Value) {
    let snapshots = keeper.larder(&["snapshots"]).objects();
    assert_eq!(snapshots[0]["snapshot"], summary["snapshot"]);
    assert_eq!(snapshots[0]["tags"][0], "first");
    assert_eq!(snapshots[0]["paths"][0], path);
    let here = keeper.larder(&["ls", &format!("latest:{path}")]).objects();
    let names = [
        "big", "big too", "dangling", "deep", "empty", "hollow", "script", "to big",
    ];
    for name in names {
        let whole = format!("{path}/{name}");
        assert!(here.iter().any(|e| e["path"] == whole), "{name}: {here:?}");
    }
    assert_eq!(here.len(), names.len() + 1, "and the odd one");
}

/// Watches some epochs: what a provider earned grows when it passes a challenge, and only then.
fn paid_for_proofs_only(node: &Node, providers: &[NodeInfo], contracts: &[RenterContract]) {
    let holds = |p: &NodeInfo| contracts.iter().any(|c| c.provider == p.node && c.used > 0);
    let mut last = vec![(0, 0); providers.len()];
    until(
        "holders pass three challenges",
        Duration::from_secs(180),
        || {
            for (provider, last) in providers.iter().zip(&mut last) {
                let shown = node.provider(provider);
                let now = (shown.passed, shown.earned.0.nano());
                assert_eq!(now.0 > last.0, now.1 > last.1, "from {last:?} to {now:?}");
                *last = now;
            }
            let mut both = providers.iter().zip(&last);
            both.all(|(p, last)| !holds(p) || last.0 >= 3).then_some(())
        },
    );
    for (provider, last) in providers.iter().zip(last) {
        assert!(holds(provider) || last == (0, 0), "paid for nothing");
    }
}

/// All balances, collateral and escrow together are the supply, to the last nano.
fn nothing_was_lost(
    fleet: &Fleet,
    keeper: &Node,
    providers: &[NodeInfo],
    contracts: &[RenterContract],
) {
    let node = &fleet.founder;
    let supply = node
        .ask(|node| async move { node.ledger_params(&Empty {}).await })
        .unwrap();
    let mut accounts: Vec<Text<AccountId>> = providers.iter().map(|p| p.account).collect();
    accounts.extend([node.info().account, keeper.info().account]);
    // The answers must come from one block.
    let counted = until(
        "the ledger rests for a moment",
        Duration::from_secs(180),
        || {
            let before = height(node);
            let free: u64 = accounts.iter().map(|a| on_account(node, *a)).sum();
            let collateral: u64 = providers.iter().map(|p| bound(node, p)).sum();
            let escrow: u64 = contracts
                .iter()
                .map(|c| in_escrow(node, c, providers))
                .sum();
            (height(node) == before).then_some(free + collateral + escrow)
        },
    );
    assert_eq!(counted, supply.supply.0.nano());
}

fn height(node: &Node) -> u64 {
    let head = node.ask(|node| async move { node.chain_head(&Empty {}).await });
    head.unwrap().height
}

/// What an account has, vesting pay too.
pub(crate) fn on_account(node: &Node, account: Text<AccountId>) -> u64 {
    let params = AccountParams { account, at: None };
    let shown = node.ask(|node| async move { node.ledger_get_account(&params).await });
    let shown = shown.unwrap();
    shown.available.0.nano() + shown.vesting.0.nano()
}

fn bound(node: &Node, provider: &NodeInfo) -> u64 {
    let shown = node.provider(provider);
    shown.collateral_free.0.nano() + shown.collateral_locked.0.nano()
}

/// What a contract was funded with and has not paid. Each provider has this one contract, so that
/// all that it earned came from there.
fn in_escrow(node: &Node, of: &RenterContract, providers: &[NodeInfo]) -> u64 {
    let params = ContractParams {
        contract: of.contract,
        at: None,
    };
    let contract = node.ask(|node| async move { node.ledger_get_contract(&params).await });
    let contract = contract.unwrap();
    let provider = providers.iter().find(|p| p.node == of.provider).unwrap();
    let epochs = u64::from(contract.end_epoch - contract.start_epoch);
    contract.rate.0.nano() * epochs - node.provider(provider).earned.0.nano()
}

/// The owner sees in the wallet's history what the ledger says that the provider earned.
fn told_to_its_owner(providers: &[Node], infos: &[NodeInfo]) {
    for (node, info) in providers.iter().zip(infos) {
        until("history and ledger agree", Duration::from_secs(180), || {
            let history = node.larder(&["wallet", "history"]).objects();
            let pay = history.iter().filter(|row| row["kind"] == "pay");
            let paid: u64 = pay.map(|row| nano(row["amount"].as_str().unwrap())).sum();
            (paid == node.provider(info).earned.0.nano()).then_some(())
        });
    }
}

fn nano(credits: &str) -> u64 {
    let amount: larder_types::Amount = credits.parse().unwrap();
    amount.nano()
}
