//! A folder shared with one person: read by that person without a contract, by nobody else, and by
//! nobody once it is taken back.

use crate::by_hand::saved;
use crate::fleet::{Fleet, Node, offered};
use crate::folder::{facts, noise, plain};
use crate::until::until;
use larder_engine::share::Share;
use larder_keys::{SharingCert, SharingKey};
use larder_types::{Time, codec};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a folder holds; of the folder itself nothing.
fn below(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut facts = facts(root);
    facts.remove(Path::new(""));
    facts
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn started(fleet: &Fleet, name: &str) -> Node {
    let mut node = fleet.join(name, &[]);
    node.start();
    node
}

/// What the recipient was given opens nothing else: no key of the owner's is in it, and its rights
/// are for the roots that it names.
fn gives_no_more_than_it_names(file: &Path, owner: &Node, recipient: &Node) {
    let keys = recipient.home.join("keys");
    let secret: [u8; 32] = fs::read(keys.join("sharing.key"))
        .unwrap()
        .try_into()
        .unwrap();
    let key = SharingKey::from_secret(&secret);
    let cert: SharingCert = codec::decode(&fs::read(keys.join("sharing.cert")).unwrap()).unwrap();
    let (owner_keys, net) = (owner.home.join("keys"), genesis(&recipient.home));
    let sealed = fs::read(file).unwrap();
    let (share, from) = Share::open(&sealed, (&cert.account, &key), Time(1), &net).unwrap();
    assert_eq!(from.to_string(), owner.info().account.to_string());
    let bytes = codec::encode(&share);
    for name in ["vault", "ledger", "device", "node", "rendezvous", "sharing"] {
        let secret = fs::read(owner_keys.join(format!("{name}.key"))).unwrap();
        assert!(!bytes.windows(32).any(|part| part == secret), "{name}");
    }
    assert!(!share.segments.is_empty());
    for segment in &share.segments {
        for place in &segment.places {
            let root = segment.manifest.roots[usize::from(place.position)];
            assert_eq!(place.cap.root, root);
            assert!(place.cap.is_signed_by(&from, &net));
        }
    }
}

fn genesis(home: &Path) -> larder_types::GenesisHash {
    let document = fs::read(home.join("genesis.cbor")).unwrap();
    let document: larder_ledger::Genesis = codec::decode(&document).unwrap();
    document.hash()
}

#[test]
fn an_album_is_shared_read_and_taken_back() {
    let fleet = Fleet::found("4s");
    let _providers = fleet.providers(3);
    let owner = fleet.keeper();
    let (sister, stranger) = (started(&fleet, "sister"), started(&fleet, "stranger"));
    offered(&owner, 3);
    let folder = fleet.path("folder");
    let album = folder.join("album");
    plain(&album, 3);
    symlink("deep/er/note", album.join("to the note")).unwrap();
    fs::create_dir(folder.join("private")).unwrap();
    noise(&folder.join("private/diary"), 99, 1 << 20);
    saved(&owner.larder(&["backup", "--class", "low", text(&folder)]));
    owner.settled();

    let address = sister.larder(&["shared", "address"]).done();
    let address = address["address"].as_str().unwrap();
    let file = fleet.path("album.larder-share");
    let what = format!("latest:{}", text(&album));
    let share = ["share", &what, "--to", address, "--file", text(&file)];
    let made = owner.larder(&share).done();
    assert_eq!(
        (&made["files"], &made["name"]),
        (&4.into(), &"album".into())
    );
    assert!(owner.larder(&share).refused(1).contains("exists"));
    let id = made["share"].as_str().unwrap();
    gives_no_more_than_it_names(&file, &owner, &sister);

    // Nobody else opens it, and no byte of it can be changed.
    let opened = |node: &Node, file: &Path, target: &Path| {
        let words = ["shared", "open", text(file), "--target", text(target)];
        node.larder(&words)
    };
    let nothing = fleet.path("nothing");
    for other in [&stranger, &owner] {
        let why = opened(other, &file, &nothing).refused(1);
        assert!(why.contains("for another account"), "{why}");
    }
    let bent = fleet.path("bent.larder-share");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&bent, bytes).unwrap();
    opened(&sister, &bent, &nothing).refused(1);
    assert!(!nothing.exists());

    // She reads it, without a contract and with nobody's leave but the owner's.
    let target = fleet.path("target");
    let read = opened(&sister, &file, &target).done();
    assert_eq!((&read["files"], &read["errors"]), (&4.into(), &0.into()));
    assert_eq!(below(&target), below(&album));
    assert!(sister.contracts().is_empty());
    let listed = sister.larder(&["shared"]).done();
    assert_eq!(
        (&listed["share"], &listed["name"]),
        (&id.into(), &"album".into())
    );
    let again = fleet.path("again");
    let words = ["shared", "open", &id[..8], "--target", text(&again)];
    sister.larder(&words).done();
    assert_eq!(below(&again), below(&album));

    // Its file can be written anew, for the same person.
    let newer = fleet.path("newer.larder-share");
    let refreshed = ["share", "refresh", &id[..8], "--file", text(&newer)];
    owner.larder(&refreshed).done();
    let fresh = fleet.path("fresh");
    opened(&sister, &newer, &fresh).done();
    assert_eq!(below(&fresh), below(&album));

    // Taken back, it is served no more; the owner's own reads go on.
    until("every provider knows", Duration::from_secs(180), || {
        let end = owner.larder(&["unshare", id]).done();
        let all_know = end["untold"].as_array().unwrap().is_empty();
        all_know.then(|| assert!(!end["told"].as_array().unwrap().is_empty()))
    });
    let late = fleet.path("late");
    for file in [&file, &newer] {
        let why = opened(&sister, file, &late).refused(1);
        assert!(why.contains("taken back by its owner"), "{why}");
    }
    assert!(!late.exists() || below(&late).is_empty());
    let unwritten = fleet.path("unwritten.larder-share");
    let words = ["share", "refresh", &id[..8], "--file", text(&unwritten)];
    owner.larder(&words).refused(1);
    assert!(owner.larder(&["shares"]).done()["revoked"].is_string());
    let own = fleet.path("own");
    let words = ["restore", &what, "--target", text(&own)];
    owner.larder(&words).done();
    assert_eq!(below(&own), below(&album));
}
