//! The shape of the house: which crate may depend on which, what pure crates may use at all, and
//! which lints each crate stands under. `docs/ARCHITECTURE.md`.

use crate::workspace::{direct, folder, metadata};
use cargo_metadata::{Metadata, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Computes; touches nothing.
    Pure,
    /// Acts.
    Shell,
    /// Serves tests and simulations.
    Test,
}

use Kind::{Pure, Shell, Test};

/// Every crate, its kind, and the crates of ours that it may depend on (tests and benches are
/// free). A new crate or arrow is a decision: it goes here and into `docs/ARCHITECTURE.md`.
const CRATES: [(&str, Kind, &str); 14] = [
    ("types", Pure, ""),
    ("keys", Pure, "types"),
    ("coding", Pure, "types keys"),
    ("proofs", Pure, "types keys"),
    ("contracts", Pure, "types keys proofs"),
    ("ledger", Pure, "types keys proofs contracts"),
    ("engine", Pure, "types keys coding proofs contracts ledger"),
    ("backup", Shell, "types keys coding"),
    ("consensus", Shell, "types keys proofs ledger"),
    ("rpc", Shell, "types"),
    (
        "node",
        Shell,
        "types keys coding proofs contracts ledger engine backup consensus rpc simulations",
    ),
    (
        "simulations",
        Test,
        "types keys coding proofs contracts ledger engine",
    ),
    (
        "fuzz",
        Test,
        "types keys coding proofs contracts ledger engine",
    ),
    (
        "tests",
        Test,
        "types keys coding proofs contracts ledger engine backup consensus rpc node simulations",
    ),
];

/// What pure crates may use from outside, each directly named package. All of it computes.
const PURE_USES: [(&str, &str); 7] = [
    (
        "types",
        "blake3 cid multibase multihash-codetable serde serde_bytes serde_ipld_dagcbor thiserror",
    ),
    (
        "keys",
        "argon2 aws-lc-rs bip39 blake3 curve25519-dalek ed25519-dalek hpke rand_core serde serde_bytes sha2 thiserror zeroize",
    ),
    (
        "coding",
        "aes aws-lc-rs blake3 chacha20 ctr fastcdc reed-solomon-simd serde thiserror zeroize zstd",
    ),
    (
        "proofs",
        "ark-bls12-381 ark-ec ark-ff ark-serialize blake3 serde serde_bytes sha2 thiserror zeroize",
    ),
    ("contracts", "blake3 serde serde_bytes thiserror"),
    ("ledger", "blake3 serde serde_bytes thiserror"),
    ("engine", "libm rand_core serde serde_bytes thiserror"),
];

/// What no pure crate may hold anywhere below it: runtimes, sockets, databases, servers.
const NEVER_BELOW_PURE: [&str; 10] = [
    "async-std",
    "axum",
    "hyper",
    "jsonrpsee",
    "libp2p",
    "mio",
    "reqwest",
    "smol",
    "sqlx",
    "tokio",
];

fn words(list: &str) -> BTreeSet<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

fn crates(metadata: &Metadata) -> BTreeMap<String, &Package> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (folder(package), package))
        .collect()
}

fn of_kind(kind: Kind) -> impl Iterator<Item = &'static str> {
    CRATES
        .iter()
        .filter(move |(_, k, _)| *k == kind)
        .map(|(name, ..)| *name)
}

#[test]
fn every_crate_is_in_the_table_and_named_after_its_folder() {
    let metadata = metadata();
    let found: BTreeSet<String> = crates(&metadata).into_keys().collect();
    let listed: BTreeSet<String> = CRATES.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(found, listed);
    for (folder, package) in crates(&metadata) {
        assert_eq!(*package.name, format!("larder-{folder}"));
    }
}

#[test]
fn arrows_between_crates_are_those_of_the_table() {
    let metadata = metadata();
    let crates = crates(&metadata);
    for (name, _, allowed) in CRATES {
        let ours: BTreeSet<String> = direct(crates[name])
            .iter()
            .filter_map(|dep| dep.strip_prefix("larder-").map(str::to_owned))
            .collect();
        let stray: Vec<_> = ours.difference(&words(allowed)).cloned().collect();
        assert!(stray.is_empty(), "{name} may not depend on {stray:?}");
    }
}

#[test]
fn pure_crates_use_only_what_is_allowed() {
    let metadata = metadata();
    let crates = crates(&metadata);
    let uses: BTreeMap<&str, &str> = PURE_USES.into_iter().collect();
    for name in of_kind(Pure) {
        let foreign: BTreeSet<String> = direct(crates[name])
            .into_iter()
            .filter(|dep| !dep.starts_with("larder-"))
            .collect();
        let stray: Vec<_> = foreign.difference(&words(uses[name])).cloned().collect();
        assert!(stray.is_empty(), "{name} is pure and may not use {stray:?}");
    }
}

/// What lies below a crate that is built by itself. Within the whole workspace a package has the
/// features that all its users ask for: the engine's libp2p asks the number coding below `cid` for its
/// tokio codec, which no pure crate can reach.
fn alone(name: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", &format!("larder-{name}")])
        .args(["--edges", "normal", "--prefix", "none", "--no-dedupe"])
        .args(["--format", "{p}"])
        .current_dir(larder_tests::root())
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let text = String::from_utf8(tree.stdout).unwrap();
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn nothing_that_acts_lies_below_a_pure_crate() {
    for name in of_kind(Pure) {
        let tree = alone(name);
        assert!(
            tree.contains("thiserror"),
            "the walk found {name}'s dependencies"
        );
        let bad: Vec<_> = NEVER_BELOW_PURE
            .iter()
            .filter(|p| tree.contains(**p))
            .collect();
        assert!(bad.is_empty(), "{name} is pure and has {bad:?} below it");
    }
    let node = alone("node");
    assert!(
        node.contains("tokio") && node.contains("libp2p"),
        "the walk finds what is there"
    );
}

#[test]
fn pure_crates_stand_under_the_strict_clippy_file_and_shells_carry_their_own() {
    let root = larder_tests::root();
    let strict = fs::read_to_string(root.join("clippy.toml")).unwrap();
    for banned in [
        "collections::HashMap",
        "collections::HashSet",
        "sync::Mutex",
        "time::Instant",
        "time::SystemTime",
        "thread::spawn",
        "env::var",
        "fs::File::open",
    ] {
        assert!(
            strict.contains(banned),
            "the root clippy.toml bans {banned}"
        );
    }
    let own = |name: &str| {
        ["clippy.toml", ".clippy.toml"]
            .into_iter()
            .map(|file| root.join(name).join(file))
            .find(|p| p.exists())
    };
    for name in of_kind(Pure) {
        assert_eq!(
            own(name),
            None,
            "{name} is pure: the root's clippy.toml is its own"
        );
    }
    for name in of_kind(Shell) {
        let path = own(name).unwrap_or_else(|| panic!("{name} acts: it needs a clippy.toml"));
        let text = fs::read_to_string(path).unwrap();
        assert!(
            text.contains("unbounded_channel"),
            "{name} bans unbounded channels"
        );
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for (name, ..) in CRATES {
        let path = larder_tests::root().join(name).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        let takes = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        assert_eq!(
            takes,
            Some(&toml::Value::Boolean(true)),
            "{}",
            path.display()
        );
    }
}
