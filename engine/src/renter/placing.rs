//! Who takes a position of a segment: a provider that holds none of it, whose operator does not hold
//! too many, with room, and in whom there is little to doubt.

use super::Renter;
use super::lease::Lease;
use super::puts::{MAX_PUTS, MAX_PUTS_EACH};
use super::uploads::Position;
use crate::ctx::Ctx;
use crate::placement::{self, Candidate};
use crate::rows::SegmentRow;
use crate::wallet::Wallet;
use larder_types::params::CHUNK;
use larder_types::{ContractId, NodeId, SegmentId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// A suspect provider ranks as if it were twice as full as full.
const SUSPECT_PPM: u64 = 2_000_000;
/// Who claims a shard of the segment already ranks as if it were as full again.
const CLAIM_PPM: u64 = 1_000_000;
/// One … of the doubt about a provider counts as fullness: who is unknown is given a shard when
/// those that are known are a quarter fuller.
const DOUBT_SHARE: u64 = 4;
/// Failures in a row (half a minute of waiting) after which a provider is no prospect.
const ABSENT_FAILS: u32 = 6;

impl Renter {
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
        let mut candidates: Vec<Candidate<'_>> = Vec::new();
        let mut short = Vec::new();
        for (contract, lease) in self.usable_leases() {
            // Two contracts with one provider are one place.
            let twice = candidates.iter().any(|c| c.provider == lease.provider);
            if twice
                || self.holds(&holding, contract, lease)
                || self.in_trouble(&lease.provider, ctx.now)
            {
                continue;
            }
            if lease.spoken_chunks() + chunks > lease.leaf().capacity_chunks {
                short.push(*contract);
            } else if lease.puts < MAX_PUTS_EACH {
                let mut candidate = self.candidate(lease);
                let claims = self.claimants(id).any(|claimant| claimant == contract);
                candidate.fullness_ppm += u64::from(claims) * CLAIM_PPM;
                candidates.push(candidate);
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
    pub(crate) fn candidate<'a>(&'a self, lease: &Lease) -> Candidate<'a> {
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
                !self.holds(&holding, contract, lease)
                    && !lease.is_suspect()
                    && !self.is_absent(&lease.provider, now)
                    && roomy(lease)
            })
            .map(|(_, lease)| self.candidate(lease))
            .collect();
        let lacks = row.holders.iter().filter(|h| h.is_none()).count();
        placement::choose(row.code, &taken, &candidates, lacks).len()
    }

    /// Whether a contract, or another one with the same provider, is among these.
    fn holds(&self, these: &BTreeSet<ContractId>, contract: &ContractId, lease: &Lease) -> bool {
        let same = |id: &ContractId| {
            let other = self.leases.get(id);
            other.is_some_and(|other| other.provider == lease.provider)
        };
        these.contains(contract) || these.iter().any(same)
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

    /// Operators that hold, or are being given, positions of a segment; contracts that hold none
    /// besides.
    fn taken(
        &self,
        id: &SegmentId,
        row: &SegmentRow,
    ) -> (BTreeMap<String, u16>, BTreeSet<ContractId>) {
        let (operators, mut contracts) = self.occupied(id, row);
        let barred = self
            .claimants(id)
            .filter(|contract| self.bars(id, row, contract));
        contracts.extend(barred.copied());
        (operators, contracts)
    }

    /// Operators and contracts that hold, or are being given, positions of a segment.
    pub(crate) fn occupied(
        &self,
        id: &SegmentId,
        row: &SegmentRow,
    ) -> (BTreeMap<String, u16>, BTreeSet<ContractId>) {
        let (mut operators, mut contracts) = (BTreeMap::new(), BTreeSet::new());
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
}
