//! For tests: a few engines of both kinds on a clock of their own, and a ledger that only makes
//! active what providers post. Messages arrive at once, or not at all where a node is deaf.

mod audits;
mod devices;
mod dropping;
mod friends;
mod heads;
mod recovery;
mod shares;
mod standing;
mod targeted;
mod trees;

use crate::head::DeviceCert;
use crate::io::{
    BulkEffect, Command, Effect, Input, Job, JobError, Notice, Outcome, PeerInput, PutError,
    Submission, Unreachable,
};
use crate::rows::{Snapshot, VolumeId, Write};
use crate::view::{ActiveView, BlockInput, ProviderView, RentedView};
use crate::wire::{BulkHeader, BulkReply, Request, Response};
use crate::{Engine, Identity, OpId, Provide, Token};
use larder_keys::{AccountSigner, RecoveryKeys, Signer, VaultKeys};
use larder_ledger::{Account, Op, SubKeys, Tx};
use larder_proofs::{Challenge, ContractLeaf, ProviderTree};
use larder_types::size::GIB;
use larder_types::{
    Amount, BlockHash, Bytes, Class, ContractId, Epoch, GenesisHash, Hash, Millis, NodeId, Params,
    Profile, Schedule, SegmentId, ShardRoot, Time, TxId,
};
use rand_core::{Infallible, TryRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

const NET: GenesisHash = GenesisHash([5; 32]);
const START: Time = Time(1_800_000_000_000);
/// Time goes on in steps of this length.
const STEP: Millis = Millis(250);

/// A stream of numbers that only has to be the same each time.
struct Count(u64);

impl TryRng for Count {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|n| u32::try_from(n >> 32).unwrap())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        Ok(self.0.rotate_left(17))
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.try_next_u64()?.to_le_bytes()[3];
        }
        Ok(())
    }
}

fn params() -> Params {
    Params::profile(Profile::Dev)
}

/// The keys of a machine: its node and device keys are `machine`'s, the rest comes from `words`.
fn identity(machine: u8, words: u8) -> Identity {
    let key = |kind: u8, of: u8| Signer::from_seed(&[kind ^ of; 32]);
    let (account_key, device_key) = (key(0x40, words), key(0x20, machine));
    let expiry = Time(u64::MAX);
    let cert = DeviceCert::sign(
        &account_key,
        &key(0x60, words),
        device_key.public(),
        expiry,
        &NET,
    );
    Identity {
        genesis: NET,
        params: params(),
        schedule: Schedule::new(START, &params()),
        node_key: key(0x10, machine),
        ledger_key: AccountSigner::own(account_key),
        delegation: None,
        device_key,
        cert: Some(cert),
        recovery: RecoveryKeys::new(&[words; 32], &VaultKeys::from_root(&[words; 32]), &NET),
    }
}

/// One machine.
struct Node {
    me: Identity,
    provide: Option<Provide>,
    rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    engine: Option<Engine>,
    /// Whether it has seen a block since its start.
    synced: bool,
    /// Whether nothing reaches it.
    deaf: bool,
    told: Vec<Notice>,
    /// What it asked of others, in order.
    asked: Vec<(NodeId, Request)>,
}

impl Node {
    fn new(me: Identity, provide: Option<Provide>) -> Self {
        Self {
            me,
            provide,
            rows: BTreeMap::new(),
            engine: None,
            synced: false,
            deaf: false,
            told: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn persist(&mut self, writes: Vec<Write>) {
        for write in writes {
            let key = (write.kind as u8, write.key);
            match write.value {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    fn snapshot(&self) -> Snapshot {
        let rows = self.rows.iter();
        rows.map(|((kind, key), value)| (*kind, key.clone(), value.clone()))
            .collect()
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }
}

/// The machines and the ledger between them.
struct Town {
    now: Time,
    nodes: Vec<Node>,
    rng: Count,
    /// Active leaves, by contract.
    active: BTreeMap<ContractId, (NodeId, ContractLeaf)>,
    /// What the next boundary makes active.
    posted: BTreeMap<ContractId, (NodeId, ContractLeaf)>,
    epoch: Epoch,
    height: u64,
    effects: VecDeque<(usize, Effect)>,
    /// Who waits for the answer to a token, and under which operation.
    waiting: BTreeMap<Token, (usize, OpId)>,
    tokens: u64,
    /// Where shards have bytes, their bytes; then there are slots too, and beacons.
    files: Option<audits::Files>,
    /// What the ledger asks of a provider: for all, and for one contract.
    asked: BTreeMap<usize, (Challenge, (ContractId, Challenge))>,
    /// What was sent to the validators as proofs.
    proven: Vec<Vec<u8>>,
    /// Questions for single contracts, and what came of them.
    questions: targeted::Questions,
    /// Transactions that a node's next block holds.
    sent: BTreeMap<usize, Vec<TxId>>,
    /// What each account has.
    balance: Amount,
    /// Whether shards can be read; else nobody answers who wants one.
    serves: bool,
    /// Reads that wait for their answer.
    reads: BTreeSet<Token>,
}

fn provides() -> Provide {
    Provide {
        quota: Bytes(4 * GIB),
        price: Amount::from_credits(1),
        egress_price: Amount::ZERO,
        region: String::new(),
        operator: String::new(),
        taking: crate::Taking::All,
    }
}

impl Town {
    /// `providers` providers, machines 1 and up.
    fn new(providers: u8) -> Self {
        let mut town = Self {
            now: START,
            nodes: Vec::new(),
            rng: Count(1),
            active: BTreeMap::new(),
            posted: BTreeMap::new(),
            epoch: 0,
            height: 1,
            effects: VecDeque::new(),
            waiting: BTreeMap::new(),
            tokens: 0,
            files: None,
            asked: BTreeMap::new(),
            proven: Vec::new(),
            questions: targeted::Questions::default(),
            sent: BTreeMap::new(),
            balance: Amount::from_credits(1_000),
            serves: false,
            reads: BTreeSet::new(),
        };
        for i in 1..=providers {
            town.add(Node::new(identity(i, i), Some(provides())));
        }
        town
    }

    /// Adds a machine and starts it.
    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        let i = self.nodes.len() - 1;
        self.start(i);
        i
    }

    /// A keeper on `machine` with these words.
    fn keeper(&mut self, machine: u8, words: u8) -> usize {
        self.add(Node::new(identity(machine, words), None))
    }

    fn start(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        let rows = node.snapshot();
        node.engine = Some(Engine::restore(node.me.clone(), node.provide.clone(), rows).unwrap());
        node.synced = false;
        self.step(i, Input::Started);
        self.block(i);
    }

    /// The machine and its disk are gone.
    fn destroy(&mut self, i: usize) {
        self.nodes[i].engine = None;
        self.nodes[i].rows.clear();
    }

    fn step(&mut self, i: usize, input: Input) {
        let Some(engine) = &mut self.nodes[i].engine else {
            return;
        };
        let effects = engine.step(self.now, &mut self.rng, input);
        self.effects.extend(effects.into_iter().map(|e| (i, e)));
        while let Some((i, effect)) = self.effects.pop_front() {
            self.carry_out(i, effect);
        }
    }

    fn command(&mut self, i: usize, command: Command) {
        self.step(i, Input::Command(command));
    }

    /// Each node sees the newest state.
    fn block(&mut self, i: usize) {
        let (whole, node) = (!self.nodes[i].synced, &self.nodes[i]);
        let (id, account) = (node.me.node(), node.me.account());
        let began = whole || self.nodes[i].engine.is_some();
        let mut held = ProviderTree::new();
        for (provider, leaf) in self.active.values() {
            if *provider == id {
                held.insert(*leaf).unwrap();
            }
        }
        let rented = self
            .active
            .values()
            .filter(|(_, leaf)| leaf.renter == account)
            .map(|(provider, leaf)| RentedView {
                provider: *provider,
                leaf: *leaf,
                misses: 0,
                passed_lately: true,
                faulted: false,
                faulted_alone: self.questions.faulted.contains(&leaf.contract_id),
                leaves_in: None,
            });
        let block = BlockInput {
            height: self.height,
            hash: BlockHash([0; 32]),
            time: self.now,
            epoch: self.epoch,
            beacon: self.beacon(),
            account: Some(Account {
                balance: self.balance,
                granted: true,
                ..Account::default()
            }),
            subkeys: SubKeys::default(),
            provider: self.nodes[i].provide.is_some().then(provider_view),
            active: began.then(|| ActiveView {
                held: Arc::new(held),
                rented: rented.collect(),
                faulted: BTreeSet::new(),
            }),
            challenge: self.asked.get(&i).map(|(whole, _)| *whole),
            targeted: self
                .asked
                .get(&i)
                .map(|(_, one)| vec![*one])
                .unwrap_or_default(),
            withheld: Vec::new(),
            is_on_roll: false,
            posted: Vec::new(),
            txs: self.sent.remove(&i).unwrap_or_default(),
        };
        self.nodes[i].synced = true;
        self.step(i, Input::Block(Box::new(block)));
    }

    /// Lets time pass.
    fn pass(&mut self, span: Millis) {
        let until = self.now.after(span);
        while self.now < until {
            self.now = self.now.after(STEP);
            let epoch = self.nodes[0].me.schedule.epoch_at(self.now);
            if epoch > self.epoch {
                (self.epoch, self.height) = (epoch, self.height + 1);
                self.judge_questions();
                self.active.append(&mut self.posted);
                self.pose_questions();
                for i in 0..self.nodes.len() {
                    self.block(i);
                }
            }
            self.slot();
            for i in 0..self.nodes.len() {
                let due = self.nodes[i].engine.as_ref().and_then(Engine::deadline);
                if due.is_some_and(|due| due <= self.now) {
                    self.step(i, Input::Tick);
                }
            }
        }
    }

    /// Lets time pass until something holds, at most ten epochs.
    fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let limit = self.now.after(Millis(10 * params().epoch.0));
        while !holds(self) {
            assert!(self.now < limit, "{what} never came");
            self.pass(STEP);
        }
    }

    fn index(&self, id: &NodeId) -> Option<usize> {
        let reachable = |n: &Node| n.me.node() == *id && !n.deaf && n.engine.is_some();
        self.nodes.iter().position(reachable)
    }

    fn token(&mut self, i: usize, op: OpId) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.waiting.insert(token, (i, op));
        token
    }

    fn end(&mut self, token: Token, outcome: Outcome) {
        if let Some((i, op)) = self.waiting.remove(&token) {
            self.step(i, Input::Done { op, outcome });
        }
    }

    /// Asks a node what a stranger would.
    fn ask(&mut self, i: usize, request: Request) -> Response {
        self.ask_as(i, NodeId([0; 32]), request)
    }

    /// Asks a node what another would.
    fn ask_as(&mut self, i: usize, from: NodeId, request: Request) -> Response {
        self.tokens += 1;
        let token = Token(self.tokens);
        let input = Input::Peer(PeerInput::Request {
            from,
            token,
            request,
            renter_balance: Amount::ZERO,
        });
        let engine = self.nodes[i].engine.as_mut().unwrap();
        let mut answer = None;
        for effect in engine.step(self.now, &mut self.rng, input) {
            if let Effect::Reply {
                token: of,
                response,
            } = effect
            {
                assert_eq!(of, token);
                answer = Some(response);
            } else {
                self.carry_out(i, effect);
            }
        }
        answer.expect("every request is answered")
    }

    fn carry_out(&mut self, i: usize, effect: Effect) {
        match effect {
            Effect::Persist(rows) => self.nodes[i].persist(rows),
            Effect::Request { op, to, request } => {
                self.nodes[i].asked.push((to, request.clone()));
                let token = self.token(i, op);
                let Some(peer) = self.index(&to) else {
                    let silence = Outcome::Response(Err(Unreachable::NoAnswer));
                    return self.end(token, silence);
                };
                let input = PeerInput::Request {
                    from: self.nodes[i].me.node(),
                    token,
                    request,
                    renter_balance: Amount::from_credits(1_000),
                };
                self.step(peer, Input::Peer(input));
            }
            Effect::Reply { token, response } => {
                self.end(token, Outcome::Response(Ok(response)));
            }
            Effect::Bulk(BulkEffect::Receive { token, .. }) => {
                let stored = Ok(VolumeId::HOME);
                self.step(i, Input::Peer(PeerInput::Received { token, stored }));
            }
            Effect::Bulk(BulkEffect::Reply { token, reply }) => {
                if self.reads.remove(&token) {
                    let BulkReply::Denied(deny) = reply else {
                        unreachable!("a read is denied or served");
                    };
                    return self.end(token, Outcome::Got(Err(PutError::Refused(deny))));
                }
                let put = match reply {
                    BulkReply::Ack(ack) => Ok(ack),
                    BulkReply::Denied(deny) => Err(PutError::Refused(deny)),
                    BulkReply::Go => Err(PutError::Peer(Unreachable::Garbage)),
                };
                self.end(token, Outcome::Put(put));
            }
            Effect::Bulk(BulkEffect::Serve { token, .. }) => {
                self.reads.remove(&token);
                self.end(token, Outcome::Got(Ok(())));
            }
            Effect::Bulk(BulkEffect::Drop { .. }) | Effect::Meet { .. } => {}
            Effect::Publish(offer) => {
                for peer in 0..self.nodes.len() {
                    if peer != i {
                        self.step(peer, Input::Offer((*offer).clone()));
                    }
                }
            }
            Effect::Submit { op, what } => {
                self.submitted(i, &what);
                let outcome = Outcome::Submitted(Ok(()));
                self.step(i, Input::Done { op, outcome });
            }
            Effect::Run { op, job, .. } => self.work(i, op, job),
            Effect::Tell(notice) => self.nodes[i].told.push(notice),
        }
    }

    /// The ledger takes what providers post, and looks at nothing.
    fn submitted(&mut self, i: usize, what: &Submission) {
        let provider = self.nodes[i].me.node();
        if let Submission::Proof { blob, .. } = what {
            self.proven.push(blob.clone());
        }
        let Submission::Tx(tx) = what else {
            return;
        };
        self.sent.entry(i).or_default().push(tx.id());
        self.questioned(tx);
        if let Tx::TreeUpdate(update) = &**tx {
            for op in &update.ops {
                let leaf = if let Op::Put(signed) = op {
                    signed.leaf
                } else if let Op::Reduce(reduction) = op {
                    reduction.signed.leaf
                } else {
                    continue;
                };
                self.posted.insert(leaf.contract_id, (provider, leaf));
            }
        }
    }

    fn work(&mut self, i: usize, op: OpId, job: Job) {
        let outcome = match job {
            Job::Encode {
                segment,
                code,
                shard_len,
                ..
            } => {
                let roots = (0..code.n()).map(|j| self.coded(&segment, j, shard_len));
                Outcome::Encoded(Ok(roots.collect()))
            }
            Job::Put { to, place, .. } => {
                let token = self.token(i, op);
                let Some(peer) = self.index(&to) else {
                    let silence = PutError::Peer(Unreachable::NoAnswer);
                    return self.end(token, Outcome::Put(Err(silence)));
                };
                let input = PeerInput::Bulk {
                    from: self.nodes[i].me.node(),
                    token,
                    header: BulkHeader::Place(place),
                };
                return self.step(peer, Input::Peer(input));
            }
            Job::Get { from, cap, .. } => {
                let Some(peer) = self.index(&from).filter(|_| self.serves) else {
                    let silence = Outcome::Got(Err(PutError::Peer(Unreachable::NoAnswer)));
                    return self.step(
                        i,
                        Input::Done {
                            op,
                            outcome: silence,
                        },
                    );
                };
                let token = self.token(i, op);
                self.reads.insert(token);
                let input = PeerInput::Bulk {
                    from: self.nodes[i].me.node(),
                    token,
                    header: BulkHeader::Read(cap),
                };
                return self.step(peer, Input::Peer(input));
            }
            Job::Decode { .. } if self.serves => Outcome::Decoded(Ok(())),
            Job::Decode { .. } => Outcome::Decoded(Err(JobError::Cancelled)),
            Job::Rebuild { .. } => Outcome::Rebuilt(Err(JobError::Cancelled)),
            Job::Prove {
                challenge,
                commitment,
            } => Outcome::Proved(self.prove(i, &challenge, &commitment)),
            Job::Discard { .. } => return,
        };
        self.step(i, Input::Done { op, outcome });
    }

    /// Makes room at a keeper.
    fn prepare(&mut self, i: usize) {
        // Offers are spread every quarter of an epoch.
        self.pass(Millis(params().epoch.0 / 3));
        let command = Command::Prepare {
            job: 1,
            class: Class::Normal,
            bytes: 1 << 20,
        };
        self.command(i, command);
        self.until("room", |town| {
            let prepared = |n: &Notice| matches!(n, Notice::Prepared { plan: Ok(_), .. });
            town.nodes[i].told.iter().any(prepared)
        });
    }

    /// Stores a segment of 64 KiB and waits until it is safe.
    fn store(&mut self, i: usize, id: u8) -> SegmentId {
        let segment = SegmentId([id; 32]);
        let command = Command::Store {
            segment,
            class: Class::Normal,
            meta: false,
            len: 64 << 10,
        };
        self.command(i, command);
        self.until("safety", |town| {
            let durable = |n: &Notice| matches!(n, Notice::SegmentDurable { segment: s, .. } if *s == segment);
            town.nodes[i].told.iter().any(durable)
        });
        segment
    }
}

fn provider_view() -> ProviderView {
    ProviderView {
        free: Amount::from_credits(1_000),
        locked: Amount::ZERO,
        faulted: false,
        capacity_most: u64::MAX,
    }
}

/// The root of a position, in a world without bytes.
fn root(segment: &SegmentId, position: u16) -> ShardRoot {
    let mut root = segment.0;
    root[..2].copy_from_slice(&position.to_le_bytes());
    ShardRoot(root)
}
