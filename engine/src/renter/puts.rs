//! A shard on its way to a provider: at most so many at once, acknowledged, or placed elsewhere.

use super::lease::Lease;
use super::uploads::Position;
use super::{NoRoom, Renter};
use crate::ctx::Ctx;
use crate::io::{Job, JobError, OpId, PutError, Unreachable};
use crate::ops::Pending;
use crate::rows::Write;
use crate::wire::{Deny, PlaceShard};
use larder_coding::manifest::{repair_id, shard_tag};
use larder_contracts::ShardAck;
use larder_proofs::ShardLeaf;
use larder_types::{ContractId, Millis, NodeId, SegmentId};

/// Most shards on their way at once, in all and to one provider.
pub(crate) const MAX_PUTS: usize = 12;
pub(crate) const MAX_PUTS_EACH: u32 = 2;
/// A transfer that takes longer is given up; what stalls the transport gives up much earlier.
/// 64 MiB (a segment at k = 1) in an hour is 150 kbit/s.
pub(crate) const TRANSFER_DEADLINE: Millis = Millis(3_600_000);

impl Renter {
    pub(crate) fn puts_under_way(&self) -> usize {
        self.leases.values().map(|l| l.puts as usize).sum()
    }

    pub(crate) fn put(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: &SegmentId,
        position: u16,
        provider: NodeId,
        chunks: u64,
    ) {
        let fits = |l: &Lease| l.spoken_chunks() + chunks <= l.leaf().capacity_chunks;
        let Some((contract, lease)) = self.leases.iter_mut().find(|(_, l)| {
            l.provider == provider
                && l.of.is_none()
                && l.sig_provider.is_some()
                && !l.is_over_soon()
                && fits(l)
        }) else {
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
            // What it took it will not be paid for, or not for long.
            (_, _) if lease.is_over_soon() => self.set(&segment, position, Position::Waiting),
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
}
