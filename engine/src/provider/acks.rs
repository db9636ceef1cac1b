//! Validators' acknowledgements of our proofs: durable, until no verdict on their slot can come any more
//! and nothing is withheld. One by the validator whose batch left the proof out is evidence; it is shown to
//! the ledger, once in an epoch for as long as the ledger takes it. `docs/protocol.md` §3.5.

use super::Provider;
use crate::ctx::Ctx;
use crate::rows::Write;
use crate::wallet::Wallet;
use larder_ledger::{Censored, ProofAck, Tx};
use larder_types::{Epoch, NodeId, SlotNo};
use std::collections::BTreeMap;

/// Most that are kept: a proof goes to at most 16 validators, and one slot an epoch is ours. The
/// ledger remembers two epochs.
const MAX_ACKS: usize = 64;

/// What validators have acknowledged, by slot and validator.
#[derive(Debug, Default)]
pub(crate) struct Acks(BTreeMap<(SlotNo, NodeId), Kept>);

#[derive(Debug)]
struct Kept {
    ack: ProofAck,
    /// The epoch in which it was shown last.
    shown: Option<Epoch>,
}

impl Acks {
    /// Takes durable ones up again.
    pub(crate) fn restore(acks: Vec<ProofAck>) -> Self {
        let mut kept = Self::default();
        for ack in acks {
            kept.keep(ack);
        }
        kept
    }

    /// Whether it is new, and kept.
    fn keep(&mut self, ack: ProofAck) -> bool {
        let key = (ack.slot, ack.by);
        if self.0.len() >= MAX_ACKS || self.0.contains_key(&key) {
            return false;
        }
        let shown = None;
        self.0.insert(key, Kept { ack, shown }).is_none()
    }

    /// Those that are evidence, where the ledger holds pay of ours `withheld` in these slots by these
    /// validators, and that were not shown in this epoch; now they were.
    fn evidence(&mut self, withheld: &[(SlotNo, NodeId)], epoch: Epoch) -> Vec<ProofAck> {
        let mut shown = Vec::new();
        for key in withheld {
            let kept = self.0.get_mut(key);
            if let Some(kept) = kept.filter(|kept| kept.shown != Some(epoch)) {
                kept.shown = Some(epoch);
                shown.push(kept.ack);
            }
        }
        shown
    }

    /// Forgets those that can become evidence no more; `is_over` says of which slots no verdict comes.
    fn settle(
        &mut self,
        withheld: &[(SlotNo, NodeId)],
        is_over: impl Fn(SlotNo) -> bool,
    ) -> Vec<Write> {
        let is_of_use = |key: &(SlotNo, NodeId)| withheld.contains(key) || !is_over(key.0);
        let gone = self.0.keys().filter(|key| !is_of_use(key));
        let rows = gone.map(|(slot, by)| Write::ack(*slot, by, None)).collect();
        self.0.retain(|key, _| is_of_use(key));
        rows
    }
}

impl Provider {
    /// The validator `from` says that it has a proof of ours. Anything else than its own signature, of
    /// the very proof that we sent for our slot, is worth nothing and not kept.
    pub(crate) fn acknowledged(&mut self, ctx: &mut Ctx<'_>, from: NodeId, ack: ProofAck) {
        let sent = self.proofs.get(&None);
        let sent = sent.and_then(|proof| Some((proof.challenge.slot_no, proof.blob.as_ref()?)));
        let is_ours = sent.is_some_and(|(slot, blob)| ack.is_of((slot, &ctx.me.node()), blob));
        if is_ours && ack.by == from && ack.is_signed(&ctx.me.genesis) && self.acks.keep(ack) {
            ctx.persist(vec![Write::ack(ack.slot, &ack.by, Some(&ack))]);
        }
    }

    /// A block has come: who withheld our pay and had acknowledged our proof is accused, what is settled
    /// is forgotten.
    pub(crate) fn accuse(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        withheld: &[(SlotNo, NodeId)],
    ) {
        let epoch = ctx.chain.epoch;
        for ack in self.acks.evidence(withheld, epoch) {
            wallet.queue_for_epoch(ctx, Tx::Censored(Censored { ack }), epoch);
        }
        let schedule = ctx.me.schedule;
        let is_over = |slot| schedule.epoch_of_slot(slot) < epoch;
        let rows = self.acks.settle(withheld, is_over);
        ctx.persist(rows);
    }
}

#[cfg(test)]
mod tests;
