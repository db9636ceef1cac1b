//! What a provider gives its friends: an offer at price zero to each, shown to nobody else, and disk that is
//! kept for them. `docs/protocol.md` §3.10 *Friends*.

use super::{Provider, chunks};
use crate::ctx::Ctx;
use larder_contracts::{Gift, Offer};
use larder_types::params::CHUNK;
use larder_types::{AccountId, Amount, Bytes, Epoch};
use std::collections::BTreeMap;

/// What is given away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gifts {
    /// To each friend's account.
    pub(crate) given: BTreeMap<AccountId, Bytes>,
    /// To whoever accepts an invitation.
    pub(crate) promised: Bytes,
}

impl Provider {
    /// Chunks that friends other than `friend` are given and have not rented yet.
    pub(crate) fn kept_for_friends(&self, epoch: Epoch, friend: Option<&AccountId>) -> u64 {
        let others = self.gifts.given.iter();
        let others = others.filter(|(account, _)| Some(*account) != friend);
        let kept = others.map(|(account, gives)| {
            let rented = self.rented_by(account, epoch);
            chunks(*gives).saturating_sub(rented)
        });
        kept.fold(chunks(self.gifts.promised), u64::saturating_add)
    }

    /// Chunks that an account has rented.
    fn rented_by(&self, account: &AccountId, epoch: Epoch) -> u64 {
        let held = self.contracts.values();
        let own = held.filter(|held| held.leaf().renter == *account);
        own.map(|held| held.room(epoch)).sum()
    }

    /// What an account may rent at price zero, chunks in all.
    pub(crate) fn given_to(&self, account: &AccountId) -> Option<u64> {
        let given = self.gifts.given.get(account)?;
        Some(chunks(*given)).filter(|given| *given > 0)
    }

    /// The offer that a contract of `capacity` chunks with an account is judged by.
    pub(crate) fn offer_to(&self, ctx: &Ctx<'_>, account: &AccountId, capacity: u64) -> Offer {
        let offer = self.offer(ctx);
        match self.given_to(account) {
            Some(given) if capacity <= given => Offer {
                price: Amount::ZERO,
                ..offer
            },
            Some(_) | None => offer,
        }
    }

    /// What a friend is given, signed; nothing while the ledger does not know us, or holds us FAULTED.
    pub(crate) fn gift(&self, ctx: &Ctx<'_>, friend: &AccountId) -> Option<Gift> {
        let given = self.given_to(friend)?;
        let public = self.signed_offer(ctx)?.offer;
        let epoch = ctx.chain.epoch;
        let left = given.saturating_sub(self.rented_by(friend, epoch));
        let free = left.min(self.free_chunks(epoch, None, Some(friend)));
        let offer = Offer {
            price: Amount::ZERO,
            egress_price: Amount::ZERO,
            free: Bytes(if self.takes(ctx.me) { free * CHUNK } else { 0 }),
            ..public
        };
        let (key, net) = (&ctx.me.node_key, &ctx.me.genesis);
        Some(Gift::sign(offer, *friend, key, net))
    }
}
