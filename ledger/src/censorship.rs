//! A validator that acknowledged a provider's proof, and then proposed the batch by which that provider
//! missed, is shown up by its own signature. It pays what it withheld, out of its bond. The state keeps
//! for that who proposed a batch, and whom it withheld what, for this epoch and the one before.
//! `docs/protocol.md` §3.5, §3.8.

use crate::memo::Memo;
use crate::{Event, ProofAck, Reason, State, TxRefusal, Verdict, pairs};
use larder_types::{Amount, GenesisHash, Hash, NodeId, SlotNo, TxId, codec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A validator's acknowledgement, against the batch that it proposed. Nobody signs it: the
/// acknowledgement is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Censored {
    /// By the validator.
    pub ack: ProofAck,
}

/// Who said what of a slot's providers, where it withheld pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    /// The validator that proposed it.
    by: NodeId,
    /// What it withheld from providers that missed or were excused, and have not shown an
    /// acknowledgement.
    #[serde(with = "pairs")]
    withheld: BTreeMap<NodeId, Amount>,
    #[serde(skip)]
    digest: Memo,
}

impl Batch {
    pub(crate) fn digest(&self) -> Hash {
        self.digest.get_or_make(|| {
            let withheld: Vec<_> = self.withheld.iter().collect();
            let bytes = codec::encode(&(self.by, withheld));
            Hash(blake3::derive_key("larder v1 withheld", &bytes))
        })
    }
}

/// Whether a validator that had the proof would not have said so. An announced absence is the
/// provider's own word, and a false proof convicts by itself.
pub(crate) fn may_be_censored(result: Option<Reason>) -> bool {
    result.is_some_and(|reason| reason == Reason::Excused || reason.verdict() == Verdict::Miss)
}

impl State {
    /// Keeps whom a batch withheld what.
    pub(crate) fn note_withheld(
        &mut self,
        slot: SlotNo,
        by: NodeId,
        withheld: BTreeMap<NodeId, Amount>,
    ) {
        if withheld.is_empty() {
            return;
        }
        let digest = Memo::default();
        let batch = Batch {
            by,
            withheld,
            digest,
        };
        self.roll_mut().batches.insert(slot, Arc::new(batch));
    }

    /// Forgets batches from before the last epoch.
    pub(crate) fn forget_batches(&mut self) {
        let first = self.schedule().slot_no(self.epoch.saturating_sub(1), 0);
        if self
            .roll
            .batches
            .keys()
            .next()
            .is_some_and(|slot| *slot < first)
        {
            self.roll_mut().batches.retain(|slot, _| *slot >= first);
        }
    }

    /// The slots in which a provider's pay was withheld and no acknowledgement has been shown yet, each
    /// with the validator that proposed so and still answers for it. Its acknowledgement of a proof by
    /// that provider for that slot is evidence ([`Censored`]).
    #[must_use]
    pub fn withheld_from(&self, provider: &NodeId) -> Vec<(SlotNo, NodeId)> {
        let answers = |by| self.validator(by).is_some_and(|record| record.answers());
        let batches = self.roll.batches.iter();
        let withheld = batches.filter(|(_, batch)| batch.withheld.contains_key(provider));
        let punishable = withheld.filter(|(_, batch)| answers(&batch.by));
        punishable.map(|(slot, batch)| (*slot, batch.by)).collect()
    }

    /// What an acknowledgement shows to have been withheld by who signed it.
    fn censored(&self, ack: &ProofAck) -> Result<Amount, TxRefusal> {
        let batch = self.roll.batches.get(&ack.slot);
        let batch = batch.filter(|batch| batch.by == ack.by);
        let withheld = batch.and_then(|batch| batch.withheld.get(&ack.provider));
        withheld.copied().ok_or(TxRefusal::NotCensored)
    }

    pub(crate) fn check_censored(&self, tx: &Censored) -> Result<(), TxRefusal> {
        self.censored(&tx.ack)?;
        let record = self.validator(&tx.ack.by);
        match record.is_some_and(|record| record.answers()) {
            true => Ok(()),
            false => Err(TxRefusal::NotAValidator),
        }
    }

    /// The provider has what was withheld, as far as the bond goes; once for a slot and provider.
    pub(crate) fn atone(&mut self, tx: &Censored, id: TxId) -> Result<Vec<Event>, TxRefusal> {
        let ProofAck {
            slot, provider, by, ..
        } = tx.ack;
        let withheld = self.censored(&tx.ack)?;
        let payout = self.provider(&provider).map(|record| record.payout);
        let payout = payout.ok_or(TxRefusal::Unregistered)?;
        let record = self.validator_mut(&by)?;
        let amount = withheld.min(record.bond);
        record.bond = record.bond.saturating_sub(amount);
        record.strikes = record.strikes.saturating_add(1);
        if let Some(batch) = self.roll_mut().batches.get_mut(&slot) {
            let batch = Arc::make_mut(batch);
            batch.withheld.remove(&provider);
            batch.digest = Memo::default();
        }
        self.give(&payout, amount);
        Ok(vec![Event::Censored {
            node: by,
            provider,
            slot,
            amount,
            tx: id,
        }])
    }
}

impl Censored {
    pub(crate) fn verify(&self, genesis: &GenesisHash) -> bool {
        self.ack.is_signed(genesis)
    }
}
