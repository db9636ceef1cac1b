//! Repair does what the rule asks for and nothing more. `docs/protocol.md` §3.11.
//!
//! *Nothing needless*: when a keeper rebuilds a shard, no provider may hold it by the rule: in an
//! active contract of the keeper's, intact, in a co-signed revision, and neither the contract nor
//! its provider is FAULTED.
//! A machine that is gone for good counts as one that is away: only the ledger tells them apart.
//! *Nothing twice*: what lies in the spool since an earlier rebuild is not rebuilt again.
//! *Nothing forgotten*: a position that is lost by the rule is held again before its keeper was
//! online for [`GRACE`] epochs more.

use super::{Sight, Tally};
use crate::node::Node;
use crate::report::Checker;
use larder_engine::rows::{Kind, RentedRow, SegmentRow, Write};
use larder_types::{AccountId, ContractId, NodeId, SegmentId, ShardRoot, Time, codec};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// Epochs that a keeper may be online until a position that is lost is held again: one until it
/// acts, one until a new contract opens, one until it is posted, and one for tries that fail.
const GRACE: u64 = 4;

/// A position of a segment.
type Position = (SegmentId, u16);

/// What keepers have written down of their segments and contracts.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    /// By keeper and segment.
    rows: BTreeMap<(usize, SegmentId), SegmentRow>,
    /// With whom each contract is.
    providers: BTreeMap<ContractId, NodeId>,
    /// Positions that those hold who are gone for good, since when.
    open: BTreeMap<NodeId, (Time, BTreeSet<Position>)>,
    /// How many of those found other holders for all of them, and how long that took, ms.
    healed: (u64, u64),
    /// The contract that last counted as a position's holder, where none does now.
    last: BTreeMap<(usize, Position), ContractId>,
    /// How long a keeper had been online when a position was first seen to be lost.
    lost: BTreeMap<Position, u64>,
    needless: Tally,
    twice: Tally,
    forgotten: Tally,
}

impl Repair {
    /// A keeper writes rows. `gone` says of a provider whether it is gone for good.
    pub(crate) fn wrote(
        &mut self,
        now: Time,
        keeper: usize,
        rows: &[Write],
        gone: impl Fn(&NodeId) -> bool,
    ) {
        for write in rows {
            if write.kind == Kind::Rented
                && let (Some(id), Some(row)) = (id(&write.key), read::<RentedRow>(write))
            {
                self.providers.insert(ContractId(id), row.provider);
            }
            if write.kind == Kind::Segment
                && let Some(id) = id(&write.key).map(SegmentId)
            {
                match read::<SegmentRow>(write) {
                    Some(row) => self.segment(now, keeper, id, row, &gone),
                    None => {
                        self.rows.remove(&(keeper, id));
                    }
                }
            }
        }
    }

    fn segment(
        &mut self,
        now: Time,
        keeper: usize,
        id: SegmentId,
        row: SegmentRow,
        gone: impl Fn(&NodeId) -> bool,
    ) {
        for (j, holder) in (0u16..).zip(&row.holders) {
            let provider = holder.and_then(|contract| self.providers.get(&contract));
            if provider.is_some_and(|p| !gone(p)) {
                self.found(now, &(id, j));
            }
        }
        let before = self.rows.get(&(keeper, id));
        for (j, holder) in (0u16..).zip(&row.holders) {
            let was = before.and_then(|row| row.holders.get(usize::from(j)).copied().flatten());
            match (was, holder) {
                (_, Some(_)) => {
                    self.last.remove(&(keeper, (id, j)));
                }
                (Some(was), None) => {
                    self.last.insert((keeper, (id, j)), was);
                }
                (None, None) => {}
            }
        }
        self.rows.insert((keeper, id), row);
    }

    /// A position has a living holder.
    fn found(&mut self, now: Time, position: &Position) {
        let mut whole = Vec::new();
        for (provider, (since, positions)) in &mut self.open {
            if positions.remove(position) && positions.is_empty() {
                whole.push((*provider, now.since(*since).0));
            }
        }
        for (provider, took) in whole {
            self.open.remove(&provider);
            self.healed = (self.healed.0 + 1, self.healed.1 + took);
        }
    }

    /// A provider is gone for good, with the positions that it holds.
    pub(crate) fn died(&mut self, now: Time, provider: NodeId) {
        let mut positions = BTreeSet::new();
        for ((_, id), row) in &self.rows {
            for (j, holder) in (0u16..).zip(&row.holders) {
                let with = holder.and_then(|contract| self.providers.get(&contract));
                if with == Some(&provider) {
                    positions.insert((*id, j));
                }
            }
        }
        if !positions.is_empty() {
            self.open.insert(provider, (now, positions));
        }
    }

    /// A keeper is about to rebuild shards of a segment.
    pub(crate) fn rebuild(
        &mut self,
        sight: &Sight<'_>,
        keeper: usize,
        id: &SegmentId,
        missing: &[u16],
    ) {
        let Some(row) = self.rows.get(&(keeper, *id)) else {
            return;
        };
        let account = &sight.nodes[keeper].account;
        for j in missing {
            let root = row.roots.get(usize::from(*j));
            // Another contract may name it too: one that the keeper had given up on.
            let last = self.last.get(&(keeper, (*id, *j)));
            let counted = last.and_then(|contract| self.providers.get(contract));
            let counted = counted.and_then(|provider| sight.index.get(provider));
            let holder = root.and_then(|root| {
                let mut by = holders(sight, account, root);
                by.find(|by| counted.is_none_or(|counted| counted == by))
            });
            self.needless.check(holder.is_none(), || {
                let (now, by) = (sight.now.0, holder.unwrap_or_default());
                format!("{now}: segment {id}, position {j} is rebuilt, but node {by} holds it")
            });
            self.twice.check(!row.spooled.contains(j), || {
                let now = sight.now.0;
                format!("{now}: segment {id}, position {j} is rebuilt, but lies in the spool")
            });
        }
    }

    /// Looks at every position that ought to be held.
    pub(crate) fn look(&mut self, sight: &Sight<'_>) {
        let grace = GRACE * sight.state.params().epoch.0;
        for ((keeper, id), row) in &self.rows {
            let online = sight.nodes[*keeper].online_for(sight.now).0;
            for (j, holder) in (0u16..).zip(&row.holders) {
                if row.roots.is_empty() || self.is_held(sight, *holder) {
                    self.lost.remove(&(*id, j));
                    continue;
                }
                let since = *self.lost.entry((*id, j)).or_insert(online);
                let waited = online.saturating_sub(since);
                self.forgotten.check(waited <= grace, || {
                    let (now, hours) = (sight.now.0, waited / 3_600_000);
                    format!("{now}: segment {id}, position {j} is lost since {hours} h online")
                });
            }
        }
    }

    /// Whether the ledger has a contract that is not faulted, with a provider that is not FAULTED.
    fn is_held(&self, sight: &Sight<'_>, holder: Option<ContractId>) -> bool {
        let holder = holder.filter(|contract| sight.state.faulted_alone(contract).is_none());
        let seat = holder.and_then(|contract| sight.state.contract(&contract));
        let provider = seat.and_then(|(_, provider, _)| sight.state.provider(&provider));
        provider.is_some_and(|p| p.faulted.is_none())
    }

    /// Every segment's newest row, with its keeper.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, &SegmentId, &SegmentRow)> {
        self.rows.iter().map(|((i, id), row)| (*i, id, row))
    }

    /// How many deaths healed, and how long that took on average, minutes.
    pub(crate) fn healed(&self) -> (u64, u64) {
        let (count, ms) = self.healed;
        (count, ms / count.max(1) / 60_000)
    }

    /// What it found.
    pub(crate) fn findings(&self) -> Vec<Checker> {
        vec![
            self.needless.finding("nothing rebuilt needlessly"),
            self.twice.finding("nothing rebuilt twice"),
            self.forgotten.finding("lost shards replaced"),
        ]
    }
}

/// The nodes that hold a shard for an account by the rule.
pub(crate) fn holders(
    sight: &Sight<'_>,
    account: &AccountId,
    root: &ShardRoot,
) -> impl Iterator<Item = usize> {
    let holds = |node: &Node| {
        node.disk.intact(root)?;
        let row = node.disk.shard_row(root)?;
        row.index?;
        let (_, provider, leaf) = sight.state.contract(&row.contract)?;
        let faulted = sight.state.provider(&provider)?.faulted;
        let alone = sight.state.faulted_alone(&row.contract);
        let ours = provider == node.id && leaf.renter == *account && alone.is_none();
        (ours && faulted.is_none()).then_some(())
    };
    let held = sight.nodes.iter().enumerate();
    held.filter_map(move |(i, node)| holds(node).map(|()| i))
}

fn id(key: &[u8]) -> Option<[u8; 32]> {
    key.try_into().ok()
}

fn read<T: Serialize + DeserializeOwned>(write: &Write) -> Option<T> {
    codec::decode(write.value.as_deref()?).ok()
}
