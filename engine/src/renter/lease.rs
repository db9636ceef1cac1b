//! One contract that we rent, as our side knows it: the newest leaf that both signed, what the ledger
//! holds of it, what is under way. Chunks are 1 KiB, capacity and use are counted in them.

use super::Renter;
use super::audits::AuditDue;
use super::leases::price_of;
use super::trees::Pages;
use crate::head::DeviceId;
use crate::rows::RentedRow;
use larder_contracts::{Revision, SignedLeaf, same_money};
use larder_proofs::{ContentTree, ContractLeaf, ShardLeaf};
use larder_types::{Amount, Epoch, Hash, NodeId, SegmentId, Signature, Time};
use std::collections::VecDeque;

/// A contract whose free share falls below one in … is extended.
const EXTEND_BELOW: u64 = 10;
/// A contract that holds shards is renewed when so many epochs, at most half of its term, are left.
/// `docs/protocol.md` §3.10 *EXPIRING*.
const RENEW_EPOCHS: Epoch = 14;

/// A contract that we rent.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) provider: NodeId,
    /// The newest leaf that we signed and the provider countersigned (or is asked to).
    pub(crate) signed: SignedLeaf,
    pub(crate) sig_provider: Option<Signature>,
    pub(crate) content: ContentTree,
    /// The leaf that is active on the ledger.
    pub(crate) active: Option<ContractLeaf>,
    /// Whether a block holds its Open.
    pub(crate) opened: bool,
    /// Other money terms that we signed and whose answer we have not heard.
    pub(crate) tried: Option<SignedLeaf>,
    /// Acknowledged shards that no revision holds yet.
    pub(crate) acked: VecDeque<(SegmentId, u16, ShardLeaf)>,
    /// Chunks on their way.
    pub(crate) reserved: u64,
    /// Shards on their way.
    pub(crate) puts: u32,
    /// A change is under way.
    pub(crate) busy: bool,
    /// The provider refused the last proposal.
    pub(crate) refused: bool,
    /// It refused because it has no quota left.
    pub(crate) full: bool,
    /// The newest revision must be asked for before the next change.
    pub(crate) unsure: bool,
    pub(crate) fails: u32,
    pub(crate) retry_at: Time,
    /// Chunks wanted beyond the capacity.
    pub(crate) wanted: u64,
    /// The provider's misses in a row.
    pub(crate) misses: u32,
    /// Whether it passed in one of the last two epochs.
    pub(crate) passed_lately: bool,
    /// Whether it is FAULTED, or this contract by itself: nothing is placed there any more, and the
    /// contract is being closed.
    pub(crate) faulted: bool,
    /// What the provider has shown of its tree so far.
    pub(crate) pages: Pages,
    /// Root, chunks and revision of the active tree that was last found to be ours.
    pub(crate) agreed: Option<(Hash, u64, u64)>,
    /// Shards in a row that the provider refused though it had sold room for them.
    pub(crate) refusals: u32,
    /// The revision that both had signed when the epoch began and that was not active then.
    pub(crate) unposted: Option<u64>,
    /// When it is audited next.
    pub(crate) audit: AuditDue,
    /// Whether a person wants a later end, and none has been proposed since.
    pub(crate) renewing: bool,
    /// The epoch in which it ends because notice was given: nothing is placed there any more, and what
    /// lies there is rebuilt elsewhere and read from here until then.
    pub(crate) leaves_in: Option<Epoch>,
    /// The revision that takes shards back, and the last epoch in which it is waited for.
    pub(crate) reducing: Option<(u64, Epoch)>,
    /// Which other device of the account revises it; `None`: this one.
    pub(crate) of: Option<DeviceId>,
    /// How often it has passed from one device to another.
    pub(crate) claim: u32,
}

/// Refused shards in a row (half a minute of asking) after which the user is told of a provider.
const REFUSES: u32 = 6;

impl Lease {
    pub(crate) fn restore(row: RentedRow) -> Self {
        let unsure = row.sig_provider.is_some();
        Self {
            provider: row.provider,
            signed: row.signed,
            sig_provider: row.sig_provider,
            content: Renter::empty_content(),
            active: None,
            opened: row.opened,
            tried: row.tried,
            acked: VecDeque::new(),
            reserved: 0,
            puts: 0,
            busy: false,
            refused: false,
            full: false,
            unsure,
            fails: 0,
            retry_at: Time(0),
            wanted: 0,
            misses: 0,
            passed_lately: true,
            faulted: false,
            pages: Pages::default(),
            agreed: None,
            refusals: 0,
            unposted: None,
            audit: AuditDue::default(),
            renewing: false,
            leaves_in: None,
            reducing: None,
            of: row.of,
            claim: row.claim,
        }
    }

    pub(crate) fn leaf(&self) -> &ContractLeaf {
        &self.signed.leaf
    }

    /// Chunks in the tree, acknowledged or on their way.
    pub(crate) fn spoken_chunks(&self) -> u64 {
        let acked: u64 = self.acked.iter().map(|(_, _, leaf)| leaf.chunks).sum();
        self.leaf().used_chunks + acked + self.reserved
    }

    pub(crate) fn row(&self) -> RentedRow {
        RentedRow {
            provider: self.provider,
            signed: self.signed.clone(),
            sig_provider: self.sig_provider,
            opened: self.opened,
            tried: self.tried.clone(),
            of: self.of,
            claim: self.claim,
        }
    }

    /// Whether more is wanted than there is room for.
    pub(crate) fn is_short(&self) -> bool {
        if self.leaves_in.is_some() {
            return false;
        }
        let capacity = self.leaf().capacity_chunks;
        let needed = self.spoken_chunks() + self.wanted + capacity / EXTEND_BELOW;
        self.wanted > 0 && needed > capacity
    }

    /// Whether it is being closed, and nothing is placed there any more.
    pub(crate) fn is_over_soon(&self) -> bool {
        self.faulted || self.leaves_in.is_some()
    }

    /// Whether it holds shards and is about to end.
    pub(crate) fn runs_out(&self, epoch: Epoch) -> bool {
        let leaf = self.leaf();
        let term = leaf.end_epoch.saturating_sub(leaf.start_epoch);
        let left = RENEW_EPOCHS.min(term / 2).max(4);
        leaf.used_chunks > 0 && !self.is_over_soon() && leaf.end_epoch <= epoch + left
    }

    /// Whether half of the time in which it should have been renewed has passed, and it has not been.
    pub(crate) fn lapses(&self, epoch: Epoch) -> bool {
        let leaf = self.leaf();
        let term = leaf.end_epoch.saturating_sub(leaf.start_epoch);
        let half = RENEW_EPOCHS.min(term / 2).max(4) / 2;
        leaf.used_chunks > 0 && !self.is_over_soon() && leaf.end_epoch <= epoch + half
    }

    /// Whether a later end is to be proposed.
    pub(crate) fn is_to_renew(&self, epoch: Epoch) -> bool {
        self.leaves_in.is_none() && (self.renewing || self.runs_out(epoch))
    }

    /// What the account still owes it at a boundary after `epoch`.
    pub(crate) fn owes(&self, epoch: Epoch) -> Option<Amount> {
        // What another device promised, it counts.
        if self.of.is_some() {
            return None;
        }
        let due = |signed: &SignedLeaf| signed.leaf.start_epoch > epoch;
        let signed = Some(&self.signed).filter(|signed| due(signed) && self.money_pending());
        self.tried
            .as_ref()
            .filter(|tried| due(tried))
            .into_iter()
            .chain(signed)
            .map(|signed| price_of(&signed.leaf))
            .max()
    }

    /// An epoch has begun: whether the provider has had a whole one to post what both had signed,
    /// and has not. Gives what both have signed. New money terms are left to the provider: they can
    /// be proposed anew.
    pub(crate) fn is_overdue(&mut self) -> Option<Revision> {
        let newest = self.leaf().revision;
        let behind = self.active.filter(|active| active.revision < newest);
        let waited = std::mem::take(&mut self.unposted);
        let active = behind.filter(|active| same_money(active, self.leaf()))?;
        let sig_provider = self.sig_provider?;
        self.unposted = Some(newest);
        waited.filter(|revision| active.revision < *revision)?;
        Some(Revision {
            signed: self.signed.clone(),
            sig_provider,
        })
    }

    /// Whether the provider is paid for room and takes no shards. Nobody waits for it meanwhile.
    pub(crate) fn refuses(&self) -> bool {
        self.refusals >= REFUSES
    }

    pub(crate) fn money_pending(&self) -> bool {
        self.active
            .is_none_or(|active| !same_money(&active, self.leaf()))
    }
}
