//! The keeper's side: whom it rents from, where its segments are placed, how they come back.
//!
//! - [`book`]: the offers that are known.
//! - [`planning`]: room for a backup: a code, providers, contracts.
//! - [`renting`]: contracts that a person asks for.
//! - [`lease`], [`leases`], [`answers`]: one contract per provider, its terms and revisions.
//! - [`uploads`], [`placing`], [`puts`], [`stalls`]: a sealed segment becomes n placed shards.
//! - [`fetches`]: k shards come back.
//! - [`audits`], [`targeted`]: whether providers hold what they are paid for.
//! - [`losses`], [`claims`], [`lacking`], [`repairs`], [`growing`]: positions that are lost, and
//!   rebuilt.
//! - [`sharing`]: segments that others share with us; rights that we take back.
//! - [`heads`], [`catalogues`]: what others keep, so that a lost keeper comes back.
//! - [`devices`]: the account's other devices.
//! - [`recovery`], [`trees`]: a keeper that comes back; trees that changed without us.

mod answers;
pub(crate) mod audits;
pub(crate) mod book;
mod catalogues;
mod claims;
pub(crate) mod devices;
pub(crate) mod fetches;
mod growing;
pub(crate) mod heads;
mod lacking;
pub(crate) mod lease;
pub(crate) mod leases;
pub(crate) mod losses;
pub(crate) mod placing;
pub(crate) mod planning;
pub(crate) mod puts;
mod recovery;
pub(crate) mod reducing;
pub(crate) mod renting;
pub(crate) mod repairs;
pub(crate) mod sharing;
mod stalls;
pub(crate) mod targeted;
#[cfg(test)]
mod tests;
pub(crate) mod trees;
pub(crate) mod uploads;

use crate::bucket::Bucket;
use crate::ctx::{Ctx, backoff};
use crate::rows::{RentedRow, SegmentRow, Write};
use larder_proofs::{ContentTree, ShardLeaf};
use larder_types::{Amount, ContractId, Epoch, NodeId, SegmentId, ShardRoot, Time};
use std::collections::{BTreeMap, BTreeSet};

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
    /// More than the user allows contracts to cost.
    #[error(
        "contracts would cost {needed} credit in 30 days, and {allowed} are allowed; raise the \
         allowance with `larder config set renter.allowance`"
    )]
    Allowance {
        /// What all contracts would cost in 30 days.
        needed: Amount,
        /// The allowance for 30 days.
        allowed: Amount,
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
    /// Whether the ledger has said since the start what is active and who is FAULTED.
    pub(crate) informed: bool,
    /// The epoch that it spoke of.
    pub(crate) epoch: Epoch,
    /// Every provider that is FAULTED.
    pub(crate) faulted: BTreeSet<NodeId>,
    /// Shards that a contract's tree names and that are not counted there: position, contract.
    pub(crate) claims: BTreeMap<SegmentId, BTreeSet<(u16, ContractId)>>,
    /// Segments with positions that nobody holds.
    pub(crate) lacking: lacking::Lacking,
    pub(crate) repairs: BTreeMap<SegmentId, repairs::Repair>,
    pub(crate) done: repairs::Done,
    pub(crate) totals: repairs::Totals,
    pub(crate) bucket: Bucket,
    /// Whether what is above the repair threshold is repaired without waiting an epoch.
    pub(crate) tops_up_at_once: bool,
    /// When repairs are looked at again, if something holds them up.
    pub(crate) next_look: Option<Time>,
    /// Whether some segment has nowhere to go.
    pub(crate) cramped: bool,
    /// When room is looked for again.
    pub(crate) grow_at: Option<Time>,
    /// Why there is none.
    pub(crate) no_room: Option<NoRoom>,
    /// Providers that would not open a contract in this epoch.
    pub(crate) declined: BTreeSet<NodeId>,
    /// Shards on their way to us, those that nobody wants any more included.
    pub(crate) gets: usize,
    /// How fast shards come.
    pub(crate) pace: fetches::Pace,
    /// Providers that keep us waiting for a shard, and until when that counts.
    pub(crate) late: BTreeMap<NodeId, Time>,
    /// This device's own heads.
    pub(crate) heads: heads::Heads,
    /// The account's other devices.
    pub(crate) devices: devices::Devices,
    pub(crate) audits: audits::Audits,
    /// Segments of others that shares let us read.
    pub(crate) borrowed: sharing::Borrowed,
    /// Readers whose rights we take back.
    pub(crate) revoking: sharing::Revoking,
    /// What the ledger was asked of single contracts.
    pub(crate) asked: targeted::Asked,
    /// The most that contracts may cost in 30 days; `None`: what the account has.
    pub(crate) allowance: Option<Amount>,
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
            if !row.spooled.is_empty() {
                renter.resume(id, &row);
            }
            renter.segments.insert(id, row);
        }
        renter.recount_claims();
        let ids: Vec<SegmentId> = renter.segments.keys().copied().collect();
        for id in ids {
            renter.reindex(&id);
        }
        renter
    }

    /// Shards of a segment lie in the spool: they are placed. All of them are there since it was
    /// coded, some only since a repair.
    fn resume(&mut self, id: SegmentId, row: &SegmentRow) {
        let mut upload = uploads::Upload::resumed(row);
        if row.spooled.len() < row.holders.len() {
            upload.told = true;
            let mut repair = repairs::Repair::placing();
            let lacks = |j: &u16| row.holders.get(usize::from(*j)) == Some(&None);
            repair.shards = row.spooled.iter().copied().filter(lacks).collect();
            self.repairs.insert(id, repair);
        }
        self.uploads.insert(id, upload);
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
        self.late.remove(peer);
        self.audits.heard(peer);
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

    pub(crate) fn segment_write(&self, id: &SegmentId) -> Write {
        Write::segment(id, self.segments.get(id))
    }

    pub(crate) fn empty_content() -> ContentTree {
        ContentTree::new()
    }
}
