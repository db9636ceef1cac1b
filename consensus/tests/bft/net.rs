//! A network of validators in one process, each with an owner that keeps its chain in memory.

use async_trait::async_trait;
use larder_consensus::bft::{Bft, BftConfig, BftEnd, BftError, Blocks, InUse, KeyMark, Spawned};
use larder_consensus::{Clock, Committed};
use larder_contracts::Auth;
use larder_keys::{AccountSigner, Signer};
use larder_ledger::mempool::Limits;
use larder_ledger::{
    Approve, Candidacy, Certified, Change, Consensus, Founding, Genesis, State, Supply, Transfer,
    Tx, verify,
};
use larder_proofs::SignedVote;
use larder_proofs::bls::SecretKey;
use larder_types::{AccountId, Amount, Millis, Params, Profile, Time};
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;

const START: Time = Time(1_000_000);
/// Real time for anything that should take well below a second.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The keys of the validators, in the order of their node keys.
pub(crate) fn key(validator: usize) -> Signer {
    let mut keys: Vec<Signer> = (100..108)
        .map(|seed| Signer::from_seed(&[seed; 32]))
        .collect();
    keys.sort_by_key(Signer::node);
    keys[validator].clone()
}

pub(crate) fn bls(validator: usize) -> SecretKey {
    SecretKey::from_seed(&key(validator).node().0)
}

fn founder() -> Signer {
    Signer::from_seed(&[1; 32])
}

/// Whom the founder pays.
pub(crate) fn payee() -> AccountId {
    Signer::from_seed(&[2; 32]).account()
}

pub(crate) fn genesis(validators: usize) -> State {
    let mut params = Params::profile(Profile::Dev).with_epoch(Millis(24 * 3_600_000));
    params.block_interval = Millis(20);
    let mut members: Vec<usize> = (0..validators).collect();
    members.sort_by_key(|validator| key(*validator).node());
    State::genesis(&Genesis {
        version: larder_ledger::VERSION,
        network: "test".into(),
        start: START,
        params,
        founder: founder().account(),
        supply: Supply::Faucet {
            total: Amount::from_credits(1_000_000),
        },
        consensus: Consensus::Bft,
        validators: members
            .iter()
            .map(|validator| Founding::new(key(*validator).node(), &bls(*validator)))
            .collect(),
        nonce: [4; 32],
    })
    .unwrap()
}

/// The mark of a key, which survives its node.
#[derive(Clone, Default)]
struct Mark(Arc<Mutex<Option<InUse>>>);

impl KeyMark for Mark {
    fn read(&self) -> io::Result<Option<InUse>> {
        Ok(*self.0.lock().unwrap())
    }

    fn write(&self, mark: &InUse) -> io::Result<()> {
        *self.0.lock().unwrap() = Some(*mark);
        Ok(())
    }
}

/// An owner's durable chain.
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

struct Running {
    bft: Bft,
    task: JoinHandle<Result<(), BftEnd>>,
    evidence: mpsc::Receiver<[SignedVote; 2]>,
}

struct Node {
    chain: Chain,
    mark: Mark,
    dir: PathBuf,
    show: watch::Sender<State>,
    seen: watch::Receiver<State>,
    running: Option<Running>,
}

pub(crate) struct Net {
    genesis: State,
    nodes: Vec<Node>,
    /// Everybody's handle, for whoever passes on what it heard.
    handles: Arc<Mutex<Vec<Option<Bft>>>>,
    clock: Clock,
    /// How far the clock is ahead of real time, ms.
    ahead: Arc<AtomicU64>,
    root: tempfile::TempDir,
}

impl Net {
    /// Validators that know each other.
    pub(crate) async fn of(validators: usize) -> Self {
        // What the engine says, if RUST_LOG asks for it. Of several tests in a process the first does it.
        let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env());
        log.with_test_writer().try_init().ok();
        let began = Instant::now();
        let ahead = Arc::new(AtomicU64::new(0));
        let jumped = Arc::clone(&ahead);
        let clock: Clock = Arc::new(move || {
            let passed = u64::try_from(began.elapsed().as_millis()).unwrap();
            START.after(Millis(passed + jumped.load(Ordering::SeqCst)))
        });
        let mut net = Self {
            genesis: genesis(validators),
            nodes: Vec::new(),
            handles: Arc::default(),
            clock,
            ahead,
            root: tempfile::tempdir().unwrap(),
        };
        for _ in 0..validators {
            net.add().await;
        }
        net.connect().await;
        net
    }

    /// One more node.
    pub(crate) async fn add(&mut self) -> usize {
        let at = self.nodes.len();
        let (show, seen) = watch::channel(self.genesis.clone());
        self.nodes.push(Node {
            chain: Chain::default(),
            mark: Mark::default(),
            dir: self.root.path().join(at.to_string()),
            show,
            seen,
            running: None,
        });
        self.handles.lock().unwrap().push(None);
        self.restart(at).await.unwrap();
        at
    }

    /// Starts a node from what it has.
    pub(crate) async fn restart(&mut self, at: usize) -> Result<(), BftError> {
        let peers = self.addresses();
        let node = &mut self.nodes[at];
        let config = BftConfig {
            node: key(at),
            bls: bls(at),
            dir: node.dir.clone(),
            mark: Box::new(node.mark.clone()),
            listen: "/ip4/127.0.0.1/tcp/0".into(),
            peers,
            state: node.seen.borrow().clone(),
            limits: Limits::default(),
            clock: Clock::clone(&self.clock),
            blocks: Arc::new(node.chain.clone()),
        };
        let Spawned {
            bft,
            blocks,
            gossip,
            forward,
            evidence,
            task,
        } = Bft::spawn(config).await?;
        drop(forward);
        tokio::spawn(own(blocks, node.chain.clone(), node.show.clone()));
        tokio::spawn(spread(at, gossip, Arc::clone(&self.handles)));
        self.handles.lock().unwrap()[at] = Some(bft.clone());
        node.running = Some(Running {
            bft,
            task,
            evidence,
        });
        Ok(())
    }

    /// Makes everybody know everybody.
    pub(crate) async fn connect(&self) {
        for (at, node) in self.nodes.iter().enumerate() {
            for (_, other) in self.nodes.iter().enumerate().filter(|(i, _)| *i != at) {
                if let (Some(node), Some(other)) = (&node.running, &other.running) {
                    node.bft.add_peer(&other.bft.addresses()[0]).await.unwrap();
                }
            }
        }
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        let running = self.nodes.iter().filter_map(|node| node.running.as_ref());
        running.map(|r| r.bft.addresses()[0].clone()).collect()
    }

    /// Stops a node as one does; what it has stays.
    pub(crate) async fn stop(&mut self, at: usize) {
        self.handles.lock().unwrap()[at] = None;
        let Running { bft, task, .. } = self.nodes[at].running.take().unwrap();
        drop(bft);
        let ended = tokio::time::timeout(DEADLINE, task).await;
        ended.expect("it stops").unwrap().unwrap();
    }

    pub(crate) fn dir(&self, at: usize) -> &PathBuf {
        &self.nodes[at].dir
    }

    /// The database is gone.
    pub(crate) fn forget_ledger(&mut self, at: usize) {
        self.nodes[at].chain.0.lock().unwrap().clear();
        self.nodes[at].show.send_replace(self.genesis.clone());
    }

    pub(crate) fn bft(&self, at: usize) -> &Bft {
        &self.nodes[at].running.as_ref().unwrap().bft
    }

    pub(crate) fn evidence(&mut self, at: usize) -> &mut mpsc::Receiver<[SignedVote; 2]> {
        &mut self.nodes[at].running.as_mut().unwrap().evidence
    }

    pub(crate) fn height(&self, at: usize) -> u64 {
        self.nodes[at].seen.borrow().head().height
    }

    pub(crate) fn state(&self, at: usize) -> State {
        self.nodes[at].seen.borrow().clone()
    }

    /// From now on everybody's clock shows this time or a later one; who sleeps hears of it by the next
    /// transaction.
    pub(crate) fn jump(&self, to: Time) {
        let by = to.since((self.clock)()).0;
        self.ahead.fetch_add(by, Ordering::SeqCst);
    }

    /// The founder pays one credit, through a node.
    pub(crate) async fn pay(&self, at: usize, nonce: u64) {
        let founder = AccountSigner::own(founder());
        let auth = Auth {
            nonce,
            expiry: 10_000,
        };
        let net = self.genesis.genesis_hash();
        let pay = Transfer::sign(&founder, payee(), Amount::from_credits(1), auth, &net);
        self.bft(at).submit(Tx::Transfer(pay)).await.unwrap();
    }

    /// A node would validate; the founder answers for it.
    pub(crate) async fn stand(&self, at: usize, nonce: u64) {
        let founder = AccountSigner::own(founder());
        let auth = Auth {
            nonce,
            expiry: 10_000,
        };
        let keys = (&key(at), &bls(at));
        let net = self.genesis.genesis_hash();
        let tx = Candidacy::sign(keys, &founder, Amount::from_credits(10), auth, &net);
        let tx = Tx::Candidacy(Box::new(tx));
        self.bft(0).submit(tx).await.unwrap();
    }

    pub(crate) async fn approve_addition(&self, by: usize, of: usize) {
        let change = self.nodes[by].seen.borrow().addition(&key(of).node());
        self.approve(by, change.unwrap()).await;
    }

    pub(crate) async fn approve_removal(&self, by: usize, of: usize) {
        let change = self.nodes[by].seen.borrow().removal(&key(of).node());
        self.approve(by, change.unwrap()).await;
    }

    async fn approve(&self, by: usize, change: Change) {
        let net = self.genesis.genesis_hash();
        let tx = Approve::sign(&key(by), change, self.height(by) + 1_000, &net);
        self.bft(by).submit(Tx::Approve(tx)).await.unwrap();
    }

    /// Waits until these nodes' states are so.
    pub(crate) async fn until(&self, nodes: &[usize], want: impl Fn(&State) -> bool) {
        for at in nodes {
            let mut seen = self.nodes[*at].seen.clone();
            let there = tokio::time::timeout(DEADLINE, seen.wait_for(|state| want(state))).await;
            assert!(there.is_ok(), "node {at} at height {}", self.height(*at));
        }
    }

    /// Waits until these nodes hold the effect of so many payments.
    pub(crate) async fn until_paid(&self, nodes: &[usize], payments: u64) {
        let want = Amount::from_credits(payments);
        for at in nodes {
            let mut seen = self.nodes[*at].seen.clone();
            let paid = seen.wait_for(|state| state.balance(&payee()) >= want);
            let paid = tokio::time::timeout(DEADLINE, paid).await;
            assert!(paid.is_ok(), "node {at} has {} payments", self.height(*at));
        }
    }

    /// Waits until these nodes are at one height, and checks that their chains are one, and final by
    /// the certificates alone: the chain.
    pub(crate) async fn check(&self, nodes: &[usize]) -> Vec<Certified> {
        let top = nodes.iter().map(|at| self.height(*at)).max().unwrap();
        for at in nodes {
            let mut seen = self.nodes[*at].seen.clone();
            let there = seen.wait_for(|state| state.head().height >= top);
            let there = tokio::time::timeout(DEADLINE, there).await;
            drop(there.expect("it comes").unwrap());
        }
        let cut = usize::try_from(top).unwrap();
        let chains = nodes.iter().map(|at| {
            let chain = self.nodes[*at].chain.0.lock().unwrap();
            chain.iter().take(cut).cloned().collect::<Vec<_>>()
        });
        let chains: Vec<Vec<Certified>> = chains.collect();
        for (chain, node) in chains.iter().zip(nodes) {
            let mut state = self.genesis.clone();
            for (one, other) in chain.iter().zip(&chains[0]) {
                assert_eq!(one.block, other.block, "a fork at node {node}");
                let block = verify::certified(&state.authority(), one.clone()).unwrap();
                state.apply(&block).unwrap();
            }
            assert_eq!(state.head().height, top);
        }
        chains.into_iter().next().unwrap()
    }
}

/// An owner that applies, keeps, acknowledges and shows.
async fn own(mut blocks: mpsc::Receiver<Committed>, chain: Chain, show: watch::Sender<State>) {
    while let Some(committed) = blocks.recv().await {
        let mut state = show.borrow().clone();
        let certificate = committed.certificate();
        let net = state.genesis_hash();
        certificate.verify(state.validators(), &net).unwrap();
        state.apply(committed.block()).unwrap();
        chain.0.lock().unwrap().push(committed.certified());
        show.send_replace(state);
        drop(committed.durable());
    }
}

/// Passes a node's transactions to the others, as our network would.
async fn spread(
    from: usize,
    mut gossip: mpsc::Receiver<Vec<Tx>>,
    handles: Arc<Mutex<Vec<Option<Bft>>>>,
) {
    while let Some(batch) = gossip.recv().await {
        let others: Vec<Bft> = {
            let handles = handles.lock().unwrap();
            let others = handles.iter().enumerate().filter(|(at, _)| *at != from);
            others.filter_map(|(_, bft)| bft.clone()).collect()
        };
        for other in others {
            // It may have stopped, or have the transaction in a block already.
            drop(other.hear(batch.clone()).await);
        }
    }
}
