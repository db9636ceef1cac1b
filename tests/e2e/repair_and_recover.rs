//! The whole main job: four of twelve providers are lost for good and the redundancy comes back by
//! itself; then the keeper's home is lost, and the words bring it back, its data with it.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, larder, offered};
use crate::folder::{noise, plain, same, varied};
use crate::losses::{destroy, restore, shards, whole};
use crate::until::until;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a recovered keeper may take until it lists its snapshots.
const RECOVERY: Duration = Duration::from_secs(180);

#[test]
fn what_four_providers_and_the_keeper_lost_comes_back() {
    let fleet = Fleet::found("4s");
    let mut providers = fleet.providers(12);
    let (mut keeper, words) = fleet.keeper_with_words();
    offered(&keeper, 12);
    let folder = fleet.path("folder");
    varied(&folder);
    plain(&folder.join("more"), 8);
    let path = folder.to_str().unwrap();
    let first = saved(&keeper.larder(&["backup", path, "--tag", "first"]));
    assert_eq!((&first["k"], &first["n"]), (&4.into(), &8.into()));
    keeper.settled();

    let before = shards(&providers);
    let lost = destroy(&mut providers, 4);
    whole(&keeper, &providers, before);
    let said = keeper.larder(&["repairs"]).done();
    assert_eq!(said["full_redundancy"], true, "{said}");
    assert_eq!(said["segments_below_full"], 0, "{said}");
    assert_eq!(said["shards_repaired"], lost, "{said}");

    let account = keeper.info().account;
    keeper.destroy();
    let keeper = recovered(&fleet, &words);
    assert_eq!(keeper.info().account, account);
    until("the snapshot is listed", RECOVERY, || {
        let listed = keeper.larder(&["snapshots"]).objects();
        let found = listed.iter().any(|s| s["snapshot"] == first["snapshot"]);
        found.then_some(())
    });
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
    // Nothing was lost with the keeper: what it found again is whole as it lies.
    whole(&keeper, &providers, before);
    assert_eq!(shards(&providers), before, "nothing was rebuilt");
    goes_on(&fleet, &keeper, &folder, &first);
}

/// A new home from the words alone. Words that are none, and words of nobody, make none.
fn recovered(fleet: &Fleet, words: &Path) -> Node {
    let (none, nobody) = (fleet.path("no words"), fleet.path("nobody's words"));
    fs::write(&none, "abandon ".repeat(24)).unwrap();
    let made = larder(&fleet.path("elsewhere"), &["init", "--new-network"]).done();
    fs::write(&nobody, made["words"].as_str().unwrap()).unwrap();
    let home = fleet.path("again");
    let recover = |words: &Path| {
        let words = words.to_str().unwrap();
        let line = ["recover", "--join", &fleet.invite, "--words-file", words];
        larder(&home, &line)
    };
    for wrong in [&none, &nobody] {
        let why = recover(wrong).refused(12);
        assert!(why.contains("words"), "{why}");
        assert!(!home.join("config.toml").exists());
    }
    recover(words).done();
    let mut keeper = fleet.at_home("again", &[]);
    keeper.start();
    keeper
}

/// The recovered keeper backs up what is new and knows the rest.
fn goes_on(fleet: &Fleet, keeper: &Node, folder: &Path, first: &serde_json::Value) {
    noise(&folder.join("later"), 99, 300_000);
    let second = saved(&keeper.larder(&["backup", folder.to_str().unwrap()]));
    let (new, bytes) = (second["bytes_new"].as_u64(), second["bytes"].as_u64());
    assert!(new.unwrap() < bytes.unwrap() / 20, "{second}");
    let listed = keeper.larder(&["snapshots"]).objects();
    let ids: Vec<_> = listed.iter().map(|s| &s["snapshot"]).collect();
    assert_eq!(ids, [&first["snapshot"], &second["snapshot"]]);
    let target = fleet.path("later");
    restore(keeper, &target);
    same(folder, &target);
}
