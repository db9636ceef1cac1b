//! What proofs cost, beside a plain BLAKE3 hash or an ed25519 check in the same process: medians and
//! ratios, since times differ from machine to machine. `cargo bench -p larder-proofs`.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench has a clock"
)]
#![allow(clippy::unwrap_used, reason = "a bench may stop")]
#![allow(clippy::print_stdout, reason = "the table is what it gives")]
#![allow(clippy::float_arithmetic, reason = "ratios of times")]

use larder_keys::{Signer, Tag};
use larder_proofs::bls::SecretKey;
use larder_proofs::chunk::GROUP;
use larder_proofs::{
    Certificate, Challenge, Commitment, Commitments, ContentTree, ContractLeaf, Final, Kind,
    Outboard, ProviderTree, ShardHasher, ShardLeaf, ShardReader, Sibling, Single, Validator,
    ValidatorSet, convicts, prove, verify,
};
use larder_types::{Amount, BlockHash, ContractId, GenesisHash, NodeId, ShardRoot};
use std::cell::Cell;
use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

const NET: GenesisHash = GenesisHash([1; 32]);
const MIB: usize = 1 << 20;

/// The median time of `runs` runs.
fn median<T>(runs: usize, mut run: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[runs / 2]
}

fn row(what: &str, time: Duration, beside: &str, reference: Duration) {
    let ratio = time.as_secs_f64() / reference.as_secs_f64();
    println!("{what:<48} {time:>12.1?}   {ratio:>8.2} x {beside} ({reference:.1?})");
}

/// A terabyte of which one shard exists: its bytes are made when they are read.
struct Synthetic {
    outboard: Vec<u8>,
    reads: Cell<usize>,
}

fn group(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(GROUP / 8)
}

impl ShardReader for Synthetic {
    type Error = Infallible;

    fn group(&self, _: &ShardRoot, number: u64) -> Result<Vec<u8>, Infallible> {
        self.reads.set(self.reads.get() + 1);
        Ok(group(number))
    }

    fn outboard(&self, _: &ShardRoot) -> Result<Outboard, Infallible> {
        self.reads.set(self.reads.get() + 1);
        Ok(Outboard::from_bytes(&self.outboard).unwrap())
    }
}

/// Counts what a proof reads of a commitment, as if it were rows on a disk.
struct Counted<'a> {
    held: &'a Commitment,
    reads: Cell<usize>,
}

impl Counted<'_> {
    fn count(&self) {
        self.reads.set(self.reads.get() + 1);
    }
}

impl Commitments for Counted<'_> {
    type Error = Infallible;

    fn tree(&self) -> &ProviderTree {
        &self.held.tree
    }

    fn pages(&self, contract: &ContractId) -> Result<Vec<Sibling>, Infallible> {
        self.count();
        self.held.pages(contract)
    }

    fn page(&self, contract: &ContractId, page: u32) -> Result<Vec<ShardLeaf>, Infallible> {
        self.count();
        self.held.page(contract, page)
    }
}

/// 1,000 contracts of 15 shards of 64 MiB.
fn terabyte() -> (Commitment, Synthetic) {
    let mut hasher = ShardHasher::new();
    for number in 0..4_096 {
        hasher.update(&group(number));
    }
    let (root, outboard) = hasher.finalize();
    let chunks = outboard.chunks();
    let mut commitment = Commitment::default();
    for number in 0..1_000_u64 {
        let shard = |place: u64| ShardLeaf {
            root,
            chunks,
            tag: (100 * number + place).to_le_bytes(),
        };
        let content = ContentTree::from_leaves((0..15).map(shard).collect()).unwrap();
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_le_bytes());
        let leaf = ContractLeaf {
            version: 1,
            depth: content.depth(),
            contract_id: ContractId(id),
            content_root: content.root(),
            used_chunks: content.chunks(),
            capacity_chunks: content.chunks(),
            rate: Amount(1_000),
            ..ContractLeaf::default()
        };
        commitment.tree.insert(leaf).unwrap();
        commitment.contents.insert(leaf.contract_id, content);
    }
    let store = Synthetic {
        outboard: outboard.to_bytes(),
        reads: Cell::new(0),
    };
    (commitment, store)
}

fn shards() {
    for mib in [1, 64] {
        let bytes: Vec<u8> = (0..=250).cycle().take(mib * MIB).collect();
        let runs = 1 + 640 / mib.max(32);
        let plain = median(runs, || blake3::hash(black_box(&bytes)));
        let ours = median(runs, || {
            let mut hasher = ShardHasher::new();
            hasher.update(black_box(&bytes));
            hasher.finalize()
        });
        let speed = plain.as_secs_f64() / ours.as_secs_f64();
        let what = format!("root and outboard of {mib} MiB");
        row(&what, ours, "blake3::hash", plain);
        println!("{:<48} {speed:>12.2}   of its speed (wanted: 0.8)", "");
    }
}

fn ed25519(key: &Signer) -> Duration {
    let message = [7; 100];
    let signature = key.sign(Tag("bench"), &NET, &message);
    let node = key.node();
    median(200, || {
        larder_keys::verify(&node.0, Tag("bench"), &NET, black_box(&message), &signature)
    })
}

fn proofs(key: &Signer, check: Duration) {
    let (mut commitment, store) = terabyte();
    let asked = |tree: &ProviderTree, slot_no| Challenge {
        kind: Kind::Ledger,
        chain_id: NET.chain_id(),
        slot_no,
        beacon: [3; 32],
        provider: key.node(),
        provider_index: 0,
        active: tree.root(),
        depth: tree.depth(),
        contract: None,
        c: 16,
    };
    let tree = commitment.tree.clone();
    let mut slot = 0;
    let counted = Counted {
        held: &commitment,
        reads: Cell::new(0),
    };
    let proving = median(50, || {
        slot += 1;
        prove(&counted, &asked(&tree, slot), &store, key, &NET).unwrap()
    });
    let reads = store.reads.get() + counted.reads.get();
    row(
        "prove 16 draws of 1 TB (wanted: 20 ms)",
        proving,
        "ed25519 check",
        check,
    );
    println!(
        "{:<48} {:>12.2}   a draw (wanted: 4)",
        "  reads of pages, outboards and groups",
        { f64::from(u32::try_from(reads).unwrap()) / (50.0 * 16.0) }
    );
    let challenge = asked(&tree, 7);
    let blob = prove(&commitment, &challenge, &store, key, &NET).unwrap();
    println!(
        "{:<48} {:>12}   bytes (wanted: 36 KB)",
        "  its length",
        blob.len()
    );
    let verifying = median(200, || verify(black_box(&blob), &challenge, &NET).unwrap());
    row(
        "verify it (wanted: 0.3 ms)",
        verifying,
        "ed25519 check",
        check,
    );
    let other = asked(&tree, 8);
    let ignoring = median(200, || convicts(black_box(&blob), &other, &NET));
    row(
        "ignore it as evidence of another slot",
        ignoring,
        "ed25519 check",
        check,
    );

    let leaf = *tree.get(500).unwrap();
    let mut rate = 0;
    let replacing = median(200, || {
        rate += 1;
        let rate = Amount(rate);
        commitment
            .tree
            .replace(500, ContractLeaf { rate, ..leaf })
            .unwrap()
    });
    row(
        "replace one of 1,000 contracts",
        replacing,
        "ed25519 check",
        check,
    );
    let many: Vec<_> = (0..100_000).map(|_| Some(leaf)).collect();
    let large = ProviderTree::from_leaves(0, many).unwrap();
    let changed = median(200, || {
        let mut copy = large.clone();
        copy.replace(
            70_000,
            ContractLeaf {
                revision: 9,
                ..leaf
            },
        )
        .unwrap();
        copy
    });
    row(
        "clone 100,000 contracts and replace one",
        changed,
        "ed25519 check",
        check,
    );
}

fn beacon(check: Duration) {
    let key = SecretKey::from_seed(&[5; 32]);
    let next = median(20, || Single::next(black_box(&[0; 32]), &NET, 1, &key));
    row("make a beacon", next, "ed25519 check", check);
    let (_, reveal) = Single::next(&[0; 32], &NET, 1, &key);
    let public = key.public();
    let checking = median(20, || {
        Single::check(black_box(&[0; 32]), &NET, 1, &public, &reveal).unwrap()
    });
    row("check a beacon", checking, "ed25519 check", check);
}

/// One plain check of one signature: a point hashed to, and two pairings as one product.
fn pairing() -> Duration {
    let key = SecretKey::from_seed(&[5; 32]);
    let (public, signature) = (key.public(), key.sign(Tag("bench"), &NET, b"bytes"));
    median(50, || {
        public.verify(Tag("bench"), &NET, black_box(b"bytes"), &signature)
    })
}

/// What makes a block final, of 100 validators of whom 67 signed.
fn certificate(pairing: Duration) {
    let key = |seed| SecretKey::from_seed(&[seed; 32]);
    let member = |seed| Validator {
        node: NodeId([seed; 32]),
        bls: key(seed).public(),
        power: 1,
    };
    let set = ValidatorSet::new((0..100).map(member).collect()).unwrap();
    let of = Final {
        height: 7,
        round: 0,
        block: BlockHash([8; 32]),
    };
    let votes: Vec<_> = (0..67)
        .map(|seed| (usize::from(seed), of.vote(&key(seed), &NET)))
        .collect();
    let summing = median(50, || Certificate::sum(of, black_box(&votes), &set));
    row("sum 67 votes up", summing, "pairing check", pairing);
    let bytes = Certificate::sum(of, &votes, &set).to_bytes();
    println!(
        "{:<48} {:>12}   bytes (wanted: 160)",
        "  a certificate of 100 validators",
        bytes.len()
    );
    let checking = median(50, || {
        let read = Certificate::from_bytes(black_box(&bytes), &set).unwrap();
        read.verify(&set, &NET).unwrap();
    });
    row(
        "read and check it (wanted: 5 ms)",
        checking,
        "pairing check",
        pairing,
    );
}

fn main() {
    let key = Signer::from_seed(&[2; 32]);
    let check = ed25519(&key);
    shards();
    proofs(&key, check);
    beacon(check);
    certificate(pairing());
}
