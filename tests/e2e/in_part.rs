//! More is lost than the parity can mend: a restore gives back all the rest, names each file that it
//! could not, and says what mends it; and what it says does mend it. Less is lost: nobody notices but
//! who looks.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, Said, offered};
use crate::folder::{copy_of, facts, files, noise, plain, same};
use crate::until::until;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(180);
/// Shards of a file's data are longer than this, those of folders and lists shorter.
const DATA: u64 = 256 << 10;

#[test]
fn what_is_lost_beyond_repair_is_named_the_rest_comes_back_and_a_backup_heals_it() {
    // Epochs so long that no scrubber, no proof and no verdict comes first.
    let fleet = Fleet::found("60s");
    let providers = fleet.providers(4);
    let (keeper, words) = fleet.keeper_with_words();
    offered(&keeper, 4);
    let folder = fleet.path("folder");
    let (gone, whole) = (folder.join("gone"), folder.join("whole"));
    fs::create_dir_all(&gone).unwrap();
    for number in 0..5 {
        noise(&gone.join(number.to_string()), 100 + number, 1 << 20);
    }
    let path = folder.to_str().unwrap();
    saved(&keeper.larder(&["backup", path]));
    let early = placed(&keeper, &providers);
    plain(&whole, 3);
    saved(&keeper.larder(&["backup", path]));
    let all = placed(&keeper, &providers);
    assert!(all.len() > early.len());
    early.iter().for_each(|shard| flip(shard));

    let said = restored(&keeper, &fleet.path("back"));
    let why = said.refused(3);
    let (named, lost) = (named(&said), below(&gone));
    assert_eq!(named, lost, "each lost file by its name, and no other");
    assert_eq!(said.last()["errors"], named.len());
    same(&whole, &fleet.path("back"));
    let (first, second) = ("larder check --read-data", "larder repair");
    assert!(why.contains(first) && why.contains(second), "{why}");

    // As it was told.
    let said = keeper.larder(&["check", "--read-data"]);
    let why = said.refused(22);
    assert!(
        why.contains(second) && why.contains("larder backup"),
        "{why}"
    );
    let summary = said.last();
    assert_eq!(summary["ok"], false, "{summary}");
    let reasons = summary["damaged"].as_array().unwrap();
    assert!(reasons.iter().any(|of| of["lost"] == true), "{summary}");
    let told = self::named(&said);
    for path in &lost {
        let ends = |t: &String| t.ends_with(&format!(":{path}"));
        assert!(told.iter().any(ends), "{path} is not among {told:?}");
    }
    // Nothing is left to rebuild it from, and that is said.
    let said = keeper.larder(&["repair"]);
    said.refused(22);
    assert!(said.last()["lost"].as_u64().unwrap() > 0, "{said:?}");
    // Not a byte of the folder changed: what is lost is stored again all the same.
    let again = saved(&keeper.larder(&["backup", path]));
    assert!(again["bytes_new"].as_u64().unwrap() >= 5 << 20, "{again}");
    restored(&keeper, &fleet.path("healed")).done();
    same(&folder, &fleet.path("healed"));
    // The older snapshot too: it names the same blobs.
    let snapshots = keeper.larder(&["snapshots"]).objects();
    let oldest = snapshots[0]["snapshot"].as_str().unwrap();
    let target = fleet.path("oldest");
    let line = ["restore", oldest, "--target", target.to_str().unwrap()];
    keeper.larder(&line).done();
    assert_eq!(facts(&copy_of(&gone, &target)), facts(&gone));
    // What is lost nothing needs any more: it goes, and all is well.
    let file = ["--words-file", words.to_str().unwrap()];
    let pruned = keeper.larder(&[&["prune"][..], &file[..]].concat()).done();
    assert!(pruned["segments_dropped"].as_u64().unwrap() > 0, "{pruned}");
    let check = keeper.larder(&["check", "--read-data"]).done();
    assert_eq!(check["ok"], true, "{check}");
}

#[test]
fn one_flipped_byte_is_read_around_and_a_repair_mends_it() {
    let fleet = Fleet::found("60s");
    let providers = fleet.providers(6);
    let keeper = fleet.keeper();
    offered(&keeper, 6);
    let folder = fleet.path("folder");
    plain(&folder, 6);
    let line = ["backup", "--class", "low", folder.to_str().unwrap()];
    let summary = saved(&keeper.larder(&line));
    assert_eq!((&summary["k"], &summary["n"]), (&2.into(), &4.into()));
    // One of each segment's: whatever a restore prefers to read, it meets some.
    let shards = placed(&keeper, &providers);
    let of_first = shards.iter().filter(|s| s.starts_with(&providers[0].home));
    let of_second = shards.iter().filter(|s| s.starts_with(&providers[1].home));
    let bad: Vec<&PathBuf> = of_first.chain(of_second).collect();
    assert!(!bad.is_empty());
    bad.iter().for_each(|shard| flip(shard));

    let back = restored(&keeper, &fleet.path("back")).done();
    assert_eq!(back["errors"], 0, "{back}");
    same(&folder, &fleet.path("back"));
    let said = keeper.larder(&["check", "--read-data"]);
    // A restore that met it may have had it mended already.
    assert!(matches!(said.code, 0 | 22), "{said:?}");
    let repaired = keeper.larder(&["repair"]).done();
    assert_eq!(
        (&repaired["remaining"], &repaired["lost"]),
        (&0.into(), &0.into())
    );
    let mended = keeper.larder(&["check", "--read-data"]).done();
    assert_eq!(
        (&mended["ok"], &mended["damaged_shards"]),
        (&true.into(), &0.into())
    );
    restored(&keeper, &fleet.path("again")).done();
    same(&folder, &fleet.path("again"));
}

/// Where the shards of data lie, once all are placed.
fn placed(keeper: &Node, providers: &[Node]) -> Vec<PathBuf> {
    until("every shard is placed", SOON, || {
        (keeper.repairs()["full_redundancy"] == true).then_some(())
    });
    let homes = providers.iter().map(|p| p.home.join("shards/shards"));
    let shards = homes.flat_map(|home| files(&home));
    let is_data = |f: &PathBuf| f.extension().is_none() && f.metadata().unwrap().len() > DATA;
    shards.filter(is_data).collect()
}

/// Turns one bit of the byte in the middle.
fn flip(shard: &Path) {
    let file = OpenOptions::new().read(true).write(true).open(shard);
    let file = file.unwrap();
    let middle = file.metadata().unwrap().len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle).unwrap();
    file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
}

fn restored(keeper: &Node, target: &Path) -> Said {
    keeper.larder(&["restore", "latest", "--target", target.to_str().unwrap()])
}

/// The paths that a command had trouble with.
fn named(said: &Said) -> BTreeSet<String> {
    let lines = said
        .err
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok());
    let troubles = lines.filter(|l: &Value| l["message_type"] == "error");
    let paths = troubles.filter_map(|l| Some(l["path"].as_str()?.to_owned()));
    paths.collect()
}

fn below(folder: &Path) -> BTreeSet<String> {
    let files = files(folder).into_iter();
    files.map(|f| f.to_str().unwrap().to_owned()).collect()
}
