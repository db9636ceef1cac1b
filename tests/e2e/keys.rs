//! A home under passphrases: sealed, opened by each of its keys and by nothing else, and the page for the day
//! when it is gone.

use crate::fleet::{Fleet, Node, Said, binary, larder, run};
use larder_keys::Words;
use larder_rpc::Empty;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files with passphrases, beside the homes.
struct Desk(PathBuf);

impl Desk {
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        fs::write(&path, format!("{text}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// `larder up`, which is not to become ready.
fn up(home: &Path, passphrase_file: Option<&str>) -> Said {
    let mut command = Command::new(binary());
    command.arg("--home").arg(home);
    command.args(["--json", "up", "--rpc", "127.0.0.1:0"]);
    command.args(["--listen", "/ip4/127.0.0.1/tcp/0"]);
    if let Some(file) = passphrase_file {
        command.env("LARDER_PASSPHRASE_FILE", file);
    }
    run(command)
}

/// No file below `keys/` holds one of these secrets.
fn holds_none(home: &Path, secrets: &[Vec<u8>]) {
    for entry in fs::read_dir(home.join("keys")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for secret in secrets {
            let found = bytes.windows(32).any(|window| window == secret.as_slice());
            assert!(!found, "a key lies in {}", path.display());
        }
    }
}

fn secrets(home: &Path) -> Vec<Vec<u8>> {
    let names = ["node", "device", "ledger", "vault", "rendezvous", "sharing"];
    let read = |name| fs::read(home.join(format!("keys/{name}.key"))).unwrap();
    names.map(read).to_vec()
}

#[test]
fn a_sealed_home_opens_by_each_of_its_passphrases_and_by_nothing_else() {
    let fleet = Fleet::found("4s");
    let desk = Desk(fleet.path("desk"));
    fs::create_dir(&desk.0).unwrap();
    let (one, two) = (desk.file("one", "open sesame"), desk.file("two", "another"));
    let three = desk.file("three", "a third one");
    let mut node = fleet.join("sealed", &[]);
    let clear = secrets(&node.home);
    node.start();
    let before = node.info();
    // Beside a running node nothing changes.
    let add = ["key", "add", "--new-passphrase-file", &one];
    assert!(node.larder(&add).refused(11).contains("running"));
    node.stop();
    let passwd = |from: &str, to: &str| {
        [
            "key",
            "passwd",
            "--passphrase-file",
            from,
            "--new-passphrase-file",
            to,
        ]
        .map(String::from)
    };
    node.larder(&passwd(&one, &two)).refused(1);
    assert_eq!(node.larder(&["key", "list"]).done()["sealed"], false);
    let sealed = node.larder(&add).done();
    assert_eq!(
        (&sealed["key"], &sealed["sealed"]),
        (&"key-1".into(), &true.into())
    );
    holds_none(&node.home, &clear);

    // Nothing, and the wrong thing.
    assert!(up(&node.home, None).refused(11).contains("sealed"));
    up(&node.home, Some(&two)).refused(12);
    let with = |file: &str| -> Node { fleet.at_home("sealed", &["--passphrase-file", file]) };
    node = with(&one);
    node.start();
    assert_eq!(node.info().peer_id, before.peer_id);
    assert_eq!(node.info().account, before.account);
    // The sharing key is read while it runs.
    let address = node.ask(|node| async move { node.share_address(&Empty {}).await });
    assert_eq!(address.unwrap().account.0, before.account.0);
    node.kill();

    // A second key; the first goes.
    let add = |by: &str, new: &str| {
        let words = [
            "key",
            "add",
            "second",
            "--passphrase-file",
            by,
            "--new-passphrase-file",
            new,
        ];
        words.map(String::from)
    };
    node.larder(&add(&two, &two)).refused(12);
    node.larder(&add(&one, &one)).refused(1);
    assert_eq!(node.larder(&add(&one, &two)).done()["key"], "second");
    let listed = node.larder(&["key", "list"]).objects();
    let names: Vec<_> = listed
        .iter()
        .filter_map(|key| key["key"].as_str())
        .collect();
    assert_eq!(names, ["key-1", "second"]);
    let remove =
        |name: &str, by: &str| ["key", "remove", name, "--passphrase-file", by].map(String::from);
    node.larder(&remove("key-1", &two)).done();
    up(&node.home, Some(&one)).refused(12);
    let last = node.larder(&remove("second", &two)).refused(1);
    assert!(last.contains("--unseal"), "{last}");

    // Its passphrase changes, and the node starts by the new one alone.
    node.larder(&passwd(&one, &three)).refused(12);
    assert_eq!(node.larder(&passwd(&two, &three)).done()["key"], "second");
    up(&node.home, Some(&two)).refused(12);
    node = with(&three);
    node.start();
    assert_eq!(node.info().peer_id, before.peer_id);
    node.stop();

    // Unsealed, all is as it was.
    let unseal = [&remove("second", &three)[..], &["--unseal".to_owned()]].concat();
    assert_eq!(node.larder(&unseal).done()["sealed"], false);
    assert_eq!(secrets(&node.home), clear);
    node = fleet.at_home("sealed", &[]);
    node.start();
    assert_eq!(node.info().peer_id, before.peer_id);
}

#[test]
fn a_page_holds_what_a_recovery_takes_and_is_of_the_homes_own_words() {
    let fleet = Fleet::found("4s");
    let desk = Desk(fleet.path("desk"));
    fs::create_dir(&desk.0).unwrap();
    let home = fleet.path("keeper");
    let made = larder(&home, &["init", "--join", &fleet.invite]).done();
    let words = made["words"].as_str().unwrap();
    let account = made["account"].as_str().unwrap();
    let own = desk.file("words", words);
    let foreign = Words::generate(&mut rand::rng()).reveal();
    let foreign = desk.file("foreign", &foreign);
    let paper = |words: &str, more: &[&str]| {
        let line = [&["key", "export", "--paper", "--words-file", words], more].concat();
        larder(&home, &line)
    };
    let file = fleet.path("desk/page.txt");
    let out = ["--out", file.to_str().unwrap()];
    let refused = paper(&foreign, &out).refused(12);
    assert!(refused.contains(account) && !file.exists(), "{refused}");
    let told = paper(&own, &out).done();
    assert_eq!(told["account"], account);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let page = fs::read_to_string(&file).unwrap();
    for word in words.split(' ') {
        assert!(page.contains(word), "{word}");
    }
    let peers = told["peers"].as_array().unwrap();
    assert!(!peers.is_empty());
    let peers = peers.iter().map(|peer| peer.as_str().unwrap());
    let genesis = told["genesis"].as_str().unwrap();
    for needed in peers.chain([account, genesis, "larder recover --join"]) {
        assert!(page.contains(needed), "{needed}");
    }
    // The invite on it is one that a new machine takes.
    let rows = page
        .lines()
        .map(str::trim)
        .skip_while(|row| !row.starts_with("larder1"));
    let rows = rows.take_while(|row| row.bytes().all(|b| b.is_ascii_alphanumeric()));
    let invite: String = rows.collect();
    let again = fleet.path("again");
    let recovered = ["init", "--join", &invite, "--words-file", &own];
    assert_eq!(larder(&again, &recovered).done()["account"], account);

    // Nothing is replaced unless that is said; on standard output it is the whole result.
    let there = paper(&own, &out).refused(1);
    assert!(there.contains("--force"), "{there}");
    paper(&own, &[&out[..], &["--force", "--html"]].concat()).done();
    let html = fs::read_to_string(&file).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("<svg"));
    let shown = paper(&own, &[]).done();
    assert!(shown["page"].as_str().unwrap().contains(account));
}
