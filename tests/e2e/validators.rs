//! Several validators as processes: what they agree on is final everywhere, one may be killed, the set
//! changes while blocks go on, and a key without its record of votes is refused.

use crate::fleet::{Fleet, Node};
use crate::until::until;
use larder_rpc::{AccountParams, Head};
use std::fs;
use std::time::Duration;

/// How long a block may take to be everywhere, with a validator away.
const SETTLE: Duration = Duration::from_secs(180);

pub(crate) fn balance(of: &Node, on: &Node) -> u64 {
    let account = of.info().account;
    let shown = on.ask(|node| async move {
        let params = AccountParams { account, at: None };
        node.ledger_get_balance(&params).await
    });
    shown.unwrap().available.0.nano()
}

/// The founder pays; every node's ledger shows it.
pub(crate) fn pay(founder: &Node, to: &Node, nodes: &[&Node]) {
    pay_within(SETTLE, founder, to, nodes);
}

/// The same, where it may take this long until enough validators hear each other.
pub(crate) fn pay_within(within: Duration, founder: &Node, to: &Node, nodes: &[&Node]) {
    // Its grant must not come in between.
    let before = until("who is paid has its grant", within, || {
        Some(balance(to, founder)).filter(|balance| *balance > 0)
    });
    let account = to.info().account.to_string();
    founder.larder(&["wallet", "send", &account, "5"]).done();
    let after = before + 5_000_000_000;
    until("a payment is everywhere", within, || {
        let is_there = |node: &&Node| balance(to, node) == after;
        nodes.iter().all(is_there).then_some(())
    });
}

/// Waits until all of them show one head; gives it. Its hash covers the state's root.
pub(crate) fn one_head(nodes: &[&Node]) -> Head {
    until("all nodes show one block", SETTLE, || {
        let heads: Vec<Head> = nodes.iter().map(|node| node.head()).collect();
        heads
            .windows(2)
            .all(|two| two[0] == two[1])
            .then(|| heads[0].clone())
    })
}

#[test]
fn what_four_agree_on_is_final_and_one_may_be_killed_but_not_forget_its_votes() {
    let fleet = Fleet::found_bft("4s");
    let mut validators = fleet.validators(3);
    let keeper = fleet.keeper();
    let shown = until("the keeper has heard of all four", SETTLE, || {
        let shown = keeper.larder(&["network", "validators"]).done();
        (shown["validators"] == 4).then_some(shown)
    });
    assert_eq!((&shown["quorum"], &shown["bears"]), (&3.into(), &1.into()));

    let founder = &fleet.founder;
    {
        let mut nodes = vec![founder, &keeper];
        nodes.extend(&validators);
        pay(founder, &keeper, &nodes);
        one_head(&nodes);
    }

    let mut killed = validators.pop().unwrap();
    killed.kill();
    {
        let mut nodes = vec![founder, &keeper];
        nodes.extend(&validators);
        pay(founder, &keeper, &nodes);
    }
    killed.start();
    killed.votes();
    {
        let mut nodes = vec![founder, &keeper, &killed];
        nodes.extend(&validators);
        pay(founder, &keeper, &nodes);
        one_head(&nodes);
    }

    killed.stop();
    for entry in fs::read_dir(&killed.home).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("node.db") {
            fs::remove_file(path).unwrap();
        } else if name == "consensus" {
            fs::remove_dir_all(path).unwrap();
        }
    }
    killed.spawn();
    killed.ends();
    let said = killed.log();
    for mend in ["record of votes", "remove-validator", "add-validator"] {
        assert!(said.contains(mend), "{said}");
    }
    pay(founder, &keeper, &[founder, &keeper]);
}

/// Validators approve a change one after another, each told how many more it takes, until it acts.
fn approved(verb: &str, peer: &str, missing: u64, voters: &[&Node]) {
    for (voter, missing) in voters.iter().zip((0..missing).rev()) {
        let done = voter.larder(&["network", verb, peer]).done();
        let facts = (&done["missing"], &done["acted"]);
        assert_eq!(facts, (&missing.into(), &(missing == 0).into()), "{done}");
    }
}

#[test]
fn four_validators_become_seven_and_four_again_while_blocks_go_on() {
    let fleet = Fleet::found_bft("4s");
    let first = fleet.validators(3);
    let keeper = fleet.keeper();
    let newcomers = fleet.candidates(5, &vec![fleet.site.clone(); 3]);
    let founder = &fleet.founder;

    let peer = newcomers[0].info().peer_id;
    let refused = keeper
        .larder(&["network", "add-validator", &peer])
        .refused(1);
    assert!(refused.contains(&founder.info().peer_id), "{refused}");
    let stranger = keeper.info().peer_id;
    let refused = founder.larder(&["network", "add-validator", &stranger]);
    assert!(refused.refused(1).contains("--validate"));

    let mut seated = vec![founder];
    seated.extend(&first);
    let all = [
        &seated[..],
        &newcomers.iter().collect::<Vec<_>>(),
        &[&keeper],
    ]
    .concat();
    // More than two thirds of those in the set: three of four, four of five, five of six.
    for (newcomer, quorum) in newcomers.iter().zip(3..) {
        approved("add-validator", &newcomer.info().peer_id, quorum, &seated);
        newcomer.votes();
        seated.push(newcomer);
        pay(founder, &keeper, &all);
    }
    assert_eq!(keeper.validators().validators.len(), 7);

    let open = founder.larder(&["network", "remove-validator", &peer]);
    let open = open.done();
    assert_eq!(
        (&open["missing"], &open["acted"]),
        (&4.into(), &false.into())
    );
    let waiting = until("the keeper knows that it waits", SETTLE, || {
        let shown = keeper.larder(&["network", "validators"]).objects();
        shown.into_iter().find(|o| o["message_type"] == "change")
    });
    assert_eq!(waiting["approved"][0], founder.info().peer_id);
    seated.remove(4);
    approved("remove-validator", &peer, 4, &seated[1..5]);
    pay(founder, &keeper, &all);
    let second = seated.remove(4).info().peer_id;
    approved("remove-validator", &second, 5, &seated);
    pay(founder, &keeper, &all);
    // The third goes by itself.
    let third = seated.pop().unwrap();
    approved("remove-validator", &third.info().peer_id, 1, &[third]);
    pay(founder, &keeper, &all);
    for newcomer in &newcomers {
        until("it follows", SETTLE, || {
            let consensus = newcomer.status().consensus;
            (!consensus.seated && !consensus.votes).then_some(())
        });
    }
    assert_eq!(keeper.validators().validators.len(), 4);
    one_head(&all);
}
