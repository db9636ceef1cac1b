//! One keeper's engine among providers that answer at once, unless they are told otherwise. Time,
//! chain and disk are values; shards are their roots only.

mod shell;

use crate::Engine;
use crate::ctx::Identity;
use crate::io::{Command, Effect, Input, Notice, OpId, Outcome, PutError};
use crate::rows::{SegmentRow, Snapshot};
use crate::view::{ActiveView, BlockInput, RentedView};
use larder_contracts::{Offer, SignedLeaf, SignedOffer};
use larder_keys::{AccountSigner, Signer};
use larder_ledger::{Account, SubKeys};
use larder_proofs::ContractLeaf;
use larder_types::size::MIB;
use larder_types::{
    Amount, BlockHash, Bytes, Class, ContractId, Epoch, GenesisHash, Millis, NodeId, Params,
    Profile, Schedule, SegmentId, ShardRoot, Time, TxId,
};
use rand_core::TryRng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;

/// Length of C: shards of 1 MiB at k = 4.
pub(super) const LEN: u64 = 4 * MIB - 4096;

/// Numbers in order: nothing here needs chance.
#[derive(Debug)]
pub(super) struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64()
            .map(|n| u32::try_from(n & 0xffff_ffff).unwrap())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(8) {
            let n = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&n[..chunk.len()]);
        }
        Ok(())
    }
}

/// How a provider behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Manner {
    #[default]
    Good,
    /// It answers nothing.
    Down,
    /// What it is asked for hangs.
    Slow,
    /// It sends other bytes.
    Wrong,
    /// It does not know its shards.
    Forgot,
    /// It opens no contract.
    Declines,
    /// It takes no shards.
    Refuses,
}

/// What happened, for tests to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Get(SegmentId, u16, NodeId),
    Put(SegmentId, u16, NodeId),
    Rebuild(SegmentId, Vec<u16>),
    Encode(SegmentId),
    Decode(SegmentId),
    Discard(SegmentId, bool),
    Open(NodeId),
    CloseFaulted(ContractId),
    /// A revision that we posted ourselves.
    Forced(ContractId, u64),
}

/// The keeper and all that it meets.
pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) now: Time,
    pub(super) providers: Vec<Signer>,
    pub(super) manners: BTreeMap<NodeId, Manner>,
    pub(super) faulted: BTreeSet<NodeId>,
    pub(super) misses: BTreeMap<NodeId, u32>,
    /// Contracts that end because of a notice, and when.
    pub(super) leaving: BTreeMap<ContractId, Epoch>,
    /// Providers that sign revisions and do not post them.
    pub(super) mute: BTreeSet<NodeId>,
    pub(super) seen: Vec<Seen>,
    pub(super) notices: Vec<Notice>,
    /// Operations of slow providers.
    pub(super) hanging: Vec<(OpId, Seen)>,
    /// Rebuilds are held back, and end when the test says so.
    pub(super) holds_rebuilds: bool,
    pub(super) held_rebuilds: Vec<(OpId, Vec<ShardRoot>)>,
    /// Spool: shards that lie there.
    pub(super) spool: BTreeSet<(SegmentId, u16)>,
    pub(super) balance: Amount,
    offers: Vec<SignedOffer>,
    me: Identity,
    rng: Counter,
    rows: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    signed: BTreeMap<ContractId, (NodeId, SignedLeaf)>,
    active: BTreeMap<ContractId, (NodeId, ContractLeaf)>,
    /// Transactions that the next block holds.
    sent: Vec<TxId>,
    height: u64,
    epoch: Epoch,
}

fn identity(profile: Profile) -> Identity {
    let mut params = Params::profile(profile);
    params.min_capacity_chunks = 0;
    params.capacity_step = Bytes(MIB);
    let schedule = Schedule::new(Time(0), &params);
    Identity {
        genesis: GenesisHash([9; 32]),
        params,
        schedule,
        node_key: Signer::from_seed(&[1; 32]),
        ledger_key: AccountSigner::own(Signer::from_seed(&[2; 32])),
        delegation: None,
        device_key: Signer::from_seed(&[8; 32]),
        cert: None,
        recovery: crate::head::RecoveryKeys::new(
            &[7; 32],
            &larder_keys::VaultKeys::from_root(&[7; 32]),
            &GenesisHash([9; 32]),
        ),
    }
}

/// What a segment's position holds: its root.
pub(super) fn root(segment: &SegmentId, position: u16) -> ShardRoot {
    let mut bytes = segment.0;
    bytes[30..].copy_from_slice(&position.to_be_bytes());
    ShardRoot(bytes)
}

pub(super) fn segment(i: u8) -> SegmentId {
    SegmentId([i; 32])
}

impl World {
    /// A keeper that knows `count` providers, of which nobody is rented from.
    pub(super) fn new(profile: Profile, count: u8) -> Self {
        let me = identity(profile);
        let engine = Engine::restore(me.clone(), None, Vec::new()).unwrap();
        let mut world = Self {
            engine,
            now: me.schedule.epoch_start(5),
            providers: Vec::new(),
            manners: BTreeMap::new(),
            faulted: BTreeSet::new(),
            misses: BTreeMap::new(),
            leaving: BTreeMap::new(),
            mute: BTreeSet::new(),
            seen: Vec::new(),
            notices: Vec::new(),
            hanging: Vec::new(),
            holds_rebuilds: false,
            held_rebuilds: Vec::new(),
            spool: BTreeSet::new(),
            balance: Amount::from_credits(1_000),
            offers: Vec::new(),
            me,
            rng: Counter(0),
            rows: BTreeMap::new(),
            signed: BTreeMap::new(),
            active: BTreeMap::new(),
            sent: Vec::new(),
            height: 10,
            epoch: 5,
        };
        for i in 0..count {
            world.joins(i, Amount::from_credits(1));
        }
        world
    }

    /// A keeper with these segments, whole, class Normal (4 of 8, r = 6), on `providers` under
    /// contract; `spare` more are known.
    pub(super) fn stored(profile: Profile, providers: u8, spare: u8, segments: &[u8]) -> Self {
        let mut world = Self::new(profile, providers);
        world.block(true);
        world.passes(Millis(5_000));
        let bytes = LEN * segments.len() as u64;
        world.command(Command::Prepare {
            job: 1,
            class: Class::Normal,
            bytes,
        });
        world.passes(Millis(50_000));
        for i in segments {
            world.store(segment(*i));
        }
        world.epoch();
        for i in segments {
            let row = world.row(&segment(*i));
            assert!(row.holders.iter().all(Option::is_some), "{row:?}");
            assert_eq!((row.code.k(), row.code.n(), row.code.r()), (4, 8, 6));
            assert!(row.spooled.is_empty(), "the spool is cleared");
        }
        for i in providers..providers + spare {
            world.joins(i, Amount::from_credits(1));
        }
        world.seen.clear();
        world
    }

    /// Of the providers under contract only `count` stay, those that hold the segment among them;
    /// the others become FAULTED.
    pub(super) fn leave(&mut self, id: &SegmentId, count: usize) {
        let holders = self.holders(id);
        let free = self.providers.iter().map(Signer::node);
        let free: Vec<NodeId> = free.filter(|n| !holders.contains(&Some(*n))).collect();
        let leased: BTreeSet<NodeId> = self.signed.values().map(|(node, _)| *node).collect();
        let free: Vec<NodeId> = free.into_iter().filter(|n| leased.contains(n)).collect();
        let going = leased.len() - count;
        self.faulted.extend(&free[..going]);
    }

    /// A provider is heard of.
    pub(super) fn joins(&mut self, i: u8, price: Amount) {
        let key = Signer::from_seed(&[100 + i; 32]);
        let offer = Offer {
            provider: key.node(),
            account: key.account(),
            price,
            egress_price: Amount::ZERO,
            free: Bytes(1 << 40),
            min_term: 1,
            max_term: 400,
            collateral_epochs: 0,
            region: String::new(),
            operator: String::new(),
            addrs: Vec::new(),
            issued: self.now,
            valid_until: self.now.after(Millis(24 * 3_600_000)),
        };
        let offer = offer.sign(&key, &self.me.genesis);
        self.providers.push(key);
        self.offers.push(offer.clone());
        self.step(Input::Offer(offer));
    }

    pub(super) const fn now_epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn node(&self, i: usize) -> NodeId {
        self.providers[i].node()
    }

    pub(super) fn store(&mut self, segment: SegmentId) {
        self.command(Command::Store {
            segment,
            class: Class::Normal,
            meta: false,
            len: LEN,
        });
    }

    pub(super) fn command(&mut self, command: Command) {
        self.step(Input::Command(command));
    }

    /// Feeds an input and carries out all that follows at once.
    pub(super) fn step(&mut self, input: Input) {
        let mut effects: VecDeque<Effect> = self.engine.step(self.now, &mut self.rng, input).into();
        let mut steps = 0;
        while let Some(effect) = effects.pop_front() {
            if let Some((op, outcome)) = self.effect(effect) {
                let input = Input::Done { op, outcome };
                effects.extend(self.engine.step(self.now, &mut self.rng, input));
                let (report, placing) = (self.engine.segments(), self.engine.renter.uploads.len());
                let others = report.segments.saturating_sub(placing as u64);
                assert!(report.lost <= others, "what is being placed is called lost");
            }
            steps += 1;
            assert!(steps < 100_000, "it never rests");
        }
    }

    /// Time passes; ticks come when they are owed.
    pub(super) fn passes(&mut self, span: Millis) {
        let end = self.now.after(span);
        let mut ticks = 0;
        while let Some(at) = self.engine.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step(Input::Tick);
            ticks += 1;
            assert!(ticks < 10_000, "it ticks without end");
        }
        self.now = end;
    }

    /// A block: what was signed is posted.
    pub(super) fn block(&mut self, whole: bool) {
        self.height += 1;
        let rented = self.active.values().map(|(provider, leaf)| {
            let misses = self.misses.get(provider).copied().unwrap_or(0);
            RentedView {
                provider: *provider,
                leaf: *leaf,
                misses,
                passed_lately: misses < 2,
                faulted: self.faulted.contains(provider),
                faulted_alone: false,
                leaves_in: self.leaving.get(&leaf.contract_id).copied(),
            }
        });
        let active = ActiveView {
            rented: rented.collect(),
            faulted: self.faulted.clone(),
            ..ActiveView::default()
        };
        let revision = |(id, (_, s)): (&ContractId, &(NodeId, SignedLeaf))| (*id, s.leaf.revision);
        let block = BlockInput {
            height: self.height,
            hash: BlockHash([0; 32]),
            time: self.now,
            epoch: self.epoch,
            beacon: None,
            account: Some(Account {
                balance: self.balance,
                granted: true,
                ..Account::default()
            }),
            subkeys: SubKeys::default(),
            provider: None,
            active: whole.then_some(active),
            challenge: None,
            targeted: Vec::new(),
            withheld: Vec::new(),
            is_on_roll: false,
            posted: self.signed.iter().map(revision).collect(),
            txs: std::mem::take(&mut self.sent),
        };
        self.step(Input::Block(Box::new(block)));
    }

    /// The next epoch begins: what was signed becomes active, but for FAULTED providers.
    pub(super) fn epoch(&mut self) {
        self.block(false);
        self.epoch += 1;
        let start = self.me.schedule.epoch_start(self.epoch);
        if start > self.now {
            self.passes(start.since(self.now));
        }
        for (id, _) in self.leaving.iter().filter(|(_, end)| **end <= self.epoch) {
            self.active.remove(id);
            self.signed.remove(id);
        }
        for (id, (provider, signed)) in &self.signed {
            let starts = signed.leaf.start_epoch <= self.epoch;
            let posts = !self.active.contains_key(id) || !self.mute.contains(provider);
            if starts && posts && !self.faulted.contains(provider) {
                self.active.insert(*id, (*provider, signed.leaf));
            }
        }
        self.block(true);
    }

    /// The ledger closes the contracts that it was asked to close.
    pub(super) fn closes(&mut self) {
        for seen in self.seen.clone() {
            if let Seen::CloseFaulted(id) = seen {
                self.active.remove(&id);
                self.signed.remove(&id);
            }
        }
    }

    /// The process is killed and started again from its rows.
    pub(super) fn restart(&mut self) {
        self.engine = Engine::restore(self.me.clone(), None, self.snapshot()).unwrap();
        self.hanging.clear();
        self.held_rebuilds.clear();
        let keep: BTreeSet<SegmentId> = self.engine.uploading().into_iter().collect();
        self.spool.retain(|(id, _)| keep.contains(id));
        self.step(Input::Started);
        for offer in self.offers.clone() {
            self.step(Input::Offer(offer));
        }
        self.block(true);
    }

    fn snapshot(&self) -> Snapshot {
        let rows = self.rows.iter();
        rows.map(|((kind, key), value)| (*kind, key.clone(), value.clone()))
            .collect()
    }

    pub(super) fn row(&self, id: &SegmentId) -> &SegmentRow {
        &self.engine.renter.segments[id]
    }

    /// Who holds each position.
    pub(super) fn holders(&self, id: &SegmentId) -> Vec<Option<NodeId>> {
        let node = |c: &ContractId| self.engine.renter.leases[c].provider;
        let holders = self.row(id).holders.iter();
        holders.map(|h| h.as_ref().map(node)).collect()
    }

    pub(super) fn is_whole(&self, id: &SegmentId) -> bool {
        let holders = self.holders(id);
        let distinct: BTreeSet<_> = holders.iter().flatten().collect();
        distinct.len() == holders.len() && self.row(id).spooled.is_empty()
    }

    pub(super) fn gets(&self) -> Vec<(SegmentId, u16, NodeId)> {
        let get = |s: &Seen| match s {
            Seen::Get(id, j, node) => Some((*id, *j, *node)),
            Seen::Put(..)
            | Seen::Rebuild(..)
            | Seen::Encode(_)
            | Seen::Decode(_)
            | Seen::Discard(..)
            | Seen::Open(_)
            | Seen::Forced(..)
            | Seen::CloseFaulted(_) => None,
        };
        self.seen.iter().filter_map(get).collect()
    }

    pub(super) fn rebuilds(&self) -> Vec<(SegmentId, Vec<u16>)> {
        let rebuild = |s: &Seen| match s {
            Seen::Rebuild(id, missing) => Some((*id, missing.clone())),
            Seen::Put(..)
            | Seen::Get(..)
            | Seen::Encode(_)
            | Seen::Decode(_)
            | Seen::Discard(..)
            | Seen::Open(_)
            | Seen::Forced(..)
            | Seen::CloseFaulted(_) => None,
        };
        self.seen.iter().filter_map(rebuild).collect()
    }

    /// A held rebuild ends.
    pub(super) fn finish_rebuild(&mut self) {
        let (op, roots) = self.held_rebuilds.remove(0);
        let outcome = Outcome::Rebuilt(Ok(roots));
        self.step(Input::Done { op, outcome });
    }

    /// A hanging operation ends.
    pub(super) fn unhang(&mut self, outcome: Result<(), PutError>) {
        let (op, _) = self.hanging.remove(0);
        let outcome = Outcome::Got(outcome);
        self.step(Input::Done { op, outcome });
    }
}
