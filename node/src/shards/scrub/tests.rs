//! The scrubber over a real folder, before an engine that answers for every shard: what it reports,
//! and what it must not.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the scrubber says two things to the engine"
)]

use super::*;
use crate::driver::{Msg, inbox};
use crate::shards::{ShardStore, StoreConfig};
use larder_contracts::{Draft, SignedLeaf};
use larder_engine::head::RecoveryKeys;
use larder_engine::rows::{ShardRow, Write};
use larder_engine::{Identity, Provide};
use larder_keys::{AccountSigner, Signer, VaultKeys};
use larder_proofs::ShardLeaf;
use larder_types::{Amount, Bytes, GenesisHash, Params, Profile, Schedule, Time};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

const LEN: usize = 16 << 10;

struct Bench {
    dir: TempDir,
    store: ShardStore,
    scrubber: Scrubber,
    suspects: Suspects,
    roots: Vec<ShardRoot>,
    told: Arc<Mutex<BTreeSet<ShardRoot>>>,
}

/// An engine whose provider's side answers for these shards, under one contract.
fn engine(roots: &[ShardRoot]) -> Engine {
    let params = Params::profile(Profile::Dev);
    let me = Identity {
        genesis: GenesisHash([4; 32]),
        schedule: Schedule::new(Time(0), &params),
        params,
        node_key: Signer::from_seed(&[1; 32]),
        ledger_key: AccountSigner::own(Signer::from_seed(&[2; 32])),
        delegation: None,
        device_key: Signer::from_seed(&[5; 32]),
        cert: None,
        recovery: RecoveryKeys::new(
            &[6; 32],
            &VaultKeys::from_root(&[7; 32]),
            &GenesisHash([4; 32]),
        ),
    };
    let draft = Draft {
        provider: me.node(),
        renter: me.account(),
        nonce16: [0; 16],
        start: 2,
        term: 35,
        capacity_chunks: 1 << 16,
        price: Amount(1),
        collateral_epochs: 2,
    };
    let leaf = draft.leaf(&me.params);
    let revision = SignedLeaf::sign(leaf, None, &me.node(), &me.ledger_key, &me.genesis)
        .countersign(&me.node_key, &me.genesis);
    let mut writes = vec![Write::held(&leaf.contract_id, Some(&revision))];
    writes.extend(roots.iter().map(|root| {
        let row = ShardRow {
            contract: leaf.contract_id,
            leaf: ShardLeaf {
                root: *root,
                chunks: 16,
                tag: [0; 8],
            },
            index: None,
            damaged: false,
        };
        Write::shard(root, Some(&row))
    }));
    let rows = writes.into_iter().map(|write| {
        let value = write.value.unwrap();
        (write.kind as u8, write.key, value)
    });
    let provide = Provide {
        quota: Bytes(1 << 30),
        price: Amount(1),
        egress_price: Amount::ZERO,
        region: String::new(),
        operator: String::new(),
        taking: larder_engine::Taking::All,
    };
    Engine::restore(me, Some(provide), rows.collect()).unwrap()
}

impl Bench {
    /// A store of `count` sound shards.
    fn new(count: u8) -> Self {
        let dir = TempDir::new().unwrap();
        let config = StoreConfig {
            dir: dir.path().to_owned(),
            twin: dir.path().join("twin"),
            quota: Bytes(1 << 30),
            reserve: Bytes(0),
        };
        let store = ShardStore::open(&config, &[]).unwrap();
        let volumes = Volumes::from(store.clone());
        let mut roots = Vec::new();
        for n in 0..count {
            let bytes = vec![n; LEN];
            let root = ShardRoot(*blake3::hash(&bytes).as_bytes());
            let mut writer = store.begin(root, LEN as u64).unwrap();
            writer.write(&bytes).unwrap();
            writer.finish().unwrap();
            roots.push(root);
        }
        let (driver, mut messages) = inbox();
        let told = Arc::new(Mutex::new(BTreeSet::new()));
        let (engine, heard) = (engine(&roots), Arc::clone(&told));
        tokio::spawn(async move {
            while let Some(msg) = messages.recv().await {
                match msg {
                    Msg::Query(ask) => ask(&engine),
                    Msg::Input(Input::Command(Command::Damaged(roots))) => {
                        heard.lock().unwrap().extend(roots);
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        let (suspects, suspected) = suspects();
        let scrubber = Scrubber {
            store: volumes,
            driver,
            suspects: suspected,
            epoch: Millis(60_000),
            again: Duration::ZERO,
        };
        Self {
            dir,
            store,
            scrubber,
            suspects,
            roots,
            told,
        }
    }

    fn file(&self, n: usize) -> PathBuf {
        self.store.inner.files.shard(&self.roots[n])
    }

    /// A whole pass; the numbers of the shards that were reported.
    async fn pass(&mut self) -> Vec<usize> {
        self.scrubber.pass().await.unwrap();
        self.reported().await
    }

    async fn reported(&self) -> Vec<usize> {
        // The messages are taken in order: what was sent before this was heard.
        self.scrubber.driver.query(|_| ()).await.unwrap();
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        let at = |root| self.roots.iter().position(|r| *r == root);
        let mut numbers: Vec<usize> = told.into_iter().filter_map(at).collect();
        numbers.sort_unstable();
        numbers
    }
}

/// What cannot be read at all: there is a name, but no file behind it.
fn make_unreadable(file: &PathBuf) {
    fs::remove_file(file).unwrap();
    fs::create_dir(file).unwrap();
}

#[tokio::test]
async fn a_healthy_store_has_nothing_to_report() {
    let mut bench = Bench::new(20);
    assert!(bench.pass().await.is_empty());
    let mut empty = Bench::new(0);
    assert!(empty.pass().await.is_empty());
}

#[tokio::test]
async fn flipped_short_and_missing_shards_are_found() {
    let mut bench = Bench::new(20);
    let mut bytes = vec![3; LEN];
    bytes[9_999] ^= 1;
    fs::write(bench.file(3), &bytes).unwrap();
    fs::write(bench.file(7), &bytes[..LEN - 1]).unwrap();
    fs::remove_file(bench.file(11)).unwrap();
    assert_eq!(bench.pass().await, [3, 7, 11]);
}

#[tokio::test]
async fn a_folder_that_is_gone_or_another_is_no_loss() {
    for count in [1, 2, 20] {
        let mut bench = Bench::new(count);
        let (shards, away) = (
            bench.dir.path().join("shards"),
            bench.dir.path().join("elsewhere"),
        );
        fs::rename(&shards, &away).unwrap();
        assert!(bench.pass().await.is_empty());
        // A disk that is not mounted: the folders are made anew, and hold what came since.
        for n in 0..bench.roots.len() {
            fs::create_dir_all(bench.file(n).parent().unwrap()).unwrap();
        }
        fs::write(bench.file(0), b"rotten").unwrap();
        for mark in [None, Some("another's")] {
            if let Some(mark) = mark {
                fs::write(shards.join("store.mark"), mark).unwrap();
            }
            assert!(bench.pass().await.is_empty());
            let suspected = bench.scrubber.suspected(bench.roots[0]).await;
            assert_eq!(suspected, Ok(false));
            assert!(bench.reported().await.is_empty());
        }
        fs::remove_dir_all(&shards).unwrap();
        fs::rename(&away, &shards).unwrap();
        assert!(bench.pass().await.is_empty());
        fs::remove_file(bench.file(0)).unwrap();
        assert_eq!(bench.pass().await, [0]);
    }
}

#[tokio::test]
async fn many_absent_at_once_are_no_loss_but_all_rotten_are() {
    let mut bench = Bench::new(20);
    for n in 0..5 {
        fs::remove_file(bench.file(n)).unwrap();
    }
    assert_eq!(bench.pass().await, [0, 1, 2, 3, 4], "a quarter");
    let suspected = bench.scrubber.suspected(bench.roots[0]).await;
    assert_eq!(suspected, Ok(true), "a pass is asked for");
    assert!(bench.reported().await.is_empty());
    fs::remove_file(bench.file(5)).unwrap();
    fs::write(bench.file(6), b"rotten").unwrap();
    assert_eq!(bench.pass().await, [6]);
    for n in 0..20 {
        fs::write(bench.file(n), vec![99; LEN]).unwrap();
    }
    assert_eq!(bench.pass().await, Vec::from_iter(0..20));
}

#[tokio::test]
async fn a_disk_that_answers_nothing_is_no_loss() {
    let mut bench = Bench::new(20);
    for n in 0..20 {
        make_unreadable(&bench.file(n));
    }
    assert!(bench.pass().await.is_empty());
}

#[tokio::test]
async fn a_shard_that_cannot_be_read_on_a_disk_that_answers_is_lost() {
    let mut bench = Bench::new(20);
    make_unreadable(&bench.file(5));
    make_unreadable(&bench.file(6));
    assert_eq!(bench.pass().await, [5, 6]);
}

#[test]
fn a_disk_that_dies_on_the_way_is_no_loss() {
    use rustix::io::Errno;
    let root = |n: u8| ShardRoot([n; 32]);
    let fails = |errno: Errno| {
        Look::Unreadable(StoreError::Io {
            act: "read",
            path: PathBuf::new(),
            source: errno.into(),
        })
    };
    let gone = || fails(Errno::IO);
    let sound = || Look::Sound { len: 1 };
    let mut findings = Findings::default();
    assert!(!findings.add(root(0), sound()));
    for n in 1..9 {
        assert!(!findings.add(root(n), gone()));
    }
    // It is back, or what answers is memory: neither makes the eight a loss.
    assert!(!findings.add(root(9), sound()));
    assert!(findings.later.is_empty());
    assert!(!findings.add(root(10), gone()));
    assert!(!findings.add(root(11), sound()));
    assert_eq!(findings.later, [root(10)]);
    // What is not the medium's fault is nobody's loss.
    for errno in [
        Errno::MFILE,
        Errno::NFILE,
        Errno::ACCESS,
        Errno::PERM,
        Errno::STALE,
    ] {
        assert!(!findings.add(root(12), fails(errno)));
    }
    assert!(!findings.add(root(13), gone()));
    let (later, ailing) = findings.end();
    assert_eq!(later, [root(10), root(13)]);
    assert!(ailing.is_some());
}

#[tokio::test]
async fn suspects_are_looked_at_once_more() {
    let mut bench = Bench::new(3);
    let bytes = vec![77; LEN];
    fs::write(bench.file(1), &bytes).unwrap();
    for (n, damaged) in [(0, false), (1, true)] {
        let suspected = bench.scrubber.suspected(bench.roots[n]).await;
        assert_eq!(suspected, Ok(damaged));
    }
    assert_eq!(bench.reported().await, [1]);
    // Between two shards of a pass, too; and what nobody knows is nobody's loss.
    bench.suspects.add(bench.roots[1]);
    bench.suspects.add(ShardRoot([9; 32]));
    assert_eq!(bench.pass().await, [1]);
    for _ in 0..2 * SUSPECTS {
        bench.suspects.add(bench.roots[0]);
    }
}
