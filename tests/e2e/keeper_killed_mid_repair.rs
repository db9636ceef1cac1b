//! A keeper that is killed in the middle of a repair ends it after its restart, and rebuilds nothing
//! that it had rebuilt before.

use crate::by_hand::saved;
use crate::fleet::{Fleet, offered};
use crate::folder::{files, noise, same};
use crate::losses::{count, destroy, restore, shards, whole};
use crate::until::until;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Backups, each with segments of its own.
const BATCHES: u64 = 6;

#[test]
fn a_repair_that_was_killed_goes_on_and_rebuilds_nothing_twice() {
    let fleet = Fleet::found("4s");
    let mut providers = fleet.providers(6);
    let mut keeper = fleet.keeper();
    offered(&keeper, 6);
    let folder = fleet.path("folder");
    fs::create_dir(&folder).unwrap();
    for batch in 0..BATCHES {
        noise(&folder.join(batch.to_string()), batch, 4 << 20);
        let line = ["backup", "--class", "low", folder.to_str().unwrap()];
        let summary = saved(&keeper.larder(&line));
        assert_eq!((&summary["k"], &summary["n"]), (&2.into(), &4.into()));
    }
    keeper.settled();

    let before = shards(&providers);
    let lost = destroy(&mut providers, 2);
    let repaired = until("a repair has begun", Duration::from_secs(180), || {
        let repairs = keeper.repairs();
        let repaired = count(&repairs, "shards_repaired");
        (repaired > 0 && repairs["full_redundancy"] == false).then_some(repaired)
    });
    keeper.kill();
    keeper.start();
    let counted = count(&keeper.repairs(), "shards_repaired");
    assert!(counted >= repaired, "{counted} after, {repaired} before");

    let repairs = whole(&keeper, &providers, before);
    assert_eq!(count(&repairs, "shards_repaired"), lost);
    // Not more either: what the first life had placed the second did not place again.
    keeper.settled();
    assert_eq!(shards(&providers), before);
    let spool = keeper.home.join("spool");
    assert_eq!(files(&spool), Vec::<PathBuf>::new(), "all is placed");
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
}
