//! Whom the ledger asks in which slot, and what: it all follows from beacons and trees.
//! `docs/protocol.md` §3.1, §3.5.

use crate::deal::Asked;
use crate::{Provider, State};
use larder_proofs::{Challenge, Kind};
use larder_types::{Amount, NodeId, SlotNo, Time};

impl State {
    /// The slot of this epoch in which a provider is asked.
    #[must_use]
    pub fn slot_of(&self, provider: &NodeId) -> SlotNo {
        self.schedule()
            .provider_slot(self.epoch, &self.epoch_beacon, provider)
    }

    /// The challenge that a provider must answer in this epoch, once its slot has opened; it may
    /// do so until its slot's window closes. `None` too if it has no contract, or announced that it is
    /// away.
    #[must_use]
    pub fn challenge_for(&self, provider: &NodeId) -> Option<Challenge> {
        let record = self.provider(provider)?;
        let slot = self.slot_of(provider);
        let opened = self.opened.iter().find(|opened| opened.slot >= slot)?;
        let is_asked = record.sum() > Amount::ZERO && !record.is_away(self.epoch);
        is_asked.then(|| Challenge {
            kind: Kind::Ledger,
            chain_id: self.genesis.chain_id(),
            slot_no: slot,
            beacon: opened.beacon,
            provider: *provider,
            provider_index: record.index,
            active: record.root(),
            depth: record.active.depth(),
            contract: None,
            c: self.params.challenges,
        })
    }

    /// The providers on which a slot of this epoch gives a verdict, by ascending index: those with
    /// a contract whose slot it is.
    #[must_use]
    pub fn slot_providers(&self, slot: SlotNo) -> Vec<&Provider> {
        let asked = self.asked().get(&slot).into_iter().flatten();
        asked.filter_map(|index| self.indexed(*index)).collect()
    }

    /// The slots of this epoch that have opened, whose windows have closed at `now`, that ask
    /// someone and are not judged: those that the next block owes a batch.
    #[must_use]
    pub fn slots_to_judge(&self, now: Time) -> Vec<SlotNo> {
        let Some(newest) = self.opened.last() else {
            return Vec::new();
        };
        let schedule = self.schedule();
        self.asked()
            .keys()
            .copied()
            .filter(|slot| *slot <= newest.slot && schedule.slot_close(*slot) <= now)
            .filter(|slot| !self.judged.contains(slot))
            .collect()
    }

    /// Whether no verdict on a slot can come any more: it is given, or the slot's epoch is over.
    #[must_use]
    pub fn is_settled(&self, slot: SlotNo) -> bool {
        self.judged.contains(&slot) || self.schedule().epoch_of_slot(slot) < self.epoch
    }

    /// Whom each slot of this epoch asks, by ascending index. It changes only where an epoch
    /// begins or deals its slots.
    fn asked(&self) -> &Asked {
        self.deal.get_or_make(|| {
            let mut by_index: Vec<&Provider> = self
                .providers()
                .filter(|p| p.sum() > Amount::ZERO)
                .collect();
            by_index.sort_by_key(|p| p.index);
            let mut asked = Asked::new();
            for provider in by_index {
                let slot = self.slot_of(&provider.node);
                asked.entry(slot).or_default().push(provider.index);
            }
            asked
        })
    }

    /// Whether this very slot was opened by a block, rather than one after it.
    #[must_use]
    pub fn was_opened(&self, slot: SlotNo) -> bool {
        self.opened.iter().any(|opened| opened.slot == slot)
    }

    /// The slot that a block at `now` must open, if any.
    #[must_use]
    pub fn slot_to_open(&self, now: Time) -> Option<SlotNo> {
        let slot = self.schedule().slot_at(now);
        self.last_slot
            .is_none_or(|last| last < slot)
            .then_some(slot)
    }
}
