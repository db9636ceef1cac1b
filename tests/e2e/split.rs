//! A network that is cut in two and healed. Nobody loses anything by it, so nothing is rebuilt and
//! every contract stands.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node};
use crate::folder::{plain, same};
use crate::losses::{count, restore};
use crate::until::until;
use crate::wires::Wires;
use serde_json::Value;
use std::time::Duration;

/// Epochs that a cut lasts.
const CUT: u64 = 10;
/// How long what is awaited here may take.
const WITHIN: Duration = Duration::from_secs(180);

#[test]
fn a_split_costs_no_shard_and_no_contract() {
    let Some(wires) = Wires::lay(&["validator", "keeper"]) else {
        return;
    };
    let fleet = Fleet::found_at("2s", wires.end("validator"), wires.hub());
    let mut providers: Vec<Node> = (1..=4).map(|i| fleet.provider(i, "2GiB")).collect();
    providers.iter_mut().for_each(Node::spawn);
    providers.iter_mut().for_each(Node::wait_ready);
    let mut keeper = fleet.join("keeper", &[]).at(wires.end("keeper"));
    keeper.start();
    until("the keeper knows the offers and can pay", WITHIN, || {
        let status = status(&keeper);
        (status["offers"] == 4 && status["balance"] != "0").then_some(())
    });
    let folder = fleet.path("folder");
    plain(&folder, 4);
    saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
    let before = settled(&keeper);
    let passed = passed(&providers);

    // The keeper alone: it sees no block, so it knows of no loss.
    wires.cut("keeper");
    let epoch = count(&status(&fleet.founder), "epoch");
    until("ten epochs pass without the keeper", WITHIN, || {
        (count(&status(&fleet.founder), "epoch") >= epoch + CUT).then_some(())
    });
    unharmed(&keeper);
    wires.heal("keeper");
    caught_up(&fleet.founder, &keeper);
    unharmed(&keeper);

    // The validator alone: no proof reaches it, and an epoch in which nobody passed strikes nobody.
    wires.cut("validator");
    let epoch = count(&status(&fleet.founder), "epoch");
    until("ten epochs pass without the validator", WITHIN, || {
        (count(&status(&fleet.founder), "epoch") >= epoch + CUT).then_some(())
    });
    wires.heal("validator");
    caught_up(&fleet.founder, &keeper);
    until("providers pass again", WITHIN, || {
        let now = self::passed(&providers);
        let mut both = now.iter().zip(&passed);
        both.all(|(now, was)| *was == 0 || now > was).then_some(())
    });
    unharmed(&keeper);
    let after = settled(&keeper);
    assert_eq!(names(&after), names(&before), "every contract stands");
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
}

fn status(node: &Node) -> Value {
    node.larder(&["status"]).done()
}

/// The keeper is at the chain's newest block, or was a moment ago.
fn caught_up(validator: &Node, keeper: &Node) {
    let wanted = count(&status(validator), "height");
    until("the keeper has caught up", WITHIN, || {
        (count(&status(keeper), "height") >= wanted).then_some(())
    });
}

/// Challenges that each provider has passed.
fn passed(providers: &[Node]) -> Vec<u64> {
    let one = |p: &Node| count(&status(p)["provider"], "passed");
    providers.iter().map(one).collect()
}

/// All is whole, and nothing had to be rebuilt for that.
fn unharmed(keeper: &Node) {
    let repairs = keeper.larder(&["repairs"]).done();
    assert_eq!(repairs["full_redundancy"], true, "{repairs}");
    assert_eq!(repairs["shards_repaired"], 0, "{repairs}");
}

/// The keeper's contracts, once the ledger shows them as they were signed last.
fn settled(keeper: &Node) -> Vec<Value> {
    until("contracts stand on the ledger", WITHIN, || {
        let contracts = keeper.larder(&["contracts"]).objects();
        let settled = contracts.iter().all(|c| c["settled"] == true);
        (settled && !contracts.is_empty()).then_some(contracts)
    })
}

/// What a contract is, and what it holds.
fn names(contracts: &[Value]) -> Vec<(&Value, &Value)> {
    contracts
        .iter()
        .map(|c| (&c["contract"], &c["used"]))
        .collect()
}
