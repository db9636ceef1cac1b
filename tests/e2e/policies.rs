//! Classes and excludes per folder: set once, applied by each backup that says nothing else.

use crate::by_hand::saved;
use crate::fleet::{Fleet, offered};
use crate::folder::plain;
use serde_json::Value;
use std::fs;
use std::path::Path;

const PROVIDERS: usize = 6;

#[test]
fn a_backup_keeps_each_folder_as_its_policy_says() {
    let fleet = Fleet::found("60s");
    let _providers = fleet.providers(PROVIDERS);
    let keeper = fleet.keeper();
    offered(&keeper, PROVIDERS);
    let folder = fleet.path("folder");
    let dear = folder.join("dear");
    plain(&folder, 1);
    plain(&dear, 1);
    fs::write(dear.join("made.o"), "again").unwrap();
    fs::write(dear.join("keep.o"), "mine").unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (folder, dear) = (text(&folder), text(&dear));

    keeper.larder(&["class", "set", &folder, "low"]).done();
    keeper.larder(&["class", "set", &dear, "high"]).done();
    keeper.larder(&["exclude", "add", "*.o"]).done();
    keeper
        .larder(&["exclude", "add", "!keep.o", "--path", &dear])
        .done();
    let refused = keeper.larder(&["exclude", "add", "a[b"]);
    assert!(refused.refused(2).contains("a[b"));
    let classes = keeper.larder(&["class", "list"]).objects();
    assert_eq!(classes.len(), 3, "two and a summary: {classes:?}");

    let said = keeper.larder(&["backup", &folder]);
    let made: Vec<Value> = said.objects();
    let made: Vec<&Value> = made
        .iter()
        .filter(|o| o["message_type"] == "summary")
        .collect();
    let classes: Vec<&str> = made.iter().map(|s| s["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["high", "low"], "{said:?}");
    // It ends as the worst of them does.
    let met = made.iter().all(|summary| summary["class_met"] == true);
    assert_eq!(said.code, if met { 0 } else { 20 }, "{said:?}");
    // What lies at the higher class is not stored once more.
    let new = |of: &Value| of["bytes_new"].as_u64().unwrap();
    assert!(new(made[1]) < (1 << 20) + (1 << 18), "{said:?}");
    let found = |pattern: &str| {
        let line = ["find", pattern, "--snapshot", "latest"];
        keeper.larder(&line).objects().len()
    };
    assert_eq!((found("made.o"), found("keep.o")), (0, 1));

    // A flag goes before the policies; what is taken away counts no more.
    let said = saved(&keeper.larder(&["backup", "--class", "normal", &folder]));
    assert_eq!(said["class"], "normal", "{said}");
    keeper.larder(&["class", "unset", &dear]).done();
    assert!(
        keeper
            .larder(&["class", "unset", &dear])
            .refused(1)
            .contains("no class")
    );
    keeper.larder(&["exclude", "remove", "*.o"]).done();
    let said = saved(&keeper.larder(&["backup", &folder]));
    assert_eq!(said["class"], "low", "{said}");
    assert_eq!(found("made.o"), 1);
}
