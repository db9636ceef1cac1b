//! Two machines of one account: both back up at the same time, each lists and restores what the other
//! stored; a third one finds it all from the words; one is killed, one is put out.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, larder, offered};
use crate::folder::{noise, plain, same};
use crate::until::until;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

const PROVIDERS: usize = 6;
const SOON: Duration = Duration::from_secs(240);

/// Another machine of the account, from the words.
fn joined(fleet: &Fleet, name: &str, words: &Path, more: &[&str]) -> Node {
    let words = words.to_str().unwrap();
    let line = ["recover", "--join", &fleet.invite, "--words-file", words];
    larder(&fleet.path(name), &[&line[..], more].concat()).done();
    let mut node = fleet.at_home(name, &[]);
    node.start();
    node
}

fn snapshots(node: &Node) -> Vec<String> {
    let listed = node.larder(&["snapshots"]).objects();
    let id = |s: &Value| s["snapshot"].as_str().map(str::to_owned);
    listed.iter().filter_map(id).collect()
}

fn devices(node: &Node) -> Vec<Value> {
    node.larder(&["device", "list"]).objects()
}

fn lists(node: &Node, all: &[&Value]) {
    until("both machines' snapshots are listed", SOON, || {
        let listed = snapshots(node);
        let has = |id: &&Value| listed.iter().any(|s| Some(s.as_str()) == id.as_str());
        all.iter().all(|id| has(id)).then_some(())
    });
}

/// The snapshot that a backup of the folder makes.
fn backed_up(node: &Node, folder: &Path) -> Value {
    saved(&node.larder(&["backup", folder.to_str().unwrap()]))["snapshot"].clone()
}

/// Restores a snapshot and compares it with the folder that it was made of.
fn comes_back(node: &Node, snapshot: &Value, folder: &Path, target: &Path) {
    let (id, to) = (snapshot.as_str().unwrap(), target.to_str().unwrap());
    node.larder(&["restore", id, "--target", to]).done();
    same(folder, target);
}

#[test]
fn two_machines_of_one_account_back_up_at_once_and_a_third_finds_it_all() {
    let fleet = Fleet::found("4s");
    let _providers = fleet.providers(PROVIDERS);
    let (mut first, words) = fleet.keeper_with_words();
    offered(&first, PROVIDERS);
    let (one, two) = (fleet.path("one"), fleet.path("two"));
    plain(&one, 3);
    plain(&two, 2);
    noise(&two.join("other"), 77, 700_000);
    let before = saved(&first.larder(&["backup", one.to_str().unwrap()]));
    first.settled();

    let second = joined(&fleet, "second", &words, &[]);
    offered(&second, PROVIDERS);
    lists(&second, &[&before["snapshot"]]);
    until("each knows that the other lives", SOON, || {
        let alive = |node: &Node| {
            let all = devices(node);
            all.len() == 2 && all.iter().all(|d| d["state"] == "alive")
        };
        (alive(&first) && alive(&second)).then_some(())
    });

    // Both at the same time, each something else.
    noise(&one.join("later"), 99, 500_000);
    let (a, b) = std::thread::scope(|scope| {
        let other = scope.spawn(|| backed_up(&second, &two));
        (backed_up(&first, &one), other.join().unwrap())
    });
    let all = [&before["snapshot"], &a, &b];
    lists(&first, &all);
    lists(&second, &all);
    comes_back(&first, &b, &two, &fleet.path("two at first"));
    comes_back(&second, &a, &one, &fleet.path("one at second"));

    // The same data once more from the other machine costs next to nothing.
    let again = saved(&first.larder(&["backup", two.to_str().unwrap()]));
    let (new, bytes) = (again["bytes_new"].as_u64(), again["bytes"].as_u64());
    assert!(new.unwrap() < bytes.unwrap() / 10, "{again}");
    lists(&second, &[&again["snapshot"]]);

    // One machine dies without a word; a third one has only the words.
    first.kill();
    let third = joined(&fleet, "third", &words, &[]);
    lists(&third, &all);
    comes_back(&third, &a, &one, &fleet.path("one at third"));
    comes_back(&third, &b, &two, &fleet.path("two at third"));
    // The machine that lives is left its own, the one that died is given up.
    until("the dead one is given up and the other not", SOON, || {
        let all = devices(&third);
        let of = |state: &str| all.iter().filter(|d| d["state"] == state).count();
        (of("alive") == 2 && of("lost") == 1).then_some(())
    });

    // Words of others put nobody out.
    let nobody = fleet.path("nobody's words");
    let made = larder(&fleet.path("elsewhere"), &["init", "--new-network"]).done();
    fs::write(&nobody, made["words"].as_str().unwrap()).unwrap();
    let all = devices(&third);
    let alive = all
        .iter()
        .find(|d| d["this"] == false && d["state"] == "alive");
    let key = alive.unwrap()["device"].as_str().unwrap().to_owned();
    let revoke = |words: &Path| {
        let file = words.to_str().unwrap();
        third.larder(&["device", "revoke", &key, "--words-file", file])
    };
    let why = revoke(&nobody).refused(12);
    assert!(why.contains("words"), "{why}");
    let done = revoke(&words).done();
    assert_eq!(done["device"], key.as_str(), "{done}");
    until("it is out, there too", SOON, || {
        let out = |node: &Node| {
            let all = devices(node);
            all.iter()
                .any(|d| d["device"] == key.as_str() && d["state"] == "revoked")
        };
        (out(&third) && out(&second)).then_some(())
    });
    // What it stored stays.
    comes_back(&third, &b, &two, &fleet.path("two at last"));
}
