//! A provider's volumes in bad hands: folders that are none, a disk that goes and comes back, a
//! removal that is killed. Each has a state that the operator is told of, and nothing that can still
//! be read is lost.

use crate::fleet::{Fleet, Node, offered};
use crate::folder::{plain, same};
use crate::honest_trouble::{fill, lying, seen};
use crate::losses::restore;
use crate::until::until;
use larder_rpc::RemoveVolumeParams;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long a few epochs of four seconds may take.
const EPOCHS: Duration = Duration::from_secs(180);

#[test]
fn a_disk_that_goes_and_comes_back_costs_no_shard_and_a_killed_removal_none() {
    let fleet = Fleet::found("4s");
    let mut providers = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    let disk = fleet.path("disk");
    fs::create_dir(&disk).unwrap();
    let provider = &mut providers[0];
    no_volumes(&fleet, provider, &disk);
    provider.larder(&["volume", "add", text(&disk)]).done();
    let again = provider.larder(&["volume", "add", text(&disk)]);
    assert!(again.refused(1).contains("already"), "it is one");
    let folder = fleet.path("folder");
    plain(&folder, 2);
    let (in_home, on_disk) = fill(&keeper, provider, &folder);
    keeper.settled();

    gone_and_back(&fleet, &keeper, provider, &folder);
    assert_eq!(lying(provider), [in_home, on_disk]);

    killed_while_emptied(provider, &disk);
    let left = lying(provider);
    assert_eq!(left.iter().sum::<u64>(), in_home + on_disk, "{left:?}");
    if left.len() > 1 {
        provider.larder(&["volume", "remove", text(&disk)]).done();
    }
    assert_eq!(lying(provider), [in_home + on_disk]);
    let unknown = provider.larder(&["volume", "remove", text(&disk)]);
    assert!(unknown.refused(1).contains("no volume"), "it is gone");
    let info = provider.info();
    fleet
        .founder
        .proven_after(&info, fleet.founder.status().epoch);
    let stored = provider.stores();
    assert_eq!((stored.damaged, stored.declared), (0, 0));
    restore(&keeper, &fleet.path("in the end"));
    same(&folder, &fleet.path("in the end"));
}

/// What cannot be a volume is refused in words, and changes nothing.
fn no_volumes(fleet: &Fleet, provider: &Node, disk: &Path) {
    let missing = provider.larder(&["volume", "add", text(&fleet.path("missing"))]);
    assert!(missing.refused(2).contains("no folder"), "nothing is there");
    let file = fleet.path("file");
    fs::write(&file, "no folder").unwrap();
    let file = provider.larder(&["volume", "add", text(&file)]);
    assert!(file.refused(2).contains("no folder"), "it is a file");
    let own = provider.larder(&["volume", "add", text(&provider.home)]);
    assert!(own.refused(1).contains("already"), "it is the home");
    let foreign = fleet.path("foreign");
    fs::create_dir_all(foreign.join("shards/shards")).unwrap();
    fs::write(foreign.join("shards/shards/store.mark"), "another's").unwrap();
    let foreign = provider.larder(&["volume", "add", text(&foreign)]);
    assert!(
        foreign.refused(1).contains("another node"),
        "it is another's"
    );
    let unknown = provider.larder(&["volume", "remove", text(disk), "--lost"]);
    assert!(unknown.refused(1).contains("no volume"), "it is none yet");
    let home = provider.larder(&["volume", "remove", text(&provider.home)]);
    assert!(home.refused(1).contains("--lost"), "it is the home");
    assert_eq!(lying(provider).len(), 1);
}

/// The disk is unmounted under the running node, which leaves an empty folder: the provider says so,
/// takes on nothing, and the others serve. It is mounted again, and all is as before.
fn gone_and_back(fleet: &Fleet, keeper: &Node, provider: &Node, folder: &Path) {
    let (disk, away) = (fleet.path("disk"), fleet.path("away"));
    fs::rename(&disk, &away).unwrap();
    fs::create_dir(&disk).unwrap();
    let shown = until("the volume is not well", EPOCHS, || {
        let volumes = provider.larder(&["volume", "list"]).objects();
        volumes.into_iter().find(|v| v["trouble"].is_string())
    });
    assert_eq!(shown["path"], text(&disk));
    let trouble = shown["trouble"].as_str().unwrap();
    assert!(trouble.contains("mounted"), "{trouble}");
    let doctor = provider.larder(&["doctor"]);
    assert_eq!(doctor.code, 22, "{doctor:?}");
    let status = provider.larder(&["status"]).done();
    let refuses = &status["provider"]["refuses"];
    assert!(refuses.is_string(), "{status}");
    let info = provider.info();
    seen(keeper, &info, |offer| offer["free"] == 0);
    let kept = provider.larder(&["volume", "remove", text(&disk)]);
    assert!(
        kept.refused(1).contains("mount"),
        "its shards are not there"
    );
    restore(keeper, &fleet.path("meanwhile"));
    same(folder, &fleet.path("meanwhile"));
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 0, "nothing is made");

    fs::remove_dir(&disk).unwrap();
    fs::rename(&away, &disk).unwrap();
    until("the volume is well again", EPOCHS, || {
        let volumes = provider.larder(&["volume", "list"]).objects();
        volumes.iter().all(|v| v["trouble"].is_null()).then_some(())
    });
    seen(keeper, &info, |offer| offer["free"] != 0);
    fleet
        .founder
        .proven_after(&info, fleet.founder.status().epoch);
    let stored = provider.stores();
    assert_eq!((stored.damaged, stored.declared), (0, 0));
    assert!(!stored.faulted);
}

/// `kill -9` right after the node has begun to empty a volume.
fn killed_while_emptied(provider: &mut Node, disk: &Path) {
    let params = RemoveVolumeParams {
        path: text(disk).to_owned(),
        lost: false,
    };
    let removed = provider
        .ask(|node| async move { node.provider_remove_volume(&params).await })
        .unwrap();
    assert!(removed.emptying && removed.shards > 0, "{removed:?}");
    provider.kill();
    provider.start();
    let shown: Vec<Value> = provider.larder(&["volume", "list"]).objects();
    for volume in &shown {
        assert!(volume["trouble"].is_null(), "{volume}");
        assert_eq!(volume["emptying"], false, "{volume}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
