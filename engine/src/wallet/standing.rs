//! Putting this node forward for validator: as soon as its account has the bond, at most once an epoch,
//! until the ledger knows it. Who is taken out again does not come back by itself. `docs/protocol.md` §3.8.

use super::{Outgoing, Wallet};
use crate::ctx::Ctx;
use larder_ledger::{Candidacy, Tx};
use larder_proofs::bls::SecretKey;
use larder_types::Epoch;

/// A node that would validate.
#[derive(Debug)]
pub(super) struct Candidate {
    bls: SecretKey,
    /// The epoch in which it was put forward last: a refusal is not asked for again and again.
    tried: Option<Epoch>,
}

impl Wallet {
    /// From now on this node would validate.
    pub(crate) fn stand(&mut self, ctx: &mut Ctx<'_>, bls: SecretKey) {
        self.candidate = Some(Candidate { bls, tried: None });
        self.stand_if_due(ctx);
    }

    /// Puts the node forward if that has become possible.
    pub(crate) fn stand_if_due(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.chain.is_on_roll {
            self.candidate = None;
        }
        let (bond, epoch) = (ctx.me.params.validator_bond, ctx.chain.epoch);
        let is_known = ctx.chain.account.is_some() && ctx.chain.authorised;
        let waits = |out: &Outgoing| matches!(out.tx, Tx::Candidacy(_));
        if !is_known || self.spendable(ctx) < bond || self.outbox.values().any(waits) {
            return;
        }
        let Some(mut candidate) = self.candidate.take() else {
            return;
        };
        if candidate.tried != Some(epoch)
            && let Some(auth) = self.reserve(ctx)
        {
            let me = ctx.me;
            let keys = (&me.node_key, &candidate.bls);
            let candidacy = Candidacy::sign(keys, &me.ledger_key, bond, auth, &me.genesis);
            self.queue_durable(ctx, Tx::Candidacy(Box::new(candidacy)));
            self.flush(ctx);
            candidate.tried = Some(epoch);
        }
        self.candidate = Some(candidate);
    }
}
