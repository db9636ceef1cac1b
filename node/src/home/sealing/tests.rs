//! A home that is killed behind each step of each change of its keys.

use super::*;
use crate::cli::options::{InitOptions, Network};
use crate::home::{Home, init, is_sealed};
use larder_ledger::Consensus;
use larder_types::Profile;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// As cheap as Argon2id goes.
const CHEAP: Stretch = Stretch {
    memory: 8,
    passes: 1,
    lanes: 1,
};

fn home() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let network = Network::New {
        profile: Profile::Dev,
        epoch: None,
        consensus: Consensus::Solo,
    };
    let words = None;
    init(&home, InitOptions { network, words }).unwrap();
    (dir, home)
}

fn add(dir: &Path, current: Option<&str>, new: (Option<&str>, &str)) {
    let (steps, _) = plan_add(dir, current, new, CHEAP).unwrap();
    carry_out(&steps).unwrap();
}

/// The files in a home's `keys/`, for a home to be brought back to where it was.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir.join("keys")).unwrap();
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        (path.clone(), fs::read(path).unwrap())
    };
    entries.map(read).collect()
}

fn bring_back(dir: &Path, then: &BTreeMap<PathBuf, Vec<u8>>) {
    for path in files(dir).keys() {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in then {
        crate::home::write(path, bytes, 0o600).unwrap();
    }
}

/// What tells one home's secrets from another's.
fn opened(dir: &Path, passphrase: Option<&str>) -> Option<Vec<[u8; 32]>> {
    if passphrase.is_some() && !is_sealed(dir) {
        // It opens by any passphrase, which is none of it.
        return None;
    }
    let keys = Home::open(dir, passphrase).ok()?.keys;
    let vault = *keys.vault.root();
    let rendezvous = **keys.rendezvous.as_ref().unwrap();
    let signers = [&keys.node, &keys.device, &keys.ledger];
    let publics = signers.map(larder_keys::Signer::public);
    Some([&publics[..], &[vault, rendezvous]].concat())
}

/// Killed behind each step of `plan`, a home opens by the old or by the new, to the same secrets; behind the
/// last by the new alone; and whatever is sealed lies nowhere in the clear once it has been opened.
fn survives(dir: &Path, (old, next): (Option<&str>, Option<&str>), plan: impl Fn() -> Vec<Step>) {
    let then = files(dir);
    let secrets = opened(dir, old).unwrap();
    let count = plan().len();
    let mut seen = Vec::new();
    for done in 0..=count {
        bring_back(dir, &then);
        carry_out(&plan()[..done]).unwrap();
        let by = [old, next].map(|passphrase| opened(dir, passphrase));
        assert!(by.iter().any(Option::is_some), "step {done} of {count}");
        for found in by.iter().flatten() {
            assert_eq!(*found, secrets, "step {done} of {count}");
        }
        if is_sealed(dir) {
            let clear = NAMES.map(|name| key_path(dir, name));
            let fresh = clear.each_ref().map(|path| path.with_extension("new"));
            for path in clear.iter().chain(&fresh) {
                assert!(!path.exists(), "step {done} of {count}: {path:?}");
            }
        }
        seen.push(by.map(|found| found.is_some()));
    }
    assert_eq!(seen.first(), Some(&[true, false]));
    assert_eq!(seen.last(), Some(&[false, true]));
    // Where the change happens, once.
    let turns = seen.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(turns, 1, "{seen:?}");
}

#[test]
fn killed_while_it_is_sealed_a_home_opens_as_before_or_after() {
    let (_dir, home) = home();
    survives(&home, (None, Some("one")), || {
        plan_add(&home, None, (None, "one"), CHEAP).unwrap().0
    });
}

#[test]
fn killed_while_a_key_is_added_or_removed_a_home_opens_by_the_other() {
    let (_dir, home) = home();
    add(&home, None, (None, "one"));
    let then = files(&home);
    let plan = || {
        let new = (Some("second"), "two");
        plan_add(&home, Some("one"), new, CHEAP).unwrap().0
    };
    for done in 0..=plan().len() {
        bring_back(&home, &then);
        carry_out(&plan()[..done]).unwrap();
        assert!(opened(&home, Some("one")).is_some(), "step {done}");
    }
    assert!(opened(&home, Some("two")).is_some());
    let then = files(&home);
    let plan = || plan_remove(&home, "two", "key-1", false).unwrap();
    for done in 0..=plan().len() {
        bring_back(&home, &then);
        carry_out(&plan()[..done]).unwrap();
        assert!(opened(&home, Some("two")).is_some(), "step {done}");
    }
    assert!(opened(&home, Some("one")).is_none());
}

#[test]
fn killed_while_a_passphrase_changes_a_home_opens_by_the_old_or_the_new() {
    let (_dir, home) = home();
    add(&home, None, (None, "one"));
    survives(&home, (Some("one"), Some("two")), || {
        let (steps, name) = plan_change(&home, "one", "two", CHEAP).unwrap();
        assert_eq!(name, "key-1");
        steps
    });
}

#[test]
fn killed_while_it_is_unsealed_a_home_opens_as_before_or_after() {
    let (_dir, home) = home();
    add(&home, None, (None, "one"));
    let last = plan_remove(&home, "one", "key-1", false);
    assert!(matches!(last, Err(HomeError::Keyring(_))));
    survives(&home, (Some("one"), None), || {
        plan_remove(&home, "one", "key-1", true).unwrap()
    });
}

#[test]
fn a_sealed_home_says_what_is_wrong_and_leaves_foreign_keys_alone() {
    let (_dir, home) = home();
    let exit = |e: &HomeError| e.exit_code();
    let none = plan_change(&home, "one", "two", CHEAP);
    assert!(matches!(none, Err(HomeError::Unsealed(_))));
    add(&home, None, (Some("mine"), "one"));
    assert_eq!(exit(&Home::open(&home, None).unwrap_err()), 11);
    assert_eq!(exit(&Home::open(&home, Some("two")).unwrap_err()), 12);
    let wrong = plan_remove(&home, "two", "mine", false).err().unwrap();
    assert_eq!(exit(&wrong), 12);
    // Some other home's key was put there: it does not count, and it is not ours to wipe.
    let foreign = key_path(&home, "vault");
    crate::home::write(&foreign, &[5; 32], 0o600).unwrap();
    let secrets = opened(&home, Some("one")).unwrap();
    assert!(!secrets.contains(&[5; 32]));
    assert!(foreign.exists());
    // What is kept later is sealed too.
    let safe = Safe::open(&home, Some("one")).unwrap();
    safe.keep("sharing", &[6; 32]).unwrap();
    assert_eq!(*safe.need("sharing").unwrap(), [6; 32]);
    let bytes = fs::read(ring_path(&home)).unwrap();
    assert!(!bytes.windows(32).any(|window| window == [6; 32]));
    assert!(!key_path(&home, "sharing").exists());
    // Beside a running node nothing changes.
    let open = Home::open(&home, Some("one")).unwrap();
    let busy = change_passphrase(&home, "one", "two").unwrap_err();
    assert!(matches!(busy, HomeError::Busy(_)));
    drop(open);
}
