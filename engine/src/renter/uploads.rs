//! A sealed segment becomes n shards on n providers. It is coded once; each position goes to a
//! provider that holds none of the segment, one slow or failed provider is replaced by another;
//! at the success threshold the segment counts as saved, the rest goes on in the background.
//! A position counts once a co-signed revision of an opened contract holds it.

use super::lease::Lease;
use super::repairs::Phase;
use super::stalls::{PROMISED, STALL};
use super::{NoRoom, Renter};
use crate::ctx::Ctx;
use crate::io::{Job, JobError, Notice, OpId, PutError, Unreachable};
use crate::ops::Pending;
use crate::placement::{self, Candidate};
use crate::rows::{SegmentRow, Write};
use crate::wallet::Wallet;
use crate::wire::{Deny, PlaceShard};
use larder_coding::layout;
use larder_coding::manifest::{repair_id, shard_tag};
use larder_contracts::ShardAck;
use larder_proofs::ShardLeaf;
use larder_types::params::CHUNK;
use larder_types::{Class, ContractId, Millis, NodeId, SegmentId, ShardRoot, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Most shards on their way at once, in all and to one provider.
const MAX_PUTS: usize = 12;
const MAX_PUTS_EACH: u32 = 2;
/// A transfer that takes longer is given up; what stalls the transport gives up much earlier.
/// 64 MiB (a segment at k = 1) in an hour is 150 kbit/s.
pub(crate) const TRANSFER_DEADLINE: Millis = Millis(3_600_000);
/// Coding a segment takes a second or two; a busy machine gets this.
pub(crate) const ENCODE_DEADLINE: Millis = Millis(600_000);

/// A suspect provider ranks as if it were twice as full as full.
const SUSPECT_PPM: u64 = 2_000_000;
/// One … of the doubt about a provider counts as fullness: who is unknown is given a shard when
/// those that are known are a quarter fuller.
const DOUBT_SHARE: u64 = 4;
/// Failures in a row (half a minute of waiting) after which a provider is no prospect.
const ABSENT_FAILS: u32 = 6;

/// A segment on its way.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Where each position stands; empty until the segment is coded.
    pub(crate) positions: Vec<Position>,
    /// Whether the success threshold was announced.
    pub(crate) told: bool,
    /// When something last went forward.
    pub(crate) progress_at: Time,
    /// All that could take a position are full and cannot grow.
    pub(crate) no_room: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    Waiting,
    Putting {
        op: OpId,
        contract: ContractId,
    },
    Acked {
        contract: ContractId,
    },
    Placed,
    /// Nobody holds it, and it does not lie in the spool: a repair is to rebuild it.
    Gone,
}

impl Upload {
    /// A segment whose shards lie in the spool.
    pub(crate) fn resumed(row: &SegmentRow) -> Self {
        let position = |(j, holder): (u16, &Option<ContractId>)| match holder {
            Some(_) => Position::Placed,
            None if row.spooled.contains(&j) => Position::Waiting,
            None => Position::Gone,
        };
        Self {
            positions: (0..).zip(&row.holders).map(position).collect(),
            told: false,
            progress_at: Time(0),
            no_room: false,
        }
    }

    /// Positions that are on their way to a provider, or only to be signed for.
    pub(crate) fn moving(&self) -> usize {
        let moves = |p: &&Position| matches!(p, Position::Putting { .. } | Position::Acked { .. });
        self.positions.iter().filter(moves).count()
    }
}

impl Renter {
    /// Takes a sealed segment. Handing the same one over again is harmless.
    pub(crate) fn store(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: SegmentId,
        class: Class,
        meta: bool,
        len: u64,
    ) {
        if let Some(row) = self
            .segments
            .get(&segment)
            .filter(|row| !row.roots.is_empty())
            && self.safe(row) >= usize::from(placement::success_threshold(row.code))
        {
            // What it lacks is repair's business.
            let bytes_stored = row.shard_len * u64::from(row.code.n());
            if let Some(upload) = self.uploads.get_mut(&segment) {
                upload.told = true;
            }
            return ctx.tell(Notice::SegmentDurable {
                segment,
                bytes_stored,
            });
        }
        if let Some(upload) = self.uploads.get_mut(&segment)
            && !upload.positions.contains(&Position::Gone)
        {
            upload.told = false;
            upload.progress_at = ctx.now;
            return self.tell_placed(ctx);
        }
        if self.segments.contains_key(&segment) {
            // An earlier try lost its shards: the same segment codes to the same ones.
            return self.encode(ctx, segment);
        }
        let Some(plan) = placement::choose_code(class, self.usable_leases().count()) else {
            return ctx.tell(Notice::SegmentFailed {
                segment,
                reason: NoRoom::NoProviders,
            });
        };
        let code = plan.code;
        let shard_len = layout::shard_len(len, code.k());
        let holders = vec![None; usize::from(code.n())];
        let roots = Vec::new();
        let row = SegmentRow {
            class,
            meta,
            code,
            len,
            shard_len,
            roots,
            holders,
            spooled: Vec::new(),
            catalogue: false,
            listed: false,
        };
        self.segments.insert(segment, row);
        self.encode(ctx, segment);
    }

    fn encode(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        self.forget_repair(ctx, &segment);
        let contracts: Vec<ContractId> = self.leases.keys().copied().collect();
        for contract in contracts {
            self.take_back(&contract, Some(&segment));
        }
        let Some(row) = self.segments.get(&segment) else {
            return;
        };
        let job = Job::Encode {
            segment,
            code: row.code,
            len: row.len,
            shard_len: row.shard_len,
        };
        let upload = Upload {
            positions: Vec::new(),
            told: false,
            progress_at: ctx.now,
            no_room: false,
        };
        self.uploads.insert(segment, upload);
        let deadline = ctx.now.after(ENCODE_DEADLINE);
        ctx.run(job, deadline, Pending::Encode { segment });
    }

    /// The segment is coded: its shards lie in the spool.
    pub(crate) fn encoded(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: SegmentId,
        outcome: Result<Vec<ShardRoot>, JobError>,
    ) {
        let Some(row) = self.segments.get_mut(&segment) else {
            return;
        };
        match outcome {
            Ok(roots)
                if roots.len() == row.holders.len()
                    && (row.roots.is_empty() || row.roots == roots) =>
            {
                row.roots = roots;
                row.spooled = (0..row.code.n()).collect();
                let mut upload = Upload::resumed(row);
                upload.progress_at = ctx.now;
                self.uploads.insert(segment, upload);
                ctx.persist(vec![self.segment_write(&segment)]);
                self.reindex(&segment);
            }
            Ok(_) => self.give_up(
                ctx,
                segment,
                NoRoom::Spool("the segment codes to other shards".into()),
            ),
            Err(JobError::Cancelled) => self.give_up(ctx, segment, NoRoom::Stalled),
            Err(JobError::Damaged(why) | JobError::Disk(why)) => {
                self.give_up(ctx, segment, NoRoom::Spool(why));
            }
        }
    }

    /// Stops placing a segment. Of one that was never coded nothing stays; the backup that sealed
    /// it still has it, and hands it over again.
    fn give_up(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId, reason: NoRoom) {
        self.uploads.remove(&segment);
        if let Some(row) = self.segments.get_mut(&segment) {
            row.spooled.clear();
            if row.roots.is_empty() {
                self.segments.remove(&segment);
            } else {
                ctx.persist(vec![Write::segment(&segment, Some(row))]);
            }
            ctx.discard(segment, false);
        }
        self.reindex(&segment);
        ctx.tell(Notice::SegmentFailed { segment, reason });
    }

    /// Starts every transfer that can start now.
    pub(crate) fn place_all(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        let ids: Vec<SegmentId> = self.uploads.keys().copied().collect();
        for id in ids {
            if self.puts_under_way() < MAX_PUTS {
                self.place_one(ctx, &id);
            }
            self.check_stall(ctx, id);
        }
        self.drive_all(ctx, wallet);
    }

    fn place_one(&mut self, ctx: &mut Ctx<'_>, id: &SegmentId) {
        let (Some(upload), Some(row)) = (self.uploads.get(id), self.segments.get(id)) else {
            return;
        };
        let waiting: Vec<u16> = (0u16..)
            .zip(&upload.positions)
            .filter(|(_, p)| **p == Position::Waiting)
            .map(|(i, _)| i)
            .collect();
        let room = MAX_PUTS.saturating_sub(self.puts_under_way());
        if waiting.is_empty() || room == 0 {
            return;
        }
        let chunks = row.shard_len / CHUNK;
        let (taken, holding) = self.taken(id, row);
        let mut candidates = Vec::new();
        let mut short = Vec::new();
        for (contract, lease) in self.usable_leases() {
            if holding.contains(contract) || self.in_trouble(&lease.provider, ctx.now) {
                continue;
            }
            if lease.spoken_chunks() + chunks > lease.leaf().capacity_chunks {
                short.push(*contract);
            } else if lease.puts < MAX_PUTS_EACH {
                candidates.push(self.candidate(lease));
            }
        }
        let wanted = waiting.len().min(room);
        let chosen = placement::choose(row.code, &taken, &candidates, wanted);
        let starts: Vec<(u16, NodeId)> = waiting
            .iter()
            .copied()
            .zip(chosen.iter().copied())
            .collect();
        let lacking = chosen.len() < waiting.len().min(room);
        // A saved segment that has nowhere to go needs new contracts.
        let stuck = starts.is_empty() && upload.told && upload.moving() == 0;
        self.cramped |= stuck && self.prospects(id, ctx.now) == 0;
        if lacking {
            self.want_more(&short, chunks);
        }
        let full = |id: &ContractId| self.leases.get(id).is_some_and(|l| l.full);
        let no_room = starts.is_empty() && !short.is_empty() && short.iter().all(full);
        for (position, provider) in starts {
            self.put(ctx, id, position, provider, chunks);
        }
        if let Some(upload) = self.uploads.get_mut(id) {
            upload.no_room = no_room;
        }
    }

    /// A provider that could take a position. A suspect one goes last.
    fn candidate<'a>(&'a self, lease: &Lease) -> Candidate<'a> {
        let capacity = lease.leaf().capacity_chunks.max(1);
        let fullness_ppm = lease.spoken_chunks().saturating_mul(1_000_000) / capacity;
        let suspect = lease.is_suspect() || self.audits.is_doubtful(&lease.provider);
        let doubt_ppm = self.audits.doubt_ppm(&lease.provider) / DOUBT_SHARE;
        Candidate {
            provider: lease.provider,
            operator: self.operator(&lease.provider),
            fullness_ppm: fullness_ppm + doubt_ppm + u64::from(suspect) * SUSPECT_PPM,
            price: 0,
            tie: 0,
        }
    }

    /// How many of the positions that a segment lacks the providers under contract could take,
    /// now or when they have grown.
    pub(crate) fn prospects(&self, id: &SegmentId, now: Time) -> usize {
        let Some(row) = self.segments.get(id) else {
            return 0;
        };
        let chunks = row.shard_len / CHUNK;
        let (taken, holding) = self.taken(id, row);
        let roomy = |l: &Lease| !l.full || l.spoken_chunks() + chunks <= l.leaf().capacity_chunks;
        let candidates: Vec<Candidate<'_>> = self
            .usable_leases()
            .filter(|(contract, lease)| {
                !holding.contains(contract)
                    && !lease.is_suspect()
                    && !self.is_absent(&lease.provider, now)
                    && roomy(lease)
            })
            .map(|(_, lease)| self.candidate(lease))
            .collect();
        let lacks = row.holders.iter().filter(|h| h.is_none()).count();
        placement::choose(row.code, &taken, &candidates, lacks).len()
    }

    /// Whether a provider has not answered for so long that nobody waits for it.
    fn is_absent(&self, provider: &NodeId, now: Time) -> bool {
        let trouble = self.trouble.get(provider);
        self.in_trouble(provider, now) && trouble.is_some_and(|t| t.fails >= ABSENT_FAILS)
    }

    /// Asks full contracts to grow.
    fn want_more(&mut self, short: &[ContractId], chunks: u64) {
        for id in short {
            if let Some(lease) = self.leases.get_mut(id) {
                lease.wanted = lease.wanted.max(chunks);
            }
        }
    }

    pub(crate) fn operator(&self, provider: &NodeId) -> &str {
        self.book
            .get(provider)
            .map_or("", |o| o.offer.operator.as_str())
    }

    /// Operators that hold, or are being given, positions of a segment; contracts that do, or
    /// claim to hold some.
    fn taken(
        &self,
        id: &SegmentId,
        row: &SegmentRow,
    ) -> (BTreeMap<String, u16>, BTreeSet<ContractId>) {
        let mut operators = BTreeMap::new();
        let mut contracts: BTreeSet<ContractId> = self.claimants(id).copied().collect();
        let positions = self.uploads.get(id).map_or(&[][..], |u| &u.positions);
        let coming = positions.iter().filter_map(|position| match position {
            Position::Putting { contract, .. } | Position::Acked { contract } => Some(*contract),
            Position::Waiting | Position::Placed | Position::Gone => None,
        });
        for contract in row.holders.iter().flatten().copied().chain(coming) {
            contracts.insert(contract);
            let operator = self
                .leases
                .get(&contract)
                .map_or("", |l| self.operator(&l.provider));
            if !operator.is_empty() {
                *operators.entry(operator.to_owned()).or_default() += 1;
            }
        }
        (operators, contracts)
    }

    pub(crate) fn puts_under_way(&self) -> usize {
        self.leases.values().map(|l| l.puts as usize).sum()
    }

    fn put(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: &SegmentId,
        position: u16,
        provider: NodeId,
        chunks: u64,
    ) {
        let Some((contract, lease)) = self
            .leases
            .iter_mut()
            .find(|(_, l)| l.provider == provider && l.sig_provider.is_some() && !l.faulted)
        else {
            return;
        };
        let contract = *contract;
        let Some(root) = self
            .segments
            .get(segment)
            .and_then(|r| r.roots.get(usize::from(position)).copied())
        else {
            return;
        };
        let leaf = ShardLeaf {
            root,
            chunks,
            tag: shard_tag(&repair_id(segment), position),
        };
        let place = PlaceShard::sign(contract, leaf, &ctx.me.ledger_key, &ctx.me.genesis);
        lease.reserved += chunks;
        lease.puts += 1;
        let job = Job::Put {
            segment: *segment,
            position,
            to: provider,
            place,
        };
        let what = Pending::Put {
            segment: *segment,
            position,
            contract,
        };
        let op = ctx.run(job, ctx.now.after(TRANSFER_DEADLINE), what);
        self.set(segment, position, Position::Putting { op, contract });
    }

    pub(crate) fn set(&mut self, segment: &SegmentId, position: u16, to: Position) {
        if let Some(slot) = self
            .uploads
            .get_mut(segment)
            .and_then(|u| u.positions.get_mut(usize::from(position)))
        {
            *slot = to;
        }
    }

    /// A transfer has ended.
    pub(crate) fn put_done(
        &mut self,
        ctx: &mut Ctx<'_>,
        (op, segment, position): (OpId, SegmentId, u16),
        contract: ContractId,
        outcome: Result<ShardAck, PutError>,
    ) {
        let ours = self.uploads.get(&segment).is_some_and(|upload| {
            let slot = upload.positions.get(usize::from(position));
            slot == Some(&Position::Putting { op, contract })
        });
        let leaf = self.shard_leaf(&segment, position);
        let Some(lease) = self.leases.get_mut(&contract) else {
            if ours {
                self.set(&segment, position, Position::Waiting);
            }
            return;
        };
        let chunks = leaf.map_or(0, |l| l.chunks);
        lease.reserved = lease.reserved.saturating_sub(chunks);
        lease.puts = lease.puts.saturating_sub(1);
        if !ours {
            // Of a former life of this upload: what it brought is not counted, and lapses.
            return;
        }
        let provider = lease.provider;
        let good = |ack: &ShardAck| {
            leaf.is_some_and(|l| l.root == ack.root && l.chunks == ack.chunks)
                && ack.contract_id == contract
                && ack.verify(&provider, &ctx.me.genesis)
        };
        match (outcome, leaf) {
            // What it took it will not be paid for.
            (_, _) if lease.faulted => self.set(&segment, position, Position::Waiting),
            (Ok(ack), Some(leaf)) if good(&ack) => {
                lease.refusals = 0;
                // The revision may hold it already, if the answer to it was lost in a crash.
                if lease.content.leaves().contains(&leaf) {
                    let rows = self.place(&contract, &[leaf]);
                    ctx.persist(rows);
                } else {
                    lease.acked.push_back((segment, position, leaf));
                    self.set(&segment, position, Position::Acked { contract });
                }
                self.served(&provider);
                if let Some(upload) = self.uploads.get_mut(&segment) {
                    upload.progress_at = ctx.now;
                }
            }
            (outcome, _) => {
                self.set(&segment, position, Position::Waiting);
                self.put_failed(ctx, (segment, position), contract, provider, &outcome);
            }
        }
        self.tell_placed(ctx);
    }

    fn put_failed(
        &mut self,
        ctx: &mut Ctx<'_>,
        (segment, position): (SegmentId, u16),
        contract: ContractId,
        provider: NodeId,
        outcome: &Result<ShardAck, PutError>,
    ) {
        match outcome {
            // The shard is gone from the spool. A segment that is saved can be repaired.
            Err(PutError::Local(error @ JobError::Damaged(_))) => {
                if self.uploads.get(&segment).is_some_and(|u| u.told) {
                    self.gone_from_spool(ctx, &segment, position);
                } else {
                    self.give_up(ctx, segment, NoRoom::Spool(error.to_string()));
                }
            }
            // Our own disk's moment of weakness: later, and nobody is to blame.
            Err(PutError::Local(JobError::Disk(_) | JobError::Cancelled)) => {
                self.failed(provider, ctx.now);
            }
            Err(PutError::Refused(deny @ (Deny::NoRoom | Deny::UnknownContract))) => {
                if let Some(lease) = self.leases.get_mut(&contract) {
                    lease.unsure = true;
                    lease.refusals += u32::from(*deny == Deny::UnknownContract);
                }
                self.failed(provider, ctx.now);
            }
            // It sold room, and does not give it.
            Err(PutError::Refused(Deny::NotProviding | Deny::Disk | Deny::BadSignature)) => {
                if let Some(lease) = self.leases.get_mut(&contract) {
                    lease.refusals += 1;
                }
                self.failed(provider, ctx.now);
            }
            Ok(_)
            | Err(PutError::Refused(_) | PutError::WrongBytes)
            | Err(PutError::Peer(Unreachable::NoAnswer | Unreachable::Garbage)) => {
                self.failed(provider, ctx.now);
            }
        }
    }

    /// A shard that was to be placed is no longer there.
    fn gone_from_spool(&mut self, ctx: &mut Ctx<'_>, segment: &SegmentId, position: u16) {
        self.set(segment, position, Position::Gone);
        if let Some(row) = self.segments.get_mut(segment) {
            row.spooled.retain(|j| *j != position);
            ctx.persist(vec![Write::segment(segment, Some(row))]);
        }
        self.reindex(segment);
    }

    /// Positions of a segment that stand in a co-signed revision of an opened contract.
    fn safe(&self, row: &SegmentRow) -> usize {
        let held = row.holders.iter().flatten();
        held.filter(|c| self.leases.get(c).is_some_and(|l| l.opened))
            .count()
    }

    pub(crate) fn shard_leaf(&self, segment: &SegmentId, position: u16) -> Option<ShardLeaf> {
        let row = self.segments.get(segment)?;
        let root = *row.roots.get(usize::from(position))?;
        let tag = shard_tag(&repair_id(segment), position);
        Some(ShardLeaf {
            root,
            chunks: row.shard_len / CHUNK,
            tag,
        })
    }

    /// Announces what has reached its threshold, and clears the spool of what is placed.
    pub(crate) fn tell_placed(&mut self, ctx: &mut Ctx<'_>) {
        let mut whole = Vec::new();
        for (id, upload) in &mut self.uploads {
            let Some(row) = self.segments.get(id) else {
                continue;
            };
            if upload.positions.is_empty() {
                continue;
            }
            let opened = |c: &ContractId| self.leases.get(c).is_some_and(|l| l.opened);
            let safe = row.holders.iter().flatten().filter(|c| opened(c)).count();
            if !upload.told && safe >= usize::from(placement::success_threshold(row.code)) {
                upload.told = true;
                let bytes_stored = row.shard_len * u64::from(row.code.n());
                ctx.tell(Notice::SegmentDurable {
                    segment: *id,
                    bytes_stored,
                });
            }
            let placed = |j: &u16| {
                let holder = row.holders.get(usize::from(*j)).copied().flatten();
                holder.is_some_and(|c| opened(&c))
            };
            let rebuilding = self
                .repairs
                .get(id)
                .is_some_and(|r| r.phase != Phase::Placing);
            if upload.told && !rebuilding && row.spooled.iter().all(placed) {
                whole.push(*id);
            }
        }
        for id in whole {
            self.uploads.remove(&id);
            if let Some(row) = self.segments.get_mut(&id) {
                row.spooled.clear();
                ctx.persist(vec![Write::segment(&id, Some(row))]);
            }
            ctx.discard(id, false);
            self.repair_done(ctx.now, &id);
            self.reindex(&id);
        }
    }

    /// A position waits for a provider again.
    pub(crate) fn wait_again(&mut self, segment: &SegmentId, position: u16) {
        self.set(segment, position, Position::Waiting);
    }

    /// When an upload is due to be looked at again: a provider that failed may be asked once more,
    /// or nothing went forward for too long. All else that it may wait for comes as an input.
    pub(crate) fn uploads_deadline(&self, now: Time) -> Option<Time> {
        let waits = |u: &&Upload| u.positions.contains(&Position::Waiting);
        let promised = self.uploads.values().filter(|u| u.told);
        let promised = promised.map(|u| u.progress_at.after(PROMISED));
        let waiting = self.uploads.values().filter(waits);
        let stall = waiting
            .clone()
            .filter(|u| !u.told)
            .map(|u| u.progress_at.after(STALL));
        let trouble = self.trouble.values().map(|t| t.until);
        let trouble = trouble.filter(|_| waiting.clone().next().is_some());
        let all = trouble.chain(stall).chain(promised);
        all.filter(|t| *t > now).min()
    }
}
