//! A clock that is a year off, back or ahead, deletes nothing that is needed: neither the keeper's, whose
//! rules and prunes say what may go, nor a provider's, which gives room back and empties its trash.
//! The node's clock is libfaketime's; nothing else of it is changed.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, Said, offered};
use crate::folder::{files, noise, plain, same};
use crate::losses::restore;
use crate::until::until;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(180);
const PROVIDERS: usize = 4;

/// Debian's package `faketime`, which `./larder test` installs.
fn libfaketime() -> PathBuf {
    let triples = fs::read_dir("/usr/lib").unwrap();
    let libs = triples.map(|dir| dir.unwrap().path().join("faketime/libfaketimeMT.so.1"));
    let mut there = libs.filter(|lib| lib.exists());
    there.next().expect(
        "libfaketime is not there: install Debian's package faketime first, as `./larder test` does",
    )
}

/// The node with a clock that goes as the file says. Timers go on as they are: a clock that is set
/// wrong makes no hour shorter.
fn with_clock(node: Node, clock: &Path) -> Node {
    set(clock, "+0");
    let preload = format!("LD_PRELOAD={}", libfaketime().display());
    let file = format!("FAKETIME_TIMESTAMP_FILE={}", clock.display());
    let quietly = ["NO_FAKE_STAT=1", "FAKETIME_NO_CACHE=1"].map(str::to_owned);
    let timers = ["DONT_FAKE_MONOTONIC=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"];
    let words = ["env".to_owned(), preload, file].into_iter().chain(quietly);
    node.through(words.chain(timers.map(str::to_owned)))
}

/// Sets the clock: at once, for a running node too.
fn set(clock: &Path, to: &str) {
    // Renamed, so that nobody reads half of it.
    let next = clock.with_extension("next");
    fs::write(&next, to).unwrap();
    fs::rename(&next, clock).unwrap();
}

/// What may be deleted by a wrong clock, and must not be.
struct Kept {
    snapshots: Vec<Value>,
    shards: Vec<u64>,
}

fn kept(keeper: &Node, providers: &[Node]) -> Kept {
    let snapshots = keeper.larder(&["snapshots", "--all"]).objects();
    Kept {
        snapshots: snapshots.iter().map(|s| s["snapshot"].clone()).collect(),
        shards: providers.iter().map(lying).collect(),
    }
}

/// Shards on a provider's disk, those in its trash aside.
fn lying(provider: &Node) -> u64 {
    let shards = files(&provider.home.join("shards/shards"));
    shards.iter().filter(|f| f.extension().is_none()).count() as u64
}

impl Kept {
    /// Nothing of it went; what is new is new.
    fn is_there(&self, keeper: &Node, providers: &[Node], when: &str) {
        let now = kept(keeper, providers);
        for snapshot in &self.snapshots {
            assert!(
                now.snapshots.contains(snapshot),
                "{when}: {snapshot} is gone"
            );
        }
        for (before, after) in self.shards.iter().zip(&now.shards) {
            assert!(after >= before, "{when}: {before} shards, and {after} now");
        }
    }
}

#[test]
fn a_clock_a_year_ahead_or_back_deletes_nothing_that_is_needed() {
    // Epochs so long that nobody is faulted meanwhile: what the ledger takes away is another matter.
    let fleet = Fleet::found("60s");
    let clocks = [fleet.path("keeper's clock"), fleet.path("provider's clock")];
    let wrong = with_clock(fleet.provider(PROVIDERS, "2GiB"), &clocks[1]);
    let mut providers = fleet.providers(PROVIDERS - 1);
    providers.push(wrong);
    providers[PROVIDERS - 1].start();
    let (mut keeper, words) = {
        let (mut keeper, words) = fleet.keeper_with_words();
        keeper.stop();
        (with_clock(keeper, &clocks[0]), words)
    };
    keeper.start();
    offered(&keeper, PROVIDERS);

    // One snapshot that is forgotten and can be brought back, one that is not.
    let folder = fleet.path("folder");
    plain(&folder, 2);
    noise(&folder.join("early"), 7, 3 << 20);
    let path = folder.to_str().unwrap();
    let first = saved(&keeper.larder(&["backup", path]))["snapshot"].clone();
    fs::rename(folder.join("early"), fleet.path("early")).unwrap();
    noise(&folder.join("late"), 8, 3 << 20);
    let second = saved(&keeper.larder(&["backup", path]))["snapshot"].clone();
    let (one, two) = (first.as_str().unwrap(), second.as_str().unwrap());
    with(&keeper, &words, &["forget", one]).done();
    until("every shard is placed", SOON, || {
        (keeper.repairs()["full_redundancy"] == true).then_some(())
    });
    let before = kept(&keeper, &providers);
    assert_eq!(before.snapshots.len(), 2);
    assert!(before.shards.iter().sum::<u64>() > 0);

    for off in ["+365d", "-365d"] {
        for clock in &clocks {
            set(clock, off);
            // First while they run, then from their start on, which is when they clear up.
            for again in [false, true] {
                if again {
                    for node in [&mut keeper, &mut providers[PROVIDERS - 1]] {
                        node.kill();
                        node.start();
                    }
                }
                let when = format!("{off} on {}, started anew: {again}", clock.display());
                frees_nothing(&keeper, &words, &when);
                before.is_there(&keeper, &providers, &when);
            }
            set(clock, "+0");
        }
    }
    for node in [&mut keeper, &mut providers[PROVIDERS - 1]] {
        node.kill();
        node.start();
    }
    offered(&keeper, PROVIDERS);
    until("every shard is there", SOON, || {
        (keeper.repairs()["full_redundancy"] == true).then_some(())
    });
    with(&keeper, &words, &["undelete", one]).done();
    let check = keeper.larder(&["check", "--read-data"]).done();
    assert_eq!(
        (&check["ok"], &check["damaged_shards"]),
        (&true.into(), &0.into())
    );
    restored(&keeper, two, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
    fs::remove_file(folder.join("late")).unwrap();
    fs::rename(fleet.path("early"), folder.join("early")).unwrap();
    restored(&keeper, one, &fleet.path("first back"));
    let copy = crate::folder::copy_of(&folder, &fleet.path("first back"));
    let read = |root: &Path| fs::read(root.join("early")).unwrap();
    assert_eq!(read(&copy), read(&folder));
    restore(&keeper, &fleet.path("latest back"));
}

/// Nothing can be pruned, since all is needed or can be brought back; and no rule lets the newest go.
fn frees_nothing(keeper: &Node, words: &Path, when: &str) {
    let pruned = with(keeper, words, &["prune", "--max-unused", "0"]);
    // A clock that is wrong may keep a prune from its work, and must not make it do more.
    if pruned.code == 0 {
        let done = pruned.last();
        let freed = (&done["snapshots_gone"], &done["segments_dropped"]);
        assert_eq!(freed, (&0.into(), &0.into()), "{when}: {done}");
    }
    for rule in ["--keep-within=1d", "--keep-daily=1", "--keep-last=1"] {
        let dry = keeper.larder(&["forget", rule, "-n"]).done();
        assert_eq!(dry["would_be"], 0, "{when}: {rule}: {dry}");
    }
}

fn with(keeper: &Node, words: &Path, verb: &[&str]) -> Said {
    let file = ["--words-file", words.to_str().unwrap()];
    keeper.larder(&[verb, &file[..]].concat())
}

fn restored(keeper: &Node, snapshot: &str, target: &Path) {
    let line = ["restore", snapshot, "--target", target.to_str().unwrap()];
    keeper.larder(&line).done();
}
