//! Positions that are lost: their provider is FAULTED, their contract has ended, the provider
//! declared or showed that it does not have them. Silence alone never makes a loss.
//! `docs/protocol.md` §3.11.

use super::Renter;
use super::lease::Lease;
use super::repairs::Repair;
use super::uploads::Position;
use crate::risk::{Alive, risk};
use crate::rows::{SegmentRow, Write};
use larder_types::{ContractId, NodeId, SegmentId, ShardRoot, Time};

/// Misses in a row that make a provider suspect.
const SUSPECT_MISSES: u32 = 2;

impl Lease {
    /// Whether its provider has missed its last challenges.
    pub(crate) fn is_suspect(&self) -> bool {
        self.misses >= SUSPECT_MISSES
    }
}

/// Where a shard can be read. The order of [`Trust`] is the order in which they are asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) trust: Trust,
    pub(crate) contract: ContractId,
    pub(crate) provider: NodeId,
    pub(crate) root: ShardRoot,
}

/// How much is expected of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// It proves, and answered lately.
    Healthy,
    /// It missed its last challenges, failed us lately, or keeps us waiting.
    Suspect,
    /// It is FAULTED: the last resort.
    Faulted,
}

impl Renter {
    /// A position is lost: nobody holds it any more. Gives the row to persist, or nothing if
    /// nobody held it.
    pub(crate) fn lose(&mut self, segment: &SegmentId, position: u16) -> Option<Write> {
        let row = self.segments.get_mut(segment)?;
        row.holders.get_mut(usize::from(position))?.take()?;
        let write = Write::segment(segment, Some(row));
        let spooled = row.spooled.contains(&position);
        let told = self.uploads.get(segment).is_some_and(|u| u.told);
        if spooled {
            self.set(segment, position, Position::Waiting);
        } else {
            self.set(segment, position, Position::Gone);
        }
        if spooled && told {
            let repair = self.repairs.entry(*segment).or_insert_with(Repair::placing);
            repair.shards.insert(position);
        }
        self.reindex(segment);
        Some(write)
    }

    /// The same as [`Self::lose`], of a shard that the provider showed not to have, though its tree
    /// still names it.
    pub(crate) fn lose_denied(&mut self, segment: &SegmentId, position: u16) -> Option<Write> {
        let row = self.segments.get(segment)?;
        let contract = (*row.holders.get(usize::from(position))?)?;
        self.claim(segment, position, contract);
        let denied = self.deny(segment, position, contract);
        self.lose(segment, position).or(denied)
    }

    /// Everything that a contract holds is lost. Where the contract itself goes on, its tree goes
    /// on claiming it.
    pub(crate) fn unplace(&mut self, contract: &ContractId) -> Vec<Write> {
        let held: Vec<(SegmentId, Vec<u16>)> = self
            .segments
            .iter()
            .map(|(id, row)| (*id, held_by(row, contract)))
            .filter(|(_, positions)| !positions.is_empty())
            .collect();
        if !self.leases.contains_key(contract) {
            self.claims.retain(|_, claims| {
                claims.retain(|(_, claimant)| claimant != contract);
                !claims.is_empty()
            });
        }
        let lost = held.iter();
        lost.filter_map(|(id, positions)| self.lose_some(id, positions, contract))
            .collect()
    }

    /// The same, in one segment only.
    pub(crate) fn unplace_in(
        &mut self,
        contract: &ContractId,
        segment: &SegmentId,
    ) -> Option<Write> {
        let positions = held_by(self.segments.get(segment)?, contract);
        self.lose_some(segment, &positions, contract)
    }

    /// Positions of one segment are lost: one row, however many.
    fn lose_some(
        &mut self,
        segment: &SegmentId,
        positions: &[u16],
        contract: &ContractId,
    ) -> Option<Write> {
        let claimed = self.leases.contains_key(contract);
        let mut write = None;
        for position in positions {
            if claimed {
                self.claim(segment, *position, *contract);
            }
            write = self.lose(segment, *position).or(write);
        }
        write
    }

    /// Where a position can be read.
    pub(crate) fn source(&self, segment: &SegmentId, position: u16, now: Time) -> Option<Source> {
        if let Some((contract, provider, root)) = self.holder(segment, position) {
            let lease = self.leases.get(&contract)?;
            let trust = if lease.faulted {
                Trust::Faulted
            } else if lease.is_suspect() || self.is_doubtful(&provider, now) {
                Trust::Suspect
            } else {
                Trust::Healthy
            };
            return Some(Source {
                trust,
                contract,
                provider,
                root,
            });
        }
        let root = *self
            .segments
            .get(segment)?
            .roots
            .get(usize::from(position))?;
        let claims = self.claims.get(segment)?;
        let (contract, lease) = claims
            .iter()
            .filter(|(claimed, _)| *claimed == position)
            .filter_map(|(_, contract)| Some((*contract, self.leases.get(contract)?)))
            .find(|(_, lease)| lease.is_over_soon())?;
        Some(Source {
            trust: if lease.faulted {
                Trust::Faulted
            } else {
                Trust::Suspect
            },
            contract,
            provider: lease.provider,
            root,
        })
    }

    /// Whether a provider failed us lately, keeps us waiting for a shard, or leaves audits unanswered.
    pub(crate) fn is_doubtful(&self, provider: &NodeId, now: Time) -> bool {
        let late = self.late.get(provider).is_some_and(|until| now < *until);
        late || self.in_trouble(provider, now) || self.audits.is_doubtful(provider)
    }

    /// A segment's positions that are not lost.
    pub(crate) fn alive(&self, row: &SegmentRow) -> Alive {
        let mut alive = Alive { soft: 0, strict: 0 };
        for contract in row.holders.iter().flatten() {
            let lease = self.leases.get(contract);
            alive.soft += 1;
            alive.strict += u16::from(lease.is_some_and(|l| l.passed_lately));
        }
        alive
    }

    /// Positions that can be read at all, those at FAULTED providers included.
    pub(crate) fn readable(&self, segment: &SegmentId, row: &SegmentRow) -> u16 {
        let held = (0u16..).zip(&row.holders);
        let readable = held.filter(|(position, holder)| {
            holder.is_some() || self.source(segment, *position, Time(0)).is_some()
        });
        u16::try_from(readable.count()).unwrap_or(u16::MAX)
    }

    /// A segment's positions have changed: it joins, leaves or moves in the order of repairs.
    pub(crate) fn reindex(&mut self, segment: &SegmentId) {
        let Some(row) = self
            .segments
            .get(segment)
            .filter(|row| !row.roots.is_empty() && !row.dropped)
        else {
            return self.lacking.forget(segment);
        };
        if row.holders.iter().all(Option::is_some) {
            return self.lacking.forget(segment);
        }
        let since = self.lacking.since(segment).unwrap_or(self.epoch);
        let risk = risk(row.code, self.alive(row));
        let due = !risk.background
            || self.tops_up_at_once
            || since < self.epoch
            || self.lacking.is_hurried(segment);
        let wanted = due
            && row.of.is_none()
            && !missing(row).is_empty()
            && !self.is_at_work(segment)
            && self.readable(segment, row) >= row.code.k();
        self.lacking.note(*segment, since, wanted.then_some(risk));
    }

    /// What lacks shards is due now.
    pub(crate) fn hurry(&mut self) {
        self.lacking.hurry();
        self.reindex_all();
    }

    /// An epoch has begun: who passed lately has changed, and what could wait an epoch is due.
    pub(crate) fn reindex_all(&mut self) {
        let ids: Vec<SegmentId> = self.lacking.ids().copied().collect();
        for id in ids {
            self.reindex(&id);
        }
    }
}

/// The positions that nobody holds and that do not lie in the spool.
pub(crate) fn missing(row: &SegmentRow) -> Vec<u16> {
    (0u16..)
        .zip(&row.holders)
        .filter(|(position, holder)| holder.is_none() && !row.spooled.contains(position))
        .map(|(position, _)| position)
        .collect()
}

fn held_by(row: &SegmentRow, contract: &ContractId) -> Vec<u16> {
    (0u16..)
        .zip(&row.holders)
        .filter(|(_, holder)| holder.as_ref() == Some(contract))
        .map(|(position, _)| position)
        .collect()
}
