//! An acknowledged shard survives `kill -9`: the provider comes back and proves it.

use crate::by_hand::saved;
use crate::fleet::{Fleet, offered};
use crate::folder::{copy_of, facts, plain};

#[test]
fn a_provider_that_was_killed_passes_its_next_challenge() {
    let fleet = Fleet::found("4s");
    let mut providers = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    plain(&folder, 6);
    saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));

    // All is acknowledged; the ledger does not know it yet.
    let victim = providers.iter_mut().find(|p| {
        let shown = p.status().provider;
        shown.is_some_and(|p| p.used > 0)
    });
    let victim = victim.unwrap();
    let before = victim.status().provider.unwrap();
    victim.kill();
    assert_eq!(keeper.larder(&["status"]).done()["ready"], true);
    victim.start();
    let after = victim.status().provider.unwrap();
    assert_eq!((after.used, after.shards), (before.used, before.shards));
    let info = victim.info();
    keeper.settled();
    let held = fleet.founder.provider(&info).active_bytes;
    assert!(held > 0, "the ledger expects it to prove what it holds");
    let proven = fleet
        .founder
        .proven_after(&info, fleet.founder.status().epoch);
    assert_eq!(proven.active_bytes, held);

    // A clean stop is no different.
    victim.stop();
    assert!(!victim.home.join("rpc.json").exists());
    assert!(!victim.home.join("cookie").exists());
    victim.larder(&["status"]).refused(11);
    victim.start();
    fleet
        .founder
        .proven_after(&info, fleet.founder.status().epoch);

    let target = fleet.path("back");
    let words = ["restore", "latest", "--target", target.to_str().unwrap()];
    keeper.larder(&words).done();
    assert_eq!(facts(&copy_of(&folder, &target)), facts(&folder));
}
