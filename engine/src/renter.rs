//! The keeper's side: whom it rents from, where its segments are placed, how they come back.
//!
//! - [`book`]: the offers that are known.
//! - [`planning`]: room for a backup: a code, providers, contracts.
//! - [`lease`], [`leases`], [`answers`]: one contract per provider, its terms and revisions.
//! - [`uploads`], [`stalls`]: a sealed segment becomes n placed shards.
//! - [`fetches`]: k shards become the segment again.
//! - [`heads`], [`catalogues`]: what others keep, so that a lost keeper comes back.
//! - [`recovery`], [`trees`]: a keeper that comes back; trees that changed without us.

mod answers;
pub(crate) mod book;
mod catalogues;
pub(crate) mod fetches;
pub(crate) mod heads;
pub(crate) mod lease;
pub(crate) mod leases;
pub(crate) mod planning;
mod recovery;
mod stalls;
pub(crate) mod trees;
pub(crate) mod uploads;

use crate::ctx::{Ctx, backoff};
use crate::rows::{RentedRow, SegmentRow, Write};
use larder_proofs::{ContentTree, ShardLeaf};
use larder_types::{Amount, ContractId, NodeId, SegmentId, ShardRoot, Time};
use std::collections::BTreeMap;

/// Why there is no room for data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// No provider's offer is known, or all are taken.
    #[error("no provider offers space here; check `larder peers` and `larder offers`")]
    NoProviders,
    /// Offers are known, but none has enough free quota.
    #[error("no provider has {needed} MiB free; wait for more offers or back up less")]
    NoQuota {
        /// What one provider would have to take, MiB.
        needed: u64,
    },
    /// Not enough credit.
    #[error(
        "{needed} credit needed for the term, {have} free; fund the account with `larder wallet`"
    )]
    NoCredit {
        /// What the contracts cost.
        needed: Amount,
        /// What is free.
        have: Amount,
    },
    /// No validator has been reached.
    #[error("the ledger cannot be reached; check `larder peers`")]
    NoLedger,
    /// Providers were asked, and refused or did not answer.
    #[error("too few providers took the data in time; check `larder peers` and try again")]
    Stalled,
    /// The spool failed.
    #[error("the spool failed: {0}; free some space on the home's disk")]
    Spool(String),
}

/// The keeper's side of the engine.
#[derive(Debug, Default)]
pub(crate) struct Renter {
    pub(crate) book: book::Book,
    pub(crate) leases: BTreeMap<ContractId, lease::Lease>,
    pub(crate) segments: BTreeMap<SegmentId, SegmentRow>,
    pub(crate) uploads: BTreeMap<SegmentId, uploads::Upload>,
    pub(crate) fetches: BTreeMap<SegmentId, fetches::Fetch>,
    pub(crate) plans: BTreeMap<u64, planning::Planning>,
    pub(crate) trouble: BTreeMap<NodeId, Trouble>,
    /// When the first block was seen: offers need a moment to come in.
    pub(crate) live_since: Option<Time>,
    /// Whether the ledger has said since the start what is active.
    pub(crate) informed: bool,
    /// This device's own heads.
    pub(crate) heads: heads::Heads,
}

/// A peer that failed us lately.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trouble {
    pub(crate) fails: u32,
    pub(crate) until: Time,
}

impl Renter {
    /// Takes durable rows up again. Segments that were not coded yet are dropped: the backup that
    /// sealed them still has them and hands them over again.
    pub(crate) fn restore(
        rented: Vec<(ContractId, RentedRow)>,
        leaves: Vec<(ContractId, u64, ShardLeaf)>,
        segments: Vec<(SegmentId, SegmentRow)>,
    ) -> Self {
        let mut renter = Self::default();
        for (id, row) in rented {
            renter.leases.insert(id, lease::Lease::restore(row));
        }
        for (id, _, leaf) in leaves {
            if let Some(lease) = renter.leases.get_mut(&id) {
                lease
                    .content
                    .push(leaf)
                    .expect("what was co-signed is a sound tree");
            }
        }
        for (id, row) in segments {
            if row.roots.is_empty() {
                continue;
            }
            if row.holders.iter().any(Option::is_none) {
                renter.uploads.insert(id, uploads::Upload::resumed(&row));
            }
            renter.segments.insert(id, row);
        }
        renter
    }

    /// Everything that is still owed.
    pub(crate) fn started(&mut self, ctx: &mut Ctx<'_>) {
        let ids: Vec<ContractId> = self.leases.keys().copied().collect();
        for id in ids {
            self.ask_latest(ctx, &id);
        }
        self.sign_again();
        self.heads.touch(ctx.now);
    }

    pub(crate) fn in_trouble(&self, peer: &NodeId, now: Time) -> bool {
        self.trouble.get(peer).is_some_and(|t| now < t.until)
    }

    pub(crate) fn failed(&mut self, peer: NodeId, now: Time) {
        let trouble = self.trouble.entry(peer).or_default();
        trouble.until = now.after(backoff(trouble.fails));
        trouble.fails += 1;
    }

    pub(crate) fn served(&mut self, peer: &NodeId) {
        self.trouble.remove(peer);
    }

    /// Where a segment's position lies, and how long it is.
    pub(crate) fn holder(
        &self,
        segment: &SegmentId,
        position: u16,
    ) -> Option<(ContractId, NodeId, ShardRoot)> {
        let row = self.segments.get(segment)?;
        let contract = (*row.holders.get(usize::from(position))?)?;
        let root = *row.roots.get(usize::from(position))?;
        Some((contract, self.leases.get(&contract)?.provider, root))
    }

    /// A position is lost. Gives the row to persist, or nothing if nobody held it.
    pub(crate) fn lose(&mut self, segment: &SegmentId, position: u16) -> Option<Write> {
        let row = self.segments.get_mut(segment)?;
        row.holders.get_mut(usize::from(position))?.take()?;
        Some(Write::segment(segment, Some(row)))
    }

    pub(crate) fn segment_write(&self, id: &SegmentId) -> Write {
        Write::segment(id, self.segments.get(id))
    }

    pub(crate) fn empty_content() -> ContentTree {
        ContentTree::new()
    }
}
