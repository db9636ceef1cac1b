//! Contracts that a person asks for: one more provider, or a later end for one that there is. The
//! rest, as growing and renewing what is in use, comes by itself. `docs/protocol.md` §3.10.

use super::planning::stepped;
use super::{NoRoom, Renter};
use crate::ctx::Ctx;
use crate::wallet::Wallet;
use larder_types::params::CHUNK;
use larder_types::{Bytes, ContractId, NodeId};

impl Renter {
    /// Opens a contract with a provider that offers, for at least `size`, in whole steps; nothing if
    /// there is one, or it cannot be: [`crate::Engine::may_rent`] says why not.
    pub(crate) fn rent(
        &mut self,
        ctx: &mut Ctx<'_>,
        wallet: &mut Wallet,
        provider: &NodeId,
        size: Bytes,
    ) {
        let capacity = stepped(&ctx.me.params, size.0.div_ceil(CHUNK));
        let offers = self.unrented(ctx.now, &ctx.me.node());
        let offer = offers.into_iter().find(|o| o.provider == *provider);
        let Some(offer) = offer.filter(|o| o.free.0 / CHUNK >= capacity) else {
            return;
        };
        let offers = std::slice::from_ref(&offer);
        if self.check_credit(ctx, wallet, offers, capacity).is_ok() {
            self.open_lease(ctx, wallet, &offer, capacity);
        }
    }

    /// Proposes a later end, as soon as nothing else is under way in the contract.
    pub(crate) fn renew(&mut self, ctx: &mut Ctx<'_>, wallet: &mut Wallet, id: &ContractId) {
        if let Some(lease) = self.leases.get_mut(id) {
            lease.renewing = true;
            self.drive(ctx, wallet, id);
        }
    }
}

/// Why a contract cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RentRefusal {
    /// There is one.
    #[error(
        "there is a contract with it already: it grows by itself, and `larder contracts` shows it"
    )]
    Rented,
    /// It does not offer.
    #[error("it has no offer that holds: `larder offers` lists those that there are")]
    NoOffer,
    /// It has too little room, or the account too little credit.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}
