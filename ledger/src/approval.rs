//! Who validates is for those to say who do: a change acts in the block that holds the approval by which
//! more than two thirds of the set have given theirs. `docs/protocol.md` §3.8.

use crate::check::Place;
use crate::validator::{Parting, Standing};
use crate::{Event, State, TxRefusal, pairs};
use larder_keys::{Signer, Tag, verify};
use larder_proofs::validators::MAX_VALIDATORS;
use larder_types::layout::Layout;
use larder_types::{GenesisHash, NodeId, Signature, TxId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const APPROVE: Tag = Tag("approve");

/// Most approvals of one validator that wait: with the number of validators it bounds what waits, and
/// none can keep out another's.
pub const MAX_APPROVALS: usize = 8;

/// A change of who validates. It names the record by the height at which that began, so that it acts at
/// most once: a node that comes back has another record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A candidate becomes a validator.
    Add {
        /// Which.
        node: NodeId,
        /// Since when it stands.
        since: u64,
    },
    /// A validator goes, or a candidate.
    Remove {
        /// Which.
        node: NodeId,
        /// Since when its record stands.
        since: u64,
    },
}

impl Change {
    /// Whom it is about.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        match self {
            Self::Add { node, .. } | Self::Remove { node, .. } => *node,
        }
    }

    const fn since(&self) -> u64 {
        match self {
            Self::Add { since, .. } | Self::Remove { since, .. } => *since,
        }
    }

    /// kind u8 (0 add, 1 remove) ‖ node[32] ‖ since u64.
    fn write(&self, layout: Layout) -> Layout {
        let kind = match self {
            Self::Add { .. } => 0,
            Self::Remove { .. } => 1,
        };
        layout.u8(kind).fixed(self.node()).u64(self.since())
    }
}

/// A validator is for a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// Which.
    pub change: Change,
    /// The last height at which it counts.
    pub expiry: u64,
    /// The validator.
    pub by: NodeId,
    /// By its node key.
    pub sig: Signature,
}

/// Who approved one change, and until which height that counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Approvals(#[serde(with = "pairs")] pub(crate) BTreeMap<NodeId, u64>);

impl Approve {
    /// The change ‖ expiry u64 ‖ by[32].
    fn to_layout(&self) -> Vec<u8> {
        let layout = self.change.write(Layout::new());
        layout.u64(self.expiry).fixed(self.by).finish()
    }

    /// The signer's node is for `change`, up to the height `expiry`.
    #[must_use]
    pub fn sign(node: &Signer, change: Change, expiry: u64, genesis: &GenesisHash) -> Self {
        let mut approve = Self {
            change,
            expiry,
            by: node.node(),
            sig: Signature::default(),
        };
        approve.sig = node.sign(APPROVE, genesis, &approve.to_layout());
        approve
    }

    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        verify(&self.by.0, APPROVE, genesis, &self.to_layout(), &self.sig)
    }
}

impl State {
    /// The change by which a candidate becomes a validator, as it is to be signed.
    #[must_use]
    pub fn addition(&self, node: &NodeId) -> Option<Change> {
        let since = self.validator(node)?.since;
        let change = Change::Add { node: *node, since };
        self.check_change(&change).ok().map(|()| change)
    }

    /// The change by which a validator or candidate goes, as it is to be signed.
    #[must_use]
    pub fn removal(&self, node: &NodeId) -> Option<Change> {
        let since = self.validator(node)?.since;
        let change = Change::Remove { node: *node, since };
        self.check_change(&change).ok().map(|()| change)
    }

    /// Changes that wait for more approvals, each with who has approved.
    pub fn changes(&self) -> impl Iterator<Item = (Change, Vec<NodeId>)> {
        let changes = self.roll.changes.iter();
        changes.map(|(change, approvals)| (*change, approvals.0.keys().copied().collect()))
    }

    /// Whether it could act now.
    fn check_change(&self, change: &Change) -> Result<(), TxRefusal> {
        let record = self.validator(&change.node());
        let record = record.filter(|record| record.since == change.since());
        let record = record.ok_or(TxRefusal::NoSuchChange)?;
        let seats = self.validators.members().len();
        match (change, record.standing) {
            (Change::Add { .. }, Standing::Candidate) if seats >= MAX_VALIDATORS => {
                Err(TxRefusal::Seats)
            }
            (Change::Remove { .. }, Standing::Seated) if seats == 1 => {
                Err(TxRefusal::LastValidator)
            }
            (Change::Add { .. }, Standing::Candidate)
            | (Change::Remove { .. }, Standing::Candidate | Standing::Seated) => Ok(()),
            (Change::Add { .. }, Standing::Seated | Standing::Leaving { .. } | Standing::Gone)
            | (Change::Remove { .. }, Standing::Leaving { .. } | Standing::Gone) => {
                Err(TxRefusal::NoSuchChange)
            }
        }
    }

    /// By a validator, once for each change, for few changes at a time.
    pub(crate) fn check_approve(&self, tx: &Approve, place: Place) -> Result<(), TxRefusal> {
        self.check_changeable()?;
        self.check_expiry(tx.expiry, place)?;
        if self.validators.get(&tx.by).is_none() {
            return Err(TxRefusal::NotAValidator);
        }
        self.check_change(&tx.change)?;
        let waits = |approvals: &Approvals| {
            let until = approvals.0.get(&tx.by);
            until.is_some_and(|until| *until >= place.height)
        };
        let changes = &self.roll.changes;
        if changes.get(&tx.change).is_some_and(waits) {
            return Err(TxRefusal::Approved);
        }
        match changes
            .values()
            .filter(|approvals| waits(approvals))
            .count()
        {
            count if count >= MAX_APPROVALS => Err(TxRefusal::Approvals),
            _ => Ok(()),
        }
    }

    /// Counts it; only who is in the set now, and whose approval has not expired, counts.
    pub(crate) fn approve(
        &mut self,
        tx: &Approve,
        place: Place,
        id: TxId,
    ) -> Result<Vec<Event>, TxRefusal> {
        let set = std::sync::Arc::clone(&self.validators);
        let changes = &mut self.roll_mut().changes;
        let approvals = changes.entry(tx.change).or_default();
        approvals.0.insert(tx.by, tx.expiry);
        for approvals in changes.values_mut() {
            let counts =
                |node: &NodeId, until: &mut u64| *until >= place.height && set.get(node).is_some();
            approvals.0.retain(counts);
        }
        changes.retain(|_, approvals| !approvals.0.is_empty());
        let given = changes.get(&tx.change).into_iter();
        let power: u64 = given
            .flat_map(|approvals| approvals.0.keys())
            .filter_map(|node| set.get(node).map(|member| member.power))
            .fold(0, u64::saturating_add);
        let mut events = vec![Event::ChangeApproved {
            change: tx.change,
            by: tx.by,
            tx: id,
        }];
        if power >= set.quorum() {
            self.roll_mut().changes.remove(&tx.change);
            events.extend(self.change(&tx.change)?);
        }
        Ok(events)
    }

    fn change(&mut self, change: &Change) -> Result<Vec<Event>, TxRefusal> {
        match change {
            Change::Add { node, .. } => {
                self.seat(node)?;
                Ok(vec![Event::ValidatorJoined { node: *node }])
            }
            Change::Remove { node, .. } => self.part(node, Parting::Removed),
        }
    }
}
