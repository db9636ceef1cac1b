//! Claims: a provider whose tree still names a shard of a segment that we do not count as held there
//! *claims* it. Either it showed that it has it no more; or it opened its contract when the shard had
//! gone elsewhere for the delay, and has it.
//!
//! Who showed that is given no other shard of the segment. Of all others the shard counts as held where
//! it is claimed, as soon as nobody else holds it and they hold no other; while somebody does, they
//! are given other shards of the segment, after everybody else.
//!
//! `docs/protocol.md` §3.11.

use super::Renter;
use super::uploads::Position;
use crate::ctx::Ctx;
use crate::placement;
use crate::rows::{SegmentRow, Write};
use larder_types::{ContractId, SegmentId, ShardRoot};
use std::collections::{BTreeMap, BTreeSet};

impl Renter {
    /// Notes that a contract's tree names a shard that is not counted there.
    pub(crate) fn claim(&mut self, segment: &SegmentId, position: u16, contract: ContractId) {
        let claims = self.claims.entry(*segment).or_default();
        claims.insert((position, contract));
    }

    /// Finds out anew which contracts' trees name shards that are not counted there: after a
    /// start, and when a tree has changed otherwise than by a revision of ours.
    pub(crate) fn recount_claims(&mut self) {
        self.claims.clear();
        let mut held: BTreeMap<ContractId, usize> = BTreeMap::new();
        for contract in self
            .segments
            .values()
            .flat_map(|r| r.holders.iter().flatten())
        {
            *held.entry(*contract).or_default() += 1;
        }
        // What a lease holds stands in its tree: equal counts leave nothing to claim.
        let odd: BTreeSet<(ShardRoot, ContractId)> = self
            .leases
            .iter()
            .filter(|(id, l)| l.content.leaves().len() != held.get(id).copied().unwrap_or(0))
            .flat_map(|(id, l)| l.content.leaves().iter().map(|leaf| (leaf.root, *id)))
            .collect();
        if odd.is_empty() {
            return;
        }
        for (id, row) in &self.segments {
            for ((position, root), holder) in (0u16..).zip(&row.roots).zip(&row.holders) {
                let range = (*root, ContractId([0; 32]))..=(*root, ContractId([u8::MAX; 32]));
                for (_, contract) in odd.range(range) {
                    if holder.as_ref() != Some(contract) {
                        let claims = self.claims.entry(*id).or_default();
                        claims.insert((position, *contract));
                    }
                }
            }
        }
    }

    /// The contracts whose trees claim a shard of a segment.
    pub(crate) fn claimants(&self, segment: &SegmentId) -> impl Iterator<Item = &ContractId> {
        let claims = self.claims.get(segment).into_iter().flatten();
        claims.map(|(_, contract)| contract)
    }

    /// A contract's provider showed that it does not have a shard which its tree names. Gives the row to
    /// persist, if that is news.
    pub(crate) fn deny(
        &mut self,
        segment: &SegmentId,
        position: u16,
        contract: ContractId,
    ) -> Option<Write> {
        let claims = self.claims.get(segment)?;
        let row = self.segments.get_mut(segment)?;
        let denied = (position, contract);
        if !claims.contains(&denied) || row.denied.contains(&denied) {
            return None;
        }
        row.denied.retain(|denied| claims.contains(denied));
        row.denied.push(denied);
        Some(Write::segment(segment, Some(row)))
    }

    /// Whether a contract is given no shard of a segment because of what its tree names of it: what
    /// it has not, or what nobody else holds, and what it may be counted for soon.
    pub(crate) fn bars(
        &self,
        segment: &SegmentId,
        row: &SegmentRow,
        contract: &ContractId,
    ) -> bool {
        let claims = self.claims.get(segment).into_iter().flatten();
        let mut ours = claims.filter(|(_, claimant)| claimant == contract);
        ours.any(|claim| row.denied.contains(claim) || is_unheld(row, claim.0))
    }

    /// What nobody holds and a contract claims, it holds, if nothing speaks against it.
    pub(crate) fn count_claims(&mut self, ctx: &mut Ctx<'_>) {
        let mut found = Vec::new();
        for (segment, claims) in &self.claims {
            let Some(row) = self.segments.get(segment) else {
                continue;
            };
            let unheld = claims
                .iter()
                .filter(|(position, _)| is_unheld(row, *position));
            let good = unheld.filter(|claim| !row.denied.contains(claim));
            let held = good.filter(|(_, contract)| self.may_count(segment, row, contract));
            found.extend(held.map(|claim| (*segment, *claim)));
        }
        for (segment, (position, contract)) in found {
            self.count_claim(ctx, &segment, position, contract);
        }
    }

    /// Whether a contract may hold one more position of a segment, which its tree names already.
    fn may_count(&self, segment: &SegmentId, row: &SegmentRow, contract: &ContractId) -> bool {
        let Some(lease) = self.leases.get(contract) else {
            return false;
        };
        let is_open = lease.active.is_some() && lease.is_agreed() && lease.tree_is_known();
        let (operators, holding) = self.occupied(segment, row);
        let candidate = [self.candidate(lease)];
        let fits = || !placement::choose(row.code, &operators, &candidate, 1).is_empty();
        is_open
            && !lease.is_over_soon()
            && !lease.is_suspect()
            && !holding.contains(contract)
            && fits()
    }

    fn count_claim(
        &mut self,
        ctx: &mut Ctx<'_>,
        segment: &SegmentId,
        position: u16,
        contract: ContractId,
    ) {
        let Some(row) = self.segments.get_mut(segment) else {
            return;
        };
        // Another claim of the same contract, or on the same position, may have been counted before.
        if row.holders.contains(&Some(contract)) || !is_unheld(row, position) {
            return;
        }
        if let Some(holder) = row.holders.get_mut(usize::from(position)) {
            *holder = Some(contract);
        }
        let write = Write::segment(segment, Some(row));
        ctx.persist(vec![write]);
        if let Some(claims) = self.claims.get_mut(segment) {
            claims.remove(&(position, contract));
        }
        self.set(segment, position, Position::Placed);
        self.reindex(segment);
    }
}

fn is_unheld(row: &SegmentRow, position: u16) -> bool {
    row.holders.get(usize::from(position)) == Some(&None)
}
