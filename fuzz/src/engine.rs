//! `Engine::step`, among peers that say anything: renters and providers that sign what they like,
//! a ledger that makes active what was signed, crashes at any time. The engine never panics, answers
//! each peer once, and sends no promise that it could forget. `docs/protocol.md` §3.10.

use crate::examples::{NET, START, recovery_keys, signer};
use crate::{Dice, Make};
use larder_contracts::{
    Auth, Draft, Offer, Revision, ShardAck, SignedLeaf, SignedOffer, extend, revise,
};
use larder_engine::head::{DeviceCert, Head, SignedHead};
use larder_engine::io::{BulkEffect, JobError, PutError, Submission, SubmitError, Unreachable};
use larder_engine::rows::{HeadRow, Kind, RentedRow, Write};
use larder_engine::view::{ActiveView, BlockInput, ProviderView, RentedView};
use larder_engine::wire::{BulkHeader, BulkReply, Deny, PlaceShard, ReadCap, Request, Response};
use larder_engine::{
    Command, Disks, Effect, Engine, Identity, Input, Job, Notice, OpId, Outcome, PeerInput,
    Provide, ProviderCommand, Taking, Token, VolumeId,
};
use larder_keys::{AccountSigner, Signer};
use larder_ledger::{Account, Op, SubKeys, Tx};
use larder_proofs::{ContentTree, ContractLeaf, ProviderTree, ShardLeaf};
use larder_types::{
    Amount, BlockHash, Bytes, Class, ContractId, Hash, Millis, NodeId, Params, Profile, Schedule,
    SegmentId, ShardRoot, Time, TxId, codec,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Seeds of the peers' keys: each is renter and provider.
const PEERS: [u8; 4] = [70, 71, 72, 73];
/// Most that one input does.
const MOST_ACTS: usize = 300;

/// A contract that a peer rents from us.
#[derive(Debug, Clone)]
struct Sold {
    peer: u8,
    signed: SignedLeaf,
    tree: ContentTree,
    /// Shards that we acknowledged and no revision holds.
    acked: Vec<ShardLeaf>,
}

struct Shell {
    me: Identity,
    engine: Engine,
    rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    now: Time,
    height: u64,
    /// Whether the engine has seen a block since its start.
    synced: bool,
    tokens: u64,
    /// Peers who wait for an answer.
    waiting: BTreeMap<Token, Asked>,
    /// What the engine waits for.
    ops: BTreeMap<OpId, Wanted>,
    sold: BTreeMap<ContractId, Sold>,
    bought: BTreeMap<ContractId, (NodeId, ContractLeaf)>,
    posted: Vec<(ContractId, u64)>,
    /// The highest revision that was ever durable, of each contract that we provide.
    signed: BTreeMap<ContractId, u64>,
    outbox: Vec<TxId>,
    offer: Option<Offer>,
    segments: u8,
    reached: BTreeSet<&'static str>,
}

/// What a peer asked, as far as its answer changes what the peer knows.
#[derive(Debug, Clone)]
enum Asked {
    Open(u8, SignedLeaf),
    Add(ContractId, SignedLeaf, ContentTree),
    Place(ContractId, ShardLeaf),
    Else,
}

#[derive(Debug, Clone)]
enum Wanted {
    Answer(NodeId, Request),
    Job(Job),
    Submitted,
}

/// A life that `bytes` choose.
pub fn step(bytes: &[u8]) {
    drop(life(bytes));
}

/// The same, and what happened in it, by name.
#[must_use]
pub fn life(bytes: &[u8]) -> BTreeSet<&'static str> {
    let mut dice = Dice::of(bytes);
    let mut shell = Shell::new(&mut dice);
    for _ in 0..MOST_ACTS {
        if dice.is_empty() {
            break;
        }
        shell.act(&mut dice);
    }
    shell.reached
}

/// One durable row, as a damaged database may give it: kind ‖ length of the key ‖ key ‖ value.
pub fn row(bytes: &[u8]) {
    if let [kind, len, rest @ ..] = bytes
        && let Some((key, value)) = rest.split_at_checked(usize::from(*len))
    {
        let rows = vec![(*kind, key.to_vec(), value.to_vec())];
        drop(Engine::restore(identity(), None, rows));
    }
}

/// A row of each kind.
pub(crate) fn row_seeds() -> Vec<Vec<u8>> {
    let dice = &mut Dice::noise("rows", 0);
    let id = ContractId([1; 32]);
    [
        Write::held(&id, Some(&Make::make(dice))),
        Write::shard(&ShardRoot([1; 32]), Some(&Make::make(dice))),
        Write::rented(&id, Some(&Make::make(dice))),
        Write::rented_leaf(&id, 1, Some(&Make::make(dice))),
        Write::segment(&SegmentId([1; 32]), Some(&Make::make(dice))),
        Write::outbox(&TxId([1; 32]), Some(&Make::make(dice))),
        Write::head(&Hash([1; 32]), &[1; 32], Some(&Make::make(dice))),
        Write::own_head(&Make::make(dice)),
        Write::loss(&id, Some(&Make::make(dice))),
        Write::losses(&Make::make(dice)),
        Write::repair_totals(&Make::make(dice)),
        Write::audited(&NodeId([1; 32]), Some(&Make::make(dice))),
        Write::place(&ShardRoot([1; 32]), Some(VolumeId(1))),
        Write::asked(&NodeId([1; 32]), Some(&Make::make(dice))),
        Write::ack(7, &NodeId([1; 32]), Some(&Make::make(dice))),
    ]
    .into_iter()
    .map(|write| {
        let len = u8::try_from(write.key.len()).expect("a key of at most 64 bytes");
        let head = [write.kind as u8, len];
        [&head[..], &write.key, &write.value.unwrap_or_default()].concat()
    })
    .collect()
}

/// Random lives.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..4u64)
        .map(|n| {
            let mut bytes = vec![0; 1_500];
            Dice::noise("step", n).fill(&mut bytes);
            bytes
        })
        .collect()
}

fn params() -> Params {
    Params::profile(Profile::Dev)
}

fn identity() -> Identity {
    let account = signer(80);
    let cert = DeviceCert::sign(
        &account,
        &signer(81),
        signer(82).public(),
        Time(u64::MAX),
        &NET,
    );
    Identity {
        genesis: NET,
        params: params(),
        schedule: Schedule::new(START, &params()),
        node_key: signer(83),
        ledger_key: AccountSigner::own(account),
        delegation: None,
        device_key: signer(82),
        cert: Some(cert),
        recovery: recovery_keys(),
    }
}

fn provide() -> Provide {
    Provide {
        quota: Bytes(1 << 32),
        price: Amount::from_credits(1),
        egress_price: Amount::ZERO,
        region: "eu".into(),
        operator: "us".into(),
        taking: Taking::All,
    }
}

/// What a provider's operator or its disks say.
fn provider_command(dice: &mut Dice<'_>) -> ProviderCommand {
    match dice.below(4) {
        0 => ProviderCommand::Offer(Provide {
            quota: Bytes(1 << (20 + dice.below(14))),
            taking: [Taking::All, Taking::Paused, Taking::Leaving][dice.index(3)],
            ..provide()
        }),
        1 => ProviderCommand::Disks(Disks {
            failing: dice.once_in(4),
            free: Make::make(dice),
        }),
        2 => ProviderCommand::Maintain {
            job: 3,
            first: u32::from(dice.byte()),
            epochs: u32::from(dice.byte()),
        },
        _ => ProviderCommand::Moved {
            volume: Make::make(dice),
            roots: vec![ShardRoot([dice.byte(); 32])],
        },
    }
}

/// A peer as it signs for its account.
fn payer(seed: u8) -> AccountSigner {
    AccountSigner::own(signer(seed))
}

fn peer(dice: &mut Dice<'_>) -> u8 {
    PEERS[dice.index(PEERS.len())]
}

impl Shell {
    fn new(dice: &mut Dice<'_>) -> Self {
        let me = identity();
        let engine = Engine::restore(me.clone(), Some(provide()), Vec::new());
        let mut shell = Self {
            engine: engine.expect("no rows"),
            me,
            rows: BTreeMap::new(),
            now: START,
            height: 0,
            synced: false,
            tokens: 0,
            waiting: BTreeMap::new(),
            ops: BTreeMap::new(),
            sold: BTreeMap::new(),
            bought: BTreeMap::new(),
            posted: Vec::new(),
            signed: BTreeMap::new(),
            outbox: Vec::new(),
            offer: None,
            segments: 0,
            reached: BTreeSet::new(),
        };
        shell.feed(Input::Started);
        for seed in PEERS {
            shell.feed(Input::Offer(shell.offer_of(seed)));
        }
        shell.block(dice);
        shell
    }

    fn offer_of(&self, seed: u8) -> SignedOffer {
        let node = signer(seed);
        let offer = Offer {
            provider: node.node(),
            account: node.account(),
            price: Amount::from_credits(1),
            egress_price: Amount::ZERO,
            free: Bytes(1 << 40),
            min_term: 1,
            max_term: 300,
            collateral_epochs: 1,
            region: String::new(),
            operator: format!("op-{seed}"),
            addrs: vec!["/ip4/127.0.0.1/tcp/1".into()],
            issued: self.now,
            valid_until: self.now.after(Millis(3_600_000)),
        };
        offer.sign(&node, &NET)
    }

    fn act(&mut self, dice: &mut Dice<'_>) {
        match dice.below(24) {
            0..=3 => self.asks(dice),
            4..=6 => self.streams(dice),
            7..=14 => self.ends(dice),
            15 => self.commands(dice),
            16 if dice.once_in(4) => self.feed(Input::Acked {
                from: Make::make(dice),
                ack: Make::make(dice),
            }),
            16 => {
                let offer = match dice.once_in(2) {
                    true => Make::make(dice),
                    false => self.offer_of(peer(dice)),
                };
                self.feed(Input::Offer(offer));
            }
            17..=18 => {
                self.now = self.now.after(Millis(dice.below(1 << 14)));
                self.feed(Input::Tick);
            }
            19 => {
                self.now = self.engine.deadline().map_or(self.now, |due| {
                    due.max(self.now).min(self.now.after(Millis(600_000)))
                });
                self.feed(Input::Tick);
            }
            20..=21 => self.block(dice),
            22 => {
                self.now = self.now.after(params().epoch);
                self.block(dice);
            }
            _ if dice.once_in(4) => self.crash(dice),
            _ => self.block(dice),
        }
    }

    fn token(&mut self, asked: Asked) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.waiting.insert(token, asked);
        token
    }

    /// A peer asks something.
    fn asks(&mut self, dice: &mut Dice<'_>) {
        let from = peer(dice);
        let (request, asked) = match dice.below(10) {
            0..=2 => self.proposal(from, dice),
            3..=5 => self.revision(dice),
            6 => (Request::PutHead(Box::new(head_of(from, dice))), Asked::Else),
            7 => {
                let key = recovery_keys().key;
                (Request::GetHeads { key }, Asked::Else)
            }
            8 => {
                let contract = self.a_contract(dice);
                let have = dice.below(3);
                (Request::GetLatest { contract, have }, Asked::Else)
            }
            _ => (Make::make(dice), Asked::Else),
        };
        let token = self.token(asked);
        let input = PeerInput::Request {
            from: signer(from).node(),
            token,
            request,
            renter_balance: Amount::from_credits(1_000),
        };
        self.feed(Input::Peer(input));
    }

    fn a_contract(&self, dice: &mut Dice<'_>) -> ContractId {
        let ids: Vec<ContractId> = self.sold.keys().copied().collect();
        match dice.pick(&ids) {
            Some(id) if !dice.once_in(8) => *id,
            Some(_) | None => Make::make(dice),
        }
    }

    /// A new contract, or more of one.
    fn proposal(&self, from: u8, dice: &mut Dice<'_>) -> (Request, Asked) {
        let offer = self
            .offer
            .clone()
            .unwrap_or_else(|| self.offer_of(from).offer);
        let epoch = self.me.schedule.epoch_at(self.now);
        let known = self.sold.values().find(|sold| sold.peer == from);
        let more = known.and_then(|sold| {
            let (leaf, start) = (&sold.signed.leaf, epoch.saturating_add(1));
            let capacity = leaf.capacity_chunks.saturating_add(1 << dice.below(20));
            let (price, epochs) = (offer.price, offer.collateral_epochs);
            extend(leaf, capacity, price, epochs, start, &self.me.params).ok()
        });
        let mut leaf = more.unwrap_or_else(|| {
            let draft = Draft {
                provider: self.me.node(),
                renter: signer(from).account(),
                nonce16: [dice.byte(); 16],
                start: epoch.saturating_add(1),
                term: 1 + u32::from(dice.byte()),
                capacity_chunks: 1 << dice.below(22),
                price: offer.price,
                collateral_epochs: offer.collateral_epochs,
            };
            draft.leaf(&self.me.params)
        });
        if dice.once_in(4) {
            crate::bend::bend(&mut leaf, dice);
        }
        let auth = Some(Auth {
            nonce: dice.below(8),
            expiry: self.height.saturating_add(1_000),
        });
        let signed = SignedLeaf::sign(leaf, auth, &self.me.node(), &payer(from), &NET);
        (Request::Propose(signed.clone()), Asked::Open(from, signed))
    }

    /// A peer wants its acknowledged shards signed for, or others.
    fn revision(&self, dice: &mut Dice<'_>) -> (Request, Asked) {
        let contract = self.a_contract(dice);
        let Some(sold) = self.sold.get(&contract) else {
            return (Make::make(dice), Asked::Else);
        };
        let mut puts = sold.acked.clone();
        if dice.once_in(4) {
            puts = Make::make(dice);
        }
        let next = revise(&sold.signed.leaf, &sold.tree, &puts);
        let (mut leaf, tree) = next.unwrap_or((sold.signed.leaf, sold.tree.clone()));
        if dice.once_in(8) {
            crate::bend::bend(&mut leaf, dice);
        }
        let auth = sold.signed.auth.filter(|_| !dice.once_in(8));
        let signed = SignedLeaf::sign(leaf, auth, &self.me.node(), &payer(sold.peer), &NET);
        let asked = Asked::Add(contract, signed.clone(), tree);
        let request = Request::Revise {
            contract,
            puts,
            signed,
        };
        (request, asked)
    }

    /// A peer opens a stream, or one that is open ends.
    fn streams(&mut self, dice: &mut Dice<'_>) {
        let receiving: Vec<Token> = self
            .waiting
            .iter()
            .filter(|(_, asked)| matches!(asked, Asked::Place(..)))
            .map(|(token, _)| *token)
            .collect();
        if let Some(token) = dice.pick(&receiving)
            && !dice.once_in(3)
        {
            let stored = match dice.below(4) {
                0 => Err(Deny::make(dice)),
                _ => Ok(VolumeId::make(dice)),
            };
            let token = *token;
            return self.feed(Input::Peer(PeerInput::Received { token, stored }));
        }
        let contract = self.a_contract(dice);
        let from = self.sold.get(&contract).map_or(PEERS[0], |sold| sold.peer);
        let mut leaf = ShardLeaf {
            root: ShardRoot([dice.byte(); 32]),
            chunks: 16 * (1 + dice.below(64)),
            tag: [0; 8],
        };
        if dice.once_in(8) {
            leaf.chunks = Make::make(dice);
        }
        let (header, asked) = match dice.below(4) {
            0 => (Make::make(dice), Asked::Else),
            1 => {
                let (reader, key) = (signer(from).node(), payer(from));
                let cap = ReadCap::sign(contract, leaf.root, reader, self.now, &key, &NET);
                (BulkHeader::Read(cap), Asked::Else)
            }
            _ => {
                let place = PlaceShard::sign(contract, leaf, &payer(from), &NET);
                (BulkHeader::Place(place), Asked::Place(contract, leaf))
            }
        };
        let token = self.token(asked);
        let from = signer(from).node();
        let input = PeerInput::Bulk {
            from,
            token,
            header,
        };
        self.feed(Input::Peer(input));
    }

    /// Something that the engine wanted ends, well or badly.
    fn ends(&mut self, dice: &mut Dice<'_>) {
        let ids: Vec<OpId> = self.ops.keys().copied().collect();
        let Some(op) = dice.pick(&ids).copied() else {
            return self.feed(Input::Tick);
        };
        let Some(wanted) = self.ops.remove(&op) else {
            return;
        };
        let outcome = match wanted {
            Wanted::Answer(to, request) => Outcome::Response(match dice.below(8) {
                0 => Err(Unreachable::NoAnswer),
                1 => Err(Unreachable::Garbage),
                2 => Ok(Make::make(dice)),
                _ => Ok(self.answer(to, request)),
            }),
            Wanted::Submitted => Outcome::Submitted(match dice.below(6) {
                0 => Err(SubmitError::NoAnswer),
                1 => Err(SubmitError::Refused("no".into())),
                _ => Ok(()),
            }),
            Wanted::Job(job) => match job_done(job, dice) {
                Some(outcome) => outcome,
                None => return,
            },
        };
        self.feed(Input::Done { op, outcome });
    }

    /// What an honest peer answers.
    fn answer(&mut self, to: NodeId, request: Request) -> Response {
        let Some(key) = PEERS.map(signer).into_iter().find(|key| key.node() == to) else {
            return Response::Denied(Deny::NotProviding);
        };
        match request {
            Request::Propose(signed) | Request::Revise { signed, .. } => {
                let leaf = signed.leaf;
                self.reached.insert("a contract bought");
                self.bought.insert(leaf.contract_id, (to, leaf));
                Response::Signed(signed.countersign(&key, &NET).sig_provider)
            }
            Request::PutHead(head) => Response::Kept { seq: head.seq },
            Request::GetOffers => Response::Offers(vec![self.offer_of(PEERS[0])]),
            Request::GetHeads { .. } => Response::Heads(Vec::new()),
            Request::GetLatest { .. } | Request::Audit(_) => {
                Response::Denied(Deny::UnknownContract)
            }
        }
    }

    fn commands(&mut self, dice: &mut Dice<'_>) {
        let segment = SegmentId([dice.byte() % 8; 32]);
        let command = match dice.below(11) {
            0 | 1 => Command::Prepare {
                job: 1,
                class: Class::make(dice),
                bytes: dice.below(1 << 30),
            },
            2 | 3 => {
                // A segment's id is used once.
                self.segments = self.segments.wrapping_add(1);
                Command::Store {
                    segment: SegmentId([self.segments; 32]),
                    class: Class::make(dice),
                    meta: bool::make(dice),
                    len: 1 + dice.below(1 << 26),
                }
            }
            4 => Command::Fetch { segment },
            5 => Command::Release { segment },
            6 => Command::Send {
                job: 2,
                to: Make::make(dice),
                amount: Make::make(dice),
            },
            7 => Command::Damaged(vec![ShardRoot([dice.byte(); 32])]),
            8 | 9 => Command::Provider(provider_command(dice)),
            _ => Command::Addresses(Make::make(dice)),
        };
        self.feed(Input::Command(command));
    }

    /// The ledger goes on: now and then it has made active what was signed.
    fn block(&mut self, dice: &mut Dice<'_>) {
        self.height += 1;
        let epoch = self.me.schedule.epoch_at(self.now);
        let mut held = ProviderTree::new();
        for sold in self.sold.values().filter(|_| !dice.once_in(4)) {
            // A real ledger's sums fit; these are what the engine signed.
            held.insert(sold.signed.leaf)
                .expect("what was judged has a rate");
        }
        let mut rented = Vec::new();
        for (provider, leaf) in self.bought.values() {
            if dice.once_in(8) {
                continue;
            }
            rented.push(RentedView {
                provider: *provider,
                leaf: *leaf,
                misses: u32::from(dice.byte() % 4),
                passed_lately: !dice.once_in(4),
                faulted: dice.once_in(16),
                faulted_alone: dice.once_in(16),
            });
        }
        let faulted: BTreeSet<NodeId> = rented
            .iter()
            .filter(|view| view.faulted)
            .map(|view| view.provider)
            .collect();
        let whole = !self.synced || dice.once_in(2);
        let mut txs = std::mem::take(&mut self.outbox);
        txs.retain(|_| dice.once_in(2));
        let block = BlockInput {
            height: self.height,
            hash: BlockHash(dice.array()),
            time: self.now,
            epoch,
            account: (!dice.once_in(8)).then(|| Account {
                balance: Amount::from_credits(1_000),
                granted: true,
                ..Account::default()
            }),
            subkeys: SubKeys::default(),
            provider: (!dice.once_in(8)).then(|| ProviderView {
                free: Amount::from_credits(1_000_000),
                locked: Amount::ZERO,
                faulted: dice.once_in(16),
                capacity_most: if dice.once_in(16) {
                    dice.word()
                } else {
                    u64::MAX
                },
            }),
            active: whole.then(|| ActiveView {
                held: Arc::new(held),
                rented,
                faulted,
            }),
            challenge: None,
            targeted: Vec::new(),
            withheld: Make::make(dice),
            is_on_roll: false,
            beacon: Make::make(dice),
            posted: std::mem::take(&mut self.posted),
            txs,
        };
        self.synced = true;
        self.feed(Input::Block(Box::new(block)));
    }

    /// The process dies and starts again from its rows.
    fn crash(&mut self, dice: &mut Dice<'_>) {
        let rows = self.rows.iter();
        let rows = rows.map(|((kind, key), value)| (*kind, key.clone(), value.clone()));
        let engine = Engine::restore(self.me.clone(), Some(provide()), rows.collect());
        self.engine = engine.expect("an engine reads what it wrote");
        self.ops.clear();
        self.waiting.clear();
        self.synced = false;
        self.feed(Input::Started);
        self.block(dice);
    }

    /// One step, and its effects in their order.
    fn feed(&mut self, input: Input) {
        let mut rng = Dice::noise("engine", self.tokens ^ self.now.0);
        let effects = self.engine.step(self.now, &mut rng, input);
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(writes) => writes.into_iter().for_each(|write| self.persist(write)),
            Effect::Request { op, to, request } => {
                if let Request::Propose(signed) = &request {
                    let rented = self.row::<RentedRow>(Kind::Rented, &signed.leaf.contract_id.0);
                    let known = rented.is_some_and(|row| {
                        row.signed == *signed || row.tried.as_ref() == Some(signed)
                    });
                    assert!(known, "a proposal is sent before it is durable");
                }
                self.ops.insert(op, Wanted::Answer(to, request));
            }
            Effect::Reply { token, response } => self.replied(token, response),
            Effect::Bulk(BulkEffect::Reply { token, reply }) => self.stream_ends(token, reply),
            Effect::Bulk(BulkEffect::Receive { token, root, .. }) => {
                let asked = self.waiting.get(&token);
                let right = matches!(asked, Some(Asked::Place(_, leaf)) if leaf.root == root);
                assert!(right, "a stream that nobody opened is received");
            }
            Effect::Bulk(BulkEffect::Serve { token, .. }) => {
                assert!(self.waiting.remove(&token).is_some(), "served twice");
            }
            Effect::Tell(Notice::SegmentDurable { .. }) => {
                self.reached.insert("a segment stored");
            }
            Effect::Bulk(BulkEffect::Drop { .. }) | Effect::Tell(_) => {}
            Effect::Publish(offer) => self.offer = Some(offer.offer),
            Effect::Submit { op, what } => {
                self.submitted(&what);
                self.ops.insert(op, Wanted::Submitted);
            }
            Effect::Run { op, job, .. } => {
                self.ops.insert(op, Wanted::Job(job));
            }
        }
    }

    fn persist(&mut self, write: Write) {
        if let (Kind::Held, Some(value)) = (write.kind, &write.value) {
            let held: Revision = codec::decode(value).expect("an engine writes what it reads");
            let ContractLeaf {
                contract_id,
                revision,
                ..
            } = held.signed.leaf;
            let most = self.signed.entry(contract_id).or_default();
            *most = revision.max(*most);
        }
        let key = (write.kind as u8, write.key);
        match write.value {
            Some(value) => self.rows.insert(key, value),
            None => self.rows.remove(&key),
        };
    }

    /// A durable row.
    fn row<T>(&self, kind: Kind, key: &[u8]) -> Option<T>
    where
        T: serde::Serialize + serde::de::DeserializeOwned,
    {
        let value = self.rows.get(&(kind as u8, key.to_vec()))?;
        Some(codec::decode(value).expect("an engine writes what it reads"))
    }

    /// The engine has answered a peer: what it signed is durable.
    fn replied(&mut self, token: Token, response: Response) {
        let asked = self.waiting.remove(&token);
        let asked = asked.expect("a request is answered once");
        match (asked, response) {
            (Asked::Open(peer, signed), Response::Signed(sig)) => {
                let id = signed.leaf.contract_id;
                self.is_held(&id, |held| held.sig_provider == sig);
                self.reached.insert("a contract sold");
                let old = self.sold.remove(&id);
                let (tree, acked) = old.map_or_else(Default::default, |s| (s.tree, s.acked));
                let sold = Sold {
                    peer,
                    signed,
                    tree,
                    acked,
                };
                self.sold.insert(id, sold);
            }
            (Asked::Add(id, signed, tree), Response::Signed(sig)) => {
                self.is_held(&id, |held| held.sig_provider == sig);
                self.reached.insert("shards signed for");
                if let Some(sold) = self.sold.get_mut(&id) {
                    sold.acked.retain(|leaf| !tree.leaves().contains(leaf));
                    (sold.signed, sold.tree) = (signed, tree);
                }
            }
            (_, Response::Kept { seq }) => {
                let heads = self
                    .rows
                    .iter()
                    .filter(|((kind, _), _)| *kind == Kind::Head as u8);
                let mut rows = heads.map(|(_, value)| codec::decode::<HeadRow>(value));
                let kept = rows.any(|row| row.is_ok_and(|row| row.head.seq == seq));
                self.reached.insert("a head kept");
                assert!(kept, "a head is kept before it is durable");
            }
            _ => {}
        }
    }

    #[track_caller]
    fn is_held(&self, id: &ContractId, is: impl Fn(&Revision) -> bool) {
        let held = self.row::<Revision>(Kind::Held, &id.0);
        assert!(
            held.is_some_and(|held| is(&held)),
            "signed before it is durable"
        );
    }

    fn stream_ends(&mut self, token: Token, reply: BulkReply) {
        let asked = self.waiting.remove(&token);
        let asked = asked.expect("a stream is answered once");
        if let (Asked::Place(contract, leaf), BulkReply::Ack(_)) = (asked, reply) {
            let row = self.rows.get(&(Kind::Shard as u8, leaf.root.0.to_vec()));
            self.reached.insert("a shard acknowledged");
            assert!(row.is_some(), "acknowledged before it is durable");
            if let Some(sold) = self.sold.get_mut(&contract)
                && !sold.acked.contains(&leaf)
                && !sold.tree.leaves().contains(&leaf)
            {
                sold.acked.push(leaf);
            }
        }
    }

    /// What is handed to the ledger is durable, or follows from what is.
    fn submitted(&mut self, what: &Submission) {
        let Submission::Tx(tx) = what else { return };
        if let Tx::TreeUpdate(update) = &**tx {
            for op in &update.ops {
                if let Op::Put(signed) = op {
                    let (id, revision) = (signed.leaf.contract_id, signed.leaf.revision);
                    // The row may be gone again: what was handed on is handed on until it expires.
                    let durable = self.signed.get(&id).is_some_and(|most| *most >= revision);
                    assert!(durable, "handed on before it is durable");
                    self.reached.insert("a contract posted");
                    self.posted.push((id, revision));
                }
            }
            return;
        }
        let row = self.rows.get(&(Kind::Outbox as u8, tx.id().0.to_vec()));
        // The faucet grants once, whoever asks again; a close is asked for again while the ledger
        // shows the contract; an absence is announced by a command that waits for its block.
        let again = matches!(
            **tx,
            Tx::Faucet(_) | Tx::CloseFaulted(_) | Tx::Maintenance(_)
        );
        let known = row.is_some() || again;
        assert!(known, "handed on before it is durable: {tx:?}");
        self.outbox.push(tx.id());
    }
}

/// How the pool ends a job; `None` for one that has no outcome.
fn job_done(job: Job, dice: &mut Dice<'_>) -> Option<Outcome> {
    let failed = dice.once_in(6).then_some(JobError::Cancelled);
    let roots = |segment: SegmentId, positions: &[u16]| {
        let root = |j: &u16| {
            let mut root = segment.0;
            root[..2].copy_from_slice(&j.to_le_bytes());
            ShardRoot(root)
        };
        positions.iter().map(root).collect::<Vec<_>>()
    };
    let done = |failed: Option<JobError>| failed.map_or(Ok(()), Err);
    let put = |dice: &mut Dice<'_>| match dice.below(4) {
        0 => PutError::Refused(Make::make(dice)),
        1 => PutError::WrongBytes,
        2 => PutError::Peer(Unreachable::Garbage),
        _ => PutError::Peer(Unreachable::NoAnswer),
    };
    Some(match job {
        Job::Encode { segment, code, .. } => {
            let all: Vec<u16> = (0..code.n()).collect();
            Outcome::Encoded(failed.map_or_else(|| Ok(roots(segment, &all)), Err))
        }
        Job::Rebuild {
            segment, missing, ..
        } => Outcome::Rebuilt(failed.map_or_else(|| Ok(roots(segment, &missing)), Err)),
        Job::Put { to, place, .. } => {
            let key = PEERS.map(signer).into_iter().find(|key| key.node() == to);
            Outcome::Put(match (failed, key) {
                (None, Some(key)) => Ok(acked(&place, &key, dice)),
                (Some(_), _) | (_, None) => Err(put(dice)),
            })
        }
        Job::Get { .. } => Outcome::Got(match failed {
            Some(_) => Err(put(dice)),
            None => Ok(()),
        }),
        Job::Decode { .. } => Outcome::Decoded(done(failed)),
        Job::Prove { .. } => Outcome::Proved(failed.map_or(Ok(vec![1; 100]), Err)),
        Job::Discard { .. } => return None,
    })
}

/// A peer's acknowledgement, now and then of something else.
fn acked(place: &PlaceShard, key: &Signer, dice: &mut Dice<'_>) -> ShardAck {
    match dice.below(8) {
        0 => Make::make(dice),
        _ => ShardAck::sign(
            place.contract,
            place.leaf.root,
            place.leaf.chunks,
            key,
            &NET,
        ),
    }
}

/// A head of a peer's device.
fn head_of(seed: u8, dice: &mut Dice<'_>) -> SignedHead {
    let (device, expiry) = (signer(dice.byte()), Time(u64::MAX));
    let cert = DeviceCert::sign(&signer(seed), &signer(90), device.public(), expiry, &NET);
    let head = Head {
        seq: Make::make(dice),
        segments: Vec::new(),
        contracts: Vec::new(),
    };
    let sealed = SignedHead::seal(&head, [1; 12], &recovery_keys(), (&device, &cert), &NET);
    let mut signed = sealed.expect("it is short");
    if dice.once_in(4) {
        signed.key = Hash::make(dice);
    }
    signed
}
