//! The follower among peers that do not answer, over loopback.

use super::*;
use crate::blocks;
use crate::call::{Answer, Call};
use crate::driver::{self, Msg};
use crate::home::now;
use crate::index::{Index, Scope};
use crate::net::{Net, NetConfig, NetEvent, Verdict};
use crate::seat::Own;
use crate::store::Store;
use larder_consensus::Solo;
use larder_consensus::solo::Spawned;
use larder_keys::Signer;
use larder_ledger::mempool::Limits;
use larder_ledger::{Consensus, Founding, Genesis, Proposer};
use larder_proofs::bls::SecretKey;
use larder_types::{Amount, Millis, Params, Profile};
use serde_bytes::ByteBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here takes, and shorter than a peer may take to answer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
pub(crate) const VALIDATOR: [u8; 32] = [1; 32];
pub(crate) const PEER: [u8; 32] = [2; 32];
pub(crate) const OTHER: [u8; 32] = [5; 32];

fn genesis() -> Genesis {
    Genesis {
        version: larder_ledger::VERSION,
        network: "test".to_owned(),
        start: now(),
        params: Params::profile(Profile::Dev).with_epoch(Millis(2_000)),
        founder: Signer::from_seed(&[3; 32]).account(),
        supply: larder_ledger::Supply::Faucet {
            total: Amount::from_credits(1_000),
        },
        consensus: Consensus::Solo,
        validators: vec![Founding::new(
            Signer::from_seed(&VALIDATOR).node(),
            &SecretKey::from_seed(&VALIDATOR),
        )],
        nonce: [4; 32],
    }
}

/// A node's chain and transport.
pub(crate) struct Node {
    dir: TempDir,
    pub(crate) chain: Chain,
    pub(crate) net: NetHandle,
    pub(crate) events: mpsc::Receiver<NetEvent>,
}

pub(crate) async fn node(seed: [u8; 32], genesis: &Genesis) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("node.db")).await.unwrap();
    let key = Signer::from_seed(&seed);
    let index = Index::start(dir.path(), store.clone(), genesis.clone(), Scope::default()).await;
    let (index, _) = index.unwrap();
    let chain = Chain::open(store, index, genesis, key.node(), genesis.founder)
        .await
        .unwrap();
    let (net, events) = Net::start(NetConfig {
        key,
        genesis: genesis.hash(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        bootstrap: vec![],
        loopback_ok: true,
    })
    .await
    .unwrap();
    Node {
        dir,
        chain,
        net,
        events,
    }
}

fn consensus(chain: &Chain) -> Spawned {
    let state = chain.ledger().read().0.clone();
    let bls = SecretKey::from_seed(&VALIDATOR);
    let proposer = Proposer::new(Signer::from_seed(&VALIDATOR), bls, &state).unwrap();
    Solo::spawn(proposer, state, Limits::default(), Arc::new(now))
}

/// A follower at work.
struct Running {
    heard: mpsc::Sender<Heard>,
    told: mpsc::Receiver<Msg>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), FollowError>>,
    /// The transport ends without a receiver.
    _events: mpsc::Receiver<NetEvent>,
    _dir: TempDir,
}

impl Running {
    fn start(node: Node, own: Option<Spawned>) -> Self {
        let (driver, told) = driver::inbox();
        let (heard, hearing) = blocks::queue();
        let stop = CancellationToken::new();
        let seat = Seat::default();
        let own = own.map(|spawned| {
            seat.take(Own::Solo(spawned.solo));
            spawned.blocks
        });
        let meeting = Meeting {
            seat: seat.clone(),
            ledger: node.chain.ledger(),
            net: node.net.clone(),
            called: Arc::default(),
        };
        let follower = Follower {
            chain: node.chain,
            net: node.net,
            driver,
            own,
            seat,
            voter: None,
            meeting,
        };
        let task = tokio::spawn(follower.run(hearing, stop.clone()));
        Self {
            heard,
            told,
            stop,
            task,
            _events: node.events,
            _dir: node.dir,
        }
    }

    /// The height of the next block that the engine is told of.
    async fn next_block(&mut self) -> u64 {
        let told = timeout(DEADLINE, self.told.recv());
        match told.await.expect("a block came in time") {
            Some(Msg::Input(Input::Block(block))) => block.height,
            other => panic!("not a block: {other:?}"),
        }
    }

    async fn stops(self) {
        self.stop.cancel();
        let ended = timeout(DEADLINE, self.task);
        ended.await.expect("it hears the stop").unwrap().unwrap();
    }
}

pub(crate) async fn introduce(to: &NetHandle, other: &NetHandle) {
    let addrs = other.listen_addrs().await.unwrap();
    to.add_addrs(other.node(), addrs).await.unwrap();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    to.wait_connected(other.node(), deadline).await.unwrap();
}

/// The next request that the node gets.
pub(crate) async fn request(
    events: &mut mpsc::Receiver<NetEvent>,
) -> (Call, crate::net::Responder) {
    let wanted = async {
        loop {
            if let Some(NetEvent::Request { bytes, respond, .. }) = events.recv().await {
                return (codec::decode(&bytes).unwrap(), respond);
            }
        }
    };
    timeout(DEADLINE, wanted).await.expect("it is asked")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_makes_blocks_asks_nobody() {
    let genesis = genesis();
    let (validator, mut peer) = (node(VALIDATOR, &genesis).await, node(PEER, &genesis).await);
    introduce(&validator.net, &peer.net).await;
    let spawned = consensus(&validator.chain);
    let mut running = Running::start(validator, Some(spawned));
    for height in 1..=3 {
        let peer = Heard::Peer(peer.net.node());
        running.heard.send(peer).await.unwrap();
        assert_eq!(running.next_block().await, height);
    }
    running.stops().await;
    while let Ok(event) = peer.events.try_recv() {
        assert!(!matches!(event, NetEvent::Request { .. }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_validator_does_not_delay_the_stop() {
    let genesis = genesis();
    let (mut validator, keeper) = (node(VALIDATOR, &genesis).await, node(PEER, &genesis).await);
    introduce(&keeper.net, &validator.net).await;
    let running = Running::start(keeper, None);
    let peer = Heard::Peer(genesis.validators[0].node);
    running.heard.send(peer).await.unwrap();
    let (call, _unanswered) = request(&mut validator.events).await;
    assert_eq!(call, Call::Blocks { from: 1 });
    running.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_that_bring_nothing_end_the_round() {
    let genesis = genesis();
    let (mut validator, keeper) = (node(VALIDATOR, &genesis).await, node(PEER, &genesis).await);
    introduce(&keeper.net, &validator.net).await;
    let mut made = consensus(&validator.chain);
    let block = made.blocks.recv().await.unwrap().certified();
    let bytes = ByteBuf::from(codec::encode(&block));
    let mut running = Running::start(keeper, None);

    running
        .heard
        .send(Heard::Peer(genesis.validators[0].node))
        .await
        .unwrap();
    for from in [1, 2] {
        let (call, respond) = request(&mut validator.events).await;
        assert_eq!(call, Call::Blocks { from });
        let answer = Answer::Blocks(vec![bytes.clone()]);
        respond.respond(codec::encode(&answer)).await.unwrap();
    }
    assert_eq!(running.next_block().await, 1);
    // The round is over once a queue of one place more than it has takes everything.
    let waiting = async {
        for _ in 0..=running.heard.max_capacity() {
            let permit = running.heard.reserve().await.unwrap();
            permit.send(Heard::Peer(genesis.validators[0].node));
        }
    };
    timeout(DEADLINE, waiting).await.expect("it listens again");
    running.stops().await;
}

/// A network of two validators that agree.
pub(crate) fn genesis_of_two() -> Genesis {
    let mut validators = [VALIDATOR, OTHER].map(|seed| {
        Founding::new(
            Signer::from_seed(&seed).node(),
            &SecretKey::from_seed(&seed),
        )
    });
    validators.sort_by_key(|founding| founding.node);
    Genesis {
        consensus: Consensus::Bft,
        validators: validators.to_vec(),
        ..genesis()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_validator_is_passed_over() {
    let genesis = genesis_of_two();
    let keeper = node(PEER, &genesis).await;
    let mut validators = [node(VALIDATOR, &genesis).await, node(OTHER, &genesis).await];
    for validator in &validators {
        introduce(&keeper.net, &validator.net).await;
    }
    let peer = Heard::Peer(validators[0].net.node());
    let running = Running::start(keeper, None);
    running.heard.send(peer).await.unwrap();
    let [first, second] = &mut validators;
    let (asked, other) = tokio::select! {
        asked = request(&mut first.events) => (asked, second),
        asked = request(&mut second.events) => (asked, first),
    };
    let (call, _unanswered) = asked;
    assert_eq!(call, Call::Blocks { from: 1 });
    let (call, _) = request(&mut other.events).await;
    assert_eq!(call, Call::Blocks { from: 1 });
    running.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_are_judged_by_the_set_that_the_ledger_has() {
    let genesis = genesis();
    let mut validator = node(VALIDATOR, &genesis).await;
    let mut made = consensus(&validator.chain);
    let seat = Seat::default();
    seat.take(Own::Solo(made.solo));
    let mut fetcher = Fetcher {
        net: validator.net.clone(),
        ledger: validator.chain.ledger(),
        seat,
        rota: Rota::behind(validator.net.node()),
        fetched: mpsc::channel(1).0,
    };
    let from = validator.net.node();
    let block = made.blocks.recv().await.unwrap().certified();
    let note = HeadNote {
        header: block.block.header.clone(),
        certificate: ByteBuf::from(block.certificate.clone()),
    };
    let early = fetcher.judge(from, &note).await;
    assert_eq!(early, Verdict::Ignore, "its block is not here");
    validator.chain.take(block).await.unwrap();
    assert_eq!(fetcher.judge(from, &note).await, Verdict::Accept);

    let mut forged = note.clone();
    forged.certificate[100] ^= 1;
    assert_eq!(fetcher.judge(from, &forged).await, Verdict::Reject);
    let mut of_another_set = note;
    of_another_set.header.validators = larder_types::Hash([9; 32]);
    for height in [1, 100] {
        of_another_set.header.height = height;
        let verdict = fetcher.judge(from, &of_another_set).await;
        assert_eq!(verdict, Verdict::Ignore, "held against nobody");
    }
}
