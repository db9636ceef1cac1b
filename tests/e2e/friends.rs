//! Friends: one paste each, and what one backs up lies with the other for nothing.

use crate::by_hand::saved;
use crate::fleet::{Fleet, offered};
use crate::folder::{plain, same};
use crate::until::until;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(180);
const GIVEN: &str = "256MiB";

#[test]
fn friends_keep_each_others_backups_for_nothing() {
    let fleet = Fleet::found("4s");
    let mut anna = fleet.provider(1, "1GiB");
    anna.start();
    let bob = fleet.keeper();
    offered(&bob, 1);

    let invited = anna
        .larder(&["friend", "add", "bob", "--give", GIVEN])
        .done();
    let invite = invited["invite"].as_str().unwrap();
    let own = anna.larder(&["friend", "accept", invite, "--name", "me"]);
    assert!(own.refused(1).contains("own invitation"));
    let cut = &invite[..invite.len() - 3];
    let refused = bob.larder(&["friend", "accept", cut, "--name", "anna"]);
    assert!(refused.refused(2).contains("damaged"));
    let accepted = bob
        .larder(&["friend", "accept", invite, "--name", "anna"])
        .done();
    assert_eq!(accepted["state"], "friend", "{accepted}");
    let given = accepted["gets"].as_u64().unwrap();
    assert_eq!(given, 256 << 20);
    let again = bob.larder(&["friend", "accept", invite, "--name", "other"]);
    assert!(again.refused(1).contains("friend already"));

    until("the gift is known", SOON, || {
        let offers = bob.larder(&["offers"]).objects();
        offers.iter().any(|it| it["price"] == "0").then_some(())
    });
    let folder = fleet.path("folder");
    plain(&folder, 2);
    let summary = saved(&bob.larder(&["backup", folder.to_str().unwrap()]));
    let contracts = bob.contracts();
    assert_eq!(contracts.len(), 1);
    // The least rate there is, for as long as a contract lasts.
    let cost: f64 = summary["cost"].as_str().unwrap().parse().unwrap();
    assert!(cost < 0.000_01, "{summary}");
    let listed = anna.larder(&["friend", "list"]).objects();
    let used = listed[0]["gives_used"].as_u64().unwrap();
    assert!((1..=given).contains(&used), "{listed:?}");

    let target = fleet.path("back");
    let target_text = target.to_str().unwrap();
    bob.larder(&["restore", "latest", "--target", target_text])
        .done();
    same(&folder, &target);

    let gone = anna.larder(&["friend", "remove", "bob"]).done();
    assert_eq!(gone["stored_here"], used, "{gone}");
    until("the other side learns of it", SOON, || {
        let listed = bob.larder(&["friend", "list"]).objects();
        (listed[0]["state"] == "ended").then_some(())
    });
}
