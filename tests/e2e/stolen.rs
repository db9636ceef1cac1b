//! A stolen device: all that a home holds, and not the words. It can read, and add; it takes nothing away.
//! Neither when it is asked to, nor with programs that were changed to trust another admin key.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, Said, larder, offered};
use crate::folder::{copy_of, facts, files, noise, plain};
use crate::until::until;
use larder_backup::{
    Authority, KnownSegment, Mark, MarkError, Say, SealedSegment, Segments, SegmentsError, Stored,
    Vault,
};
use larder_keys::{Seed, Signer, VaultKeys, Words};
use larder_types::{GenesisHash, SegmentId, Time};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const PROVIDERS: usize = 4;
const SOON: Duration = Duration::from_secs(180);
/// Epochs after which whatever a provider agreed to has acted, or was given up.
const ENOUGH: u32 = 5;

#[test]
fn a_stolen_device_cannot_take_anything_away() {
    let fleet = Fleet::found("4s");
    let providers = fleet.providers(PROVIDERS);
    let (mut keeper, words) = fleet.keeper_with_words();
    offered(&keeper, PROVIDERS);
    let folder = fleet.path("folder");
    plain(&folder, 2);
    noise(&folder.join("diary"), 7, 3 << 20);
    let path = folder.to_str().unwrap();
    let hidden = saved(&keeper.larder(&["backup", path, "--tag", "mine"]))["snapshot"].clone();
    fs::write(folder.join("new"), "here").unwrap();
    let shown = saved(&keeper.larder(&["backup", path]))["snapshot"].clone();
    let (one, two) = (hidden.as_str().unwrap(), shown.as_str().unwrap());
    let file = words.to_str().unwrap();
    keeper.larder(&["forget", one, "--words-file", file]).done();
    until("every shard is placed", SOON, || {
        (keeper.repairs()["full_redundancy"] == true).then_some(())
    });
    keeper.settled();
    let was = facts(&folder);
    let before = lying(&providers);
    keeper.stop();

    let mut thief = taken(&fleet, &keeper);
    thief.start();
    let (other, other_words) = other_account(&fleet);
    asked(&thief, (one, two), &other_words);
    thief.stop();
    let late = fleet.path("late");
    plain(&late, 1);
    marked_by_another_key(&mut thief, &other, two, &late);
    with_another_certificate(&fleet, &mut thief);
    passed(&fleet, ENOUGH);
    let after = lying(&providers);
    for (before, after) in before.iter().zip(&after) {
        let gone: Vec<_> = before.iter().filter(|s| !after.contains(*s)).collect();
        assert!(gone.is_empty(), "taken away: {gone:?}");
    }

    // The owner, from the words alone.
    let home = fleet.path("again");
    let line = ["recover", "--join", &fleet.invite, "--words-file", file];
    larder(&home, &line).done();
    let mut owner = fleet.at_home("again", &[]);
    owner.start();
    until("what was there is listed", SOON, || {
        listed(&owner, &["snapshots"])
            .contains(&shown)
            .then_some(())
    });
    let all = owner.larder(&["snapshots", "--all"]).objects();
    let hidden_now = all.iter().find(|s| s["snapshot"] == hidden).unwrap();
    assert_eq!(hidden_now["tags"], serde_json::json!(["mine"]), "{all:?}");
    assert_eq!(hidden_now["forgotten"]["undeletable"], true, "{all:?}");
    let shown_now = all.iter().find(|s| s["snapshot"] == shown).unwrap();
    assert_eq!(shown_now["tags"], serde_json::json!([]), "{all:?}");
    assert!(shown_now["forgotten"].is_null(), "{all:?}");
    owner
        .larder(&["undelete", one, "--words-file", file])
        .done();
    let check = owner.larder(&["check", "--read-data"]).done();
    assert_eq!(check["ok"], true, "{check}");
    for (snapshot, target) in [(two, "back"), (one, "back before")] {
        let target = fleet.path(target);
        let line = ["restore", snapshot, "--target", target.to_str().unwrap()];
        assert_eq!(owner.larder(&line).done()["errors"], 0);
        let back = facts(&copy_of(&folder, &target));
        for (path, fact) in &back {
            let is_folder = path.as_os_str().is_empty();
            assert!(is_folder || was.get(path) == Some(fact), "{path:?}");
        }
        assert_eq!(back.len() + usize::from(snapshot == one), was.len());
    }
}

/// A copy of the home, as whoever has the device has it.
fn taken(fleet: &Fleet, keeper: &Node) -> Node {
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(&keeper.home).arg(fleet.path("stolen"));
    assert!(copy.status().unwrap().success());
    fleet.at_home("stolen", &[])
}

/// An account of the thief's own: its admin key, and the file with its words.
fn other_account(fleet: &Fleet) -> (Signer, PathBuf) {
    let home = fleet.path("thief's own");
    let made = larder(&home, &["init", "--join", &fleet.invite]).done();
    let words = made["words"].as_str().unwrap();
    let file = fleet.path("thief's words");
    fs::write(&file, words).unwrap();
    let seed: Seed = Words::parse(words).unwrap().seed();
    (seed.admin(), file)
}

/// Every verb that takes something away asks for the words, and knows whose they are.
fn asked(thief: &Node, (hidden, shown): (&str, &str), other_words: &Path) {
    let contract = thief.contracts()[0].contract.to_string();
    let other = ["--words-file", other_words.to_str().unwrap()];
    for verb in [
        &["forget", shown][..],
        &["forget", shown, "--prune", "--lock", "0s"],
        &["undelete", hidden],
        &["tag", shown, "--add", "stolen"],
        &["contracts", "cancel", &contract],
        &["contracts", "cancel", &contract, "--force"],
    ] {
        // Nobody is there to type them, and those of somebody else do not do. Whether they are good
        // is not even looked at where what lies there is needed.
        let cancels = verb[0] == "contracts" && !verb.contains(&"--force");
        let codes: &[i32] = if cancels { &[1, 12] } else { &[12] };
        for given in [&[][..], &other] {
            let said = thief.larder(&[verb, given].concat());
            assert!(codes.contains(&said.code), "{verb:?}: {said:?}");
            let why = said.refused(said.code);
            assert!(said.code == 1 || why.contains("words"), "{verb:?}: {why}");
        }
    }
    // Nothing can be pruned: what is hidden can be brought back.
    let pruned = thief.larder(&["prune", "--max-unused", "0"]);
    nothing_dropped(&pruned);
    assert!(listed(thief, &["snapshots"]).contains(&Value::from(shown)));
}

fn nothing_dropped(said: &Said) {
    if said.code == 0 {
        assert_eq!(said.last()["segments_dropped"], 0, "{said:?}");
    }
}

/// Keeps what it is given in the spool, where the node finds it.
struct Spooled;

impl Segments for Spooled {
    async fn store(&self, segment: SealedSegment) -> Result<Stored, SegmentsError> {
        Err(SegmentsError::Lost(segment.id))
    }
    async fn fetch(&self, id: SegmentId) -> Result<PathBuf, SegmentsError> {
        Err(SegmentsError::Lost(id))
    }
    async fn release(&self, _: SegmentId) {}
    async fn list(&self) -> Result<Vec<KnownSegment>, SegmentsError> {
        Ok(Vec::new())
    }
}

/// A changed program seals marks of another admin key under the vault's own keys, and the device sends
/// them to the providers under its own, good signature. They count for nothing here either.
fn marked_by_another_key(thief: &mut Node, other: &Signer, snapshot: &str, late: &Path) {
    let root = fs::read(thief.home.join("keys/vault.key")).unwrap();
    let keys = VaultKeys::from_root(&root.try_into().unwrap());
    let genesis = genesis(&thief.home);
    let authority = Authority {
        admin: other.public(),
        genesis,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let vault = Vault::open(thief.home.join("vault"), keys).await.unwrap();
        let vault = vault.heeding(Some(authority));
        let (snapshot, _) = vault.resolve(snapshot).await.unwrap();
        let says = [Say::Forget { until: 0 }, Say::Tags(vec!["stolen".into()])];
        let marks = (100..).zip(says).map(|(no, say)| {
            let mark = Mark {
                snapshot,
                no,
                epoch: 0,
                time: Time(1),
                say,
            };
            mark.sign(other, &genesis)
        });
        let stored = vault.store_marks(marks.collect(), &Arc::new(Spooled)).await;
        assert!(matches!(stored, Err(MarkError::Segments(_))), "{stored:?}");
    });
    let spool = thief.home.join("vault/spool");
    assert_eq!(files(&spool).len(), 1, "the marks wait there");
    thief.start();
    offered(thief, PROVIDERS);
    saved(&thief.larder(&["backup", late.to_str().unwrap()]));
    assert_eq!(files(&spool).len(), 0, "the marks went out");
    assert!(listed(thief, &["snapshots"]).contains(&Value::from(snapshot)));
    thief.stop();
}

fn genesis(home: &Path) -> GenesisHash {
    let document = fs::read(home.join("genesis.cbor")).unwrap();
    let document: larder_ledger::Genesis = larder_types::codec::decode(&document).unwrap();
    document.hash()
}

/// The device's certificate is replaced by one of the thief's account, so that the thief's words were good
/// enough for the device itself: the program does not run so.
fn with_another_certificate(fleet: &Fleet, thief: &mut Node) {
    let cert = fleet.path("thief's own").join("keys/device.cert");
    fs::copy(cert, thief.home.join("keys/device.cert")).unwrap();
    thief.spawn();
    thief.ends();
    let log = thief.log();
    assert!(log.contains("device.cert"), "{log}");
}

/// So many epochs are over.
fn passed(fleet: &Fleet, epochs: u32) {
    let then = fleet.founder.status().epoch + epochs;
    until("some epochs are over", SOON, || {
        (fleet.founder.status().epoch >= then).then_some(())
    });
}

/// The shards on each provider's disk, those in its trash aside.
fn lying(providers: &[Node]) -> Vec<Vec<PathBuf>> {
    let of = |p: &Node| {
        let shards = files(&p.home.join("shards/shards"));
        let shards = shards.into_iter().filter(|f| f.extension().is_none());
        shards.collect()
    };
    providers.iter().map(of).collect()
}

fn listed(keeper: &Node, words: &[&str]) -> Vec<Value> {
    let objects = keeper.larder(words).objects();
    objects.iter().map(|s| s["snapshot"].clone()).collect()
}
