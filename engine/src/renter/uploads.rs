//! A sealed segment becomes n shards on n providers. It is coded once; each position goes to a
//! provider that holds none of the segment, one slow or failed provider is replaced by another;
//! at the success threshold the segment counts as saved, the rest goes on in the background.
//! A position counts once a co-signed revision of an opened contract holds it.

use super::stalls::STALL;
use super::{NoRoom, Renter};
use crate::ctx::Ctx;
use crate::io::{Job, JobError, Notice, OpId, PutError, Unreachable};
use crate::ops::Pending;
use crate::placement::{self, Candidate};
use crate::rows::SegmentRow;
use crate::wallet::Wallet;
use crate::wire::{Deny, PlaceShard};
use larder_coding::layout;
use larder_coding::manifest::{repair_id, shard_tag};
use larder_contracts::ShardAck;
use larder_proofs::ShardLeaf;
use larder_types::params::CHUNK;
use larder_types::{Class, ContractId, Millis, NodeId, SegmentId, ShardRoot, Time};
use std::collections::BTreeMap;

/// Most shards on their way at once, in all and to one provider.
const MAX_PUTS: usize = 12;
const MAX_PUTS_EACH: u32 = 2;
/// A transfer that takes longer is given up; what stalls the transport gives up much earlier.
/// 64 MiB (a segment at k = 1) in an hour is 150 kbit/s.
pub(crate) const TRANSFER_DEADLINE: Millis = Millis(3_600_000);
/// Coding a segment takes a second or two; a busy machine gets this.
const ENCODE_DEADLINE: Millis = Millis(600_000);

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
    Putting { op: OpId, contract: ContractId },
    Acked { contract: ContractId },
    Placed,
}

impl Upload {
    /// A segment whose shards lie in the spool since before a restart.
    pub(crate) fn resumed(row: &SegmentRow) -> Self {
        let position = |holder: &Option<ContractId>| match holder {
            Some(_) => Position::Placed,
            None => Position::Waiting,
        };
        Self {
            positions: row.holders.iter().map(position).collect(),
            told: false,
            progress_at: Time(0),
            no_room: false,
        }
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
        if let Some(upload) = self.uploads.get_mut(&segment) {
            upload.told = false;
            upload.progress_at = ctx.now;
            return self.tell_placed(ctx);
        }
        if let Some(row) = self.segments.get(&segment) {
            if row.holders.iter().all(Option::is_some) {
                let bytes_stored = row.shard_len * u64::from(row.code.n());
                return ctx.tell(Notice::SegmentDurable {
                    segment,
                    bytes_stored,
                });
            }
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
                let mut upload = Upload::resumed(row);
                upload.progress_at = ctx.now;
                self.uploads.insert(segment, upload);
                ctx.persist(vec![self.segment_write(&segment)]);
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
        if self
            .segments
            .get(&segment)
            .is_some_and(|row| row.roots.is_empty())
        {
            self.segments.remove(&segment);
            ctx.discard(segment, false);
        }
        self.uploads.remove(&segment);
        ctx.tell(Notice::SegmentFailed { segment, reason });
    }

    /// Starts every transfer that can start now.
    pub(crate) fn place_all(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        let wants = |u: &Upload| !u.told || u.positions.contains(&Position::Waiting);
        let wanting = self.uploads.iter().filter(|(_, u)| wants(u));
        let ids: Vec<SegmentId> = wanting.map(|(id, _)| *id).collect();
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
        let (taken, holding) = self.taken(upload, row);
        let mut candidates = Vec::new();
        let mut short = Vec::new();
        for (contract, lease) in self.usable_leases() {
            if holding.contains(contract) || self.in_trouble(&lease.provider, ctx.now) {
                continue;
            }
            let capacity = lease.leaf().capacity_chunks.max(1);
            let spoken = lease.spoken_chunks();
            if spoken + chunks > capacity {
                short.push(*contract);
            } else if lease.puts < MAX_PUTS_EACH {
                let fullness_ppm = spoken.saturating_mul(1_000_000) / capacity;
                candidates.push(Candidate {
                    provider: lease.provider,
                    operator: self.operator(&lease.provider),
                    fullness_ppm,
                    price: 0,
                    tie: 0,
                });
            }
        }
        let wanted = waiting.len().min(room);
        let chosen = placement::choose(row.code, &taken, &candidates, wanted);
        let starts: Vec<(u16, NodeId)> = waiting
            .iter()
            .copied()
            .zip(chosen.iter().copied())
            .collect();
        if chosen.len() < waiting.len().min(room) {
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

    /// Asks full contracts to grow.
    fn want_more(&mut self, short: &[ContractId], chunks: u64) {
        for id in short {
            if let Some(lease) = self.leases.get_mut(id) {
                lease.wanted = lease.wanted.max(chunks);
            }
        }
    }

    fn operator(&self, provider: &NodeId) -> &str {
        self.book
            .get(provider)
            .map_or("", |o| o.offer.operator.as_str())
    }

    /// Operators and contracts that hold, or are being given, positions of a segment.
    fn taken(&self, upload: &Upload, row: &SegmentRow) -> (BTreeMap<String, u16>, Vec<ContractId>) {
        let mut operators = BTreeMap::new();
        let mut contracts = Vec::new();
        for (position, holder) in upload.positions.iter().zip(&row.holders) {
            let contract = match position {
                Position::Waiting => continue,
                Position::Putting { contract, .. } | Position::Acked { contract } => *contract,
                Position::Placed => match holder {
                    Some(contract) => *contract,
                    None => continue,
                },
            };
            contracts.push(contract);
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
            .find(|(_, lease)| lease.provider == provider)
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
        let place = PlaceShard::sign(contract, leaf, &ctx.me.account_key, &ctx.me.genesis);
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
            (Ok(ack), Some(leaf)) if good(&ack) => {
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
                self.put_failed(ctx, segment, contract, provider, &outcome);
            }
        }
        self.tell_placed(ctx);
    }

    fn put_failed(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: SegmentId,
        contract: ContractId,
        provider: NodeId,
        outcome: &Result<ShardAck, PutError>,
    ) {
        match outcome {
            // The shards are gone from the spool.
            Err(PutError::Local(error @ JobError::Damaged(_))) => {
                self.give_up(ctx, segment, NoRoom::Spool(error.to_string()));
            }
            // Our own disk's moment of weakness: later, and nobody is to blame.
            Err(PutError::Local(JobError::Disk(_) | JobError::Cancelled)) => {
                self.failed(provider, ctx.now);
            }
            Err(PutError::Refused(Deny::NoRoom | Deny::UnknownContract)) => {
                if let Some(lease) = self.leases.get_mut(&contract) {
                    lease.unsure = true;
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

    /// Announces what has reached its threshold, and clears the spool of what is whole.
    pub(crate) fn tell_placed(&mut self, ctx: &mut Ctx<'_>) {
        let mut whole = Vec::new();
        for (id, upload) in &mut self.uploads {
            let Some(row) = self.segments.get(id) else {
                continue;
            };
            if upload.positions.is_empty() {
                continue;
            }
            let safe = row
                .holders
                .iter()
                .flatten()
                .filter(|c| self.leases.get(c).is_some_and(|l| l.opened))
                .count();
            if !upload.told && safe >= usize::from(placement::success_threshold(row.code)) {
                upload.told = true;
                let bytes_stored = row.shard_len * u64::from(row.code.n());
                ctx.tell(Notice::SegmentDurable {
                    segment: *id,
                    bytes_stored,
                });
            }
            if upload.told && safe == row.holders.len() {
                whole.push(*id);
            }
        }
        for id in whole {
            self.uploads.remove(&id);
            ctx.discard(id, false);
        }
    }

    /// A position waits for a provider again.
    pub(crate) fn wait_again(&mut self, segment: &SegmentId, position: u16) {
        self.set(segment, position, Position::Waiting);
    }

    /// When an upload is due to be looked at again: a provider that failed may be asked once more,
    /// or nothing went forward for too long. All else that it may wait for comes as an input.
    pub(crate) fn uploads_deadline(&self, now: Time) -> Option<Time> {
        let mut waiting = self
            .uploads
            .values()
            .filter(|u| u.positions.contains(&Position::Waiting))
            .peekable();
        waiting.peek()?;
        let stall = waiting
            .filter(|u| !u.told)
            .map(|u| u.progress_at.after(STALL));
        let trouble = self.trouble.values().map(|t| t.until);
        trouble.chain(stall).filter(|t| *t > now).min()
    }
}
