//! What the ledger costs, time and memory, beside ed25519 and BLAKE3 in the same process: blocks of
//! transfers, then a network of 1,000 providers that grows to 10^3, 10^4, 10^5 and 10^6 contracts.
//! `cargo bench -p larder-ledger` prints the table; `-- 100000` stops at so many contracts. Every
//! transaction is signed and checked, which is what most of the waiting is for.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a bench has a clock"
)]
#![allow(clippy::unwrap_used, reason = "a bench may stop")]
#![allow(clippy::print_stdout, reason = "it prints a table")]

use cap::Cap;
use larder_contracts::{Auth, Draft, SignedLeaf};
use larder_keys::{AccountSigner, Signer, Tag};
use larder_ledger::mempool::Limits;
use larder_ledger::propose::has_reason;
use larder_ledger::{
    Block, Consensus, Faucet, Founding, Genesis, Mempool, Op, ProofsPool, Proposer, Register,
    State, Supply, Transfer, TreeUpdate, Tx, Verified, verify,
};
use larder_proofs::bls::SecretKey;
use larder_proofs::{ContentTree, ContractLeaf, ShardLeaf};
use larder_types::{AccountId, Amount, GenesisHash, NodeId, Params, Profile, ShardRoot, Time};
use std::alloc::System;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Counts the bytes that are asked for; what the allocator adds to each piece is its own affair.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const START: Time = Time(1_000_000);
const PROVIDERS: u32 = 1_000;
const RENTERS: u32 = 4_000;
/// Fewer than an account's window of 256 nonces, so that all of them open in one epoch.
const CONTRACTS_OF_ONE: u32 = 250;
/// How long contracts age.
const EPOCHS: u32 = 14;
const STEPS: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// What a provider and a contract may take, bytes: issue 4.
const WANTED: (usize, usize) = (400, 300);
/// In one `TreeUpdate`.
const OPS: usize = 250;
/// Providers whose updates come together.
const UPDATES_AT_ONCE: u32 = 10;
/// Blocks of transfers, each as full as a block may be.
const TRANSFER_BLOCKS: u32 = 5;
/// A transfer takes from one account and gives to another.
const POSTINGS_OF_TRANSFER: u32 = 2;
/// An Open takes from its renter, gives to escrow, and moves collateral from free to locked.
const POSTINGS_OF_OPEN: u32 = 4;

fn main() {
    let most = std::env::args().find_map(|arg| arg.parse().ok());
    let table = Table::new();
    let mut network = Network::new();
    network.grant();
    network.register();
    network.transfers(&table);
    println!(
        "\nbytes of all contracts, of each, and of the state beside 400 a provider and 300 a contract; times of the block that posts Opens and of the one that begins \
         their epoch,\neach an Open; of one that begins an epoch in which all were paid; of one with a \
         transfer alone;\nof one that begins an epoch with a revision at each provider; of a clone"
    );
    Row::head();
    for contracts in STEPS {
        if most.is_none_or(|most| contracts <= most) {
            network.grow(contracts).print(&table);
        }
        if contracts == STEPS[0] {
            network.age();
        }
    }
}

/// A network of one size.
struct Row {
    contracts: u32,
    /// Of the contracts.
    bytes: usize,
    /// Of contracts and providers, by what is wanted.
    share: f64,
    /// Of a block with an update of 250 Opens, each Open.
    post: Duration,
    /// Of the boundary at which they act, each Open.
    open: Duration,
    /// Of a boundary at which nothing else happens.
    epoch: Duration,
    /// Of a block with one transfer.
    transfer: Duration,
    /// Of a boundary with one revision of each provider.
    revise: Duration,
    clone: Duration,
}

impl Row {
    fn head() {
        let names = [
            "bytes",
            "each",
            "of wanted",
            "post",
            "open",
            "epoch",
            "transfer",
            "revise",
            "clone",
        ];
        let names = names.map(|name| format!("{name:>11}")).concat();
        println!("{:>9}{names}  postings", "contracts");
    }

    fn print(&self, table: &Table) {
        let each = self.bytes / self.contracts as usize;
        let times = [
            self.post,
            self.open,
            self.epoch,
            self.transfer,
            self.revise,
            self.clone,
        ];
        let times = times.map(|time| format!("{time:>11.2?}")).concat();
        let posting = (self.post + self.open) / POSTINGS_OF_OPEN;
        let per_second = 1.0 / posting.as_secs_f64();
        let ratio = posting.as_secs_f64() / table.ed25519.as_secs_f64();
        println!(
            "{:>9}{:>11}{each:>11}{:>11.2}{times}  {per_second:.0}/s, {ratio:.3} × ed25519",
            self.contracts, self.bytes, self.share
        );
    }
}

/// What everything is compared with.
struct Table {
    ed25519: Duration,
}

impl Table {
    fn new() -> Self {
        let net = GenesisHash([1; 32]);
        let (key, tag) = (Signer::from_seed(&[2; 32]), Tag("bench"));
        let sig = key.sign(tag, &net, b"bytes");
        let public = key.public();
        let verifying = || larder_keys::verify(black_box(&public), tag, &net, b"bytes", &sig);
        let table = Self {
            ed25519: median(201, |_| timed(verifying)),
        };
        table.row("ed25519 verification, strict", table.ed25519, 1);
        table.row("the same in batches of 256", batched(), 256);
        let bytes = [7; 1 << 10];
        let hashing = median(201, |_| timed(|| blake3::hash(black_box(&bytes))));
        table.row("blake3::hash of 1 KiB", hashing, 1);
        table
    }

    /// A time for `units` things: each, how many in a second, and how many signatures one is.
    fn row(&self, what: &str, time: Duration, units: u32) {
        let each = time / units;
        let per_second = 1.0 / each.as_secs_f64();
        let ratio = each.as_secs_f64() / self.ed25519.as_secs_f64();
        println!("{what:<52} {each:>12.2?} {per_second:>14.0}/s {ratio:>10.4} × ed25519");
    }
}

/// 256 signatures by 256 keys, checked at once by the usual equation. Nothing in Larder does: it accepts
/// signatures that strict verification refuses, so that nodes could disagree ([`larder_keys::verify_all`]).
fn batched() -> Duration {
    use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey, verify_batch};
    let keys: Vec<SigningKey> = (0..=255)
        .map(|n| SigningKey::from_bytes(&[n; 32]))
        .collect();
    let bytes: [&[u8]; 256] = [&[9; 32]; 256];
    let sigs: Vec<_> = keys.iter().map(|key| key.sign(&[9; 32])).collect();
    let keys: Vec<VerifyingKey> = keys.iter().map(SigningKey::verifying_key).collect();
    median(11, |_| {
        timed(|| verify_batch(&bytes, &sigs, &keys).unwrap())
    })
}

fn timed<T>(act: impl FnOnce() -> T) -> Duration {
    let begin = Instant::now();
    let result = black_box(act());
    let time = begin.elapsed();
    drop(result);
    time
}

fn median(samples: u32, sample: impl FnMut(u32) -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..samples).map(sample).collect();
    times.sort();
    times[times.len() / 2]
}

/// Median time of applying a block to a state that others hold too, as a node's tasks do.
fn applying(state: &State, block: &Verified<Block>) -> Duration {
    median(7, |_| {
        let mut next = state.clone();
        timed(|| next.apply(block).unwrap())
    })
}

/// Keys by kind and number.
fn signer(kind: u8, number: u32) -> Signer {
    let mut seed = [kind; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    Signer::from_seed(&seed)
}

/// A public network, but with a faucet.
fn genesis() -> Genesis {
    Genesis {
        version: larder_ledger::genesis::VERSION,
        network: "bench".into(),
        start: START,
        params: Params {
            faucet: Some(Amount::from_credits(100)),
            existence: Amount::ZERO,
            starter_capacity_chunks: 0,
            tx_fee_per_byte: Amount::ZERO,
            min_rate: Amount(1),
            ..Params::profile(Profile::Public)
        },
        founder: signer(1, 0).account(),
        supply: Supply::Faucet {
            total: Amount::from_credits(1_000_000),
        },
        consensus: Consensus::Solo,
        validators: vec![Founding::new(
            signer(2, 0).node(),
            &SecretKey::from_seed(&[3; 32]),
        )],
        nonce: [4; 32],
    }
}

struct Network {
    state: State,
    mempool: Mempool,
    pool: ProofsPool,
    proposer: Proposer,
    now: Time,
    renters: Vec<AccountSigner>,
    providers: Vec<Signer>,
    contracts: u32,
    /// Bytes in use before the first contract.
    bare: usize,
    /// Bytes of all providers' records, before the first contract.
    records: usize,
}

impl Network {
    fn new() -> Self {
        let state = State::genesis(&genesis()).unwrap();
        let bls = SecretKey::from_seed(&[3; 32]);
        let renter = |n| AccountSigner::own(signer(5, n));
        let mut network = Self {
            proposer: Proposer::new(signer(2, 0), bls, &state).unwrap(),
            mempool: Mempool::new(Limits::default()),
            pool: ProofsPool::new(START),
            now: START,
            renters: (0..RENTERS).map(renter).collect(),
            providers: (0..PROVIDERS).map(|n| signer(6, n)).collect(),
            contracts: 0,
            bare: 0,
            records: 0,
            state,
        };
        network.block();
        network
    }

    fn net(&self) -> GenesisHash {
        self.state.genesis_hash()
    }

    /// Bytes in use, with nothing waiting.
    fn bytes(&mut self) -> usize {
        assert!(self.mempool.is_empty());
        self.mempool = Mempool::new(Limits::default());
        self.pool = ProofsPool::new(START);
        ALLOCATOR.allocated()
    }

    fn make(&mut self) -> Verified<Block> {
        self.now = self.now.max(self.state.earliest_block());
        let made = self
            .proposer
            .make(&self.state, &self.mempool, &self.pool, 0, self.now);
        made.unwrap()
    }

    fn apply(&mut self, block: &Verified<Block>) {
        self.state.apply(block).unwrap();
        self.mempool.prune(&self.state, self.now);
        self.pool.prune(&self.state);
    }

    fn block(&mut self) {
        let block = self.make();
        self.apply(&block);
    }

    fn submit(&mut self, tx: Tx) {
        let tx = verify::tx(&self.net(), tx).unwrap();
        self.mempool.admit(tx, &self.state, self.now).unwrap();
    }

    /// Makes blocks until all of `txs` are in one.
    fn submit_all(&mut self, txs: impl Iterator<Item = Tx>) {
        for tx in txs {
            self.submit(tx);
            if self.mempool.len() == 2_048 {
                self.settle();
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        while !self.mempool.is_empty() {
            self.block();
        }
    }

    /// An authorisation that spends the `ahead`th free nonce.
    fn auth(&self, account: &AccountId, ahead: u32) -> Auth {
        Auth {
            nonce: self.state.free_nonce(account, 0).unwrap() + u64::from(ahead),
            expiry: self.state.head().height + 10_000,
        }
    }

    fn grant(&mut self) {
        let (before, net) = (self.bytes(), self.net());
        let faucets: Vec<Tx> = self
            .renters
            .iter()
            .map(|renter| Tx::Faucet(Faucet::sign(renter, &net)))
            .collect();
        self.submit_all(faucets.into_iter());
        let each = (self.bytes() - before) / self.renters.len();
        println!("state: {each} bytes an account");
    }

    /// Each provider is paid to a renter's account, so that its record is all that is new.
    fn register(&mut self) {
        let (before, net) = (self.bytes(), self.net());
        let registers: Vec<Tx> = self
            .providers
            .iter()
            .zip(&self.renters)
            .map(|(node, account)| {
                let auth = self.auth(&account.account(), 0);
                let collateral = Amount::from_credits(10);
                Tx::Register(Register::sign(node, account, collateral, auth, &net))
            })
            .collect();
        self.submit_all(registers.into_iter());
        self.records = self.bytes() - before;
        let each = self.records / self.providers.len();
        println!("state: {each} bytes a provider without contracts");
    }

    fn transfers(&mut self, table: &Table) {
        let (mut alone, mut checked) = (Vec::new(), Vec::new());
        for round in 0..TRANSFER_BLOCKS {
            self.pay_around(round);
            let block = self.make();
            let count = u32::try_from(block.get().txs.len()).unwrap();
            assert!(count > 1_000);
            let time = applying(&self.state, &block);
            let authority = self.state.authority();
            let check = median(3, |_| {
                let block = block.get().clone();
                timed(|| verify::block(&authority, block).unwrap())
            });
            alone.push(time / count);
            checked.push((time + check) / count);
            self.apply(&block);
            self.settle();
        }
        let alone = median(TRANSFER_BLOCKS, |n| alone[n as usize]);
        let checked = median(TRANSFER_BLOCKS, |n| checked[n as usize]);
        table.row("apply, a verified transfer", alone, 1);
        let posting = "apply, a posting (a transfer has two)";
        table.row(posting, alone, POSTINGS_OF_TRANSFER);
        table.row("apply and check the signature, a transfer", checked, 1);
    }

    /// Every renter pays the next but `round` one.
    fn pay_around(&mut self, round: u32) {
        let net = self.net();
        let to = self.renters.iter().cycle().skip(1 + round as usize);
        let pays: Vec<Tx> = self
            .renters
            .iter()
            .zip(to)
            .map(|(from, to)| {
                let auth = self.auth(&from.account(), 0);
                Tx::Transfer(Transfer::sign(from, to.account(), Amount(1), auth, &net))
            })
            .collect();
        for pay in pays {
            self.submit(pay);
        }
    }

    /// Opens contracts until there are so many, and measures the network with them.
    fn grow(&mut self, contracts: u32) -> Row {
        if self.contracts == 0 {
            self.bare = self.bytes();
        }
        let new = contracts - self.contracts;
        let post = self.open(contracts);
        let open = self.begin_epoch() / new;
        let epoch = self.begin_epoch();
        let bytes = self.bytes() - self.bare;
        let wanted = WANTED.0 * self.providers.len() + WANTED.1 * contracts as usize;
        Row {
            contracts,
            bytes,
            share: (self.records + bytes) as f64 / wanted as f64,
            post,
            open,
            epoch,
            transfer: self.one_transfer(),
            revise: self.revise(),
            clone: median(21, |_| timed(|| self.state.clone())),
        }
    }

    /// Posts Opens for all contracts up to `contracts`, which begin with the next epoch; how long a
    /// block takes for each.
    fn open(&mut self, contracts: u32) -> Duration {
        let (net, old) = (self.net(), self.contracts);
        let mut times = Vec::new();
        for number in 0..PROVIDERS {
            let mine: Vec<u32> = (old..contracts)
                .filter(|n| n % PROVIDERS == number)
                .collect();
            for some in mine.chunks(OPS) {
                let node = &self.providers[number as usize];
                let ops = some.iter().map(|n| self.put_open(*n, &node.node()));
                let ops = ops.collect();
                let update = TreeUpdate::sign(node, self.state.epoch(), ops, &net);
                self.submit(Tx::TreeUpdate(update));
            }
            if number % UPDATES_AT_ONCE == UPDATES_AT_ONCE - 1 {
                times.push(self.post());
            }
        }
        self.contracts = contracts;
        median(u32::try_from(times.len()).unwrap(), |n| times[n as usize])
    }

    /// Makes blocks of all updates that wait; how long the first takes for each operation.
    fn post(&mut self) -> Duration {
        let block = self.make();
        let ops = |tx: &Tx| {
            let Tx::TreeUpdate(update) = tx else {
                return 0;
            };
            update.ops.len()
        };
        let ops: usize = block.get().txs.iter().map(ops).sum();
        let time = applying(&self.state, &block);
        self.apply(&block);
        self.settle();
        time / u32::try_from(ops).unwrap()
    }

    fn put_open(&self, number: u32, provider: &NodeId) -> Op {
        let renter = &self.renters[(number / CONTRACTS_OF_ONE) as usize];
        let mut nonce16 = [0; 16];
        nonce16[..4].copy_from_slice(&number.to_le_bytes());
        let leaf = Draft {
            provider: *provider,
            renter: renter.account(),
            nonce16,
            start: self.state.epoch() + 1,
            term: 300,
            capacity_chunks: 1 << 20,
            price: Amount(100),
            collateral_epochs: 30,
        }
        .leaf(self.state.params());
        let rate = Amount(100);
        let leaf = ContractLeaf {
            rate,
            collateral: Amount(rate.0 * 30),
            ..leaf
        };
        let auth = self.auth(&renter.account(), number % CONTRACTS_OF_ONE);
        Op::Put(SignedLeaf::sign(
            leaf,
            Some(auth),
            provider,
            renter,
            &self.net(),
        ))
    }

    /// Lets everyone prove until the epoch ends; how long its last block took, the one that begins
    /// the next epoch.
    fn begin_epoch(&mut self) -> Duration {
        let schedule = self.state.schedule();
        let next = schedule.epoch_start(self.state.epoch() + 1);
        loop {
            self.prove();
            let at = schedule.next_event(self.now);
            if at >= next {
                break;
            }
            self.now = at;
            self.prove();
            if has_reason(&self.state, &self.mempool, self.now) {
                self.block();
            }
        }
        self.now = next;
        let block = self.make();
        let time = applying(&self.state, &block);
        self.apply(&block);
        time
    }

    /// Everyone who is asked proves. What a proof costs is another bench's.
    fn prove(&mut self) {
        for node in &self.providers {
            let node = node.node();
            if let Ok(challenge) = self.pool.accept(&self.state, &node, &[], self.now) {
                self.pool.record(&challenge, node.0.to_vec(), &Ok(()));
            }
        }
    }

    fn one_transfer(&mut self) -> Duration {
        let (from, to) = (&self.renters[0], &self.renters[1]);
        let auth = self.auth(&from.account(), 0);
        let pay = Transfer::sign(from, to.account(), Amount(1), auth, &self.net());
        self.submit(Tx::Transfer(pay));
        let block = self.make();
        let time = applying(&self.state, &block);
        self.apply(&block);
        time
    }

    /// One contract of each provider gets shards; how long the block takes that makes it so.
    fn revise(&mut self) -> Duration {
        let net = self.net();
        for (number, node) in self.providers.iter().enumerate() {
            let record = self.state.provider(&node.node()).unwrap();
            let next = with_shards(record.active.get(0).unwrap());
            let renter = &self.renters[number / CONTRACTS_OF_ONE as usize];
            let signed = SignedLeaf::sign(next, None, &node.node(), renter, &net);
            let update = TreeUpdate::sign(node, self.state.epoch(), vec![Op::Put(signed)], &net);
            let tx = verify::tx(&net, Tx::TreeUpdate(update)).unwrap();
            self.mempool.admit(tx, &self.state, self.now).unwrap();
        }
        self.settle();
        self.begin_epoch()
    }

    /// The same contracts with ever more shards, epoch after epoch.
    fn age(&mut self) {
        let before = self.bytes();
        for _ in 0..EPOCHS {
            self.revise();
        }
        let grown = self.bytes().abs_diff(before);
        println!(
            "state: {grown} bytes more or less after {EPOCHS} epochs with more shards in each"
        );
    }
}

/// The next revision of a contract, with four more shards.
fn with_shards(leaf: &ContractLeaf) -> ContractLeaf {
    let mut tree = ContentTree::new();
    for number in 0..4 * (leaf.revision + 1) {
        let mut root = [1; 32];
        root[..8].copy_from_slice(&number.to_le_bytes());
        let (root, chunks, tag) = (ShardRoot(root), 1 << 10, [0; 8]);
        tree.push(ShardLeaf { root, chunks, tag }).unwrap();
    }
    ContractLeaf {
        revision: leaf.revision + 1,
        depth: tree.depth(),
        content_root: tree.root(),
        used_chunks: tree.chunks(),
        ..*leaf
    }
}
