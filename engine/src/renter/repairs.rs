//! Repair: k shards of a segment that lacks positions are fetched, all that is missing is rebuilt
//! at once into the spool, compared with the roots that were fixed at upload, and placed like any
//! upload. k·L bytes are read and missing·L written. What lies in the spool is on record before it
//! is placed and until all is: nothing is rebuilt twice. `docs/protocol.md` §3.11.

use super::lease::Lease;
use super::losses::missing;
use super::uploads::{ENCODE_DEADLINE, Position, Upload};
use super::{NoRoom, Renter};
use crate::ctx::{Ctx, sooner};
use crate::io::{Job, JobError, OpId};
use crate::ops::Pending;
use crate::rows::{RepairTotals, SegmentRow, Write};
use crate::wallet::Wallet;
use larder_types::{Millis, SegmentId, ShardRoot, Time};
use std::collections::{BTreeSet, VecDeque};

/// Repairs that fetch or rebuild at once.
const MAX_AT_WORK: usize = 2;
/// Repairs whose shards are being placed at once: each costs a look per step.
const MAX_PLACING: usize = 64;
/// Rebuilt shards that may lie in the spool and wait for a place, bytes.
const MAX_WAITING: u64 = 4 << 30;
/// Segments that one step looks at for a provider to repair to …
const MAX_LOOKS: usize = 32;
/// … one without waits this long, or until there is a new contract.
const NO_PLACE: Millis = Millis(30_000);
/// After the last look of a step the next one may be taken then.
const NEXT_LOOK: Millis = Millis(1_000);
/// A repair that failed is tried again after this, doubled each time, up to an hour.
const FAILED: Millis = Millis(30_000);
const FAILED_DOUBLINGS: u32 = 7;
/// Repairs that have ended and are remembered.
const MAX_DONE: usize = 100;

/// A segment under repair.
#[derive(Debug)]
pub(crate) struct Repair {
    pub(crate) phase: Phase,
    /// The positions that it replaces.
    pub(crate) shards: BTreeSet<u16>,
    /// `None`: it was under way before a restart, and was not looked at since.
    pub(crate) began: Option<Time>,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    Fetching,
    Rebuilding { op: OpId, missing: Vec<u16> },
    Placing,
}

/// A repair that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Repaired {
    pub(crate) segment: SegmentId,
    pub(crate) shards: u16,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    pub(crate) began: Time,
    pub(crate) ended: Time,
}

impl Repair {
    /// One whose shards lie in the spool already.
    pub(crate) fn placing() -> Self {
        Self {
            phase: Phase::Placing,
            shards: BTreeSet::new(),
            began: None,
            bytes_read: 0,
            bytes_written: 0,
        }
    }
}

impl Renter {
    /// Whether a segment's shards are being fetched, rebuilt or coded: what it lacks is settled.
    pub(crate) fn is_at_work(&self, segment: &SegmentId) -> bool {
        let repair = self.repairs.get(segment);
        let upload = self.uploads.get(segment);
        repair.is_some_and(|r| r.phase != Phase::Placing)
            || upload.is_some_and(|u| u.positions.is_empty())
    }

    /// Starts the repairs that can start now.
    pub(crate) fn repair_all(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet) {
        self.next_look = None;
        if !self.may_repair() {
            return;
        }
        for repair in self.repairs.values_mut() {
            repair.began.get_or_insert(ctx.now);
        }
        self.lacking.wake(ctx.now);
        for look in 0.. {
            let Some(segment) = self.lacking.first().filter(|_| self.has_capacity()) else {
                break;
            };
            if look == MAX_LOOKS {
                self.next_look = Some(ctx.now.after(NEXT_LOOK));
                break;
            }
            if self.prospects(&segment, ctx.now) == 0 {
                self.cramped = true;
                self.lacking.rest(&segment, ctx.now.after(NO_PLACE));
                continue;
            }
            if let Err(at) = self.bucket.take(ctx.now, self.repair_cost(&segment)) {
                self.next_look = Some(at);
                break;
            }
            self.start_repair(ctx, segment);
        }
        self.grow(ctx, wallet);
    }

    /// Nothing is repaired before the ledger has said who is FAULTED, nor while some contract's
    /// tree is still being found out: what it holds would be rebuilt for nothing.
    fn may_repair(&self) -> bool {
        // What lies under other devices' contracts they repair.
        let known =
            |lease: &Lease| lease.faulted || self.is_anothers(lease) || lease.tree_is_known();
        self.informed && (self.is_idle() || self.leases.values().all(known))
    }

    fn is_idle(&self) -> bool {
        self.lacking.first().is_none() && self.lacking.deadline().is_none() && !self.cramped
    }

    fn has_capacity(&self) -> bool {
        let placing = |r: &&Repair| r.phase == Phase::Placing;
        let at_work = self.repairs.values().filter(|r| !placing(r)).count();
        let waiting: u64 = self
            .repairs
            .iter()
            .filter(|(_, r)| placing(r))
            .filter_map(|(id, r)| Some(self.segments.get(id)?.shard_len * r.shards.len() as u64))
            .sum();
        at_work < MAX_AT_WORK && self.repairs.len() - at_work < MAX_PLACING && waiting < MAX_WAITING
    }

    /// What a repair moves: k shards read, the missing ones written.
    fn repair_cost(&self, segment: &SegmentId) -> u64 {
        self.segments.get(segment).map_or(0, |row| {
            let shards = u64::from(row.code.k()) + missing(row).len() as u64;
            shards.saturating_mul(row.shard_len)
        })
    }

    fn start_repair(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let repair = self.repairs.entry(segment).or_insert_with(Repair::placing);
        repair.phase = Phase::Fetching;
        repair.began.get_or_insert(ctx.now);
        self.reindex(&segment);
        self.fetch_for_repair(ctx, segment);
    }

    /// A shard came for a repair.
    pub(crate) fn repair_read(&mut self, segment: &SegmentId) {
        let len = self.segments.get(segment).map_or(0, |row| row.shard_len);
        if let Some(repair) = self.repairs.get_mut(segment) {
            repair.bytes_read += len;
            self.totals.bytes_read += len;
        }
    }

    /// k shards are at hand: what is missing by now is rebuilt.
    pub(crate) fn rebuild(&mut self, ctx: &mut Ctx<'_>, segment: &SegmentId, positions: Vec<u16>) {
        let (Some(repair), Some(row)) = (self.repairs.get_mut(segment), self.segments.get(segment))
        else {
            return self.release_repair(ctx, *segment);
        };
        if repair.phase != Phase::Fetching {
            return;
        }
        let missing = missing(row);
        if missing.is_empty() {
            // All that it lacked was found again meanwhile.
            repair.phase = Phase::Placing;
            self.release_repair(ctx, *segment);
            return self.settle(segment);
        }
        let job = Job::Rebuild {
            segment: *segment,
            code: row.code,
            shard_len: row.shard_len,
            positions,
            missing: missing.clone(),
        };
        let deadline = ctx.now.after(ENCODE_DEADLINE);
        let op = ctx.run(job, deadline, Pending::Rebuild { segment: *segment });
        repair.phase = Phase::Rebuilding { op, missing };
    }

    /// The missing shards lie in the spool, or do not.
    pub(crate) fn rebuilt(
        &mut self,
        ctx: &mut Ctx<'_>,
        (op, segment): (OpId, SegmentId),
        outcome: Result<Vec<ShardRoot>, JobError>,
    ) {
        let Some(repair) = self.repairs.get_mut(&segment) else {
            return;
        };
        let Phase::Rebuilding { op: ours, missing } = &repair.phase else {
            return;
        };
        if *ours != op {
            return; // Of a former life of this repair.
        }
        let missing = missing.clone();
        let good = |row: &SegmentRow, roots: &[ShardRoot]| {
            let wanted = missing.iter().map(|j| row.roots.get(usize::from(*j)));
            wanted.eq(roots.iter().map(Some))
        };
        match (outcome, self.segments.get_mut(&segment)) {
            (Ok(roots), Some(row)) if good(row, &roots) => {
                self.no_room = None;
                repair.phase = Phase::Placing;
                repair.shards.extend(&missing);
                let spooled: BTreeSet<u16> = row.spooled.iter().chain(&missing).copied().collect();
                row.spooled = spooled.into_iter().collect();
                // Nobody waits for it: what it lacks is looked for like any saved segment's.
                let resumed = Upload {
                    told: true,
                    ..Upload::resumed(row)
                };
                let upload = self.uploads.entry(segment).or_insert(resumed);
                upload.progress_at = ctx.now;
                let rows = vec![
                    Write::segment(&segment, Some(row)),
                    Write::repair_totals(&self.totals),
                ];
                for position in missing {
                    let holder = self.holder(&segment, position);
                    self.set(
                        &segment,
                        position,
                        holder.map_or(Position::Waiting, |_| Position::Placed),
                    );
                }
                ctx.persist(rows);
                self.release_repair(ctx, segment);
                self.reindex(&segment);
            }
            (outcome, _) => {
                if let Err(JobError::Disk(why)) = outcome {
                    self.no_room = Some(NoRoom::Spool(why));
                }
                if !self.uploads.contains_key(&segment) {
                    // Whatever was rebuilt stands on no record.
                    ctx.discard(segment, false);
                }
                self.release_repair(ctx, segment);
                self.repair_failed(ctx, &segment);
            }
        }
    }

    /// A repair's shards cannot be had or rebuilt now: later.
    pub(crate) fn repair_failed(&mut self, ctx: &mut Ctx<'_>, segment: &SegmentId) {
        self.settle(segment);
        let wait = Millis(FAILED.0 << self.lacking.fails(segment).min(FAILED_DOUBLINGS));
        self.lacking.failed(segment);
        self.lacking.rest(segment, ctx.now.after(wait));
        ctx.persist(vec![Write::repair_totals(&self.totals)]);
    }

    /// A repair fetches and rebuilds no more; what it has in the spool is still placed.
    fn settle(&mut self, segment: &SegmentId) {
        if self.uploads.contains_key(segment) {
            if let Some(repair) = self.repairs.get_mut(segment) {
                repair.phase = Phase::Placing;
            }
        } else {
            self.repairs.remove(segment);
        }
        self.reindex(segment);
    }

    /// The segment is coded anew from what its backup still has: nothing needs rebuilding.
    pub(crate) fn forget_repair(&mut self, ctx: &mut Ctx<'_>, segment: &SegmentId) {
        if self.repairs.remove(segment).is_some() {
            self.release_repair(ctx, *segment);
        }
    }

    /// Positions of a segment stand in a co-signed revision. Gives the totals to persist if a
    /// repair brought them there.
    pub(crate) fn repaired(&mut self, segment: &SegmentId, placed: &[u16]) -> Option<Write> {
        let len = self.segments.get(segment)?.shard_len;
        let repair = self.repairs.get_mut(segment)?;
        let ours = placed.iter().filter(|j| repair.shards.contains(j));
        let count = ours.count() as u64;
        if count == 0 {
            return None;
        }
        repair.bytes_written += count * len;
        self.totals.shards += count;
        self.totals.bytes_written += count * len;
        Some(Write::repair_totals(&self.totals))
    }

    /// All that a repair rebuilt is placed.
    pub(crate) fn repair_done(&mut self, now: Time, segment: &SegmentId) {
        let Some(repair) = self.repairs.remove(segment) else {
            return;
        };
        if self.done.len() >= MAX_DONE {
            self.done.pop_front();
        }
        self.done.push_back(Repaired {
            segment: *segment,
            shards: u16::try_from(repair.shards.len()).unwrap_or(u16::MAX),
            bytes_read: repair.bytes_read,
            bytes_written: repair.bytes_written,
            began: repair.began.unwrap_or(now),
            ended: now,
        });
    }

    /// When a repair is due to be looked at again.
    pub(crate) fn repairs_deadline(&self, now: Time) -> Option<Time> {
        if !self.may_repair() {
            return None;
        }
        let look = sooner(self.next_look, self.lacking.deadline());
        sooner(look, self.grow_deadline(now))
    }
}

/// The last repairs that ended, oldest first.
pub(crate) type Done = VecDeque<Repaired>;

/// What repair has done, over all runs.
pub(crate) type Totals = RepairTotals;
