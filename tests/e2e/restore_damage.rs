//! A restore around damage: what cannot be had is named and the rest comes back; a provider that
//! stalls is replaced while the restore runs.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{noise, plain, same};
use crate::losses::restore;
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn a_restore_names_what_too_few_shards_are_left_of() {
    // Epochs so long that nobody is faulted meanwhile.
    let fleet = Fleet::found("60s");
    let mut doomed = fleet.providers(3);
    let keeper = fleet.keeper();
    offered(&keeper, 3);
    let folder = fleet.path("folder");
    let (gone, kept) = (folder.join("gone"), folder.join("kept"));
    plain(&gone, 4);
    let path = folder.to_str().unwrap();
    saved(&keeper.larder(&["backup", path]));

    // What is new goes to the emptiest first, which are the new providers.
    let mut others: Vec<Node> = (4..=7).map(|i| fleet.provider(i, "2GiB")).collect();
    others.iter_mut().for_each(Node::start);
    offered(&keeper, 7);
    fs::create_dir(&kept).unwrap();
    noise(&kept.join("late"), 4_000, 3 << 20);
    saved(&keeper.larder(&["backup", path]));
    doomed.iter_mut().for_each(Node::destroy);

    let target = fleet.path("back");
    let line = ["restore", "latest", "--target", target.to_str().unwrap()];
    let said = keeper.larder(&line);
    let why = said.refused(3);
    assert!(why.contains("incomplete"), "{why}");
    same(&kept, &target);
    let named = named(&said.err);
    let below = |path: &Path| path.starts_with(&gone);
    assert!(named.iter().any(|n| below(Path::new(n))), "{said:?}");
    for path in &named {
        assert!(!Path::new(path).starts_with(&kept), "{said:?}");
    }
    assert_eq!(said.last()["errors"], named.len(), "{said:?}");
}

/// The paths that a command had trouble with.
fn named(err: &str) -> Vec<String> {
    let lines = err.lines().filter_map(|l| serde_json::from_str(l).ok());
    let troubles = lines.filter(|l: &Value| l["message_type"] == "error");
    troubles
        .map(|l| l["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn providers_that_stall_are_replaced_while_a_restore_runs() {
    let fleet = Fleet::found("60s");
    let providers = fleet.providers(6);
    let keeper = fleet.keeper();
    offered(&keeper, 6);
    let folder = fleet.path("folder");
    plain(&folder, 24);
    let line = ["backup", "--class", "low", folder.to_str().unwrap()];
    let summary = saved(&keeper.larder(&line));
    assert_eq!((&summary["k"], &summary["n"]), (&2.into(), &4.into()));
    // No segment has more than two positions with these.
    let holders = providers.iter().filter(|p| p.stores().shards > 0);
    let frozen: Vec<&Node> = holders.take(2).collect();
    frozen.iter().for_each(|p| p.freeze());
    restore(&keeper, &fleet.path("back"));
    same(&folder, &fleet.path("back"));
    frozen.iter().for_each(|p| p.thaw());
    restore(&keeper, &fleet.path("again"));
    same(&folder, &fleet.path("again"));
}
