//! The engine by itself, for comparison: the same network, messages and signatures of votes, but a block
//! is a list of signed transfers of 150 bytes, 1,000 at most, and whoever votes for it has checked their
//! signatures and nothing else. No ledger, no certificates by BLS, nothing kept; the heights follow each
//! other without a pause.

#[path = "../../src/bft/codec.rs"]
mod codec;
#[path = "../../src/bft/context.rs"]
mod context;
#[path = "../../src/bft/engine.rs"]
mod engine;
#[path = "../../src/bft/keys.rs"]
mod keys;
#[path = "../../src/bft/parts.rs"]
mod parts;
#[path = "../../src/bft/start.rs"]
mod start;

use context::{Height, Larder, Members, Node, Part, Value};
use engine::core::{Round, Validity};
use engine::{
    AppMsg, HeightParams, LocallyProposedValue, NetworkMsg, NetworkRequest, Next, ProposedValue,
    Reply, StreamContent, StreamId, StreamMessage, SyncedValueOutcome,
};
use larder_keys::{Claim, Signer, Tag, verify_all};
use larder_proofs::{Validator, ValidatorSet};
use larder_types::{BlockHash, GenesisHash, NodeId, Signature};
use parts::{Collector, Whole, cut};
use start::{Engine, address, peer, peer_id};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const NET: GenesisHash = GenesisHash([5; 32]);
const TRANSFER: Tag = Tag("bare transfer");
/// key[32] ‖ body[54] ‖ signature[64].
const TX: usize = 150;
const BODY: usize = TX - 32 - 64;
const MOST: usize = 1_000;
const TIMEOUTS: engine::core::LinearTimeouts = engine::core::LinearTimeouts {
    propose: Duration::from_secs(1),
    propose_delta: Duration::from_millis(500),
    prevote: Duration::from_millis(500),
    prevote_delta: Duration::from_millis(250),
    precommit: Duration::from_millis(500),
    precommit_delta: Duration::from_millis(250),
    rebroadcast: Duration::from_secs(2),
    max_timeout: Duration::from_secs(15),
};

/// What the engine's start can fail with here.
#[derive(Debug)]
pub(crate) enum BftError {
    Start(String),
    Address(String),
    Listen(String),
}

/// A signed transfer.
pub(crate) fn transfer(key: &Signer, number: u64) -> [u8; TX] {
    let mut tx = [0; TX];
    tx[..32].copy_from_slice(&key.public());
    tx[32..40].copy_from_slice(&number.to_le_bytes());
    let sig = key.sign(TRANSFER, &NET, &tx[32..32 + BODY]);
    tx[32 + BODY..].copy_from_slice(&sig.0);
    tx
}

fn are_signed(bytes: &[u8]) -> bool {
    let claim = |tx: &[u8]| {
        let (key, rest) = tx.split_first_chunk::<32>().unwrap();
        let (body, sig) = rest.split_at(BODY);
        let sig = Signature(sig.try_into().unwrap());
        Claim::new(key, TRANSFER, &NET, body, &sig)
    };
    let claims: Vec<Claim> = bytes[8..].chunks_exact(TX).map(claim).collect();
    verify_all(&claims, &rand::random())
        .iter()
        .all(|good| *good)
}

/// Everything of a validator, on one task.
pub(crate) struct Bare {
    engine: Engine,
    first: Option<Reply<(Height, HeightParams<Larder>)>>,
    by: NodeId,
    set: Arc<ValidatorSet>,
    txs: mpsc::Receiver<Vec<u8>>,
    /// Transfers, in the same order everywhere.
    waiting: Vec<u8>,
    height: u64,
    bodies: BTreeMap<BlockHash, Vec<u8>>,
    collector: Collector,
    early: Vec<Whole>,
    checked: mpsc::Receiver<Checked>,
    check: mpsc::Sender<Checked>,
    decided: mpsc::Sender<(usize, Instant)>,
}

type Checked = ((Whole, bool), Reply<Option<ProposedValue<Larder>>>);

fn check(whole: Whole) -> (Whole, bool) {
    let is_it = BlockHash(*blake3::hash(&whole.bytes).as_bytes()) == whole.block;
    let is_good = is_it && are_signed(&whole.bytes);
    (whole, is_good)
}

impl Bare {
    pub(crate) async fn start(
        node: Signer,
        members: Vec<Validator>,
        log: &Path,
        txs: mpsc::Receiver<Vec<u8>>,
        decided: mpsc::Sender<(usize, Instant)>,
    ) -> Self {
        let by = node.node();
        let hand = keys::Hand { node, genesis: NET };
        let engine = Engine::start(hand, log.to_owned(), "/ip4/127.0.0.1/tcp/0", &[]).await;
        let mut engine = engine.unwrap();
        // It listens once it asks for its first height.
        let first = loop {
            if let Some(AppMsg::ConsensusReady { reply }) = engine.channels.consensus.recv().await {
                break Some(reply);
            }
        };
        let (check, checked) = mpsc::channel(64);
        Self {
            engine,
            first,
            by,
            set: Arc::new(ValidatorSet::new(members).unwrap()),
            txs,
            waiting: Vec::new(),
            height: 1,
            bodies: BTreeMap::new(),
            collector: Collector::default(),
            early: Vec::new(),
            checked,
            check,
            decided,
        }
    }

    /// Where it listens.
    pub(crate) async fn address(&self) -> String {
        self.engine.addresses(&self.by).await.remove(0)
    }

    /// Runs among `others` until whoever sends transfers has gone.
    pub(crate) async fn run(mut self, others: Vec<String>) {
        for other in others
            .iter()
            .filter(|other| !other.ends_with(&peer_id(&self.by)))
        {
            let requests = &self.engine.channels.net_requests;
            let other = address(other).unwrap();
            let added = NetworkRequest::add_persistent_peer(requests, other).await;
            // Whoever called us first is known.
            drop(added.unwrap());
        }
        self.first
            .take()
            .unwrap()
            .send((Height(1), self.params()))
            .ok();
        loop {
            tokio::select! {
                message = self.engine.channels.consensus.recv() => self.answer(message.unwrap()).await,
                checked = self.checked.recv() => {
                    let (checked, reply) = checked.unwrap();
                    reply.send(Some(self.take(checked))).ok();
                }
                txs = self.txs.recv() => match txs {
                    Some(txs) => self.waiting.extend(txs),
                    None => break,
                },
            }
        }
        self.engine.stop().await;
    }

    fn params(&self) -> HeightParams<Larder> {
        HeightParams::new(Members::of(&self.set), TIMEOUTS, None)
    }

    async fn answer(&mut self, message: AppMsg<Larder>) {
        match message {
            AppMsg::ConsensusReady { reply } => {
                drop(reply.send((Height(self.height), self.params())))
            }
            AppMsg::StartedRound { reply_value, .. } => {
                let mut values = Vec::new();
                for whole in std::mem::take(&mut self.early) {
                    values.push(self.take(check(whole)));
                }
                reply_value.send(values).ok();
            }
            AppMsg::GetValue { round, reply, .. } => {
                let count = (self.waiting.len() / TX).min(MOST);
                let bytes = [&self.height.to_le_bytes()[..], &self.waiting[..count * TX]].concat();
                let block = BlockHash(*blake3::hash(&bytes).as_bytes());
                self.bodies.insert(block, bytes);
                self.publish(block, round).await;
                let value = LocallyProposedValue::new(Height(self.height), round, Value(block));
                reply.send(value).ok();
            }
            AppMsg::RestreamProposal {
                round, value_id, ..
            } => self.publish(value_id.0, round).await,
            AppMsg::ReceivedProposalPart {
                published_by,
                part,
                reply,
                ..
            } => {
                let mut members = self.set.members().iter();
                let from = members
                    .find(|m| Some(peer(&m.node)) == published_by)
                    .unwrap();
                let StreamContent::Data(part) = part.content else {
                    return drop(reply.send(None));
                };
                match self.collector.take(self.height - 1, from.node, part) {
                    Some(whole) if whole.height == self.height => self.look(whole, reply),
                    early => {
                        self.early.extend(early);
                        reply.send(None).ok();
                    }
                }
            }
            AppMsg::Decided {
                certificate, reply, ..
            } => {
                let count = self.bodies.get(&certificate.value_id.0).unwrap().len() / TX;
                self.waiting.drain(..count * TX);
                // Empty blocks that nobody counts are many.
                self.decided.try_send((count, Instant::now())).ok();
                self.bodies.clear();
                self.collector.prune(self.height);
                self.height += 1;
                reply.send(()).ok();
            }
            AppMsg::Finalized { reply, .. } => {
                drop(reply.send(Next::Start(Height(self.height), self.params())));
            }
            AppMsg::ExtendVote { reply, .. } => drop(reply.send(None)),
            AppMsg::VerifyVoteExtensions { reply, .. } => drop(reply.send(Vec::new())),
            AppMsg::GetHistoryMinHeight { reply } => drop(reply.send(Height(self.height))),
            AppMsg::GetDecidedValues { reply, .. } => drop(reply.send(Vec::new())),
            AppMsg::ProcessSyncedValue { reply, .. } => {
                drop(reply.send(SyncedValueOutcome::LocalTransientError));
            }
        }
    }

    fn look(&self, whole: Whole, reply: Reply<Option<ProposedValue<Larder>>>) {
        let done = self.check.clone();
        tokio::task::spawn_blocking(move || done.blocking_send((check(whole), reply)).ok());
    }

    /// Keeps a body; gives what the engine is told of it.
    fn take(&mut self, (whole, is_good): (Whole, bool)) -> ProposedValue<Larder> {
        let by = self.set.proposer(whole.height, whole.round).node;
        self.bodies.insert(whole.block, whole.bytes);
        ProposedValue {
            height: Height(whole.height),
            round: Round::new(whole.round),
            valid_round: whole.valid_round.map_or(Round::Nil, Round::new),
            proposer: Node(by),
            value: Value(whole.block),
            validity: Validity::from_bool(is_good),
        }
    }

    async fn publish(&self, block: BlockHash, round: Round) {
        let round = round.as_u32().unwrap();
        let stream = [&block.0[..], &round.to_le_bytes()].concat();
        let bytes = &self.bodies[&block];
        for part in cut(self.height, (round, None), block, bytes) {
            let (id, index) = (StreamId::new(stream.clone().into()), part.index);
            let part: Part = part;
            let message = StreamMessage::new(id, index.into(), StreamContent::Data(part));
            let message = NetworkMsg::PublishProposalPart(message);
            self.engine.channels.network.send(message).await.unwrap();
        }
    }
}
