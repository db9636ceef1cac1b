//! What several validators on this machine do: as many processes as are asked for (4), each with the
//! real engine, ledger, log and checks, over loopback. Prints the time from a transfer's arrival to
//! its final block, one at a time, and final signed transfers per second under load; then the same of
//! the engine by itself ([`bare`]). Transactions come to all validators at once, as after gossip; the
//! owner keeps blocks in memory.
//!
//! `cargo bench -p larder-consensus -- 4`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    unused_imports,
    missing_docs,
    reason = "a measuring program: it prints, and ends at the first fault; of the engine's modules it \
              uses what it needs"
)]

mod bare;

use async_trait::async_trait;
use bare::Bare;
use larder_consensus::bft::{Bft, BftConfig, Blocks, InUse, KeyMark, Spawned};
use larder_consensus::{Clock, Committed};
use larder_contracts::Auth;
use larder_keys::{AccountSigner, Signer};
use larder_ledger::mempool::Limits;
use larder_ledger::{Certified, Consensus, Founding, Genesis, State, Supply, Transfer, Tx};
use larder_proofs::Validator;
use larder_proofs::bls::SecretKey;
use larder_types::{Amount, Millis, Params, Profile, Time};
use std::io::{self, BufRead, BufReader, Write};
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tracing_subscriber::EnvFilter;

/// Payers, and payments of each under load: within its window of nonces.
const PAYERS: u64 = 200;
const EACH: u64 = 100;
/// Payments one at a time.
const SINGLE: u64 = 60;
/// Transactions of one batch.
const BATCH: usize = 500;

fn main() {
    // What the engine says, if RUST_LOG asks for it; standard output is what the parent reads.
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env());
    log.with_writer(io::stderr).init();
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize| args.get(at).map(|text| text.parse().unwrap());
    match args.get(1).map(String::as_str) {
        Some("validator") => validator(number(2).unwrap(), number(3).unwrap()),
        Some("bare") => bare_validator(number(2).unwrap(), number(3).unwrap()),
        // `cargo bench` adds a word of its own.
        Some(_) | None => {
            let count = args.iter().find_map(|text| text.parse().ok());
            let count = count.unwrap_or(4);
            let ours = measure("validator", count);
            let bare = measure("bare", count);
            println!(
                "transfers a second beside the bare engine: {:.2}",
                ours / bare
            );
        }
    }
}

/// The parent: starts the validators, says when to do what, and reckons. Transfers a second.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn measure(kind: &str, count: usize) -> f64 {
    let mut children: Vec<Child> = (0..count).map(|at| start(kind, at, count)).collect();
    let mut lines: Vec<_> = children
        .iter_mut()
        .map(|child| BufReader::new(child.stdout.take().unwrap()).lines())
        .collect();
    let mut inputs: Vec<_> = children
        .iter_mut()
        .map(|child| child.stdin.take().unwrap())
        .collect();
    let mut hear = || -> Vec<String> {
        let lines = lines.iter_mut();
        lines.map(|line| line.next().unwrap().unwrap()).collect()
    };
    let mut tell = |what: &str| {
        for input in &mut inputs {
            writeln!(input, "{what}").unwrap();
        }
    };
    let addresses = hear();
    tell(&addresses.join(" "));
    let number = |lines: Vec<String>| lines[0].parse::<u64>().unwrap();
    let mut latencies: Vec<u64> = Vec::new();
    for _ in 0..SINGLE {
        tell("one");
        latencies.push(number(hear()));
    }
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
    println!(
        "{kind}: a block of one transfer: median {} ms, p99 {} ms",
        at(50),
        at(99)
    );
    tell("sign");
    hear();
    tell("load");
    let took_ms = number(hear());
    let blocks = number(hear());
    let txs = PAYERS * EACH;
    let speed = txs as f64 * 1000.0 / took_ms as f64;
    println!("{kind}: {txs} transfers in {took_ms} ms and {blocks} blocks: {speed:.0} a second");
    tell("end");
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    speed
}

fn start(kind: &str, at: usize, count: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([kind, &at.to_string(), &count.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn key(kind: u8, number: u64) -> Signer {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    Signer::from_seed(&seed)
}

/// The validators' keys, in the order of their node keys.
fn validators(count: usize) -> Vec<(Signer, SecretKey)> {
    let mut keys: Vec<Signer> = (0..count as u64).map(|number| key(1, number)).collect();
    keys.sort_by_key(Signer::node);
    let bls = |key: &Signer| SecretKey::from_seed(&key.node().0);
    keys.into_iter()
        .map(|key| (key.clone(), bls(&key)))
        .collect()
}

fn genesis(count: usize) -> State {
    let mut params = Params::profile(Profile::Dev).with_epoch(Millis(24 * 3_600_000));
    params.block_interval = Millis(20);
    params.faucet = None;
    let mut allocation: Vec<_> = (0..PAYERS)
        .map(|number| (key(2, number).account(), Amount::from_credits(1_000)))
        .collect();
    allocation.sort_unstable_by_key(|(account, _)| *account);
    let validators = validators(count);
    State::genesis(&Genesis {
        version: larder_ledger::VERSION,
        network: "bench".into(),
        start: Time(1_700_000_000_000),
        params,
        founder: key(3, 0).account(),
        supply: Supply::Fixed { allocation },
        consensus: Consensus::Bft,
        validators: validators
            .iter()
            .map(|(node, bls)| Founding::new(node.node(), bls))
            .collect(),
        nonce: [4; 32],
    })
    .unwrap()
}

fn payment(payer: u64, nonce: u64, state: &State) -> Tx {
    let from = AccountSigner::own(key(2, payer));
    let to = key(3, 0).account();
    let auth = Auth {
        nonce,
        expiry: 10_000,
    };
    Tx::Transfer(Transfer::sign(
        &from,
        to,
        Amount(1),
        auth,
        &state.genesis_hash(),
    ))
}

struct Unmarked;

impl KeyMark for Unmarked {
    fn read(&self) -> io::Result<Option<InUse>> {
        Ok(None)
    }

    fn write(&self, _: &InUse) -> io::Result<()> {
        Ok(())
    }
}

/// The owner's chain, in memory: whoever falls behind catches up from it.
#[derive(Clone, Default)]
struct Chain(Arc<Mutex<Vec<Certified>>>);

#[async_trait]
impl Blocks for Chain {
    async fn certified(&self, heights: RangeInclusive<u64>) -> Vec<Certified> {
        let chain = self.0.lock().unwrap();
        let wanted = |one: &&Certified| heights.contains(&one.block.header.height);
        chain.iter().filter(wanted).cloned().collect()
    }
}

#[tokio::main]
async fn validator(at: usize, count: usize) {
    let state = genesis(count);
    let dir = tempfile::tempdir().unwrap();
    let (node, bls) = validators(count).remove(at);
    let clock: Clock = Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Time(u64::try_from(since.as_millis()).unwrap())
    });
    let chain = Chain::default();
    let Spawned {
        bft, blocks, task, ..
    } = Bft::spawn(BftConfig {
        node,
        bls,
        dir: dir.path().join("consensus"),
        mark: Box::new(Unmarked),
        listen: "/ip4/127.0.0.1/tcp/0".into(),
        peers: Vec::new(),
        state: state.clone(),
        limits: Limits {
            count: 65_536,
            bytes: 64 << 20,
        },
        clock,
        blocks: Arc::new(chain.clone()),
    })
    .await
    .unwrap();
    let (show, mut seen) = watch::channel((0u64, 0u64));
    tokio::spawn(own(blocks, chain, show));
    println!("{}", bft.addresses()[0]);
    let mut words = io::stdin().lines();
    for peer in words.next().unwrap().unwrap().split(' ') {
        if peer != bft.addresses()[0] {
            bft.add_peer(peer).await.unwrap();
        }
    }
    let mut singles = 0;
    let mut load: Vec<Tx> = Vec::new();
    for word in words {
        let (txs, blocks_before) = *seen.borrow();
        match word.unwrap().as_str() {
            "one" => {
                let began = Instant::now();
                bft.hear(vec![payment(0, singles, &state)]).await.unwrap();
                singles += 1;
                seen.wait_for(|(now, _)| *now > txs).await.unwrap();
                println!("{}", began.elapsed().as_millis());
            }
            "sign" => {
                let pairs = (0..EACH).flat_map(|n| (0..PAYERS).map(move |payer| (payer, n)));
                let first = |payer| if payer == 0 { singles } else { 0 };
                load = pairs
                    .map(|(payer, n)| payment(payer, first(payer) + n, &state))
                    .collect();
                println!("{}", load.len());
            }
            "load" => {
                let began = Instant::now();
                for batch in load.chunks(BATCH) {
                    bft.hear(batch.to_vec()).await.unwrap();
                }
                seen.wait_for(|(now, _)| *now >= txs + PAYERS * EACH)
                    .await
                    .unwrap();
                println!("{}", began.elapsed().as_millis());
                println!("{}", seen.borrow().1 - blocks_before);
            }
            _ => break,
        }
    }
    drop(bft);
    task.await.unwrap().unwrap();
}

/// Transactions and blocks that are final.
async fn own(mut blocks: mpsc::Receiver<Committed>, chain: Chain, show: watch::Sender<(u64, u64)>) {
    while let Some(committed) = blocks.recv().await {
        chain.0.lock().unwrap().push(committed.certified());
        let block = committed.durable();
        let count = u64::try_from(block.get().txs.len()).unwrap();
        show.send_modify(|(txs, blocks)| {
            *txs += count;
            *blocks += 1;
        });
    }
}

/// The same with the engine alone.
#[tokio::main]
async fn bare_validator(at: usize, count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let keys = validators(count);
    let member = |(node, bls): &(Signer, SecretKey)| Validator {
        node: node.node(),
        bls: bls.public(),
        power: 1,
    };
    let members = keys.iter().map(member).collect();
    let (txs, take) = mpsc::channel(64);
    let (tell, mut decided) = mpsc::channel(4_096);
    let bare = Bare::start(
        keys[at].0.clone(),
        members,
        &dir.path().join("wal"),
        take,
        tell,
    )
    .await;
    println!("{}", bare.address().await);
    let mut words = io::stdin().lines();
    let others = words.next().unwrap().unwrap();
    let others = others.split(' ').map(str::to_owned).collect();
    let task = tokio::spawn(bare.run(others));
    let mut load = Vec::new();
    loop {
        let word = words.next().unwrap().unwrap();
        while decided.try_recv().is_ok() {}
        match word.as_str() {
            // From one decision to the next.
            "one" => {
                let (_, before) = decided.recv().await.unwrap();
                let (_, after) = decided.recv().await.unwrap();
                println!("{}", (after - before).as_millis());
            }
            "sign" => {
                let pairs = (0..EACH).flat_map(|n| (0..PAYERS).map(move |payer| (payer, n)));
                load = pairs
                    .map(|(payer, n)| bare::transfer(&key(2, payer), n))
                    .collect();
                println!("{}", load.len());
            }
            "load" => {
                let began = Instant::now();
                for batch in load.chunks(BATCH) {
                    txs.send(batch.concat()).await.unwrap();
                }
                let (mut count, mut blocks) = (0, 0);
                while count < load.len() {
                    count += decided.recv().await.unwrap().0;
                    blocks += 1;
                }
                println!("{}", began.elapsed().as_millis());
                println!("{blocks}");
            }
            _ => break,
        }
    }
    drop(txs);
    task.await.unwrap();
}
