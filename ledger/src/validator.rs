//! Who validates, who would, and who did: one record each, with the bond that it stands to lose. The
//! set that signs ([`larder_proofs::ValidatorSet`]) holds those of them that are seated, each with a
//! vote of weight 1; whoever is seated or unseated by a block counts, or not, from the next height on.
//! `docs/protocol.md` §3.8.

use crate::approval::{Approvals, Change};
use crate::censorship::Batch;
use crate::memo::Memo;
use crate::{Consensus, Event, Header, State, TxRefusal, pairs};
use larder_proofs::bls::PublicKey;
use larder_proofs::{Validator, ValidatorSet};
use larder_types::{AccountId, Amount, Epoch, Hash, NodeId, SlotNo, codec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the ledger knows of one validator, or of one that would be or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorRecord {
    /// Its node key, which signs blocks and votes.
    pub node: NodeId,
    /// Its BLS key, of which possession was proved.
    pub bls: PublicKey,
    /// Put down its bond, has it back, and has what of fees is not burned in the blocks it makes.
    pub account: AccountId,
    /// What it stands to lose.
    pub bond: Amount,
    /// The height at which the record began; with the node key it names the record for good.
    pub since: u64,
    /// Where it stands.
    pub standing: Standing,
    /// Whether its key signed two votes that contradict each other: it never comes back.
    pub is_banned: bool,
    /// How often it was shown to have broken a rule.
    pub strikes: u32,
    /// How often its turn to make a block passed without one that became final.
    pub missed: u64,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It would validate; nobody is bound to have it.
    Candidate,
    /// It is in the set.
    Seated,
    /// It was in the set; its bond is locked.
    Leaving {
        /// The first epoch in which the bond is not locked any more.
        until: Epoch,
    },
    /// Nothing of it is locked; the record keeps its keys out.
    Gone,
}

/// Why a validator is not in the set any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parting {
    /// The others took it out.
    Removed,
    /// It went.
    Resigned,
    /// It signed votes that contradict each other.
    Equivocated,
}

/// All of it, shared between clones of the state until one of them changes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roll {
    #[serde(with = "pairs")]
    pub(crate) records: BTreeMap<NodeId, ValidatorRecord>,
    /// What validators have approved and has not acted.
    #[serde(with = "pairs")]
    pub(crate) changes: BTreeMap<Change, Approvals>,
    /// The verdict batches of this epoch and the one before that withheld pay.
    #[serde(with = "pairs")]
    pub(crate) batches: BTreeMap<SlotNo, Arc<Batch>>,
    #[serde(skip)]
    digest: Memo,
}

impl Roll {
    /// The roll of a network that begins with these validators: the founder answers for them.
    pub(crate) fn founding(set: &ValidatorSet, founder: AccountId) -> Self {
        let record = |member: &Validator| ValidatorRecord {
            node: member.node,
            bls: member.bls,
            account: founder,
            bond: Amount::ZERO,
            since: 0,
            standing: Standing::Seated,
            is_banned: false,
            strikes: 0,
            missed: 0,
        };
        let members = set.members().iter();
        Self {
            records: members.map(|m| (m.node, record(m))).collect(),
            ..Self::default()
        }
    }

    /// All bonds together, nano.
    pub(crate) fn credit(&self) -> u128 {
        let bonds = self
            .records
            .values()
            .map(|record| u128::from(record.bond.0));
        bonds.fold(0, u128::saturating_add)
    }

    /// Of all that is in it.
    pub(crate) fn digest(&self) -> Hash {
        self.digest.get_or_make(|| {
            let mut hasher = blake3::Hasher::new_derive_key("larder v1 validator roll");
            let records: Vec<_> = self.records.iter().collect();
            let changes: Vec<_> = self.changes.iter().collect();
            hasher.update(&codec::encode(&(records, changes)));
            for (slot, batch) in &self.batches {
                hasher.update(&slot.to_le_bytes());
                hasher.update(&batch.digest().0);
            }
            Hash(*hasher.finalize().as_bytes())
        })
    }
}

impl ValidatorRecord {
    /// Whether it may be punished for what it signed: it validates, or did and its bond is locked.
    #[must_use]
    pub const fn answers(&self) -> bool {
        matches!(self.standing, Standing::Seated | Standing::Leaving { .. })
    }
}

impl State {
    /// The record of a validator, a candidate, or one that was.
    #[must_use]
    pub fn validator(&self, node: &NodeId) -> Option<&ValidatorRecord> {
        self.roll.records.get(node)
    }

    /// Every such record, by node key.
    pub fn validator_records(&self) -> impl Iterator<Item = &ValidatorRecord> {
        self.roll.records.values()
    }

    /// Everything about validators, to be changed.
    pub(crate) fn roll_mut(&mut self) -> &mut Roll {
        let roll = Arc::make_mut(&mut self.roll);
        roll.digest = Memo::default();
        roll
    }

    pub(crate) fn validator_mut(
        &mut self,
        node: &NodeId,
    ) -> Result<&mut ValidatorRecord, TxRefusal> {
        let record = self.roll_mut().records.get_mut(node);
        record.ok_or(TxRefusal::NotAValidator)
    }

    /// Validators change only where several agree on blocks.
    pub(crate) const fn check_changeable(&self) -> Result<(), TxRefusal> {
        match self.consensus {
            Consensus::Solo => Err(TxRefusal::Solo),
            Consensus::Bft => Ok(()),
        }
    }

    /// A block's proposer has its fees; those whose turn it was before had theirs and missed it.
    /// At most once a block each, however many rounds it took.
    pub(crate) fn attend(&mut self, header: &Header, events: &mut Vec<Event>) {
        let payee = self.validator(&header.proposer).map(|r| r.account);
        self.payee = payee.unwrap_or(self.founder);
        let members = u32::try_from(self.validators.members().len()).unwrap_or(u32::MAX);
        for round in 0..header.round.min(members) {
            let node = self.validators.proposer(header.height, round).node;
            if let Ok(record) = self.validator_mut(&node) {
                record.missed = record.missed.saturating_add(1);
                events.push(Event::ProposalMissed { node, round });
            }
        }
    }

    /// Puts a candidate in the set.
    pub(crate) fn seat(&mut self, node: &NodeId) -> Result<(), TxRefusal> {
        let record = self.validator_mut(node)?;
        record.standing = Standing::Seated;
        let validator = Validator {
            node: *node,
            bls: record.bls,
            power: 1,
        };
        let mut members = self.validators.members().to_vec();
        members.push(validator);
        members.sort_by_key(|member| member.node);
        let set = ValidatorSet::new(members).map_err(|_| TxRefusal::Seats)?;
        self.validators = Arc::new(set);
        Ok(())
    }

    /// Takes a validator out of the set; its bond stays locked for a while. Gives until when.
    pub(crate) fn unseat(&mut self, node: &NodeId) -> Result<Epoch, TxRefusal> {
        let members = self.validators.members().iter();
        let rest: Vec<Validator> = members.filter(|m| m.node != *node).copied().collect();
        let set = ValidatorSet::new(rest).map_err(|_| TxRefusal::LastValidator)?;
        let until = self.epoch.saturating_add(self.params.unbonding);
        let until = until.saturating_add(1);
        self.validator_mut(node)?.standing = Standing::Leaving { until };
        self.validators = Arc::new(set);
        Ok(until)
    }

    /// What is locked no longer returns. A record goes with it, unless its keys are to stay out.
    pub(crate) fn free_bonds(&mut self, events: &mut Vec<Event>) {
        let epoch = self.epoch;
        let is_free = |record: &ValidatorRecord| matches!(record.standing, Standing::Leaving { until } if until <= epoch);
        let free: Vec<NodeId> = self
            .validator_records()
            .filter(|record| is_free(record))
            .map(|record| record.node)
            .collect();
        for node in free {
            events.extend(self.free_bond(&node));
        }
    }

    /// Returns a bond to its account, which nothing of this record holds any more.
    pub(crate) fn free_bond(&mut self, node: &NodeId) -> Option<Event> {
        let roll = self.roll_mut();
        let record = roll.records.get_mut(node)?;
        let (account, amount) = (record.account, std::mem::take(&mut record.bond));
        record.standing = Standing::Gone;
        if !record.is_banned {
            roll.records.remove(node);
        }
        roll.changes.retain(|change, _| change.node() != *node);
        self.give(&account, amount);
        self.accounts.or_default(account).untie();
        Some(Event::BondFreed {
            node: *node,
            account,
            amount,
        })
    }
}
