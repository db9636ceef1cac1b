//! What is kept for how long: forgotten, brought back, forgotten by rules, tagged; with the words, and by
//! nobody without them; and known to a home that the words alone made.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, larder, offered};
use crate::folder::{noise, plain, same};
use crate::losses::restore;
use crate::until::until;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

const PROVIDERS: usize = 4;
const SOON: Duration = Duration::from_secs(180);

fn listed(keeper: &Node, all: bool) -> Vec<Value> {
    let words: &[&str] = if all {
        &["snapshots", "--all"]
    } else {
        &["snapshots"]
    };
    let objects = keeper.larder(words).objects();
    objects.iter().map(|s| s["snapshot"].clone()).collect()
}

/// A verb of retention, with the words in this file.
fn with(keeper: &Node, words: &Path, verb: &[&str]) -> crate::fleet::Said {
    let file = ["--words-file", words.to_str().unwrap()];
    keeper.larder(&[verb, &file[..]].concat())
}

#[test]
fn what_is_forgotten_comes_back_while_it_may_and_only_with_the_words() {
    let fleet = Fleet::found("4s");
    let _providers = fleet.providers(PROVIDERS);
    let (keeper, words) = fleet.keeper_with_words();
    offered(&keeper, PROVIDERS);
    let folder = fleet.path("folder");
    plain(&folder, 2);
    let path = folder.to_str().unwrap();
    let first = saved(&keeper.larder(&["backup", path, "--tag", "draft"]))["snapshot"].clone();
    fs::write(folder.join("new"), "here").unwrap();
    let second = saved(&keeper.larder(&["backup", path]))["snapshot"].clone();
    let (one, two) = (first.as_str().unwrap(), second.as_str().unwrap());

    // Words that are another account's forget nothing.
    let nobody = fleet.path("nobody's words");
    let made = larder(&fleet.path("elsewhere"), &["init", "--new-network"]).done();
    fs::write(&nobody, made["words"].as_str().unwrap()).unwrap();
    let why = with(&keeper, &nobody, &["forget", one]).refused(12);
    assert!(why.contains("words"), "{why}");
    keeper.larder(&["forget"]).refused(2);

    let dry = keeper.larder(&["forget", one, "-n"]).done();
    assert_eq!(
        (&dry["forgotten"], &dry["would_be"]),
        (&0.into(), &1.into())
    );
    assert_eq!(listed(&keeper, false), [first.clone(), second.clone()]);
    let done = with(&keeper, &words, &["forget", one]).done();
    assert_eq!(done["forgotten"], 1, "{done}");
    assert_eq!(listed(&keeper, false), std::slice::from_ref(&second));
    let why = keeper.larder(&["ls", one]).refused(1);
    assert!(why.contains("undelete"), "{why}");
    with(&keeper, &words, &["undelete", "--all"]).done();
    assert_eq!(listed(&keeper, false), [first.clone(), second.clone()]);
    with(
        &keeper,
        &words,
        &["tag", one, "--add", "kept", "--remove", "draft"],
    )
    .done();

    // By rules, for good: a delay of nothing is over at once.
    let rules = ["forget", "--keep-last", "1", "--lock", "0s"];
    let done = with(&keeper, &words, &rules).done();
    assert_eq!((&done["forgotten"], &done["kept"]), (&1.into(), &1.into()));
    let why = with(&keeper, &words, &["undelete", one]).refused(1);
    assert!(why.contains("over"), "{why}");
    assert_eq!(listed(&keeper, true), [first.clone(), second.clone()]);

    // The words alone know all of it.
    let keeper = recovered(&fleet, keeper, &words, &second);
    let all = keeper.larder(&["snapshots", "--all"]).objects();
    let old = all.iter().find(|s| s["snapshot"] == first).unwrap();
    assert_eq!(old["tags"], serde_json::json!(["kept"]), "{old}");
    assert_eq!(old["forgotten"]["undeletable"], false, "{old}");
    assert!(!keeper.larder(&["ls", two]).objects().is_empty());
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
}

#[test]
fn what_nothing_needs_is_given_back_by_the_providers_and_the_rest_stays() {
    let fleet = Fleet::found("4s");
    let providers = fleet.providers(PROVIDERS);
    let (keeper, words) = fleet.keeper_with_words();
    offered(&keeper, PROVIDERS);
    let folder = fleet.path("folder");
    plain(&folder, 2);
    noise(&folder.join("big"), 7, 6 << 20);
    let path = folder.to_str().unwrap();
    let first = saved(&keeper.larder(&["backup", path]))["snapshot"].clone();
    fs::remove_file(folder.join("big")).unwrap();
    fs::write(folder.join("new"), "here").unwrap();
    let second = saved(&keeper.larder(&["backup", path]))["snapshot"].clone();
    let one = first.as_str().unwrap();

    // While it can be brought back, it is kept whole.
    with(&keeper, &words, &["forget", one]).done();
    let dry = keeper.larder(&["prune", "-n"]).done();
    assert_eq!(
        (&dry["snapshots_locked"], &dry["segments_dropped"]),
        (&1.into(), &0.into())
    );
    with(&keeper, &words, &["undelete", one]).done();
    with(&keeper, &words, &["forget", one, "--lock", "0s"]).done();
    let dry = keeper.larder(&["prune", "-n"]).done();
    assert_eq!(dry["snapshots_gone"], 1, "{dry}");
    assert!(dry["bytes_freed"].as_u64().unwrap() > 6_000_000, "{dry}");

    let before = used(&providers);
    let done = with(&keeper, &words, &["prune"]).done();
    assert!(done["segments_repacked"].as_u64().unwrap() > 0, "{done}");
    until("providers use less", SOON, || {
        // Twice six megabytes and more went, less than three came.
        (used(&providers) + 8_000_000 < before).then_some(())
    });
    let check = keeper.larder(&["check"]).done();
    assert_eq!(
        (&check["ok"], &check["snapshots"]),
        (&true.into(), &1.into()),
        "{check}"
    );
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
    until("nothing is left to give back", SOON, || {
        let again = with(&keeper, &words, &["prune"]).done();
        let idle = ["segments_dropped", "providers_agreed", "providers_behind"];
        idle.iter().all(|key| again[key] == 0).then_some(())
    });

    // The words alone look for nothing that went.
    let keeper = recovered(&fleet, keeper, &words, &second);
    restore(&keeper, &fleet.path("again and back"));
    same(&folder, &fleet.path("again and back"));
    let repairs = keeper.larder(&["repairs"]).done();
    assert_eq!(repairs["segments_below_full"], 0, "{repairs}");
}

/// The home is gone: another, made from the words, lists the snapshot and no other.
fn recovered(fleet: &Fleet, mut gone: Node, words: &Path, snapshot: &Value) -> Node {
    gone.destroy();
    let home = fleet.path("again");
    let file = words.to_str().unwrap();
    larder(
        &home,
        &["recover", "--join", &fleet.invite, "--words-file", file],
    )
    .done();
    let mut keeper = fleet.at_home("again", &[]);
    keeper.start();
    until("the snapshot is listed", SOON, || {
        (listed(&keeper, false) == std::slice::from_ref(snapshot)).then_some(())
    });
    keeper
}

/// Bytes that providers hold under contracts.
fn used(providers: &[Node]) -> u64 {
    providers.iter().map(|p| p.stores().used).sum()
}
