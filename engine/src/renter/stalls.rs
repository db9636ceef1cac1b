//! Positions that change hands otherwise than by a transfer: placed by a revision, taken back from a
//! contract that is no more, or from providers that only promise. A segment that goes nowhere says so.

use super::lease::Lease;
use super::uploads::Position;
use super::{NoRoom, Renter};
use crate::ctx::Ctx;
use crate::io::Notice;
use crate::rows::Write;
use larder_proofs::ShardLeaf;
use larder_types::size::MIB;
use larder_types::{ContractId, Millis, SegmentId, ShardRoot, Time};
use std::collections::{BTreeMap, BTreeSet};

/// A segment that makes no progress for so long has failed.
pub(crate) const STALL: Millis = Millis(120_000);
/// What is promised of a saved segment, and not signed or opened for so long, goes elsewhere.
pub(crate) const PROMISED: Millis = Millis(600_000);

impl Renter {
    /// Shards stand in a co-signed revision: their positions are placed. Returns the rows.
    pub(crate) fn place(&mut self, contract: &ContractId, puts: &[ShardLeaf]) -> Vec<Write> {
        let mut rows = Vec::new();
        let mut placed: Vec<(SegmentId, Vec<u16>)> = Vec::new();
        // What a revision brought to a contract that is being closed is not held there.
        let closing = self.leases.get(contract).is_some_and(Lease::is_over_soon);
        let by_root: BTreeMap<ShardRoot, ()> = puts.iter().map(|p| (p.root, ())).collect();
        for (id, upload) in &mut self.uploads {
            let Some(row) = self.segments.get_mut(id) else {
                continue;
            };
            let mut changed = Vec::new();
            for (((j, position), root), holder) in (0u16..)
                .zip(&mut upload.positions)
                .zip(&row.roots)
                .zip(&mut row.holders)
            {
                if by_root.contains_key(root) && *position != Position::Placed {
                    *position = Position::Placed;
                    *holder = Some(*contract);
                    changed.push(j);
                }
            }
            if !changed.is_empty() {
                rows.push(Write::segment(id, Some(row)));
                placed.push((*id, changed));
            }
        }
        for (id, positions) in placed {
            if closing {
                rows.extend(self.unplace_in(contract, &id));
                continue;
            }
            rows.extend(self.repaired(&id, &positions));
            self.reindex(&id);
        }
        rows
    }

    /// Says so when a segment goes nowhere, and moves what its providers only promised.
    pub(crate) fn check_stall(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let Some(upload) = self.uploads.get_mut(&segment) else {
            return;
        };
        if upload.positions.is_empty() {
            return;
        }
        let moving = |p: &Position| matches!(p, Position::Putting { .. });
        let moves = upload.positions.iter().any(moving);
        if upload.progress_at == Time(0) || moves {
            upload.progress_at = ctx.now;
        }
        let acked = |p: &Position| matches!(p, Position::Acked { .. });
        if upload.told {
            if ctx.now >= upload.progress_at.after(PROMISED) {
                upload.progress_at = ctx.now;
                self.move_promised(ctx, segment);
            }
            return;
        }
        if upload.no_room && !moves && !upload.positions.iter().any(acked) {
            let needed = self
                .segments
                .get(&segment)
                .map_or(0, |row| row.shard_len / MIB);
            let reason = NoRoom::NoQuota { needed };
            upload.no_room = false;
            return ctx.tell(Notice::SegmentFailed { segment, reason });
        }
        if ctx.now >= upload.progress_at.after(STALL) {
            upload.progress_at = ctx.now;
            self.move_promised(ctx, segment);
            ctx.tell(Notice::SegmentFailed {
                segment,
                reason: NoRoom::Stalled,
            });
        }
    }

    /// Positions whose provider acknowledged but does not sign the revision, or signed but does
    /// not open the contract, wait again, for others.
    fn move_promised(&mut self, ctx: &mut Ctx<'_>, segment: SegmentId) {
        let (Some(upload), Some(row)) = (self.uploads.get(&segment), self.segments.get(&segment))
        else {
            return;
        };
        let mut idle = BTreeSet::new();
        for (position, holder) in upload.positions.iter().zip(&row.holders) {
            if let Position::Acked { contract } = position {
                idle.insert(*contract);
            } else if let (Position::Placed, Some(contract)) = (position, holder)
                && self.leases.get(contract).is_some_and(|lease| !lease.opened)
            {
                idle.insert(*contract);
            }
        }
        for contract in idle {
            self.take_back(&contract, Some(&segment));
            let row = self.unplace_in(&contract, &segment);
            ctx.persist(row.into_iter().collect());
            self.set_back(ctx, &contract);
        }
    }
}
