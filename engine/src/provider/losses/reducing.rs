//! Shards that their owner takes back. It takes the account's admin key, which the ledger knows; we look
//! only whether the signature is good, and whether the revision is what taking these shards out makes.
//! What was agreed waits like a declared loss: until it has acted, no other revision is signed, and the
//! shards are kept and proven. Then they go to the trash. `docs/protocol.md` §3.3, §3.10.

use super::super::{Held, Provider};
use crate::ctx::Ctx;
use crate::rows::{LossRow, Write};
use crate::wire::{Deny, Reduce, Response};
use larder_contracts::{Revision, clear};
use larder_ledger::May;
use larder_proofs::ContractLeaf;
use larder_types::{Amount, Epoch};
use std::collections::BTreeSet;

/// Most shards that one reduction takes back: with them a request stays below half of its limit.
pub(crate) const MAX_REDUCED: usize = 65_536;
/// Epochs after which a reduction that the ledger does not take is given up, so that the contract can
/// change again.
const GIVE_UP: Epoch = 3;

impl Held {
    /// The reduction that waits for a boundary.
    pub(super) fn reducing(&self) -> Option<&LossRow> {
        let row = self.loss.as_ref().filter(|row| !row.lost.is_empty());
        row.filter(|row| row.reduction.is_some())
    }
}

impl Provider {
    /// A renter takes shards back.
    pub(crate) fn reduced(&mut self, ctx: &mut Ctx<'_>, ask: Reduce) -> Result<Response, Deny> {
        let held = self
            .contracts
            .get_mut(&ask.contract)
            .ok_or(Deny::UnknownContract)?;
        let me = ctx.me;
        let signed = &ask.reduction.signed;
        let answer = |revision: Revision| Ok(Response::Signed(revision.sig_provider));
        if let Some(row) = held.reducing()
            && row.reduction.as_ref() == Some(&ask.reduction)
        {
            return answer(signed.clone().countersign(&me.node_key, &me.genesis));
        }
        if self.faulted {
            return Err(Deny::NotProviding);
        }
        if held.is_losing() || held.active.is_none() {
            return Err(Deny::Busy);
        }
        if ask.places.is_empty() || ask.places.len() > MAX_REDUCED {
            return Err(Deny::WrongBytes);
        }
        // Nobody signs these two.
        let newest = ContractLeaf {
            slash_acc: 0,
            unpaid_at_start: 0,
            ..*held.leaf()
        };
        let places: BTreeSet<u32> = ask.places.into_iter().collect();
        let (leaf, _) = clear(&newest, &held.content, &places).map_err(Deny::Contract)?;
        let money = held
            .active
            .is_none_or(|active| !larder_contracts::same_money(&active, &leaf));
        if signed.leaf != leaf || signed.auth.is_some() || money {
            return Err(Deny::Stale);
        }
        let renter = leaf.renter;
        let of_device = ctx
            .chain
            .subkeys
            .get(&renter, &larder_types::SubKeyId(ask.reduction.key));
        if of_device.is_some() || !ask.reduction.verify(&me.node(), &me.genesis) {
            return Err(Deny::BadSignature);
        }
        ctx.permit((&renter, signed.by), May::ADD, Amount::ZERO)?;
        let revision = signed.clone().countersign(&me.node_key, &me.genesis);
        let row = LossRow {
            epoch: ctx.chain.epoch,
            revision: leaf.revision,
            places: held.content.leaves().len() as u64,
            lost: places.into_iter().collect(),
            reduction: Some(ask.reduction),
        };
        ctx.persist(vec![Write::loss(&ask.contract, Some(&row))]);
        held.loss = Some(row);
        held.declared = None;
        self.losses.due.insert(ask.contract);
        answer(revision)
    }

    /// An epoch has begun: reductions that have not acted are posted once more, and given up in the
    /// end.
    pub(super) fn reduce_again(&mut self, ctx: &mut Ctx<'_>) {
        let mut rows = Vec::new();
        for (id, held) in &mut self.contracts {
            let Some(row) = held.reducing() else { continue };
            if ctx.chain.epoch <= row.epoch + GIVE_UP {
                self.losses.due.insert(*id);
                continue;
            }
            let given_up = LossRow {
                lost: Vec::new(),
                reduction: None,
                ..row.clone()
            };
            rows.push(Write::loss(id, Some(&given_up)));
            held.loss = Some(given_up);
        }
        ctx.persist(rows);
    }
}
