//! The offer book: the newest offer of each provider, checked, bounded.

use larder_contracts::{Gift, SignedOffer};
use larder_types::{GenesisHash, NodeId, Params, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Most offers kept. Beyond it the one that lapses first gives way.
const MAX_OFFERS: usize = 4_096;

/// The offers that are known.
#[derive(Debug, Default)]
pub(crate) struct Book {
    offers: BTreeMap<NodeId, SignedOffer>,
    /// What friends give us: it goes before what they offer everybody, and is shown to nobody.
    gifts: BTreeMap<NodeId, SignedOffer>,
    /// Friends that give: what they offer everybody is left alone.
    pub(crate) givers: BTreeSet<NodeId>,
    /// When a provider was heard of that was not known before.
    grown_at: Option<Time>,
}

impl Book {
    /// Notes an offer if it is good and newer than the provider's last one.
    pub(crate) fn note(
        &mut self,
        offer: SignedOffer,
        now: Time,
        params: &Params,
        net: &GenesisHash,
    ) -> bool {
        let provider = offer.offer.provider;
        let older = self
            .offers
            .get(&provider)
            .is_some_and(|o| o.offer.issued >= offer.offer.issued);
        if older || offer.check(now, params, net).is_err() {
            return false;
        }
        if self.offers.insert(provider, offer).is_none() {
            self.grown_at = Some(now);
        }
        if self.offers.len() > MAX_OFFERS {
            let first = self
                .offers
                .iter()
                .min_by_key(|(_, o)| o.offer.valid_until)
                .map(|(id, _)| *id);
            first.map(|id| self.offers.remove(&id));
        }
        true
    }

    /// Notes what a friend gives; it was checked.
    pub(crate) fn note_gift(&mut self, gift: Gift, now: Time) {
        let provider = gift.offer.provider;
        let offer = SignedOffer {
            offer: gift.offer,
            sig: gift.sig,
        };
        if self.gifts.insert(provider, offer).is_none() {
            self.grown_at = Some(now);
        }
    }

    /// Whether what a provider offers us is a gift.
    pub(crate) fn is_gift(&self, provider: &NodeId) -> bool {
        self.gifts.contains_key(provider)
    }

    /// A friend gives us nothing any more.
    pub(crate) fn forget_gift(&mut self, provider: &NodeId) {
        self.gifts.remove(provider);
    }

    /// When a provider was heard of that was not known before.
    pub(crate) fn grown_at(&self) -> Option<Time> {
        self.grown_at
    }

    /// The offers that hold now, one a provider: what it gives us, else what it offers everybody.
    pub(crate) fn valid(&self, now: Time) -> impl Iterator<Item = &SignedOffer> {
        let gifts = self
            .gifts
            .values()
            .filter(move |o| o.offer.valid_until > now);
        let others = self.public(now);
        gifts.chain(others.filter(|o| !self.givers.contains(&o.offer.provider)))
    }

    /// The offers to everybody that hold now.
    pub(crate) fn public(&self, now: Time) -> impl Iterator<Item = &SignedOffer> {
        self.offers
            .values()
            .filter(move |o| o.offer.valid_until > now)
    }

    /// What one provider gives us or offers, lapsed or not.
    pub(crate) fn get(&self, provider: &NodeId) -> Option<&SignedOffer> {
        let gift = self.gifts.get(provider);
        gift.or_else(|| self.offers.get(provider))
    }
}
