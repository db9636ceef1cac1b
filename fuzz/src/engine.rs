//! `Engine::step`, among peers that say anything: renters and providers that sign what they like,
//! a ledger that makes active what was signed, crashes at any time. The engine never panics, answers
//! each peer once, and sends no promise that it could forget. `docs/protocol.md` §3.10.

use crate::examples::{NET, START, recovery_keys, signer};
use crate::{Dice, Make};
use larder_contracts::{
    Auth, Draft, Gift, Offer, Pact, Party, Revision, ShardAck, SignedLeaf, SignedOffer, extend,
    revise,
};
use larder_engine::head::{DeviceCert, Head, SignedHead};
use larder_engine::io::{BulkEffect, JobError, PutError, Submission, SubmitError, Unreachable};
use larder_engine::rows::{HeadRow, InvitedRow, Kind, RentedRow, Write};
use larder_engine::view::{ActiveView, BlockInput, ProviderView, RentedView};
use larder_engine::wire::{
    Befriend, BulkHeader, BulkReply, Deny, PlaceShard, ReadCap, Request, Response,
};
use larder_engine::{
    Command, Disks, Effect, Engine, FriendsCommand, Identity, Input, Job, Notice, OpId, Outcome,
    PeerInput, Provide, ProviderCommand, Taking, Token, VolumeId,
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

mod peers;
mod promises;
mod rows;

use peers::job_done;
pub use rows::row;
pub(crate) use rows::row_seeds;

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

    fn commands(&mut self, dice: &mut Dice<'_>) {
        let segment = SegmentId([dice.byte() % 8; 32]);
        let command = match dice.below(13) {
            0 | 1 => Command::Prepare {
                job: 1,
                class: Class::make(dice),
                bytes: dice.below(1 << 30),
            },
            2..=5 => {
                // A segment's id is used once.
                self.segments = self.segments.wrapping_add(1);
                Command::Store {
                    segment: SegmentId([self.segments; 32]),
                    class: Class::make(dice),
                    meta: bool::make(dice),
                    len: 1 + dice.below(1 << 26),
                }
            }
            6 => Command::Fetch { segment },
            7 => Command::Release { segment },
            8 => Command::Send {
                job: 2,
                to: Make::make(dice),
                amount: Make::make(dice),
            },
            9 => Command::Damaged(vec![ShardRoot([dice.byte(); 32])]),
            10 => Command::Provider(provider_command(dice)),
            11 => self.rarer(dice, segment),
            _ => Command::Addresses(Make::make(dice)),
        };
        self.feed(Input::Command(command));
    }

    /// What a person asks for now and then.
    fn rarer(&self, dice: &mut Dice<'_>, segment: SegmentId) -> Command {
        match dice.below(9) {
            0 => Command::Rent {
                provider: signer(peer(dice)).node(),
                size: Bytes(dice.below(1 << 30)),
            },
            1 => {
                let rented = self.bought.keys().nth(usize::from(dice.byte() % 4));
                Command::Renew {
                    contract: rented.copied().unwrap_or_default(),
                }
            }
            2 => Command::Allow(None),
            3 => Command::Allow(Make::make(dice)),
            4 | 5 => Command::Friends(self.friends_command(dice)),
            6 => Command::Drop(vec![segment]),
            7 => Command::Reduce(Make::make(dice)),
            _ => Command::Provider(provider_command(dice)),
        }
    }

    fn friends_command(&self, dice: &mut Dice<'_>) -> FriendsCommand {
        match dice.below(4) {
            0 | 1 => FriendsCommand::Invite {
                token: Hash([dice.byte() % 4; 32]),
                invited: InvitedRow {
                    name: Make::make(dice),
                    gives: Bytes(u64::from(dice.byte()) << 20),
                    until: self.now.after(Millis(u64::from(dice.byte()) << 12)),
                },
            },
            2 => {
                let host = signer(peer(dice));
                let party = |key: &Signer, gives| Party {
                    node: key.node(),
                    account: key.account(),
                    gives,
                };
                let pact = Pact {
                    token: Make::make(dice),
                    host: party(&host, Make::make(dice)),
                    guest: Party {
                        account: self.me.account(),
                        ..party(&self.me.node_key, Bytes(0))
                    },
                };
                FriendsCommand::Accept {
                    pact,
                    name: Make::make(dice),
                    addrs: Vec::new(),
                }
            }
            _ => FriendsCommand::Remove {
                node: signer(peer(dice)).node(),
            },
        }
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
                leaves_in: dice.once_in(16).then(|| epoch.saturating_add(2)),
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
            Effect::Meet { .. } => {}
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
}
