//! A sealed segment becomes n shards on n providers. It is coded once; at the success threshold it
//! counts as saved, the rest goes on in the background. A position counts once a co-signed revision
//! of an opened contract holds it. [`super::placing`] says who takes a position, [`super::puts`] how
//! it gets there.

use super::repairs::Phase;
use super::stalls::{PROMISED, STALL};
use super::{NoRoom, Renter};
use crate::ctx::Ctx;
use crate::io::{Job, JobError, Notice, OpId};
use crate::ops::Pending;
use crate::placement;
use crate::rows::{SegmentRow, Write};
use larder_coding::layout;
use larder_coding::manifest::{repair_id, shard_tag};
use larder_proofs::ShardLeaf;
use larder_types::params::CHUNK;
use larder_types::{Class, ContractId, Millis, SegmentId, ShardRoot, Time};

/// Coding a segment takes a second or two; a busy machine gets this.
pub(crate) const ENCODE_DEADLINE: Millis = Millis(600_000);

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
        let Some(plan) = placement::choose_code(class, self.usable_providers()) else {
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
            denied: Vec::new(),
            dropped: false,
            of: None,
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
    pub(crate) fn give_up(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId, reason: NoRoom) {
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

    pub(crate) fn set(&mut self, segment: &SegmentId, position: u16, to: Position) {
        if let Some(slot) = self
            .uploads
            .get_mut(segment)
            .and_then(|u| u.positions.get_mut(usize::from(position)))
        {
            *slot = to;
        }
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
