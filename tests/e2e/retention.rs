//! What is kept for how long: forgotten, brought back, forgotten by rules, tagged; with the words, and by
//! nobody without them; and known to a home that the words alone made.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, larder, offered};
use crate::folder::{plain, same};
use crate::losses::restore;
use serde_json::Value;
use std::fs;
use std::path::Path;

const PROVIDERS: usize = 4;

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
    let (mut keeper, words) = fleet.keeper_with_words();
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
    assert_eq!(listed(&keeper, false), [second.clone()]);
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
    keeper.destroy();
    let home = fleet.path("again");
    let file = words.to_str().unwrap();
    larder(
        &home,
        &["recover", "--join", &fleet.invite, "--words-file", file],
    )
    .done();
    let mut keeper = fleet.at_home("again", &[]);
    keeper.start();
    crate::until::until(
        "the snapshot is listed",
        std::time::Duration::from_secs(180),
        || (listed(&keeper, false) == [second.clone()]).then_some(()),
    );
    let all = keeper.larder(&["snapshots", "--all"]).objects();
    let old = all.iter().find(|s| s["snapshot"] == first).unwrap();
    assert_eq!(old["tags"], serde_json::json!(["kept"]), "{old}");
    assert_eq!(old["forgotten"]["undeletable"], false, "{old}");
    assert!(!keeper.larder(&["ls", two]).objects().is_empty());
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
}
